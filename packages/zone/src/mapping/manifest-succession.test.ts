import { expect } from "chai";
import fc from "fast-check";
import { portableVoprf } from "@whither/crypto";
import { createSigner, sha256, type Signer } from "@whither/crypto/node";
import { parseZoneName, roles, suiteV1, type Manifest, type SignedObject } from "@whither/protocol";
import { encodeManifest } from "@whither/wire";
import { addSignature, nodeVerifier } from "../signed.js";
import {
  judgeSuccession,
  type ManifestHistory,
  type NamedManifest,
  type Succession,
} from "./manifest-succession.js";

const zone = parseZoneName("de@dp-a.example");
const now = 1_800_000_000;
const hour = 3600;
const hold = 72 * hour;
const signerOf = (n: number): Signer => createSigner(new Uint8Array(32).fill(n));
const voprf = portableVoprf.deriveKeyPair(new Uint8Array(32).fill(3), new Uint8Array(0));
const ksks = [signerOf(101), signerOf(102), signerOf(103)];
const anchors = { keys: ksks.map(({ publicKey }) => publicKey), threshold: 2 };

interface Knobs {
  readonly version: number;
  readonly key: Signer;
  readonly signedBy?: readonly Signer[];
  readonly ksks?: readonly Signer[];
  readonly keyNotAfter?: number;
}

function manifestOf({ version, key, ...knobs }: Knobs): NamedManifest {
  const notAfter = knobs.keyNotAfter ?? now + 300 * 24 * hour;
  const manifest: Manifest = {
    zone,
    operator: "Operator A",
    suite: suiteV1,
    version,
    zoneKeys: [{ publicKey: key.publicKey, notBefore: now - 1000, notAfter }],
    voprfKeys: [
      { kid: Uint8Array.of(0, 0, 0, 1), publicKey: voprf.publicKey, notAfter: now + 9e6 },
    ],
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
  const payload = encodeManifest(manifest);
  let object: SignedObject = { payload, signatures: [] };
  for (const signer of knobs.signedBy ?? []) {
    object = addSignature(object, { type: "manifest", role: roles.zone, zone, signer });
  }
  for (const signer of knobs.ksks ?? []) {
    object = addSignature(object, { type: "manifest", role: roles.rootKsk, zone, signer });
  }
  return { object, manifest, sha256: sha256(payload) };
}

const owner = signerOf(1);
const successor = signerOf(2);
const stranger = signerOf(3);
const first = manifestOf({ version: 1, key: owner });
const signed = manifestOf({ version: 2, key: successor, signedBy: [owner] });
const unsigned = manifestOf({ version: 2, key: stranger, signedBy: [stranger] });

function judge(
  named: readonly NamedManifest[],
  at: {
    readonly seconds: number;
    readonly history?: ManifestHistory | undefined;
    readonly namedAt?: number;
    readonly received?: readonly NamedManifest[];
  },
): Succession {
  return judgeSuccession({
    zone,
    history: at.history,
    manifestSha256: named.map((one) => one.sha256),
    received: at.received ?? named,
    namedAt: at.namedAt ?? at.seconds,
    nowSeconds: at.seconds,
    ksks: anchors,
    verifier: nodeVerifier,
  });
}

const versions = ({ inEffect }: Pick<Succession, "inEffect">): readonly number[] =>
  inEffect.map(({ manifest }) => manifest.version);

describe("succession of manifests (protocol.md section 2)", () => {
  const { history } = judge([first], { seconds: now });

  it("takes the first that it meets at once", () => {
    expect(versions({ inEffect: history.inEffect })).to.deep.equal([1]);
  });

  it("takes one that the predecessor signed at once, beside it and alone", () => {
    expect(versions(judge([signed, first], { seconds: now, history }))).to.deep.equal([1, 2]);
    expect(versions(judge([signed], { seconds: now, history }))).to.deep.equal([2]);
  });

  it("takes a chain of signed ones at once", () => {
    const third = manifestOf({ version: 3, key: signerOf(4), signedBy: [successor] });
    expect(versions(judge([third, signed], { seconds: now, history }))).to.deep.equal([2, 3]);
  });

  it("lets an unsigned one wait 72 h, the earlier one in effect although no longer named", () => {
    const begun = judge([unsigned], { seconds: now, history });
    expect(versions(begun)).to.deep.equal([1]);
    expect(begun.waiting.map(({ effectiveAt }) => effectiveAt)).to.deep.equal([now + hold]);
    const late = judge([unsigned], { seconds: now + hold - 1, history: begun.history });
    expect(versions(late)).to.deep.equal([1]);
    expect(late.waiting).to.have.length(1);
    const over = judge([unsigned], { seconds: now + hold, history: late.history });
    expect(versions(over)).to.deep.equal([2]);
    expect(over.waiting).to.deep.equal([]);
  });

  it("counts from the node, for a reader that was away", () => {
    const seconds = now + 100 * hour;
    const away = judge([unsigned], { seconds, history, namedAt: now + 30 * hour });
    expect(away.waiting.map(({ effectiveAt }) => effectiveAt)).to.deep.equal([
      now + 30 * hour + hold,
    ]);
    expect(versions(judge([unsigned], { seconds, history, namedAt: now }))).to.deep.equal([2]);
  });

  it("believes no node that says it named it before the reader saw that it did not", () => {
    const backdated = judge([unsigned], { seconds: now + 60, history, namedAt: now - hold });
    expect(versions(backdated)).to.deep.equal([1]);
    expect(backdated.waiting[0]?.effectiveAt).to.equal(now + hold);
  });

  it("takes one that enough root KSKs signed at once, and waits with fewer", () => {
    const key = stranger;
    const two = manifestOf({ version: 2, key, ksks: ksks.slice(0, 2) });
    expect(versions(judge([two], { seconds: now, history }))).to.deep.equal([2]);
    for (const fewer of [ksks.slice(0, 1), [ksks[0]!, stranger]]) {
      const one = manifestOf({ version: 2, key, ksks: fewer });
      expect(versions(judge([one], { seconds: now, history }))).to.deep.equal([1]);
    }
  });

  it("takes no zone signature for a KSK's, and none that is over another payload", () => {
    const wrongRole = manifestOf({ version: 2, key: stranger, ksks: [owner] });
    expect(versions(judge([wrongRole], { seconds: now, history }))).to.deep.equal([1]);
    const moved = { ...unsigned, object: { ...unsigned.object, ...signed.object } };
    const object = { payload: unsigned.object.payload, signatures: signed.object.signatures };
    expect(versions(judge([{ ...moved, object }], { seconds: now, history }))).to.deep.equal([1]);
  });

  it("begins anew when what was named unsigned was withdrawn meanwhile", () => {
    const begun = judge([unsigned], { seconds: now, history });
    const withdrawn = judge([first], { seconds: now + hour, history: begun.history });
    const again = judge([unsigned], { seconds: now + hold, history: withdrawn.history });
    expect(versions(again)).to.deep.equal([1]);
    expect(again.waiting[0]?.effectiveAt).to.be.at.least(now + hold + hour);
  });

  it("goes on counting for one that no server gave for a day, while it is named", () => {
    const begun = judge([unsigned, first], { seconds: now, history });
    const seconds = now + 24 * hour;
    const lost = { seconds, history: begun.history, received: [first] };
    const held = judge([unsigned, first], lost);
    expect(versions(held)).to.deep.equal([1]);
    const again = judge([unsigned, first], { seconds: now + hold, history: held.history });
    expect(versions(again)).to.deep.equal([1, 2]);
  });

  it("does not go back to the predecessor that was dropped, unless it waits again", () => {
    const switched = judge([signed], { seconds: now, history });
    const back = judge([first], { seconds: now + hour, history: switched.history });
    expect(versions(back)).to.deep.equal([2]);
    expect(back.waiting).to.have.length(1);
  });

  it("has nothing in effect while one that is named could not be had, and forgets nothing", () => {
    const missing = judge([unsigned, signed], { seconds: now, history, received: [unsigned] });
    expect(versions(missing)).to.deep.equal([]);
    const next = judge([unsigned], { seconds: now, history: missing.history });
    expect(versions(next)).to.deep.equal([1]);
  });

  it("protects nothing past the last key of those in effect", () => {
    const ending = manifestOf({ version: 1, key: owner, keyNotAfter: now + hour });
    const known = judge([ending], { seconds: now }).history;
    const at = (seconds: number): Succession => judge([unsigned], { seconds, history: known });
    expect(versions(at(now + hour + 300))).to.deep.equal([1]);
    expect(versions(at(now + hour + 301))).to.deep.equal([2]);
  });

  it("never within 72 h of an honest sight takes what a stranger with the directory's key names", () => {
    const hostile = [unsigned, manifestOf({ version: 7, key: signerOf(9) })];
    const step = fc.record({
      named: fc.subarray([first, ...hostile], { minLength: 1 }),
      lost: fc.integer({ min: 0, max: 7 }),
      namedAt: fc.integer({ min: 0, max: now + hold }),
      waitSeconds: fc.integer({ min: 0, max: 20 * hour }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let known = history;
        let seconds = now;
        for (const { named, lost, namedAt, waitSeconds } of steps) {
          seconds = Math.min(seconds + waitSeconds, now + hold - 1);
          const received = named.filter((_, at) => ((lost >> at) & 1) === 0);
          const judged = judge(named, { seconds, history: known, namedAt, received });
          for (const one of hostile) expect(judged.inEffect).not.to.include(one);
          known = judged.history;
        }
      }),
    );
  });
});
