// `registry.yaml`: the parties of a federation with their keys and endpoints, and which manifest each
// zone of a DP has. Text in, typed parties out; manifest files are read by the caller.

import {
  DiscoveryError,
  limits,
  parseMspId,
  parsePrefix,
  parseProverId,
  zoneDp,
  type DpId,
  type DpRecord,
  type Endpoint,
  type MspRecord,
  type ProverRecord,
  type RelayRecord,
  type ZoneName,
} from "@whither/protocol";
import { keyIdOf, toHex } from "@whither/crypto/node";
import { z } from "zod";
import {
  dpIdField,
  hashField,
  hostField,
  jurisdictionField,
  operatorField,
  pinField,
  portField,
  textField,
  timeField,
  zoneNameField,
} from "./source-fields.js";
import { emptyPeriods, keyPeriods, signingKeysField, type SigningKey } from "./signing-keys.js";
import { formatKeyPath, parseYamlSource, sourceError, type SourceIssue } from "./yaml-source.js";

/** A zone of a DP and where its manifests are named. */
export interface ZoneSource {
  readonly name: ZoneName;
  readonly line: number;
  /** Files of signed manifests, newest first, relative to the source; or their hashes. */
  readonly manifests:
    | { readonly kind: "files"; readonly paths: readonly string[] }
    | { readonly kind: "hashes"; readonly sha256: readonly Uint8Array[] };
  /** Servers of this zone beside the DP's endpoints. */
  readonly replicas: readonly Endpoint[];
}

export interface RegistrySource {
  readonly file: string;
  readonly dps: readonly { readonly record: DpRecord; readonly zones: readonly ZoneSource[] }[];
  readonly msps: readonly MspRecord[];
  readonly provers: readonly ProverRecord[];
  readonly relays: readonly RelayRecord[];
  /** Line of a party's entry by kind and id. */
  lineOf(kind: "dp" | "msp" | "prover" | "relay", id: string): number;
}

const none = new Uint8Array();

const endpointFields = {
  host: hostField,
  port: portField.default(0),
  public_port: portField.default(0),
  spki: z.array(pinField).min(1).max(limits.pinsMax),
  jurisdiction: jurisdictionField.optional(),
};

const endpointSchema = z
  .strictObject(endpointFields)
  .refine(({ port, public_port }) => port !== 0 || public_port !== 0, {
    message: "expected a port, a public_port or both",
  })
  .transform((endpoint) => makeEndpoint(endpoint));

// Everybody reads a replica without a certificate: one without public port would serve nobody.
const replicaSchema = z
  .strictObject({
    ...endpointFields,
    public_port: portField.min(1),
    operator: operatorField.optional(),
  })
  .transform((replica) => makeEndpoint(replica));

function makeEndpoint(given: {
  readonly host: string;
  readonly port: number;
  readonly public_port: number;
  readonly spki: readonly Uint8Array[];
  readonly jurisdiction?: string | undefined;
  readonly operator?: string | undefined;
}): Endpoint {
  return {
    host: given.host,
    port: given.port,
    publicPort: given.public_port,
    spkiSha256: given.spki,
    jurisdiction: given.jurisdiction ?? "",
    operator: given.operator ?? "",
  };
}

const manifestPath = z.string().min(1).max(1024);
const zoneSchema = z
  .strictObject({
    name: zoneNameField,
    manifest: z
      .union([manifestPath, z.array(manifestPath).min(1).max(limits.manifestHashesMax)])
      .optional(),
    manifest_sha256: z.array(hashField).min(1).max(limits.manifestHashesMax).optional(),
    replicas: z.array(replicaSchema).max(limits.endpointsMax).default([]),
  })
  .refine(({ manifest, manifest_sha256 }) => (manifest ?? manifest_sha256) !== undefined, {
    message: "expected manifest or manifest_sha256",
  })
  .refine(
    ({ manifest, manifest_sha256 }) => manifest === undefined || manifest_sha256 === undefined,
    {
      message: "expected only one of manifest and manifest_sha256",
    },
  );

const dpSchema = z.strictObject({
  id: dpIdField,
  operator: operatorField,
  max_qps: z.int().min(1).max(1_000_000_000),
  jurisdictions: z.array(jurisdictionField).max(64).default([]),
  terms_hash: hashField.optional(),
  endpoints: z.array(endpointSchema).min(1).max(limits.endpointsMax),
  zones: z.array(zoneSchema).max(1024).default([]),
});

const addressField = textField("host:port", (text) => {
  if (!/^(?:[0-9a-zA-Z._-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):[1-9][0-9]{0,4}$/.test(text)) {
    throw new DiscoveryError("INVALID_DATA", "not host:port");
  }
  return text;
});

const mspSchema = z.strictObject({
  id: textField("the id of an MSP, its domain in lower case", parseMspId),
  operator: operatorField,
  bit: z.int().min(0).max(65_535),
  keys: signingKeysField,
  spki: z.array(pinField).max(8).default([]),
  endpoint: addressField.optional(),
  mimi_directory_url: z
    .string()
    .max(1024)
    .regex(/^https:\/\/[^\s]+$/)
    .optional(),
  accredited_from: timeField,
  accredited_to: timeField,
  terms_hash: hashField.optional(),
});

const proverSchema = z.strictObject({
  id: textField("the id of a prover, a lower-case host name", parseProverId),
  operator: operatorField,
  keys: signingKeysField,
  prefixes: z.array(textField("a canonical prefix", parsePrefix)).min(1).max(512),
  methods: z
    .array(z.string().regex(/^[a-z0-9-]{1,32}$/))
    .min(1)
    .max(32),
  max_level: z.int().min(1).max(3),
  valid_from: timeField,
  valid_to: timeField,
});

const relaySchema = z.strictObject({
  id: textField("the id of a relay, a lower-case host name", parseProverId),
  operator: operatorField,
  endpoint: addressField,
  spki: z.array(pinField).min(1).max(limits.pinsMax),
});

const schema = z.strictObject({
  dps: z.array(dpSchema).max(10_000),
  msps: z.array(mspSchema).max(10_000).default([]),
  provers: z.array(proverSchema).max(10_000).default([]),
  relays: z.array(relaySchema).max(10_000).default([]),
});

type Value = z.infer<typeof schema>;

/** Reads `registry.yaml`. Throws CONFIG whose cause names file, line and key of every mistake. */
export function parseRegistrySource(source: {
  readonly text: string;
  readonly file: string;
}): RegistrySource {
  const yaml = parseYamlSource({ ...source, schema });
  const { value } = yaml;
  const issues = mistakes(value).map(({ path, text }): SourceIssue => ({
    file: source.file,
    line: yaml.lineOf(path),
    key: formatKeyPath(path),
    text,
  }));
  if (issues.length > 0) throw sourceError(issues);
  const lists = { dp: "dps", msp: "msps", prover: "provers", relay: "relays" } as const;
  return {
    file: source.file,
    dps: value.dps.map((dp, index) => ({
      record: {
        kind: "dp",
        id: dp.id,
        operator: dp.operator,
        endpoints: dp.endpoints,
        maxQps: dp.max_qps,
        jurisdictions: dp.jurisdictions,
        termsHash: dp.terms_hash ?? none,
      },
      zones: dp.zones.map((zone, at) => ({
        name: zone.name,
        line: yaml.lineOf(["dps", index, "zones", at]),
        manifests: manifestsOf(zone),
        replicas: zone.replicas.map((replica) => ownedBy(replica, dp.operator)),
      })),
    })),
    msps: value.msps.map(mspRecord),
    provers: value.provers.map((prover) => ({
      kind: "prover",
      id: prover.id,
      operator: prover.operator,
      keys: keyPeriods(prover.keys, { from: prover.valid_from, to: prover.valid_to }),
      prefixes: prover.prefixes,
      methods: prover.methods,
      maxLevel: prover.max_level,
    })),
    relays: value.relays.map((relay) => ({
      kind: "relay",
      id: relay.id,
      operator: relay.operator,
      endpoint: relay.endpoint,
      spkiSha256: relay.spki,
    })),
    lineOf: (kind, id) =>
      yaml.lineOf([
        lists[kind],
        value[lists[kind]].findIndex((party: { readonly id: string }) => party.id === id),
      ]),
  };
}

function manifestsOf(zone: z.infer<typeof zoneSchema>): ZoneSource["manifests"] {
  const { manifest, manifest_sha256: sha256 = [] } = zone;
  if (manifest === undefined) return { kind: "hashes", sha256 };
  return { kind: "files", paths: typeof manifest === "string" ? [manifest] : manifest };
}

/** The DP's own operator is written as none, so that there is one way to say it. */
function ownedBy(replica: Endpoint, dpOperator: string): Endpoint {
  return replica.operator === dpOperator ? { ...replica, operator: "" } : replica;
}

function mspRecord(msp: z.infer<typeof mspSchema>): MspRecord {
  return {
    kind: "msp",
    id: msp.id,
    operator: msp.operator,
    bit: msp.bit,
    keys: keyPeriods(msp.keys, { from: msp.accredited_from, to: msp.accredited_to }),
    spkiSha256: msp.spki,
    endpoint: msp.endpoint ?? "",
    mimiDirectoryUrl: msp.mimi_directory_url ?? "",
    accreditedFrom: msp.accredited_from,
    accreditedTo: msp.accredited_to,
    termsHash: msp.terms_hash ?? none,
    tokenIssuerKey: none,
  };
}

interface Mistake {
  readonly path: readonly PropertyKey[];
  readonly text: string;
}

/** Rules over more than one field: what is unique, what belongs to whom, what comes first. */
function mistakes(value: Value): readonly Mistake[] {
  return [
    ...repeated(ids(value.dps, "dps")),
    ...repeated(ids(value.msps, "msps")),
    ...repeated(ids(value.provers, "provers")),
    ...repeated(ids(value.relays, "relays")),
    ...repeated(value.msps.map(({ bit }, at) => [String(bit), ["msps", at, "bit"]])),
    ...repeated(
      value.dps.flatMap((dp, at) =>
        dp.zones.map(({ name }, index): Named => [name, ["dps", at, "zones", index, "name"]]),
      ),
    ),
    ...repeated(keyIds(value)),
    ...value.dps.flatMap((dp, at) =>
      foreignZones(dp.id, dp.zones).map((index): Mistake => ({
        path: ["dps", at, "zones", index, "name"],
        text: `expected a zone of ${dp.id}`,
      })),
    ),
    ...value.dps.flatMap((dp, at) =>
      dp.zones.flatMap(({ replicas }, index): readonly Mistake[] => {
        const max = limits.endpointsMax - dp.endpoints.length;
        if (replicas.length <= max) return [];
        const text = `expected at most ${max} beside the DP's endpoints, got ${replicas.length}`;
        return [{ path: ["dps", at, "zones", index, "replicas"], text }];
      }),
    ),
    ...value.msps.flatMap((msp, at): readonly Mistake[] =>
      msp.accredited_from < msp.accredited_to
        ? []
        : [{ path: ["msps", at, "accredited_to"], text: "expected a time after accredited_from" }],
    ),
    ...value.provers.flatMap((prover, at): readonly Mistake[] =>
      prover.valid_from < prover.valid_to
        ? []
        : [{ path: ["provers", at, "valid_to"], text: "expected a time after valid_from" }],
    ),
    ...value.msps.flatMap(({ keys, ...msp }, at) =>
      emptyPeriods(keys, { from: msp.accredited_from, to: msp.accredited_to }).map((key) =>
        endsFirst("msps", at, key),
      ),
    ),
    ...value.provers.flatMap(({ keys, ...prover }, at) =>
      emptyPeriods(keys, { from: prover.valid_from, to: prover.valid_to }).map((key) =>
        endsFirst("provers", at, key),
      ),
    ),
  ];
}

function endsFirst(list: "msps" | "provers", at: number, key: number): Mistake {
  return { path: [list, at, "keys", key], text: "expected a to after its from" };
}

type Named = readonly [name: string, path: readonly PropertyKey[]];

function ids(parties: readonly { readonly id: string }[], list: string): readonly Named[] {
  return parties.map(({ id }, at) => [id, [list, at, "id"]]);
}

/** One key for two parties would let one speak for the other. */
function keyIds({ msps, provers }: Value): readonly Named[] {
  const of = (list: string, parties: readonly { readonly keys: readonly SigningKey[] }[]) =>
    parties.flatMap(({ keys }, at) =>
      keys.map(({ publicKey }, index): Named => [
        toHex(keyIdOf(publicKey)),
        [list, at, "keys", index],
      ]),
    );
  return [...of("msps", msps), ...of("provers", provers)];
}

function repeated(named: readonly Named[]): readonly Mistake[] {
  const seen = new Set<string>();
  return named.flatMap(([name, path]): readonly Mistake[] => {
    if (!seen.has(name)) {
      seen.add(name);
      return [];
    }
    return [{ path, text: `expected each once, got ${name} a second time` }];
  });
}

function foreignZones(dp: DpId, zones: readonly { readonly name: ZoneName }[]): readonly number[] {
  return zones.flatMap(({ name }, index) => (zoneDp(name) === dp ? [] : [index]));
}
