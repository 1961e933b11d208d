// Strict codecs: what goes in comes out, what is out of bounds is INVALID_DATA, and no input makes them throw
// anything else.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect } from "chai";
import fc from "fast-check";
import {
  isDiscoveryError,
  parseCsi,
  parseDpId,
  parseMspId,
  parsePrefix,
  parseProverId,
  parseZoneName,
  type Credential,
  type DirectoryHead,
  type Head,
  type KeyLink,
  type Manifest,
  type Mapping,
  type Node,
  type RegistryRecord,
  type RootKeys,
  type Statement,
} from "@whither/protocol";
import {
  decodeAcceptance,
  decodeCredential,
  decodeDirectoryHead,
  decodeHead,
  decodeKeyLink,
  decodeManifest,
  decodeMapping,
  decodeNode,
  decodePromise,
  decodeRegistryRecord,
  decodeRootKeys,
  decodeSignedObject,
  decodeSlotBody,
  decodeStatement,
  encodeAcceptance,
  encodeCredential,
  encodeDirectoryHead,
  encodeHead,
  encodeKeyLink,
  encodeManifest,
  encodeMapping,
  encodeNode,
  encodePromise,
  encodeRegistryRecord,
  encodeRootKeys,
  encodeSignedObject,
  encodeSlotBody,
  encodeStatement,
  SignedObjectSchema,
} from "./index.js";
import { ManifestSchema, NodeSchema, StatementSchema } from "./gen/whither/v1/record_pb.js";

const bytes = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);
const zone = parseZoneName("de@dp-a.example");
const root = parseZoneName(".");
const period = { notBefore: 1_000, notAfter: 2_000 };
const key = { publicKey: bytes(32, 1), ...period };
const endpoint = {
  host: "127.0.0.1",
  port: 7354,
  publicPort: 7364,
  spkiSha256: [bytes(32, 2)],
  jurisdiction: "DE",
  operator: "",
};

const rootKeys: RootKeys = {
  suite: 1,
  version: 3,
  threshold: 2,
  ksks: [bytes(32, 1), bytes(32, 2)],
  zsks: [key],
  ...period,
};
const node: Node = {
  prefix: parsePrefix("tel:+49"),
  disposition: "delegated",
  firstChild: "1",
  nextSibling: "",
  authorities: [
    {
      zone,
      dpId: parseDpId("dp-a.example"),
      kind: "mappings",
      relayOnly: false,
      manifestSha256: [bytes(32, 3)],
      endpoints: [endpoint, { ...endpoint, port: 0, operator: "Operator R" }],
    },
  ],
  ttlSeconds: 86_400,
  notBefore: 1_000,
  notAfter: 1_000 + 7 * 86_400,
  serial: 9,
};
const heldBack: Node = {
  ...node,
  authorities: node.authorities.map((one) => ({ ...one, withdrawnAt: 1_500 })),
};
const directoryHead: DirectoryHead = {
  zone: root,
  epoch: 1,
  serial: 9,
  registryVersion: 4,
  nodeCount: 10,
  recordCount: 3,
  digest: bytes(48, 5),
  ...period,
  refreshSeconds: 900,
  retrySeconds: 300,
  expireSeconds: 604_800,
  federationDefault: "local",
};
const records: readonly RegistryRecord[] = [
  {
    serial: 1,
    ...period,
    party: {
      kind: "dp",
      id: parseDpId("dp-a.example"),
      operator: "Operator A",
      endpoints: [endpoint],
      maxQps: 100,
      jurisdictions: ["DE"],
      termsHash: new Uint8Array(),
    },
  },
  {
    serial: 1,
    ...period,
    party: {
      kind: "msp",
      id: parseMspId("wire.example"),
      operator: "Operator W",
      bit: 7,
      keys: [key],
      spkiSha256: [bytes(32, 8)],
      endpoint: "wire.example:7357",
      mimiDirectoryUrl: "https://wire.example/.well-known/mimi",
      accreditedFrom: 1,
      accreditedTo: 2,
      termsHash: bytes(32, 4),
      tokenIssuerKey: new Uint8Array(),
    },
  },
  {
    serial: 1,
    ...period,
    party: {
      kind: "prover",
      id: parseProverId("prover.example"),
      operator: "Operator P",
      keys: [key],
      prefixes: [parsePrefix("tel:"), parsePrefix("mailto:org")],
      methods: ["sms"],
      maxLevel: 2,
    },
  },
  {
    serial: 1,
    ...period,
    party: {
      kind: "relay",
      id: "relay.example",
      operator: "Operator R",
      endpoint: "relay.example:7356",
      spkiSha256: [bytes(32, 6)],
    },
  },
];
const manifest: Manifest = {
  zone,
  operator: "Operator A",
  suite: 1,
  version: 1,
  zoneKeys: [key],
  voprfKeys: [{ kid: bytes(4, 1), publicKey: bytes(32, 7), notAfter: 5 }],
  hpkeKeys: [{ id: 255, publicKey: bytes(32, 9), notAfter: 6 }],
  entryLength: 68,
  epochSeconds: 30,
  mappingTtlSeconds: 3_600,
  absenceTtlSeconds: 60,
  policy: {
    federationDefault: "local",
    preferredDps: [parseDpId("dp-b.example")],
    quotas: [
      {
        class: "msp",
        requestsPerSecond: 50,
        requestsBurst: 125,
        contactsBurst: 1,
        contactsPerDay: 2,
      },
    ],
    discoveryMaxSeconds: 180,
    removalMaxSeconds: 3_600,
    retentionSeconds: 1,
    replicaJurisdictions: ["DE"],
    preferenceHandling: "as signed",
    publicQueries: false,
  },
  notBefore: 1,
};
const head: Head = {
  zone,
  epoch: 1,
  serial: 2,
  mapRoot: bytes(32, 1),
  mapSize: 1_000,
  kid: bytes(4, 1),
  b: 3,
  pad: 8_192,
  manifestSha256: bytes(32, 2),
  changesRoot: bytes(32, 3),
  time: 100,
  prevSha256: bytes(32, 0),
  notAfter: 1_900,
};
const credential: Credential = {
  proverId: parseProverId("prover.example"),
  csiCommit: bytes(32, 1),
  holderPublicKey: bytes(32, 2),
  method: "sms",
  level: 1,
  issued: 100,
  expires: 200,
  firstProvedAt: 100,
  evidenceSha256: new Uint8Array(),
};
const mapping: Mapping = {
  csiCommit: bytes(32, 1),
  mspId: parseMspId("wire.example"),
  holderPublicKey: bytes(32, 2),
  credentialSha256: bytes(32, 3),
  establishedAt: 100,
  notBefore: 100,
  notAfter: 200,
  nonceH: bytes(16, 1),
  nonceM: bytes(16, 2),
  prevSha256: new Uint8Array(),
};
const statement: Statement = {
  zone,
  tag: new Uint8Array(),
  csiCommits: [bytes(32, 1)],
  holderPublicKey: bytes(32, 2),
  seq: 1,
  nonceD: bytes(48, 1),
  items: [
    { mappingSha256: bytes(32, 1), preference: 1, tags: ["work", "family"] },
    { mappingSha256: bytes(32, 2), preference: 2, tags: ["Default"] },
  ],
  exclusive: true,
  sameAppOnly: false,
  portedTo: "",
  notBefore: 100,
  notAfter: 200,
};
const keyLink: KeyLink = {
  csiCommit: bytes(32, 1),
  oldPublicKey: bytes(32, 2),
  newPublicKey: bytes(32, 3),
  nonce: bytes(16, 4),
};
const signed = {
  payload: bytes(3, 1),
  signatures: [{ keyId: bytes(8, 1), role: 3, signature: bytes(64, 2) }],
} as const;

interface Codec {
  readonly name: string;
  readonly decode: (payload: Uint8Array) => unknown;
  readonly encoded: Uint8Array;
  readonly value: unknown;
}
const slotBody = {
  statement: signed,
  mappings: [{ mapping: signed, credential: signed, opening: bytes(32, 1), acceptance: signed }],
};
const linkedSlotBody = {
  ...slotBody,
  links: Array.from({ length: 3 }, (_, n) => ({ link: signed, opening: bytes(32, n) })),
};
const acceptance = { zone, mappingSha256: bytes(32, 1), acceptedAt: 5 };
const promise = { zone, statementSha256: bytes(32, 1), acceptedAt: 5, by: 65 };
const codecs: readonly Codec[] = [
  { name: "root-keys", decode: decodeRootKeys, encoded: encodeRootKeys(rootKeys), value: rootKeys },
  { name: "node", decode: decodeNode, encoded: encodeNode(node), value: node },
  {
    name: "node with an authority held back",
    decode: decodeNode,
    encoded: encodeNode(heldBack),
    value: heldBack,
  },
  {
    name: "directory-head",
    decode: decodeDirectoryHead,
    encoded: encodeDirectoryHead(directoryHead),
    value: directoryHead,
  },
  ...records.map((record) => ({
    name: `registry ${record.party.kind}`,
    decode: decodeRegistryRecord,
    encoded: encodeRegistryRecord(record),
    value: record,
  })),
  { name: "manifest", decode: decodeManifest, encoded: encodeManifest(manifest), value: manifest },
  { name: "head", decode: decodeHead, encoded: encodeHead(head), value: head },
  {
    name: "credential",
    decode: decodeCredential,
    encoded: encodeCredential(credential),
    value: credential,
  },
  { name: "key-link", decode: decodeKeyLink, encoded: encodeKeyLink(keyLink), value: keyLink },
  { name: "mapping", decode: decodeMapping, encoded: encodeMapping(mapping), value: mapping },
  {
    name: "statement",
    decode: decodeStatement,
    encoded: encodeStatement(statement),
    value: statement,
  },
  {
    name: "acceptance",
    decode: decodeAcceptance,
    encoded: encodeAcceptance(acceptance),
    value: acceptance,
  },
  { name: "promise", decode: decodePromise, encoded: encodePromise(promise), value: promise },
  {
    name: "slot body",
    decode: decodeSlotBody,
    encoded: encodeSlotBody(slotBody),
    value: { ...slotBody, links: [] },
  },
  {
    name: "slot body with links",
    decode: decodeSlotBody,
    encoded: encodeSlotBody(linkedSlotBody),
    value: linkedSlotBody,
  },
  {
    name: "signed object",
    decode: decodeSignedObject,
    encoded: encodeSignedObject(signed),
    value: signed,
  },
];

const refused = (decode: () => unknown): string => {
  try {
    decode();
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
  return "accepted";
};

const [hpkeKey] = manifest.hpkeKeys as readonly [Manifest["hpkeKeys"][number]]; // it has one
const withHpke = (hpkeKeys: Manifest["hpkeKeys"]): Manifest => ({ ...manifest, hpkeKeys });

describe("strict codecs", () => {
  for (const codec of codecs) {
    it(`${codec.name}: decodes what it encodes`, () => {
      expect(codec.decode(codec.encoded)).to.deep.equal(codec.value);
    });

    it(`${codec.name}: any bytes give a value or a coded refusal`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
          expect(refused(() => codec.decode(input))).to.be.oneOf([
            "accepted",
            "INVALID_DATA",
            "UNSUPPORTED_SUITE",
          ]);
        }),
      );
    });

    it(`${codec.name}: a flipped or cut byte gives a value or a coded refusal`, () => {
      fc.assert(
        fc.property(
          fc.nat(codec.encoded.length - 1),
          fc.integer({ min: 1, max: 255 }),
          fc.boolean(),
          (at, mask, cut) => {
            const input = codec.encoded.slice();
            input[at] = (input[at] ?? 0) ^ mask;
            expect(refused(() => codec.decode(cut ? input.subarray(0, at) : input))).to.be.oneOf([
              "accepted",
              "INVALID_DATA",
              "UNSUPPORTED_SUITE",
            ]);
          },
        ),
      );
    });
  }

  const outOfBounds: readonly (readonly [string, () => unknown, string?])[] = [
    [
      "suite 2",
      () => decodeRootKeys(encodeRootKeys({ ...rootKeys, suite: 2 })),
      "UNSUPPORTED_SUITE",
    ],
    [
      "one KSK",
      () => decodeRootKeys(encodeRootKeys({ ...rootKeys, ksks: [bytes(32, 1)], threshold: 1 })),
    ],
    [
      "an hpke id of two octets",
      () => decodeManifest(encodeManifest(withHpke([{ ...hpkeKey, id: 256 }]))),
    ],
    [
      "three hpke keys",
      () => decodeManifest(encodeManifest(withHpke([hpkeKey, hpkeKey, hpkeKey]))),
    ],
    [
      "a short hpke key",
      () => decodeManifest(encodeManifest(withHpke([{ ...hpkeKey, publicKey: bytes(31, 9) }]))),
    ],
    [
      "another kem",
      () => {
        const message = fromBinary(ManifestSchema, encodeManifest(manifest));
        message.hpkeKeys[0]!.kem = 0x0010;
        return decodeManifest(toBinary(ManifestSchema, message));
      },
      "UNSUPPORTED_SUITE",
    ],
    ["threshold above keys", () => decodeRootKeys(encodeRootKeys({ ...rootKeys, threshold: 3 }))],
    ["threshold 0", () => decodeRootKeys(encodeRootKeys({ ...rootKeys, threshold: 0 }))],
    [
      "short KSK",
      () => decodeRootKeys(encodeRootKeys({ ...rootKeys, ksks: [bytes(31, 1), bytes(32, 2)] })),
    ],
    [
      "node of 8 days",
      () => decodeNode(encodeNode({ ...node, notAfter: node.notBefore + 8 * 86_400 })),
    ],
    ["node that ends before it begins", () => decodeNode(encodeNode({ ...node, notAfter: 999 }))],
    ["delegation to nobody", () => decodeNode(encodeNode({ ...node, authorities: [] }))],
    [
      "authority on an unassigned node",
      () => decodeNode(encodeNode({ ...node, disposition: "unassigned" })),
    ],
    [
      "10,000 endpoints",
      () =>
        decodeNode(
          encodeNode({
            ...node,
            authorities: node.authorities.map((authority) => ({
              ...authority,
              endpoints: Array.from({ length: 10_000 }, () => endpoint),
            })),
          }),
        ),
    ],
    [
      "a withdrawal beyond 2^53",
      () =>
        decodeNode(
          encodeNode({
            ...node,
            authorities: node.authorities.map((one) => ({ ...one, withdrawnAt: 2 ** 60 })),
          }),
        ),
    ],
    [
      "9 authorities",
      () =>
        decodeNode(
          encodeNode({
            ...node,
            authorities: Array.from({ length: 9 }, () => node.authorities[0]!),
          }),
        ),
    ],
    ["ttl 0", () => decodeNode(encodeNode({ ...node, ttlSeconds: 0 }))],
    [
      "prefix with a wrong scheme",
      () => decodeNode(toBinary(NodeSchema, create(NodeSchema, { prefix: "x:" }))),
    ],
    [
      "unspecified disposition",
      () => decodeNode(toBinary(NodeSchema, create(NodeSchema, { prefix: "." }))),
    ],
    ["pad that is no multiple of 4096", () => decodeHead(encodeHead({ ...head, pad: 4_097 }))],
    ["depth 31", () => decodeHead(encodeHead({ ...head, b: 31 }))],
    [
      "mapping of 91 days",
      () => decodeMapping(encodeMapping({ ...mapping, notAfter: 100 + 91 * 86_400 })),
    ],
    ["level 4", () => decodeCredential(encodeCredential({ ...credential, level: 4 }))],
    [
      "first proof after issue",
      () => decodeCredential(encodeCredential({ ...credential, firstProvedAt: 101 })),
    ],
    [
      "duplicate preference",
      () =>
        decodeStatement(
          encodeStatement({
            ...statement,
            items: statement.items.map((i) => ({ ...i, preference: 1 })),
          }),
        ),
    ],
    [
      "one mapping named twice",
      () =>
        decodeStatement(
          encodeStatement({
            ...statement,
            items: statement.items.map((i) => ({ ...i, mappingSha256: bytes(32, 1) })),
          }),
        ),
    ],
    [
      "Default beside another tag",
      () =>
        decodeStatement(
          encodeStatement({
            ...statement,
            items: [{ mappingSha256: bytes(32, 1), preference: 1, tags: ["Default", "work"] }],
          }),
        ),
    ],
    [
      "a tag of 65 octets",
      () =>
        decodeStatement(
          encodeStatement({
            ...statement,
            items: [{ mappingSha256: bytes(32, 1), preference: 1, tags: ["é".repeat(33)] }],
          }),
        ),
    ],
    [
      "nine items",
      () =>
        decodeStatement(
          encodeStatement({
            ...statement,
            items: Array.from({ length: 9 }, (_, n) => ({
              mappingSha256: bytes(32, n),
              preference: n,
              tags: [],
            })),
          }),
        ),
    ],
    [
      "a key linked to itself",
      () => decodeKeyLink(encodeKeyLink({ ...keyLink, newPublicKey: keyLink.oldPublicKey })),
    ],
    [
      "a link's nonce of 15 octets",
      () => decodeKeyLink(encodeKeyLink({ ...keyLink, nonce: bytes(15, 1) })),
    ],
    [
      "a link's key of 31 octets",
      () => decodeKeyLink(encodeKeyLink({ ...keyLink, newPublicKey: bytes(31, 1) })),
    ],
    [
      "a slot of four links",
      () =>
        decodeSlotBody(
          encodeSlotBody({
            ...linkedSlotBody,
            links: Array.from({ length: 4 }, () => linkedSlotBody.links[0]!),
          }),
        ),
    ],
    [
      "a link's opening of 31 octets",
      () =>
        decodeSlotBody(
          encodeSlotBody({ ...slotBody, links: [{ link: signed, opening: bytes(31, 1) }] }),
        ),
    ],
    ["seq 0", () => decodeStatement(encodeStatement({ ...statement, seq: 0 }))],
    [
      "seq above 2^53 - 1",
      () =>
        decodeStatement(
          toBinary(
            StatementSchema,
            create(StatementSchema, {
              zone,
              holderPublicKey: bytes(32, 1),
              nonceD: bytes(48, 1),
              seq: 2n ** 53n,
              notBefore: 1n,
              notAfter: 2n,
            }),
          ),
        ),
    ],
    ["a promise of 61 s", () => decodePromise(encodePromise({ ...promise, by: 66 }))],
    [
      "17 signatures",
      () =>
        decodeSignedObject(
          encodeSignedObject({
            payload: bytes(1, 1),
            signatures: Array.from({ length: 17 }, () => signed.signatures[0]),
          }),
        ),
    ],
    [
      "an unknown role",
      () =>
        decodeSignedObject(
          toBinary(
            SignedObjectSchema,
            create(SignedObjectSchema, {
              payload: bytes(1, 1),
              signatures: [{ keyId: bytes(8, 1), role: 10 as never, signature: bytes(64, 1) }],
            }),
          ),
        ),
    ],
    ["an empty payload", () => decodeSignedObject(new Uint8Array())],
  ];
  for (const [title, decode, code = "INVALID_DATA"] of outOfBounds) {
    it(`refuses ${title}`, () => {
      expect(refused(decode)).to.equal(code);
    });
  }

  it("names record and field, never a value", () => {
    const csi = parseCsi("+14155550123");
    try {
      decodeStatement(encodeStatement({ ...statement, portedTo: csi.repeat(30) }));
      expect.fail("accepted");
    } catch (error) {
      expect(String(error)).to.contain("ported_to").and.not.contain("4155550123");
    }
  });

  it("keeps no reference to the message it came from", () => {
    const encoded = encodeHead(head).slice();
    const decoded = decodeHead(encoded);
    encoded.fill(0);
    expect(decoded.mapRoot).to.deep.equal(head.mapRoot);
  });
});
