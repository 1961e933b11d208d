// A small signed federation for tests: anchors, root key set, registry and a directory made from text in
// the operators' own format. Deterministic. Every part can be replaced by a wrong one.

import { roles, type KeyPeriod, type Node, type SignedObject } from "@whither/protocol";
import {
  createSigner,
  formatPin,
  formatPublicKey,
  sha256,
  toHex,
  utf8,
  type Signer,
} from "@whither/crypto/node";
import { decodeDirectoryHead, decodeNode, encodeDirectoryHead, encodeNode } from "@whither/wire";
import {
  compileDirectory,
  directoryDigest,
  parseRegistrySource,
  parseRootSource,
  signDirectory,
  signObject,
  signRootKeys,
  type Anchors,
  type Directory,
  type DirectoryObjects,
} from "@whither/zone";

const day = 86_400;
const signer = (label: string): Signer => createSigner(sha256(utf8(`whither test ${label}`)));

/** Time at which a fixture is signed unless told: 2027-01-15T07:00:00Z. */
export const directoryFixtureSeconds = Date.UTC(2027, 0, 15, 7) / 1000;

export interface RootFixture {
  readonly ksks: readonly Signer[];
  readonly zsk: Signer;
  /** A second ZSK, such as a server has; in the key set where a fixture is told so. */
  readonly online: Signer;
  readonly anchors: Anchors;
  /** Signed by two of three KSKs. */
  readonly rootKeys: SignedObject;
}

/** Anchors of three KSKs, two needed, and a key set with one ZSK. */
export function makeRootFixture(
  options: {
    readonly nowSeconds?: number;
    readonly version?: number;
    readonly zsk?: Partial<KeyPeriod>;
    readonly online?: Partial<KeyPeriod>;
    /** Names of the KSKs; of the anchors, too. */
    readonly ksks?: readonly string[];
    /** Two of the KSKs unless told. */
    readonly signers?: readonly Signer[];
    readonly tlsCaPem?: readonly string[];
  } = {},
): RootFixture {
  const { nowSeconds = directoryFixtureSeconds, version = 1 } = options;
  const ksks = (options.ksks ?? ["ksk 1", "ksk 2", "ksk 3"]).map(signer);
  const zsk = signer("zsk");
  const online = signer("online zsk");
  const keys = ksks.map((ksk) => ksk.publicKey);
  const period = { notBefore: nowSeconds - day, notAfter: nowSeconds + 90 * day };
  const rootKeys = signRootKeys(
    {
      suite: 1,
      version,
      threshold: 2,
      ksks: keys,
      zsks: [
        { publicKey: zsk.publicKey, ...period, ...options.zsk },
        ...(options.online === undefined
          ? []
          : [{ publicKey: online.publicKey, ...period, ...options.online }]),
      ],
      ...period,
    },
    options.signers ?? ksks.slice(0, 2),
  );
  return {
    ksks,
    zsk,
    online,
    anchors: { version: 1, threshold: 2, keys, tlsCaPem: options.tlsCaPem ?? [] },
    rootKeys,
  };
}

const pin = (label: string): string => formatPin(sha256(utf8(label)));
const key = (label: string): string => formatPublicKey(signer(label).publicKey);

/** `registry.yaml` of three DPs, two MSPs and a prover. */
export const registryFixtureText = `dps:
${["a", "b", "c"].map(dpText).join("")}msps:
  - { id: wire.example, operator: Operator W, bit: 0, keys: ["${key("wire")}"], accredited_from: 2026-01-01, accredited_to: 2029-01-01 }
  - { id: video.example, operator: Operator V, bit: 1, keys: ["${key("video")}"], accredited_from: 2026-01-01, accredited_to: 2029-01-01 }
provers:
  - { id: prover.example, operator: Operator P, keys: ["${key("prover")}"], prefixes: ["tel:", "mailto:"], methods: [sms, email], max_level: 2, valid_from: 2026-01-01, valid_to: 2029-01-01 }
`;

function dpText(letter: string, index: number): string {
  const dp = `dp-${letter}.example`;
  const zones = ["de", "gb", "rest", "mail", "sub"].map((name) => `${name}@${dp}`);
  return `  - id: ${dp}
    operator: Operator ${letter.toUpperCase()}
    max_qps: 1000
    endpoints: [{ host: 127.0.0.1, port: ${7400 + index}, public_port: ${7500 + index}, spki: ["${pin(dp)}"] }]
    zones:
${zones.map((zone) => `      - { name: ${zone}, manifest_sha256: [${toHex(sha256(utf8(zone)))}] }\n`).join("")}`;
}

/** Lines under `prefixes:` of the directory that tests share. */
export const prefixesFixture = [
  `"tel:": { unassigned: true }`,
  `"tel:+49": { zones: [de@dp-a.example] }`,
  `"tel:+44": { zones: [gb@dp-b.example] }`,
  `"tel:+441481": { zones: [rest@dp-c.example] }`,
  `"tel:+999": { unassigned: true }`,
  `"mailto:": { zones: [mail@dp-c.example] }`,
  `"mailto:example.org": { zones: [mail@dp-a.example], expected_csis: 5000 }`,
  `"acct:": { zones: [mail@dp-c.example] }`,
];

/** `root.zone.yaml` with these prefixes. */
export function rootSourceText(
  prefixes: readonly string[] = prefixesFixture,
  lifetimeSeconds = 7 * day,
): string {
  return `zone: "."
ttl_s: 3600
lifetime_s: ${lifetimeSeconds}
refresh_s: 900
retry_s: 300
expire_s: 604800
federation_default: local
prefixes:${prefixes.length === 0 ? " {}" : ""}
${prefixes.map((line) => `  ${line}\n`).join("")}`;
}

export interface DirectoryFixtureOptions {
  readonly root?: RootFixture;
  readonly prefixes?: readonly string[];
  readonly registryText?: string;
  readonly nowSeconds?: number;
  readonly lifetimeSeconds?: number;
  readonly previous?: Directory;
}

/** A directory as `whitherctl zone sign` makes it. */
export function makeDirectoryObjects(options: DirectoryFixtureOptions = {}): DirectoryObjects {
  const { root = makeRootFixture(), nowSeconds = directoryFixtureSeconds, previous } = options;
  const compiled = compileDirectory({
    root: parseRootSource({
      text: rootSourceText(options.prefixes, options.lifetimeSeconds),
      file: "root.zone.yaml",
    }),
    registry: parseRegistrySource({
      text: options.registryText ?? registryFixtureText,
      file: "registry.yaml",
    }),
    manifests: new Map(),
  });
  return signDirectory({
    compiled,
    rootKeys: root.rootKeys,
    signer: root.zsk,
    previous,
    nowSeconds,
  });
}

/** What a root that holds its ZSK, but breaks the rules, would sign: nodes changed, head made to fit. */
export function resignDirectory(
  objects: DirectoryObjects,
  change: {
    readonly root: RootFixture;
    readonly nodes?: (nodes: readonly Node[]) => readonly Node[];
    readonly head?: Partial<ReturnType<typeof decodeDirectoryHead>>;
  },
): DirectoryObjects {
  const place = { role: roles.rootZsk, zone: ".", signer: change.root.zsk } as const;
  const changed = change.nodes;
  const nodes =
    changed === undefined
      ? objects.nodes
      : changed(objects.nodes.map(({ payload }) => decodeNode(payload))).map((node) =>
          signObject({ ...place, type: "node", payload: encodeNode(node) }),
        );
  const head = {
    ...decodeDirectoryHead(objects.head.payload),
    nodeCount: nodes.length,
    digest: directoryDigest([...nodes, ...objects.records].map(({ payload }) => payload)),
    ...change.head,
  };
  const payload = encodeDirectoryHead(head);
  return { ...objects, nodes, head: signObject({ ...place, type: "directory-head", payload }) };
}
