import { expect } from "chai";
import { parseZoneName, roles, type ErrorCode, type MergePromise } from "@whither/protocol";
import { encodePromise } from "@whither/wire";
import {
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeAcceptance,
  makeCredential,
  makeMapping,
  makeRegistrationParties,
  malleateSignature,
  outcomeOf,
} from "@whither/testkit";
import { nodeVerifier, payloadSha256, signObject } from "../signed.js";
import { verifyAcceptance, verifyPromise } from "./acceptance.js";

const parties = makeRegistrationParties();
const { manifest, nowSeconds: now } = parties;
const mapping = makeMapping(parties, { credential: makeCredential(parties) });
const other = parseZoneName("gb@dp-b.example");
const common = { manifest, nowSeconds: now, verifier: nodeVerifier };

type Knobs = Omit<Parameters<typeof makeAcceptance>[1], "mapping">;
const accept = (knobs: Knobs = {}) => makeAcceptance(parties, { mapping, ...knobs });
const verify = (object: ReturnType<typeof accept>) =>
  verifyAcceptance({ ...common, object, mappingSha256: payloadSha256(mapping) });

describe("verifyAcceptance", () => {
  const cases: readonly [ErrorCode | "ok", string, Knobs][] = [
    ["ok", "of this mapping", {}],
    ["ok", "long ago", { fields: { acceptedAt: now - 80 * 86_400 } }],
    ["ok", "within the clock tolerance ahead", { fields: { acceptedAt: now + 300 } }],
    ["BOGUS", "dated in the future", { fields: { acceptedAt: now + 301 } }],
    ["BOGUS", "of another mapping", { fields: { mappingSha256: fixedBytes("other") } }],
    ["BOGUS", "of another zone", { fields: { zone: other } }],
    ["BAD_SIGNATURE", "unsigned", { unsigned: true }],
    ["KEY_MISSING", "by a key not in the manifest", { signer: fixedSigner("holder") }],
    ["EXPIRED", "after the key's period", { fields: { acceptedAt: now + 401 * 86_400 } }],
    ["NOT_YET_VALID", "before the key's period", { fields: { acceptedAt: now - 401 * 86_400 } }],
  ];
  for (const [code, title, knobs] of cases) {
    it(`${code}: ${title}`, () => {
      expect(outcomeOf(() => verify(accept(knobs)))).to.equal(code);
    });
  }

  it("refuses altered and malleated signatures", () => {
    for (const forged of [flipSignature(accept()), malleateSignature(accept())]) {
      expect(outcomeOf(() => verify(forged))).to.equal("BAD_SIGNATURE");
    }
  });

  it("refuses the zone key's signature made in the role of the head", () => {
    const { payload } = accept();
    const place = { type: "acceptance", role: roles.zone, zone: parties.zone } as const;
    const object = signObject({ ...place, payload, signer: parties.zoneSigner });
    expect(outcomeOf(() => verify(object))).to.equal("BAD_SIGNATURE");
  });
});

describe("verifyPromise", () => {
  const statementSha256 = fixedBytes("statement");
  const promise = (fields: Partial<MergePromise> = {}, signer = parties.zoneSigner) =>
    signObject({
      type: "promise",
      role: roles.dp,
      zone: parties.zone,
      payload: encodePromise({
        zone: parties.zone,
        statementSha256,
        acceptedAt: now,
        by: now + 60,
        ...fields,
      }),
      signer,
    });
  const cases = [
    ["ok", "of this statement", promise()],
    ["BOGUS", "of another statement", promise({ statementSha256: fixedBytes("other") })],
    ["BOGUS", "of another zone", promise({ zone: other })],
    ["BOGUS", "made long ago", promise({ acceptedAt: now - 301, by: now - 300 })],
    ["INVALID_DATA", "later than a minute", promise({ by: now + 61 })],
    ["INVALID_DATA", "before it was made", promise({ by: now - 1 })],
    ["KEY_MISSING", "by another key", promise({}, fixedSigner("holder"))],
    ["BAD_SIGNATURE", "with an altered signature", flipSignature(promise())],
  ] as const;
  for (const [code, title, object] of cases) {
    it(`${code}: ${title}`, () => {
      expect(outcomeOf(() => verifyPromise({ ...common, object, statementSha256 }))).to.equal(code);
    });
  }
});
