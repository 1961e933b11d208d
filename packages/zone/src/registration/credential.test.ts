import { expect } from "chai";
import { parseCsi, parsePrefix, type Credential, type ErrorCode } from "@whither/protocol";
import {
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeCredential,
  makeRegistrationParties,
  malleateSignature,
  outcomeOf,
  smallOrderSigner,
  type RegistrationPartiesOptions,
} from "@whither/testkit";
import { nodeVerifier, payloadSha256 } from "../signed.js";
import { verifyCredential, type CredentialCheck } from "./credential.js";

const day = 86_400;
const parties = makeRegistrationParties();
const now = parties.nowSeconds;
const mailto = parseCsi("mailto:alice@example.org");

interface Case {
  readonly title: string;
  readonly code: ErrorCode | "ok";
  readonly parties?: RegistrationPartiesOptions;
  readonly credential?: Parameters<typeof makeCredential>[1];
  readonly check?: Partial<CredentialCheck>;
}

const fields = (of: Partial<Credential>): Case["credential"] => ({ fields: of });
const period = (publicKey: Uint8Array, from: number, to: number) => ({
  publicKey,
  notBefore: now + from,
  notAfter: now + to,
});
const proverKey = parties.proverSigner.publicKey;

const cases: readonly Case[] = [
  { title: "a fresh credential", code: "ok" },
  { title: "without a zone, as an MSP sees it", code: "ok", check: { zoneDp: undefined } as never },
  { title: "another identifier", code: "BAD_OPENING", check: { csi: parseCsi("+14155550124") } },
  { title: "another opening", code: "BAD_OPENING", check: { opening: fixedBytes("other") } },
  { title: "an opening of 31 bytes", code: "BAD_OPENING", check: { opening: new Uint8Array(31) } },
  {
    title: "an unregistered prover",
    code: "UNKNOWN_PROVER",
    parties: { unregistered: ["prover"] },
  },
  {
    title: "a prover of the DP's operator",
    code: "PROVER_NOT_INDEPENDENT",
    parties: { prover: { operator: "Operator A" } },
  },
  {
    title: "an identifier outside the prover's prefixes",
    code: "PROVER_SCOPE",
    parties: { prover: { prefixes: [parsePrefix("tel:+1212"), parsePrefix("mailto:")] } },
  },
  {
    title: "an identifier inside the prover's narrow prefix",
    code: "ok",
    parties: { prover: { prefixes: [parsePrefix("tel:+1415")] } },
  },
  {
    title: "a prover without prefixes",
    code: "PROVER_SCOPE",
    parties: { prover: { prefixes: [] } },
  },
  { title: "the prover's highest level", code: "ok", credential: fields({ level: 2 }) },
  { title: "a level above it", code: "PROVER_SCOPE", credential: fields({ level: 3 }) },
  { title: "level 4", code: "BAD_CREDENTIAL", credential: fields({ level: 4 }) },
  { title: "an unregistered method", code: "PROVER_SCOPE", credential: fields({ method: "oidc" }) },
  { title: "a key of nobody", code: "KEY_MISSING", credential: { signer: fixedSigner("nobody") } },
  {
    title: "a prover key whose period ended before it signed",
    code: "EXPIRED",
    parties: { prover: { keys: [period(proverKey, -9 * day, -600)] } },
  },
  {
    title: "a prover key whose period begins after it signed",
    code: "NOT_YET_VALID",
    parties: { prover: { keys: [period(proverKey, 600, 9 * day)] } },
  },
  {
    title: "a key period missed by less than the clock tolerance",
    code: "ok",
    parties: { prover: { keys: [period(proverKey, -9 * day, -60 - 299)] } },
  },
  {
    title: "a key that has ended since",
    code: "ok",
    credential: fields({ issued: now - 20 * day, expires: now + 20 * day, firstProvedAt: 1 }),
    parties: { prover: { keys: [period(proverKey, -30 * day, -10 * day)] } },
  },
  {
    title: "tel for 45 days and a second",
    code: "BAD_CREDENTIAL",
    credential: fields({ issued: now, expires: now + 45 * day + 1 }),
  },
  {
    title: "mail for 90 days",
    code: "ok",
    credential: { csi: mailto, fields: { issued: now, expires: now + 90 * day } },
    check: { csi: mailto },
  },
  {
    title: "mail for 90 days and a second",
    code: "BAD_CREDENTIAL",
    credential: { csi: mailto, fields: { issued: now, expires: now + 90 * day + 1 } },
    check: { csi: mailto },
  },
  {
    title: "proved for the first time after it was issued",
    code: "BAD_CREDENTIAL",
    credential: fields({ firstProvedAt: now }),
  },
  {
    title: "expired beyond the clock tolerance",
    code: "EXPIRED",
    credential: fields({ issued: now - day, firstProvedAt: now - day, expires: now - 300 }),
  },
  {
    title: "expired within the clock tolerance",
    code: "ok",
    credential: fields({ issued: now - day, firstProvedAt: now - day, expires: now - 299 }),
  },
  {
    title: "issued beyond the clock tolerance from now",
    code: "NOT_YET_VALID",
    credential: fields({ issued: now + 301, expires: now + day }),
  },
  {
    title: "issued within the clock tolerance from now",
    code: "ok",
    credential: fields({ issued: now + 300, expires: now + day }),
  },
];

function build({ parties: options = {}, credential, check }: Case): CredentialCheck {
  const those = makeRegistrationParties(options);
  return {
    object: makeCredential(those, credential),
    csi: those.csi,
    opening: those.opening,
    zoneDp: those.dp,
    registry: those.registry,
    nowSeconds: now,
    verifier: nodeVerifier,
    ...check,
  };
}

describe("verifyCredential", () => {
  for (const one of cases) {
    it(`${one.code}: ${one.title}`, () => {
      expect(outcomeOf(() => verifyCredential(build(one)))).to.equal(one.code);
    });
  }

  it("returns the record, its hash and its prover", () => {
    const check = build({ title: "", code: "ok" });
    const verified = verifyCredential(check);
    expect(verified.sha256).to.deep.equal(payloadSha256(check.object));
    expect(verified.credential.level).to.equal(1);
    expect(verified.prover.id).to.equal("prover.example");
  });

  const forgeries = [
    ["no signature", (o: CredentialCheck["object"]) => ({ ...o, signatures: [] })],
    ["R altered", (o: CredentialCheck["object"]) => flipSignature(o, 0, 0)],
    ["S altered", (o: CredentialCheck["object"]) => flipSignature(o, 0, 32)],
    ["S plus the group order", (o: CredentialCheck["object"]) => malleateSignature(o)],
    [
      "payload altered",
      (o: CredentialCheck["object"]) => ({
        ...o,
        payload: makeCredential(parties, { fields: { level: 2 } }).payload,
      }),
    ],
  ] as const;
  for (const [title, forge] of forgeries) {
    it(`BAD_SIGNATURE: ${title}`, () => {
      const check = build({ title: "", code: "ok" });
      const forged = { ...check, object: forge(check.object) };
      expect(outcomeOf(() => verifyCredential(forged))).to.equal("BAD_SIGNATURE");
    });
  }

  it("refuses a signature under a key of small order even when it is registered", () => {
    const signer = smallOrderSigner();
    const those: RegistrationPartiesOptions = {
      prover: { keys: [period(signer.publicKey, -day, day)] },
    };
    const check = build({ title: "", code: "ok", parties: those, credential: { signer } });
    expect(outcomeOf(() => verifyCredential(check))).to.equal("BAD_SIGNATURE");
  });

  it("refuses bytes that are no message", () => {
    const check = build({ title: "", code: "ok" });
    const object = { ...check.object, payload: Uint8Array.of(0xff, 1, 2) };
    expect(outcomeOf(() => verifyCredential({ ...check, object }))).to.equal("BAD_CREDENTIAL");
  });
});
