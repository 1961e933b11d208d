import { expect } from "chai";
import {
  parseCsi,
  parsePrefix,
  parseZoneName,
  type ErrorCode,
  type SignedObject,
  type Statement,
} from "@whither/protocol";
import { nodeVerifier, type SignatureVerifier } from "@whither/zone";
import {
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeCredential,
  makeMapping,
  makeRegistrationParties,
  makeStatement,
  malleateSignature,
  outcomeOf,
  smallOrderSigner,
  type MappingKnobs,
  type RegistrationPartiesOptions,
} from "@whither/testkit";
import { checkRegistration, type DpContext } from "./dp.js";
import type { RegistrationRequest } from "./register-request.js";

const day = 86_400;
const now = makeRegistrationParties().nowSeconds;

interface Case {
  readonly title: string;
  readonly code: ErrorCode | "ok";
  readonly parties?: RegistrationPartiesOptions;
  readonly credential?: Parameters<typeof makeCredential>[1];
  readonly mapping?: Partial<MappingKnobs>;
  readonly statement?: Omit<Parameters<typeof makeStatement>[1], "mappings">;
  /** Alters the finished request. */
  readonly tamper?: (request: Whole) => Partial<Whole>;
}
interface Whole extends RegistrationRequest {
  readonly added: NonNullable<RegistrationRequest["added"]>;
}

function build(one: Case): {
  readonly request: Whole;
  readonly context: DpContext & { verifier: SignatureVerifier };
} {
  const parties = makeRegistrationParties(one.parties);
  const { zone, csi, opening, manifest, dp, registry } = parties;
  const credential = makeCredential(parties, one.credential);
  const mapping = makeMapping(parties, { credential, ...one.mapping });
  const statement = makeStatement(parties, { mappings: [mapping], ...one.statement });
  const request = { zone, csi, statement, added: { mapping, credential, opening } };
  const context = { manifest, dp, registry, nowSeconds: now, verifier: nodeVerifier };
  return { request: { ...request, ...one.tamper?.(request) }, context };
}
const outcome = (one: Case) => {
  const { request, context } = build(one);
  return outcomeOf(() => checkRegistration(request, context));
};
const added = (over: Partial<Whole["added"]>) => (request: Whole) => ({
  added: { ...request.added, ...over },
});
const other = fixedSigner("other holder");

const cases: readonly Case[] = [
  { title: "everything in order", code: "ok" },
  {
    title: "another zone's request",
    code: "NOT_AUTHORITATIVE",
    tamper: () => ({ zone: parseZoneName("gb@dp-b.example") }),
  },

  // The credential (requirements 1, 5).
  {
    title: "credential for another holder",
    code: "BAD_CREDENTIAL",
    credential: { fields: { holderPublicKey: other.publicKey } },
  },
  {
    title: "credential for another identifier",
    code: "BAD_OPENING",
    credential: { csi: parseCsi("+14155550124") },
  },
  {
    title: "request for another identifier",
    code: "BAD_OPENING",
    tamper: () => ({ csi: parseCsi("+14155550124") }),
  },
  {
    title: "credential above the prover's level",
    code: "PROVER_SCOPE",
    credential: { fields: { level: 3 } },
  },
  {
    title: "credential outside the prover's prefixes",
    code: "PROVER_SCOPE",
    parties: { prover: { prefixes: [parsePrefix("tel:+44")] } },
  },
  { title: "unregistered prover", code: "UNKNOWN_PROVER", parties: { unregistered: ["prover"] } },
  {
    title: "prover of the DP's operator",
    code: "PROVER_NOT_INDEPENDENT",
    parties: { prover: { operator: "Operator A" } },
  },
  {
    title: "prover of the MSP's operator",
    code: "PROVER_NOT_INDEPENDENT",
    parties: { prover: { operator: "Operator W" } },
  },
  {
    title: "prover of another MSP's operator",
    code: "ok",
    parties: { prover: { operator: "Operator V" } },
  },
  { title: "wrong opening", code: "BAD_OPENING", tamper: added({ opening: fixedBytes("other") }) },
  { title: "credential by a key of nobody", code: "KEY_MISSING", credential: { signer: other } },
  {
    title: "credential expired",
    code: "EXPIRED",
    credential: { fields: { issued: now - 2 * day, firstProvedAt: 0, expires: now - 300 } },
    mapping: { fields: { notBefore: now - 2 * day, notAfter: now - 301, establishedAt: now } },
  },
  {
    title: "credential not yet valid",
    code: "NOT_YET_VALID",
    credential: { fields: { issued: now + 301 } },
  },
  {
    title: "tel credential of more than 45 days",
    code: "BAD_CREDENTIAL",
    credential: { fields: { expires: now - 60 + 45 * day + 1 } },
  },

  // The mapping (requirements 2, 3, 4, 21).
  { title: "MSP not registered", code: "UNKNOWN_MSP", parties: { unregistered: ["msp0"] } },
  {
    title: "MSP not accredited now",
    code: "UNKNOWN_MSP",
    parties: { msps: [{ accreditedTo: now - 1 }, {}] },
  },
  {
    title: "mapping signed by another MSP",
    code: "KEY_MISSING",
    mapping: { mspSigner: fixedSigner("msp 1") },
  },
  { title: "mapping for another holder", code: "BAD_CREDENTIAL", mapping: { holder: other } },
  {
    title: "mapping under another credential",
    code: "BAD_MAPPING",
    mapping: { fields: { credentialSha256: fixedBytes("x") } },
  },
  {
    title: "mapping longer than its credential",
    code: "BAD_MAPPING",
    mapping: { fields: { notAfter: now + 46 * day } },
  },
  {
    title: "mapping dated back",
    code: "BAD_MAPPING",
    mapping: { fields: { establishedAt: now - 601 } },
  },
  {
    title: "mapping not yet valid",
    code: "NOT_YET_VALID",
    mapping: { fields: { notBefore: now + 301 } },
  },
  {
    title: "mapping expired",
    code: "EXPIRED",
    mapping: { fields: { notBefore: now - 600, notAfter: now - 300 } },
  },
  {
    title: "renewal of a mapping",
    code: "NOT_AVAILABLE",
    mapping: { fields: { prevSha256: fixedBytes("prev") } },
  },

  // The statement (requirements 3, 7).
  {
    title: "ported to the identifier itself",
    code: "BAD_STATEMENT",
    statement: { fields: { portedTo: makeRegistrationParties().csi } },
  },
  {
    title: "ported to another identifier",
    code: "ok",
    statement: { fields: { portedTo: "tel:+14155550199" } },
  },
  { title: "statement of another holder", code: "BAD_STATEMENT", statement: { holder: other } },
  {
    title: "statement for another zone",
    code: "BAD_SIGNATURE",
    statement: { fields: { zone: parseZoneName("gb@dp-b.example") } },
  },
  {
    title: "statement signed for another zone",
    code: "BAD_SIGNATURE",
    statement: { signedForZone: "gb@dp-b.example" },
  },
  {
    title: "statement with an audience tag",
    code: "BAD_STATEMENT",
    statement: { fields: { tag: fixedBytes("tag") } },
  },
  { title: "duplicate preference", code: "BAD_STATEMENT", statement: { fields: twoItems(1, 1) } },
  {
    title: "statement expired",
    code: "EXPIRED",
    statement: { fields: { notBefore: now - day, notAfter: now - 300 } },
  },
  {
    title: "statement not yet valid",
    code: "NOT_YET_VALID",
    statement: { fields: { notBefore: now + 301 } },
  },
];

function twoItems(a: number, b: number): Partial<Statement> {
  const item = (label: string, preference: number) => ({
    mappingSha256: fixedBytes(label),
    preference,
    tags: [],
  });
  return { items: [item("one", a), item("two", b)] };
}

describe("checkRegistration", () => {
  for (const one of cases) {
    it(`${one.code}: ${one.title}`, () => expect(outcome(one)).to.equal(one.code));
  }

  it("takes a statement alone, for order, tags and removal", () => {
    const { request, context } = build({ title: "", code: "ok" });
    const { zone, csi, statement } = request;
    const checked = checkRegistration({ zone, csi, statement }, context);
    expect(checked).to.not.have.property("added");
    expect(checked.statement.statement.items).to.have.length(1);
  });

  it("verifies four signatures and no more", () => {
    let verifications = 0;
    const verifier: SignatureVerifier = {
      verify: (check) => {
        verifications += 1;
        return nodeVerifier.verify(check);
      },
    };
    const { request, context } = build({ title: "", code: "ok" });
    checkRegistration(request, { ...context, verifier });
    expect(verifications).to.equal(4);
  });

  it("refuses every proper subset of the signatures of holder, MSP and prover", () => {
    const parties = ["holder on the statement", "holder on the mapping", "MSP", "prover"] as const;
    for (let subset = 0; subset < 15; subset += 1) {
      const signs = (index: number) => (subset & (1 << index)) !== 0;
      const signedBy = [
        ...(signs(2) ? (["msp"] as const) : []),
        ...(signs(1) ? (["holder"] as const) : []),
      ];
      const bare = (object: SignedObject) => ({ ...object, signatures: [] });
      const one: Case = {
        title: "",
        code: "BAD_SIGNATURE",
        mapping: { signedBy },
        statement: { unsigned: !signs(0) },
        tamper: signs(3) ? () => ({}) : (r) => added({ credential: bare(r.added.credential) })(r),
      };
      const present = parties.filter((_, index) => signs(index)).join(", ");
      expect(outcome(one), present).to.equal("BAD_SIGNATURE");
    }
  });

  const objects: readonly [
    string,
    number,
    (r: Whole, forge: (o: SignedObject) => SignedObject) => Partial<Whole>,
  ][] = [
    ["statement", 0, (r, forge) => ({ statement: forge(r.statement) })],
    ["credential", 0, (r, forge) => added({ credential: forge(r.added.credential) })(r)],
    ["mapping, MSP's", 0, (r, forge) => added({ mapping: forge(r.added.mapping) })(r)],
    ["mapping, holder's", 1, (r, forge) => added({ mapping: forge(r.added.mapping) })(r)],
  ];
  for (const [name, place, alter] of objects) {
    const forgeries: readonly [string, (object: SignedObject) => SignedObject][] = [
      ["R altered", (o) => flipSignature(o, place, 3)],
      ["S altered", (o) => flipSignature(o, place, 35)],
      ["malleated", (o) => malleateSignature(o, place)],
      [
        "payload with an appended unknown field",
        (o) => ({ ...o, payload: new Uint8Array([...o.payload, 0xf8, 0x07, 1]) }),
      ],
    ];
    for (const [title, forge] of forgeries) {
      it(`BAD_SIGNATURE: ${name}, ${title}`, () => {
        const one: Case = { title, code: "BAD_SIGNATURE", tamper: (r) => alter(r, forge) };
        expect(outcome(one)).to.equal("BAD_SIGNATURE");
      });
    }
  }

  it("refuses a holder key of small order everywhere it could sign", () => {
    const holder = smallOrderSigner();
    const one: Case = {
      title: "",
      code: "BAD_SIGNATURE",
      credential: { fields: { holderPublicKey: holder.publicKey } },
      mapping: { holder },
      statement: { holder },
    };
    expect(outcome(one)).to.equal("BAD_SIGNATURE");
  });

  it("refuses it even behind a verifier that accepts everything", () => {
    const holder = smallOrderSigner();
    const { request, context } = build({ title: "", code: "ok", statement: { holder } });
    const lax = { ...context, verifier: { verify: () => true } };
    expect(outcomeOf(() => checkRegistration(request, lax))).to.equal("BAD_SIGNATURE");
  });
});
