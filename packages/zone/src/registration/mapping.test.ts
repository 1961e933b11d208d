import { expect } from "chai";
import { isDiscoveryError, parseCsi, type ErrorCode, type SignedObject } from "@whither/protocol";
import {
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeCredential,
  makeMapping,
  makeRegistrationParties,
  malleateSignature,
  outcomeOf,
  smallOrderSigner,
  type MappingKnobs,
  type RegistrationPartiesOptions,
} from "@whither/testkit";
import { nodeVerifier } from "../signed.js";
import { verifyCredential } from "./credential.js";
import { verifyMapping, type MappingCheck } from "./mapping.js";

const day = 86_400;
const now = makeRegistrationParties().nowSeconds;

interface Case {
  readonly title: string;
  readonly code: ErrorCode | "ok";
  readonly parties?: RegistrationPartiesOptions;
  readonly credential?: Parameters<typeof makeCredential>[1];
  readonly mapping?: Partial<MappingKnobs>;
  readonly check?: Partial<MappingCheck>;
}

const wireKey = fixedSigner("msp 0").publicKey;
const keysFrom = (from: number, to: number): RegistrationPartiesOptions => ({
  msps: [{ keys: [{ publicKey: wireKey, notBefore: now + from, notAfter: now + to }] }, {}],
});

const cases: readonly Case[] = [
  { title: "signed by MSP and holder", code: "ok" },
  { title: "by the second MSP", code: "ok", mapping: { msp: 1 } },
  { title: "only the MSP's signature", code: "BAD_SIGNATURE", mapping: { signedBy: ["msp"] } },
  {
    title: "only the holder's signature",
    code: "BAD_SIGNATURE",
    mapping: { signedBy: ["holder"] },
  },
  { title: "no signature", code: "BAD_SIGNATURE", mapping: { signedBy: [] } },
  {
    title: "the holder's key in the MSP's place",
    code: "KEY_MISSING",
    mapping: { mspSigner: fixedSigner("holder") },
  },
  {
    title: "another MSP's signature",
    code: "KEY_MISSING",
    mapping: { mspSigner: fixedSigner("msp 1") },
  },
  { title: "an unregistered MSP", code: "UNKNOWN_MSP", parties: { unregistered: ["msp0"] } },
  {
    title: "an MSP whose accreditation has ended",
    code: "UNKNOWN_MSP",
    parties: { msps: [{ accreditedTo: now }, {}] },
  },
  {
    title: "an MSP not yet accredited",
    code: "UNKNOWN_MSP",
    parties: { msps: [{ accreditedFrom: now + 1 }, {}] },
  },
  {
    title: "an MSP key whose period ended before it signed",
    code: "EXPIRED",
    parties: keysFrom(-day, -301),
  },
  {
    title: "an MSP key whose period ended within the tolerance",
    code: "ok",
    parties: keysFrom(-day, -300),
  },
  {
    title: "an MSP key that begins later",
    code: "NOT_YET_VALID",
    parties: keysFrom(301, day),
  },
  {
    title: "an MSP of the prover's operator",
    code: "PROVER_NOT_INDEPENDENT",
    parties: { msps: [{ operator: "Operator P" }, {}] },
  },
  {
    title: "the credential of another holder",
    code: "BAD_CREDENTIAL",
    credential: { fields: { holderPublicKey: fixedSigner("other holder").publicKey } },
  },
  {
    title: "a mapping of another holder",
    code: "BAD_CREDENTIAL",
    mapping: { holder: fixedSigner("other holder") },
  },
  {
    title: "another commitment than the credential's",
    code: "BAD_OPENING",
    mapping: { fields: { csiCommit: fixedBytes("commit") } },
  },
  {
    title: "another credential's hash",
    code: "BAD_MAPPING",
    mapping: { fields: { credentialSha256: fixedBytes("hash") } },
  },
  {
    title: "longer than its credential",
    code: "BAD_MAPPING",
    mapping: { fields: { notAfter: now - 60 + 45 * day + 1 } },
  },
  {
    title: "as long as its credential",
    code: "ok",
    mapping: { fields: { notAfter: now - 60 + 45 * day } },
  },
  {
    title: "longer than 90 days",
    code: "BAD_MAPPING",
    mapping: { fields: { notBefore: now - 50 * day - 1, notAfter: now + 40 * day } },
  },
  {
    title: "much older than its credential",
    code: "BAD_MAPPING",
    mapping: { fields: { notBefore: now - 60 - 601 } },
  },
  {
    title: "established 10 minutes before acceptance",
    code: "ok",
    mapping: { fields: { establishedAt: now - 600 } },
  },
  {
    title: "established before that",
    code: "BAD_MAPPING",
    mapping: { fields: { establishedAt: now - 601 } },
  },
  {
    title: "established more than 10 minutes after acceptance",
    code: "BAD_MAPPING",
    mapping: { fields: { establishedAt: now + 601 } },
  },
  {
    title: "a renewal keeps the date of what it replaces",
    code: "ok",
    mapping: { fields: { establishedAt: now - 300 * day, prevSha256: fixedBytes("prev") } },
  },
  {
    title: "a renewal established in the future",
    code: "BAD_MAPPING",
    mapping: { fields: { establishedAt: now + 601, prevSha256: fixedBytes("prev") } },
  },
  {
    title: "accepted before it was in force",
    code: "BAD_MAPPING",
    mapping: { fields: { establishedAt: now - 700 } },
    check: { acceptedAt: now - 700 },
  },
  {
    title: "not yet valid",
    code: "NOT_YET_VALID",
    mapping: { fields: { notBefore: now + 301 } },
  },
  {
    title: "expired",
    code: "EXPIRED",
    mapping: { fields: { notBefore: now - 600, notAfter: now - 300 } },
  },
  {
    title: "a nonce of 15 bytes",
    code: "BAD_MAPPING",
    mapping: { fields: { nonceH: new Uint8Array(15) } },
  },
  { title: "a wrong opening", code: "BAD_OPENING", check: { opening: fixedBytes("other") } },
  { title: "another identifier", code: "BAD_OPENING", check: { csi: parseCsi("+14155550124") } },
];

function build(one: Case): MappingCheck {
  const parties = makeRegistrationParties(one.parties);
  const { csi, opening, registry } = parties;
  const common = { csi, opening, registry, nowSeconds: now, verifier: nodeVerifier };
  const credentialObject = makeCredential(parties, one.credential);
  const credential = verifyCredential({ ...common, object: credentialObject, zoneDp: parties.dp });
  const object = makeMapping(parties, { credential: credentialObject, ...one.mapping });
  return { ...common, object, credential, acceptedAt: now, ...one.check };
}

describe("verifyMapping", () => {
  for (const one of cases) {
    it(`${one.code}: ${one.title}`, () => {
      expect(outcomeOf(() => verifyMapping(build(one)))).to.equal(one.code);
    });
  }

  const sides = ["MSP", "holder"] as const;
  for (const [place, side] of sides.entries()) {
    const forgeries: readonly [string, (object: SignedObject) => SignedObject][] = [
      ["R altered", (object) => flipSignature(object, place, 5)],
      ["S altered", (object) => flipSignature(object, place, 40)],
      ["S plus the group order", (object) => malleateSignature(object, place)],
    ];
    for (const [title, forge] of forgeries) {
      it(`BAD_SIGNATURE: ${side}'s, ${title}`, () => {
        const check = build({ title: "", code: "ok" });
        const forged = { ...check, object: forge(check.object) };
        expect(outcomeOf(() => verifyMapping(forged))).to.equal("BAD_SIGNATURE");
      });
    }
  }

  it("refuses the universal forgery under a holder key of small order", () => {
    const holder = smallOrderSigner();
    const check = build({
      title: "",
      code: "ok",
      credential: { fields: { holderPublicKey: holder.publicKey } },
      mapping: { holder },
    });
    expect(outcomeOf(() => verifyMapping(check))).to.equal("BAD_SIGNATURE");
  });

  it("does not take a holder's signature over one mapping for another", () => {
    const check = build({ title: "", code: "ok" });
    const other = build({
      title: "",
      code: "ok",
      mapping: { fields: { nonceM: fixedBytes("m") } },
    });
    const mixed = [check.object.signatures[0]!, other.object.signatures[1]!];
    const object = { ...check.object, signatures: mixed };
    expect(outcomeOf(() => verifyMapping({ ...check, object }))).to.equal("BAD_SIGNATURE");
  });

  it("counts precedence from the first proof when that is later", () => {
    const fields = { firstProvedAt: now - 60 };
    const check = build({
      title: "",
      code: "ok",
      credential: { fields },
      mapping: { fields: { establishedAt: now - 500 } },
    });
    expect(verifyMapping(check).establishedAt).to.equal(now - 60);
  });

  it("counts precedence from the payload when that is later", () => {
    const check = build({ title: "", code: "ok" });
    expect(verifyMapping(check).establishedAt).to.equal(now);
  });

  it("names no identifier and no key in its failures", () => {
    for (const one of cases) {
      try {
        verifyMapping(build(one));
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
        expect(error.text).to.not.match(/4155550123|[0-9a-f]{16}/);
        expect(new TextEncoder().encode(error.text).length).to.be.at.most(64);
      }
    }
  });
});
