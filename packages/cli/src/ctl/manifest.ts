// whitherctl manifest: keys and policy of a mapping zone, or of a part of the directory, as one record. Its hash goes into the directory,
// and that is what makes it count; a successor is also signed by its predecessor's zone key.

import { dirname } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import {
  DiscoveryError,
  limits,
  parseDpId,
  parseZoneName,
  suiteV1,
  zoneDp,
  type HpkeKey,
  type Manifest,
  type SignedObject,
  type VoprfKey,
} from "@whither/protocol";
import {
  formatHpkePublicKey,
  formatPublicKey,
  roles,
  sha256,
  toBase64Url,
  toHex,
} from "@whither/crypto";
import {
  integerField,
  parseYaml,
  pathField,
  readFileBounded,
  replaceFile,
  secondsField,
  secretPathField,
  systemClock,
  textField,
} from "@whither/runtime";
import {
  decodeManifest,
  decodeSignedObject,
  encodeManifest,
  encodeSignedObject,
} from "@whither/wire";
import { addSignature } from "@whither/zone";
import { print, type Terminal } from "../terminal.js";
import { readHpkePublicKey, readSigner, readVoprfPublicKey } from "../key-files.js";
import { jsonOption } from "../options.js";

const text = new TextDecoder();
const fileBytesMax = 256 * 1024;

const orUndefined =
  <T>(parse: (text: string) => T) =>
  (value: string): T | undefined => {
    try {
      return parse(value);
    } catch {
      return undefined;
    }
  };

/** configs/manifest.yaml describes every key. */
export function manifestSchema(directory: string) {
  const source = z.strictObject({
    kind: z.enum(["mappings", "directory"]).default("mappings"),
    zone: textField("a zone name, name@dp_id", orUndefined(parseZoneName)),
    operator: z.string().min(1).max(255),
    version: integerField({ min: 1, max: 2 ** 32 }).default(1),
    zone_key_file: secretPathField(directory),
    zone_key_lifetime: secondsField({ min: 86_400, max: 3650 * 86_400 }).default(365 * 86_400),
    voprf_key_file: secretPathField(directory).optional(),
    voprf_key_lifetime: secondsField({ min: 86_400, max: 366 * 86_400 }).default(90 * 86_400),
    previous_voprf_key_file: secretPathField(directory).optional(),
    previous_voprf_key_lifetime: secondsField({
      min: limits.kidOverlapSeconds,
      max: 366 * 86_400,
    }).default(14 * 86_400),
    hpke_key_file: secretPathField(directory).optional(),
    hpke_key_lifetime: secondsField({ min: 86_400, max: 366 * 86_400 }).default(90 * 86_400),
    previous_hpke_key_file: secretPathField(directory).optional(),
    previous_hpke_key_lifetime: secondsField({ min: 86_400, max: 366 * 86_400 }).default(
      14 * 86_400,
    ),
    predecessor_key_file: pathField(directory).optional(),
    epoch: secondsField({ min: 1, max: limits.promiseSeconds }).default(limits.epochSeconds),
    mapping_ttl: secondsField({
      min: limits.mappingTtlSecondsMin,
      max: limits.mappingTtlSecondsMax,
    }).default(limits.mappingTtlSecondsMax),
    absence_ttl: secondsField({ min: 1, max: limits.absenceTtlSecondsZoneMax }).default(
      limits.absenceTtlSecondsMax,
    ),
    policy: z.strictObject({
      federation_default: z.enum(["local", "preferred", "list", "all"]).default("local"),
      preferred_dps: z
        .array(textField("a DP id", orUndefined(parseDpId)))
        .max(64)
        .default([]),
      retention: secondsField({ min: 0, max: 3650 * 86_400 }).default(30 * 86_400),
      replica_jurisdictions: z.array(z.string().length(2)).max(64).default([]),
      preference_handling: z
        .string()
        .max(1024)
        .default("The holder's order is served as signed; this provider adds no order of its own."),
      public_queries: z.boolean().default(false),
    }),
  });
  // A zone evaluates or is a directory: its manifest says which by having a VOPRF key or none.
  return source.superRefine((value, context) => {
    const { kind, voprf_key_file: file, previous_voprf_key_file: previous } = value;
    const { hpke_key_file: hpke, previous_hpke_key_file: previousHpke } = value;
    if (hpke === undefined && previousHpke !== undefined) {
      const expected = "hpke_key_file beside it";
      const place = { path: ["previous_hpke_key_file"], params: { expected } };
      context.addIssue({ code: "custom", message: `expected ${expected}`, ...place });
    }
    const has = [file, previous, hpke].some((one) => one !== undefined);
    if (kind === "mappings" ? file !== undefined : !has) return;
    const expected = kind === "mappings" ? "a path" : "none for kind: directory";
    const params = { expected };
    const message = `expected ${expected}`;
    context.addIssue({ code: "custom", path: ["voprf_key_file"], params, message });
  });
}
type ManifestSource = z.output<ReturnType<typeof manifestSchema>>;

export function manifestCommand(terminal: Terminal): Command {
  const manifest = new Command("manifest").description("keys and policy of a mapping zone");
  manifest
    .command("create")
    .description("make a manifest from its YAML description and print its SHA-256")
    .argument("<file>", "YAML, as configs/manifest.yaml")
    .requiredOption("--out <file>", "where to write the manifest")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl manifest create de.manifest.yaml --out de.manifest",
    )
    .action(async (file: string, options: { out: string; json?: true }) => {
      const object = await createManifest(file);
      await replaceFile(options.out, encodeSignedObject(object));
      const hash = toHex(sha256(object.payload));
      const value = { file: options.out, manifest_sha256: hash };
      print(terminal, { json: options.json === true, value, text: hash });
    });
  manifest
    .command("show")
    .description("print a manifest file")
    .argument("<file>")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl manifest show de.manifest")
    .action(async (file: string, options: { json?: true }) => {
      const object = decodeSignedObject(await readFileBounded(file, { bytesMax: fileBytesMax }));
      const value = describe(decodeManifest(object.payload), object);
      print(terminal, { json: options.json === true, value, text: JSON.stringify(value, null, 2) });
    });
  return manifest;
}

async function createManifest(path: string): Promise<SignedObject> {
  const source: ManifestSource = parseYaml({
    text: text.decode(await readFileBounded(path, { bytesMax: fileBytesMax })),
    path,
    schema: manifestSchema(dirname(path)),
  });
  const now = systemClock.nowSeconds();
  const zoneKey = await readSigner(source.zone_key_file);
  const voprfKeys: VoprfKey[] = [];
  if (source.voprf_key_file !== undefined) {
    voprfKeys.push(await voprfKeyOf(source.voprf_key_file, now + source.voprf_key_lifetime));
  }
  if (source.previous_voprf_key_file !== undefined) {
    const notAfter = now + source.previous_voprf_key_lifetime;
    voprfKeys.push(await voprfKeyOf(source.previous_voprf_key_file, notAfter));
  }
  const { policy } = source;
  const payload = encodeManifest({
    zone: source.zone,
    operator: source.operator,
    suite: suiteV1,
    version: source.version,
    zoneKeys: [
      {
        publicKey: zoneKey.publicKey,
        notBefore: now - limits.clockSkewSeconds,
        notAfter: now + source.zone_key_lifetime,
      },
    ],
    voprfKeys,
    hpkeKeys: await hpkeKeysOf(source, now),
    entryLength: limits.entryBytes,
    epochSeconds: source.epoch,
    mappingTtlSeconds: source.mapping_ttl,
    absenceTtlSeconds: source.absence_ttl,
    policy: {
      federationDefault: policy.federation_default,
      preferredDps: policy.preferred_dps,
      quotas: defaultQuotas,
      discoveryMaxSeconds: limits.promiseSeconds + source.absence_ttl,
      removalMaxSeconds: limits.promiseSeconds + source.mapping_ttl,
      retentionSeconds: policy.retention,
      replicaJurisdictions: policy.replica_jurisdictions,
      preferenceHandling: policy.preference_handling,
      publicQueries: policy.public_queries,
    },
    notBefore: now - limits.clockSkewSeconds,
  });
  const object: SignedObject = { payload, signatures: [] };
  const place = { type: "manifest", role: roles.zone, zone: source.zone } as const;
  const own = addSignature(object, { ...place, signer: zoneKey });
  if (source.predecessor_key_file === undefined) return own;
  return addSignature(own, { ...place, signer: await readSigner(source.predecessor_key_file) });
}

async function voprfKeyOf(path: string, notAfter: number): Promise<VoprfKey> {
  const publicKey = await readVoprfPublicKey(path);
  // Any 4 octets that differ from the predecessor's will do: derived, so that no state is needed.
  return { kid: sha256(publicKey).slice(0, 4), publicKey, notAfter };
}

/** The current one first. Throws CONFIG where two share their id, which is derived, so that no state is needed. */
async function hpkeKeysOf(source: ManifestSource, now: number): Promise<readonly HpkeKey[]> {
  const { hpke_key_file: file, previous_hpke_key_file: previous } = source;
  const keyOf = async (path: string, lifetimeSeconds: number): Promise<HpkeKey> => {
    const publicKey = await readHpkePublicKey(path);
    const [id = 0] = sha256(publicKey);
    return { id, publicKey, notAfter: now + lifetimeSeconds };
  };
  const keys: HpkeKey[] = [];
  if (file !== undefined) keys.push(await keyOf(file, source.hpke_key_lifetime));
  if (previous !== undefined) keys.push(await keyOf(previous, source.previous_hpke_key_lifetime));
  if (keys.length === 2 && keys[0]?.id === keys[1]?.id) {
    throw new DiscoveryError("CONFIG", "both hpke keys have one id: generate another key");
  }
  return keys;
}

const defaultQuotas = [
  {
    class: "msp",
    requestsPerSecond: limits.clientRequestsPerSecond,
    requestsBurst: limits.clientRequestsBurst,
    contactsBurst: limits.newContactsMspBurst,
    contactsPerDay: limits.newContactsMspPerDay,
  },
  {
    class: "client",
    requestsPerSecond: limits.clientRequestsPerSecond,
    requestsBurst: limits.clientRequestsBurst,
    contactsBurst: limits.newContactsClientBurst,
    contactsPerDay: limits.newContactsClientPerDay,
  },
] as const;

function describe(manifest: Manifest, object: SignedObject): Record<string, unknown> {
  return {
    zone: manifest.zone,
    dp: manifest.zone === "." ? "" : zoneDp(manifest.zone),
    operator: manifest.operator,
    manifest_sha256: toHex(sha256(object.payload)),
    suite: manifest.suite,
    version: manifest.version,
    zone_keys: manifest.zoneKeys.map((key) => ({
      public_key: formatPublicKey(key.publicKey),
      not_before: key.notBefore,
      not_after: key.notAfter,
    })),
    voprf_keys: manifest.voprfKeys.map((key) => ({
      kid: toHex(key.kid),
      public_key: `ristretto255:${toBase64Url(key.publicKey)}`,
      not_after: key.notAfter,
    })),
    hpke_keys: manifest.hpkeKeys.map((key) => ({
      id: key.id,
      kem: "DHKEM(X25519, HKDF-SHA256)",
      kdf: "HKDF-SHA256",
      aead: "AES-128-GCM",
      public_key: formatHpkePublicKey(key.publicKey),
      not_after: key.notAfter,
    })),
    epoch_s: manifest.epochSeconds,
    mapping_ttl_s: manifest.mappingTtlSeconds,
    absence_ttl_s: manifest.absenceTtlSeconds,
    policy: manifest.policy,
    signed_by: object.signatures.map((signature) => toHex(signature.keyId)),
  };
}
