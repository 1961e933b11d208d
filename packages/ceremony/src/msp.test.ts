import { expect } from "chai";
import { parseCsi, parsePrefix, roles, type ErrorCode } from "@whither/protocol";
import { decodeMapping } from "@whither/wire";
import { nodeVerifier, payloadSha256, readMapping, verifyMspSide } from "@whither/zone";
import {
  createSeededRandom,
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeCredential,
  makeRegistrationParties,
  outcomeOf,
  type RegistrationPartiesOptions,
} from "@whither/testkit";
import { answerDraft, openDraft, type DraftRequest } from "./msp.js";

const day = 86_400;
const now = makeRegistrationParties().nowSeconds;
const random = createSeededRandom(2);
const randomBytes = (length: number) => random.bytes(length);

interface Case {
  readonly title: string;
  readonly outcome: ErrorCode | "ok";
  readonly parties?: RegistrationPartiesOptions;
  readonly credential?: Parameters<typeof makeCredential>[1];
  readonly request?: Partial<DraftRequest>;
  readonly reachable?: boolean;
}

function draft(one: Case) {
  const parties = makeRegistrationParties(one.parties);
  const request = {
    csi: parties.csi,
    opening: parties.opening,
    credential: makeCredential(parties, one.credential),
    nonceH: fixedBytes("nonce h"),
    ...one.request,
  };
  const common = { registry: parties.registry, nowSeconds: now, verifier: nodeVerifier };
  const state = openDraft({ mspId: parties.msps[0].id, request, ...common });
  const { reachable = true } = one;
  const signer = parties.mspSigners[0];
  return {
    ...common,
    request,
    state,
    draft: () => answerDraft({ state, reachable, signer, nowSeconds: now, randomBytes }),
  };
}

const cases: readonly Case[] = [
  { title: "reachable, with a good credential", outcome: "ok" },
  { title: "not reachable", outcome: "NOT_REACHABLE_HERE", reachable: false },
  {
    title: "a credential for another identifier",
    outcome: "NOT_REACHABLE_HERE",
    request: { csi: parseCsi("+14155550124") },
  },
  {
    title: "a wrong opening",
    outcome: "NOT_REACHABLE_HERE",
    request: { opening: fixedBytes("other") },
  },
  {
    title: "a forged credential",
    outcome: "NOT_REACHABLE_HERE",
    credential: { signer: fixedSigner("holder") },
  },
  {
    title: "an altered credential",
    outcome: "NOT_REACHABLE_HERE",
    request: { credential: flipSignature(makeCredential(makeRegistrationParties())) },
  },
  {
    title: "an expired credential",
    outcome: "NOT_REACHABLE_HERE",
    credential: { fields: { issued: now - day, firstProvedAt: now - day, expires: now - 400 } },
  },
  {
    title: "a credential that ends now",
    outcome: "NOT_REACHABLE_HERE",
    credential: { fields: { expires: now } },
  },
  {
    title: "an unregistered prover",
    outcome: "NOT_REACHABLE_HERE",
    parties: { unregistered: ["prover"] },
  },
  {
    title: "a prover of this MSP's operator",
    outcome: "NOT_REACHABLE_HERE",
    parties: { prover: { operator: "Operator W" } },
  },
  {
    title: "a prover outside its prefixes",
    outcome: "NOT_REACHABLE_HERE",
    parties: { prover: { prefixes: [parsePrefix("mailto:")] } },
  },
  {
    title: "a nonce of 8 bytes",
    outcome: "NOT_REACHABLE_HERE",
    request: { nonceH: new Uint8Array(8) },
  },
  {
    title: "this MSP is not registered",
    outcome: "UNKNOWN_MSP",
    parties: { unregistered: ["msp0"] },
  },
  {
    title: "this MSP is no longer accredited",
    outcome: "UNKNOWN_MSP",
    parties: { msps: [{ accreditedTo: now }, {}] },
  },
];

describe("the MSP's draft", () => {
  for (const one of cases) {
    it(`${one.outcome}: ${one.title}`, () => {
      expect(outcomeOf(() => draft(one).draft())).to.equal(one.outcome);
    });
  }

  it("refuses with one and the same text, whoever said no", () => {
    const texts = cases
      .filter((one) => one.outcome === "NOT_REACHABLE_HERE")
      .map((one) => {
        try {
          draft(one).draft();
          return "drafted";
        } catch (error) {
          return String(error);
        }
      });
    expect(new Set(texts).size).to.equal(1);
  });

  it("does not leave the accounts to be asked without a good credential", () => {
    expect(draft({ title: "", outcome: "ok" }).state.kind).to.equal("asking");
    const forged = draft({ title: "", outcome: "ok", request: { opening: fixedBytes("x") } });
    expect(forged.state).to.deep.equal({ kind: "refused" });
  });

  it("says what was asked, from now, as long as the credential, signed by the MSP alone", () => {
    const made = draft({ title: "", outcome: "ok" });
    const object = made.draft();
    const mapping = decodeMapping(object.payload);
    expect(mapping).to.deep.include({
      mspId: "wire.example",
      nonceH: fixedBytes("nonce h"),
      credentialSha256: payloadSha256(made.request.credential),
      establishedAt: now,
      notBefore: now,
      notAfter: now - 60 + 45 * day,
      prevSha256: new Uint8Array(),
    });
    expect(object.signatures.map((s) => s.role)).to.deep.equal([roles.msp]);
    expect(verifyMspSide(readMapping(object), made).id).to.equal("wire.example");
  });

  it("never outlives 90 days", () => {
    const mail = parseCsi("mailto:alice@example.org");
    const made = draft({
      title: "",
      outcome: "ok",
      credential: {
        csi: mail,
        fields: { issued: now + 200, firstProvedAt: 0, expires: now + 200 + 90 * day },
      },
      request: { csi: mail },
    });
    expect(decodeMapping(made.draft().payload).notAfter).to.equal(now + 90 * day);
  });
});
