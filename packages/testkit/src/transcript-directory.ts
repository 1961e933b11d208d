// The directory of the test vectors: root keys, registry, nodes, head, and referrals that answer and deny.

import { create, toBinary } from "@bufbuild/protobuf";
import { toHex, type Signer } from "@whither/crypto/node";
import { parsePrefix, suiteV1, type Prefix } from "@whither/protocol";
import { encodeReferAnswer, ReferRequestSchema } from "@whither/wire";
import {
  compileDirectory,
  nodeVerifier,
  parseRegistrySource,
  parseRootSource,
  signDirectory,
  signRootKeys,
  verifyDirectory,
  type Anchors,
  type Directory,
} from "@whither/zone";
import {
  drawn,
  fieldsOf,
  signedVector,
  signerOf,
  type Json,
  type JsonObject,
} from "./transcript-values.js";

const day = 86_400;

/** When the directory of the vectors was signed and is looked at. */
export interface DirectoryTimes {
  readonly signedAt: number;
  readonly nowSeconds: number;
}

export interface TranscriptDirectory {
  readonly anchors: Anchors;
  readonly directory: Directory;
  readonly vectors: JsonObject;
}

const prefixes = `
  "tel:": { unassigned: true }
  "tel:+1": { zones: [us@dp-a.example] }
  "tel:+44": { zones: [gb@dp-b.example] }
  "mailto:": { zones: [mail@dp-b.example] }
  "acct:": { zones: [mail@dp-b.example] }
`;

const asked = ["tel:", "tel:+1", "tel:+12", "tel:+43", "tel:+49"].map(parsePrefix);

/** The signed directory that delegates `tel:+1` to the zone with this manifest. */
export function makeTranscriptDirectory(
  manifestSha256: Uint8Array,
  times: DirectoryTimes,
): TranscriptDirectory {
  const { signedAt, nowSeconds } = times;
  const signers = [signerOf("ksk_1"), signerOf("ksk_2")];
  const zsk = signerOf("zsk");
  const ksks = signers.map(({ publicKey }) => publicKey);
  const anchors: Anchors = { version: 1, threshold: 2, keys: ksks, tlsCaPem: [] };
  const notBefore = signedAt - day;
  const notAfter = signedAt + 365 * day;
  const rootKeys = signRootKeys(
    {
      suite: suiteV1,
      version: 1,
      threshold: 2,
      ksks,
      zsks: [{ publicKey: zsk.publicKey, notBefore, notAfter }],
      notBefore,
      notAfter,
    },
    signers,
  );
  const compiled = compileDirectory({
    root: parseRootSource({ file: "root.zone.yaml", text: rootSource }),
    registry: parseRegistrySource({ file: "registry.yaml", text: registrySource(manifestSha256) }),
    manifests: new Map(),
  });
  const objects = signDirectory({ compiled, rootKeys, signer: zsk, nowSeconds: signedAt });
  const directory = verifyDirectory({ objects, anchors, nowSeconds, verifier: nodeVerifier });
  const vectors = {
    anchors: { version: 1, threshold: 2, keys: ksks.map(toHex) },
    root_keys: signedVector({ type: "root-keys", zone: ".", message: "RootKeys" }, rootKeys),
    nodes: objects.nodes.map((node) =>
      signedVector({ type: "node", zone: ".", message: "Node" }, node),
    ),
    records: objects.records.map((record) =>
      signedVector({ type: "registry", zone: ".", message: "RegistryRecord" }, record),
    ),
    head: signedVector(
      { type: "directory-head", zone: ".", message: "DirectoryHead" },
      objects.head,
    ),
    digest: toHex(directory.head.digest),
    referrals: asked.map((prefix) => referralVector(directory, prefix)),
  };
  return { anchors, directory, vectors };
}

function referralVector(directory: Directory, prefix: Prefix): Json {
  const { rootKeys, head } = directory.objects();
  const { node, cover } = directory.refer(prefix);
  const request = toBinary(ReferRequestSchema, create(ReferRequestSchema, { prefix }));
  const response = encodeReferAnswer({
    rootKeys,
    head,
    node: node.object,
    ...(cover === undefined ? {} : { cover: cover.object }),
  });
  return {
    asked: prefix,
    node: node.node.prefix,
    ...(cover === undefined ? {} : { cover: cover.node.prefix }),
    proves: node.node.prefix === prefix ? "presence" : "absence",
    request: toHex(request),
    request_fields: fieldsOf("ReferRequest", request),
    response: toHex(response),
  };
}

const rootSource = `
zone: "."
ttl_s: 86400
lifetime_s: 604800
refresh_s: 900
retry_s: 300
expire_s: 604800
federation_default: local
prefixes:${prefixes}`;

function key(signer: Signer): string {
  return `ed25519:${Buffer.from(signer.publicKey).toString("base64url")}`;
}

function pin(seed: string): string {
  return `sha256:${Buffer.from(drawn(seed)).toString("base64url")}`;
}

function registrySource(manifestSha256: Uint8Array): string {
  return `
dps:
  - id: dp-a.example
    operator: Operator A
    max_qps: 1000
    jurisdictions: [US]
    terms_hash: ${toHex(drawn("terms"))}
    endpoints:
      - { host: dp-a.example, port: 7354, public_port: 7364, spki: ["${pin("pin dp-a")}"], jurisdiction: US }
      - { host: 192.0.2.1, port: 7354, public_port: 7364, spki: ["${pin("pin dp-a")}"] }
    zones:
      - { name: us@dp-a.example, manifest_sha256: [${toHex(manifestSha256)}] }
  - id: dp-b.example
    operator: Operator B
    max_qps: 1000
    endpoints:
      - { host: dp-b.example, port: 7354, public_port: 7364, spki: ["${pin("pin dp-b")}"] }
    zones:
      - { name: gb@dp-b.example, manifest_sha256: [${toHex(drawn("manifest gb"))}] }
      - { name: mail@dp-b.example, manifest_sha256: [${toHex(drawn("manifest mail"))}] }
msps:
  - id: wire.example
    operator: Operator W
    bit: 0
    keys: ["${key(signerOf("msp_wire"))}"]
    spki: ["${pin("pin wire")}"]
    mimi_directory_url: https://wire.example/mimi
    accredited_from: 2026-01-01T00:00:00Z
    accredited_to: 2028-01-01T00:00:00Z
  - id: video.example
    operator: Operator V
    bit: 9
    keys: ["${key(signerOf("msp_video"))}"]
    spki: ["${pin("pin video")}"]
    mimi_directory_url: https://video.example/mimi
    accredited_from: 2026-01-01T00:00:00Z
    accredited_to: 2028-01-01T00:00:00Z
provers:
  - id: prover.example
    operator: Operator P
    keys: ["${key(signerOf("prover"))}"]
    prefixes: ["tel:", "mailto:"]
    methods: [sms, email]
    max_level: 2
    valid_from: 2026-01-01T00:00:00Z
    valid_to: 2028-01-01T00:00:00Z
relays: []
`;
}
