import { expect } from "chai";
import {
  DiscoveryError,
  parseZoneName,
  roles,
  suiteV1,
  type ErrorCode,
  type Head,
  type Manifest,
} from "@whither/protocol";
import { createSigner, hpkePublicKeyOf, keyIdOf, sha256, type Signer } from "@whither/crypto/node";
import { portableVoprf } from "@whither/crypto";
import { encodeHead, encodeManifest } from "@whither/wire";
import { nodeVerifier, signObject } from "../signed.js";
import { headMarkOf, verifyHead, verifyHeadSequence } from "./head.js";
import { verifyManifest } from "./manifest.js";

const zone = parseZoneName("de@dp-a.example");
const now = 1_800_000_000;
const signer = createSigner(new Uint8Array(32).fill(1));
const stranger = createSigner(new Uint8Array(32).fill(2));
const kid = Uint8Array.of(0, 0, 0, 1);
const voprfKey = portableVoprf.deriveKeyPair(new Uint8Array(32).fill(3), new Uint8Array(0));

const manifest: Manifest = {
  zone,
  operator: "Operator A",
  suite: suiteV1,
  version: 1,
  zoneKeys: [{ publicKey: signer.publicKey, notBefore: now - 1000, notAfter: now + 100_000 }],
  voprfKeys: [{ kid, publicKey: voprfKey.publicKey, notAfter: now + 100_000 }],
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
    removalMaxSeconds: 90,
    retentionSeconds: 0,
    replicaJurisdictions: [],
    preferenceHandling: "as the holder signed it",
    publicQueries: false,
  },
  notBefore: now - 1000,
};
const manifestObject = { payload: encodeManifest(manifest), signatures: [] };
const manifestSha256 = sha256(manifestObject.payload);

const goodHead: Head = {
  zone,
  epoch: 1,
  serial: 7,
  mapRoot: new Uint8Array(32).fill(4),
  mapSize: 0,
  kid,
  b: 0,
  pad: 0,
  manifestSha256,
  changesRoot: sha256(new Uint8Array(0)),
  time: now,
  prevSha256: new Uint8Array(32).fill(6),
  notAfter: now + 1800,
};
const sign = (head: Head, by: Signer = signer, signedZone: string = zone) =>
  signObject({
    type: "head",
    role: roles.zone,
    zone: signedZone,
    payload: encodeHead(head),
    signer: by,
  });
const verify = (object: ReturnType<typeof sign>, atSeconds = now, under = manifest) =>
  verifyHead({
    object,
    zone,
    manifest: under,
    manifestSha256,
    nowSeconds: atSeconds,
    verifier: nodeVerifier,
  });
const codeOf = (run: () => unknown): ErrorCode | "none" => {
  try {
    run();
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
  return "none";
};

describe("head verification", () => {
  it("accepts the zone's own head, also with clocks 300 s apart", () => {
    expect(verify(sign(goodHead))).to.deep.equal(goodHead);
    expect(codeOf(() => verify(sign(goodHead), now - 300))).to.equal("none");
    expect(codeOf(() => verify(sign(goodHead), now + 2100))).to.equal("none");
  });

  const tampered = sign(goodHead);
  const payload = tampered.payload.slice();
  payload[20] = payload[20]! ^ 1;
  const forged = {
    ...sign(goodHead, stranger),
    signatures: [{ ...sign(goodHead, stranger).signatures[0]!, keyId: keyIdOf(signer.publicKey) }],
  };
  const table: [what: string, run: () => unknown, code: ErrorCode][] = [
    ["another key", () => verify(sign(goodHead, stranger)), "KEY_MISSING"],
    ["another key under the zone key's id", () => verify(forged), "BOGUS"],
    ["a changed payload", () => verify({ ...tampered, payload }), "BOGUS"],
    ["no signature", () => verify({ ...tampered, signatures: [] }), "KEY_MISSING"],
    ["a signature for another zone", () => verify(sign(goodHead, signer, "x@y")), "BOGUS"],
    [
      "a payload of another zone",
      () => verify(sign({ ...goodHead, zone: parseZoneName("x@y") })),
      "BOGUS",
    ],
    [
      "another manifest",
      () => verify(sign({ ...goodHead, manifestSha256: new Uint8Array(32) })),
      "BOGUS",
    ],
    ["an unknown kid", () => verify(sign({ ...goodHead, kid: new Uint8Array(4) })), "BOGUS"],
    ["a lifetime over 30 min", () => verify(sign({ ...goodHead, notAfter: now + 1801 })), "BOGUS"],
    ["no lifetime", () => verify(sign({ ...goodHead, notAfter: now })), "BOGUS"],
    ["a head from the future", () => verify(sign(goodHead), now - 301), "CLOCK_SKEW"],
    ["a head past its life", () => verify(sign(goodHead), now + 2101), "EXPIRED"],
    ["an expired zone key", () => verify(sign(goodHead), now + 100_001), "EXPIRED"],
  ];
  for (const [what, run, code] of table) {
    it(`refuses ${what} as ${code}`, () => {
      expect(codeOf(run)).to.equal(code);
    });
  }
});

describe("head sequence", () => {
  const markOf = (head: Head) => headMarkOf(sign(head), head);
  const seen = markOf(goodHead);
  const check = (next: Head) => () => {
    verifyHeadSequence({ seen, next: markOf(next), nextPrevSha256: next.prevSha256 });
  };
  const later = { ...goodHead, time: now + 30, notAfter: now + 1830 };
  const table: [what: string, next: Head, code: ErrorCode | "none"][] = [
    ["the same head again", goodHead, "none"],
    ["its successor", { ...later, serial: 8, prevSha256: seen.sha256 }, "none"],
    ["a later head", { ...later, serial: 20 }, "none"],
    ["a new epoch with a lower serial", { ...later, epoch: 2, serial: 1 }, "none"],
    ["an older serial", { ...goodHead, serial: 6 }, "ROLLBACK"],
    ["an older epoch", { ...goodHead, epoch: 1, serial: 6, time: now + 9 }, "ROLLBACK"],
    ["a newer serial with an older time", { ...goodHead, serial: 9, time: now - 1 }, "ROLLBACK"],
    ["another head with the same serial", { ...goodHead, mapSize: 1 }, "FORKED"],
    ["a successor of another head", { ...later, serial: 8 }, "FORKED"],
  ];
  for (const [what, next, code] of table) {
    it(`${code === "none" ? "accepts" : "refuses"} ${what}`, () => {
      expect(codeOf(check(next))).to.equal(code);
    });
  }
});

describe("manifest verification", () => {
  const check = (value: Manifest, hashes?: readonly Uint8Array[], atSeconds = now) => {
    const object = { payload: encodeManifest(value), signatures: [] };
    return verifyManifest({
      object,
      zone,
      manifestSha256: hashes ?? [sha256(object.payload)],
      nowSeconds: atSeconds,
      verifier: nodeVerifier,
    });
  };
  const twice = <T>(value: T): T[] => [value, value];
  const identity = Uint8Array.of(1, ...new Uint8Array(31));

  it("accepts a manifest whose hash is one of the directory's", () => {
    const { manifest: verified, sha256: hash } = check(manifest, [
      new Uint8Array(32),
      manifestSha256,
    ]);
    expect(verified).to.deep.equal(manifest);
    expect(hash).to.deep.equal(manifestSha256);
  });

  const zoneKey = manifest.zoneKeys[0]!;
  const hpkeKey = { id: 7, publicKey: hpkePublicKeyOf(sha256(identity)), notAfter: now - 1_000 };

  it("accepts hpke keys, also one that has ended: it stops nothing but relayed queries", () => {
    const value = { ...manifest, hpkeKeys: [hpkeKey] };
    expect(check(value).manifest).to.deep.equal(value);
  });

  const table: [what: string, run: () => unknown, code: ErrorCode][] = [
    ["a hash the directory does not name", () => check(manifest, [new Uint8Array(32)]), "BOGUS"],
    ["no hash at all", () => check(manifest, []), "BOGUS"],
    ["another zone", () => check({ ...manifest, zone: parseZoneName("x@y") }), "BOGUS"],
    ["an unknown suite", () => check({ ...manifest, suite: 2 }), "UNSUPPORTED_SUITE"],
    [
      "a small-order zone key",
      () => check({ ...manifest, zoneKeys: [{ ...zoneKey, publicKey: identity }] }),
      "BOGUS",
    ],
    ["one zone key twice", () => check({ ...manifest, zoneKeys: twice(zoneKey) }), "BOGUS"],
    [
      "the identity as voprf key",
      () =>
        check({
          ...manifest,
          voprfKeys: [{ ...manifest.voprfKeys[0]!, publicKey: new Uint8Array(32) }],
        }),
      "BOGUS",
    ],
    [
      "one kid twice",
      () => check({ ...manifest, voprfKeys: twice(manifest.voprfKeys[0]!) }),
      "BOGUS",
    ],
    [
      "an hpke key of low order",
      () => check({ ...manifest, hpkeKeys: [{ ...hpkeKey, publicKey: identity }] }),
      "BOGUS",
    ],
    ["one hpke id twice", () => check({ ...manifest, hpkeKeys: twice(hpkeKey) }), "BOGUS"],
    ["one not yet in force", () => check(manifest, undefined, now - 1301), "NOT_YET_VALID"],
    ["one whose keys are expired", () => check(manifest, undefined, now + 100_301), "EXPIRED"],
  ];
  for (const [what, run, code] of table) {
    it(`refuses ${what} as ${code}`, () => {
      expect(codeOf(run)).to.equal(code);
    });
  }
});
