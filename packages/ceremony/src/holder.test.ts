import { expect } from "chai";
import { roles, type ErrorCode, type Mapping, type SignedObject } from "@whither/protocol";
import { decodeMapping, encodeMapping, encodePromise } from "@whither/wire";
import {
  nodeVerifier,
  payloadSha256,
  signObject,
  verifyCredential,
  verifyMapping,
} from "@whither/zone";
import {
  createSeededRandom,
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeAcceptance,
  makeCredential,
  makeRegistrationParties,
  outcomeOf,
} from "@whither/testkit";
import { countersignDraft, requestDraft, verifyReceipt } from "./holder.js";
import { answerDraft, openDraft } from "./msp.js";

const parties = makeRegistrationParties();
const { csi, opening, holder, registry, nowSeconds, manifest } = parties;
const random = createSeededRandom(3);
const randomBytes = (length: number) => random.bytes(length);
const verifier = nodeVerifier;
const context = { holder, registry, nowSeconds, verifier };
const credential = makeCredential(parties);
const [wire, video] = parties.msps.map((msp) => msp.id);
const ask = (over: Partial<Parameters<typeof requestDraft>[0]> = {}) =>
  requestDraft({ ...context, csi, opening, credential, mspId: wire!, randomBytes, ...over });

const pending = ask();
const state = openDraft({ mspId: wire!, request: pending.request, registry, nowSeconds, verifier });
const draft = answerDraft({
  state,
  reachable: true,
  signer: parties.mspSigners[0],
  nowSeconds,
  randomBytes,
});

/** The draft with other fields, signed by the MSP all the same. */
const redrafted = (fields: Partial<Mapping>, signer = parties.mspSigners[0]): SignedObject =>
  signObject({
    type: "mapping",
    role: roles.msp,
    zone: "",
    payload: encodeMapping({ ...decodeMapping(draft.payload), ...fields }),
    signer,
  });

describe("requestDraft", () => {
  it("asks with a fresh nonce each time", () => {
    expect(ask().request.nonceH).to.not.deep.equal(pending.request.nonceH);
  });

  const cases: readonly [ErrorCode, string, Partial<Parameters<typeof requestDraft>[0]>][] = [
    ["BAD_CREDENTIAL", "a credential for another key", { holder: parties.otherHolder }],
    ["BAD_OPENING", "a wrong opening", { opening: fixedBytes("other") }],
    ["BAD_SIGNATURE", "an altered credential", { credential: flipSignature(credential) }],
  ];
  for (const [code, title, over] of cases) {
    it(`${code}: ${title}`, () => expect(outcomeOf(() => ask(over))).to.equal(code));
  }
});

describe("countersignDraft", () => {
  const sign = (object: SignedObject, over: { nowSeconds?: number } = {}) =>
    countersignDraft({ ...context, ...over, pending, draft: object });

  it("makes a mapping that any verifier takes", () => {
    const made = sign(draft);
    const check = { csi, opening, registry, nowSeconds, verifier };
    const verified = verifyCredential({ ...check, object: credential });
    const object = made.mapping;
    const placed = verifyMapping({
      ...check,
      object,
      credential: verified,
      acceptedAt: nowSeconds,
    });
    expect(placed.sha256).to.deep.equal(made.mappingSha256);
    expect(made.mappingSha256).to.deep.equal(payloadSha256(draft));
  });

  it("carries the MSP's signature and its own, nothing else", () => {
    const extra = { ...draft.signatures[0]!, role: roles.witness };
    const made = sign({ ...draft, signatures: [extra, ...draft.signatures] });
    expect(made.mapping.signatures.map((s) => s.role)).to.deep.equal([roles.msp, roles.holder]);
  });

  const cases: readonly [ErrorCode, string, SignedObject][] = [
    ["BAD_SIGNATURE", "unsigned", { ...draft, signatures: [] }],
    ["BAD_SIGNATURE", "altered signature", flipSignature(draft)],
    ["KEY_MISSING", "signed by another MSP", redrafted({}, parties.mspSigners[1])],
    ["BAD_MAPPING", "for another MSP", redrafted({ mspId: video! }, parties.mspSigners[1])],
    ["BAD_MAPPING", "answers another request", redrafted({ nonceH: fixedBytes("x") })],
    ["BAD_OPENING", "for another identifier", redrafted({ csiCommit: fixedBytes("x") })],
    [
      "BAD_CREDENTIAL",
      "for another holder",
      redrafted({ holderPublicKey: fixedSigner("other holder").publicKey }),
    ],
    ["BAD_MAPPING", "for another credential", redrafted({ credentialSha256: fixedBytes("x") })],
    ["BAD_MAPPING", "outlives the credential", redrafted({ notAfter: nowSeconds + 46 * 86_400 })],
    ["BAD_MAPPING", "back-dated", redrafted({ establishedAt: nowSeconds - 601 })],
    ["BAD_MAPPING", "begins later", redrafted({ notBefore: nowSeconds + 601 })],
    ["BAD_MAPPING", "replaces another mapping", redrafted({ prevSha256: fixedBytes("x") })],
    ["BAD_MAPPING", "no mapping at all", { ...draft, payload: Uint8Array.of(255) }],
  ];
  for (const [code, title, object] of cases) {
    it(`${code}: ${title}`, () => expect(outcomeOf(() => sign(object))).to.equal(code));
  }
});

describe("verifyReceipt", () => {
  const { mapping, mappingSha256 } = countersignDraft({ ...context, pending, draft });
  const statementSha256 = fixedBytes("statement");
  const acceptance = makeAcceptance(parties, { mapping });
  const promise = signObject({
    type: "promise",
    role: roles.dp,
    zone: parties.zone,
    payload: encodePromise({
      zone: parties.zone,
      statementSha256,
      acceptedAt: nowSeconds,
      by: nowSeconds + 60,
    }),
    signer: parties.zoneSigner,
  });
  const good = {
    manifest,
    statementSha256,
    mappingSha256,
    acceptance,
    promise,
    nowSeconds,
    verifier,
  };

  it("returns both records", () => {
    const receipt = verifyReceipt(good);
    expect(receipt.promise.by).to.equal(nowSeconds + 60);
    expect(receipt.acceptance?.acceptedAt).to.equal(nowSeconds);
  });

  it("needs no acceptance where no mapping was added", () => {
    const { mappingSha256: _, ...order } = good;
    expect(verifyReceipt({ ...order, acceptance: undefined })).to.not.have.property("acceptance");
  });

  const cases: readonly [ErrorCode, string, Partial<typeof good>][] = [
    ["BOGUS", "no acceptance", { acceptance: undefined as never }],
    ["BOGUS", "another mapping's acceptance", { mappingSha256: fixedBytes("x") }],
    ["BOGUS", "another statement's promise", { statementSha256: fixedBytes("x") }],
    ["BAD_SIGNATURE", "altered acceptance", { acceptance: flipSignature(acceptance) }],
    ["BAD_SIGNATURE", "altered promise", { promise: flipSignature(promise) }],
    ["BAD_SIGNATURE", "promise in the acceptance's place", { acceptance: promise }],
  ];
  for (const [code, title, over] of cases) {
    it(`${code}: ${title}`, () => {
      expect(outcomeOf(() => verifyReceipt({ ...good, ...over }))).to.equal(code);
    });
  }
});
