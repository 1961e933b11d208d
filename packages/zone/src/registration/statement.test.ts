import { expect } from "chai";
import { parseZoneName, type ErrorCode, type Statement } from "@whither/protocol";
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
} from "@whither/testkit";
import { nodeVerifier } from "../signed.js";
import { readMapping } from "./mapping.js";
import { checkNamedMappings, verifyStatement } from "./statement.js";

const parties = makeRegistrationParties();
const now = parties.nowSeconds;
const credential = makeCredential(parties);
const mappings = [
  makeMapping(parties, { credential, msp: 0 }),
  makeMapping(parties, { credential, msp: 1 }),
];
const [first, second] = makeItems();
type Knobs = Omit<Parameters<typeof makeStatement>[1], "mappings">;

function makeItems() {
  return mappings.map((mapping, place) => ({
    mappingSha256: readMapping(mapping).sha256,
    preference: place,
    tags: [] as readonly string[],
  }));
}

const verify = (knobs: Knobs = {}) =>
  verifyStatement({
    object: makeStatement(parties, { mappings, ...knobs }),
    zone: parties.zone,
    nowSeconds: now,
    verifier: nodeVerifier,
  });

const tagged = (...tags: readonly string[]): Partial<Statement> => ({
  items: [{ ...first!, tags }],
});
const other = parseZoneName("gb@dp-b.example");

const cases: readonly { title: string; code: ErrorCode | "ok"; knobs: Knobs }[] = [
  { title: "two mappings in order", code: "ok", knobs: {} },
  { title: "no mapping, a removal", code: "ok", knobs: { fields: { items: [] } } },
  {
    title: "preference 0 and 2^32 - 1",
    code: "ok",
    knobs: {
      fields: {
        items: [
          { ...first!, preference: 0 },
          { ...second!, preference: 0xffffffff },
        ],
      },
    },
  },
  {
    title: "one preference twice",
    code: "BAD_STATEMENT",
    knobs: {
      fields: {
        items: [
          { ...first!, preference: 3 },
          { ...second!, preference: 3 },
        ],
      },
    },
  },
  {
    title: "one mapping twice",
    code: "BAD_STATEMENT",
    knobs: { fields: { items: [first!, { ...first!, preference: 9 }] } },
  },
  {
    title: "four tags",
    code: "ok",
    knobs: { fields: tagged("work", "home", "team", "é".repeat(32)) },
  },
  { title: "five tags", code: "BAD_STATEMENT", knobs: { fields: tagged("1", "2", "3", "4", "5") } },
  {
    title: "a tag of 65 octets",
    code: "BAD_STATEMENT",
    knobs: { fields: tagged("é".repeat(32) + "e") },
  },
  { title: "Default alone", code: "ok", knobs: { fields: tagged("Default") } },
  {
    title: "Default beside another tag",
    code: "BAD_STATEMENT",
    knobs: { fields: tagged("Default", "work") },
  },
  { title: "one tag twice", code: "BAD_STATEMENT", knobs: { fields: tagged("work", "work") } },
  { title: "for another zone", code: "BAD_SIGNATURE", knobs: { fields: { zone: other } } },
  {
    title: "for another zone, signed for this one",
    code: "BAD_STATEMENT",
    knobs: { fields: { zone: other }, signedForZone: parties.zone },
  },
  {
    title: "for this zone, signed for another",
    code: "BAD_SIGNATURE",
    knobs: { signedForZone: other },
  },
  {
    title: "with an audience tag",
    code: "BAD_STATEMENT",
    knobs: { fields: { tag: fixedBytes("tag") } },
  },
  {
    title: "one commitment twice",
    code: "BAD_STATEMENT",
    knobs: { fields: { csiCommits: [fixedBytes("c"), fixedBytes("c")] } },
  },
  { title: "without commitments", code: "BAD_STATEMENT", knobs: { fields: { csiCommits: [] } } },
  { title: "seq 0", code: "BAD_STATEMENT", knobs: { fields: { seq: 0 } } },
  {
    title: "a nonce of 47 bytes",
    code: "BAD_STATEMENT",
    knobs: { fields: { nonceD: new Uint8Array(47) } },
  },
  { title: "unsigned", code: "BAD_SIGNATURE", knobs: { unsigned: true } },
  {
    title: "under a key of small order",
    code: "BAD_SIGNATURE",
    knobs: { holder: smallOrderSigner() },
  },
  {
    title: "signed by a key it does not name",
    code: "BAD_SIGNATURE",
    knobs: { fields: { holderPublicKey: fixedSigner("other holder").publicKey } },
  },
  { title: "not yet valid", code: "NOT_YET_VALID", knobs: { fields: { notBefore: now + 301 } } },
  { title: "valid within the tolerance", code: "ok", knobs: { fields: { notBefore: now + 300 } } },
  {
    title: "expired",
    code: "EXPIRED",
    knobs: { fields: { notBefore: now - 900, notAfter: now - 300 } },
  },
  { title: "ending before it begins", code: "BAD_STATEMENT", knobs: { fields: { notAfter: now } } },
  {
    title: "ported to an identifier",
    code: "ok",
    knobs: { fields: { portedTo: "tel:+14155550199" } },
  },
  { title: "ported to a zone", code: "ok", knobs: { fields: { portedTo: other } } },
  { title: "ported to the root", code: "BAD_STATEMENT", knobs: { fields: { portedTo: "." } } },
  {
    title: "ported to the zone it stands in",
    code: "BAD_STATEMENT",
    knobs: { fields: { portedTo: parties.zone } },
  },
  {
    title: "ported without a mapping that proves whose it is",
    code: "BAD_STATEMENT",
    knobs: { fields: { portedTo: other, items: [] } },
  },
  { title: "ported to words", code: "BAD_STATEMENT", knobs: { fields: { portedTo: "next door" } } },
];

describe("verifyStatement", () => {
  for (const { title, code, knobs } of cases) {
    it(`${code}: ${title}`, () => {
      // A signature for another zone fails in this zone's signed input, before the zone field is read.
      expect(outcomeOf(() => verify(knobs))).to.equal(code);
    });
  }

  for (const [title, forge] of [
    ["R altered", (o: ReturnType<typeof makeStatement>) => flipSignature(o, 0, 1)],
    ["S altered", (o: ReturnType<typeof makeStatement>) => flipSignature(o, 0, 33)],
    ["S plus the group order", (o: ReturnType<typeof makeStatement>) => malleateSignature(o)],
  ] as const) {
    it(`BAD_SIGNATURE: ${title}`, () => {
      const object = forge(makeStatement(parties, { mappings }));
      const check = { object, zone: parties.zone, nowSeconds: now, verifier: nodeVerifier };
      expect(outcomeOf(() => verifyStatement(check))).to.equal("BAD_SIGNATURE");
    });
  }
});

describe("checkNamedMappings", () => {
  const { statement } = verify();
  const [a, b] = mappings.map(readMapping);
  const foreign = readMapping(
    makeMapping(parties, { credential, msp: 1, holder: fixedSigner("other holder") }),
  );
  const named = (fields: Partial<Statement>): Statement => ({ ...statement, ...fields });
  const table = [
    ["ok", "in the statement's order", statement, [a!, b!]],
    ["BAD_STATEMENT", "in another order", statement, [b!, a!]],
    ["BAD_STATEMENT", "one missing", statement, [a!]],
    ["BAD_STATEMENT", "one too many", statement, [a!, b!, a!]],
    ["BAD_STATEMENT", "one replaced", statement, [a!, a!]],
    ["BAD_STATEMENT", "none", statement, []],
    [
      "BAD_STATEMENT",
      "a commitment of no mapping",
      named({ csiCommits: [...statement.csiCommits, fixedBytes("x")] }),
      [a!, b!],
    ],
    [
      "BAD_STATEMENT",
      "a mapping's commitment left out",
      named({ csiCommits: [fixedBytes("x")] }),
      [a!, b!],
    ],
    [
      "BAD_STATEMENT",
      "another holder's mapping",
      named({ items: [{ ...second!, mappingSha256: foreign.sha256 }] }),
      [foreign],
    ],
    ["ok", "an empty statement and no mapping", named({ items: [] }), []],
  ] as const;
  for (const [code, title, of, given] of table) {
    it(`${code}: ${title}`, () => {
      expect(outcomeOf(() => checkNamedMappings(of, given, [of.holderPublicKey]))).to.equal(code);
    });
  }
});
