// A part of the directory that the root delegates on, as its operator makes it: manifest, source, signature.
// Deterministic. Every piece can be replaced by a wrong one.

import {
  parsePrefix,
  parseZoneName,
  roles,
  type Manifest,
  type Node,
  type Prefix,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import { createSigner, sha256, toHex, utf8, type Signer } from "@whither/crypto/node";
import {
  decodeDirectoryHead,
  decodeNode,
  encodeDirectoryHead,
  encodeManifest,
  encodeNode,
} from "@whither/wire";
import {
  compileDirectory,
  directoryDigest,
  parseRegistrySource,
  parseRootSource,
  signObject,
  signPart,
  type Directory,
  type DirectoryObjects,
  type PartTrust,
  type PartVoucher,
  type RegistrySource,
} from "@whither/zone";
import { directoryFixtureSeconds, registryFixtureText } from "./directory-fixtures.js";

const day = 86_400;

export type PartObjects = DirectoryObjects<PartVoucher>;

export interface PartFixture {
  readonly zone: ZoneName;
  readonly apex: Prefix;
  readonly signer: Signer;
  readonly manifest: SignedObject;
  /** 32 bytes: what the delegating node names. */
  readonly manifestSha256: Uint8Array;
}

export interface PartFixtureOptions {
  /** `sub@dp-a.example` unless told. */
  readonly zone?: string;
  /** `tel:+49` unless told. */
  readonly apex?: string;
  readonly nowSeconds?: number;
  /** What differs from an ordinary manifest. */
  readonly manifest?: Partial<Manifest>;
  /** Another one makes other keys. */
  readonly label?: string;
}

export function makePartFixture(options: PartFixtureOptions = {}): PartFixture {
  const { nowSeconds = directoryFixtureSeconds, label = "" } = options;
  const zone = parseZoneName(options.zone ?? "sub@dp-a.example");
  const signer = createSigner(sha256(utf8(`whither test part ${zone} ${label}`)));
  const period = { notBefore: nowSeconds - day, notAfter: nowSeconds + 90 * day };
  const payload = encodeManifest({
    zone,
    operator: "Operator A",
    suite: 1,
    version: 1,
    zoneKeys: [{ publicKey: signer.publicKey, ...period }],
    voprfKeys: [],
    hpkeKeys: [],
    entryLength: 68,
    epochSeconds: 30,
    mappingTtlSeconds: 3600,
    absenceTtlSeconds: 60,
    policy: {
      federationDefault: "local",
      preferredDps: [],
      quotas: [],
      discoveryMaxSeconds: 180,
      removalMaxSeconds: 180,
      retentionSeconds: day,
      replicaJurisdictions: [],
      preferenceHandling: "the holder's order is kept",
      publicQueries: false,
    },
    notBefore: nowSeconds - day,
    ...options.manifest,
  });
  return {
    zone,
    apex: parsePrefix(options.apex ?? "tel:+49"),
    signer,
    manifest: { payload, signatures: [] },
    manifestSha256: sha256(payload),
  };
}

/** `registry.yaml` of the fixtures in which these parts have their manifests. */
export function registryTextOf(...parts: readonly PartFixture[]): string {
  return parts.reduce(
    (text, { zone, manifestSha256 }) =>
      text.replace(
        new RegExp(`name: ${zone}, manifest_sha256: \\[[0-9a-f]+\\]`),
        `name: ${zone}, manifest_sha256: [${toHex(manifestSha256)}]`,
      ),
    registryFixtureText,
  );
}

export interface PartSourceOptions {
  /** Lines under `prefixes:`. */
  readonly prefixes: readonly string[];
  readonly registry?: RegistrySource;
  readonly nowSeconds?: number;
  readonly lifetimeSeconds?: number;
  readonly previous?: Directory<PartTrust> | undefined;
}

/** A part as `whitherctl zone sign` makes it. */
export function makePartObjects(part: PartFixture, options: PartSourceOptions): PartObjects {
  const { prefixes, previous, nowSeconds = directoryFixtureSeconds } = options;
  const text = `zone: ${part.zone}
apex: "${part.apex}"
ttl_s: 3600
lifetime_s: ${options.lifetimeSeconds ?? 7 * day}
refresh_s: 900
retry_s: 300
expire_s: 604800
federation_default: local
prefixes:${prefixes.length === 0 ? " {}" : ""}
${prefixes.map((line) => `  ${line}\n`).join("")}`;
  const registry =
    options.registry ?? parseRegistrySource({ text: registryTextOf(part), file: "registry.yaml" });
  const root = parseRootSource({ text, file: "part.zone.yaml" });
  const compiled = compileDirectory({ root, registry, manifests: new Map() });
  const { manifest, signer } = part;
  return signPart({ compiled, manifest, signer, previous, nowSeconds });
}

/** What a part that breaks the rules would sign: nodes changed, head made to fit. */
export function resignPart(
  objects: PartObjects,
  part: PartFixture,
  change: {
    readonly nodes?: (nodes: readonly Node[]) => readonly Node[];
    readonly head?: Partial<ReturnType<typeof decodeDirectoryHead>>;
  },
): PartObjects {
  const place = { role: roles.zone, zone: part.zone, signer: part.signer } as const;
  const { nodes: changed = (nodes: readonly Node[]) => nodes } = change;
  const nodes = changed(objects.nodes.map(({ payload }) => decodeNode(payload))).map((node) =>
    signObject({ ...place, type: "node", payload: encodeNode(node) }),
  );
  const head = {
    ...decodeDirectoryHead(objects.head.payload),
    nodeCount: nodes.length,
    digest: directoryDigest(nodes.map(({ payload }) => payload)),
    ...change.head,
  };
  const payload = encodeDirectoryHead(head);
  return { ...objects, nodes, head: signObject({ ...place, type: "directory-head", payload }) };
}
