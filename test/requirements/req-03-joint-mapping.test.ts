// Requirement 3 (MIMI Discovery requirements): client, messaging provider and discovery provider jointly compute
// a verifiable representation of identifier → provider, which (later revision) can be shared with any DP.
//
// | must | must not |
// |---|---|
// | holder and MSP sign the mapping, the holder the statement, the DP its acceptance | verify after any octet of it has changed |
// | each of the three brings a nonce of its own | be replayed into another registration |
// | the mapping names no zone | need to be made again for another DP |
// | the statement names one zone | place a mapping where the holder did not |
// | anybody verifies it offline from the signed directory | need the DP's help |

import { parseCsi } from "@whither/protocol";
import {
  createFederation,
  flipSignature,
  makeRegistrationParties,
  makeSlot,
} from "@whither/testkit";
import { decodeMapping, decodeSlotBody, decodeStatement, encodeSlotBody } from "@whither/wire";
import { toHex } from "@whither/crypto";
import { expect } from "chai";
import { flip } from "../scenarios/both-ways.js";
import { alice, plaintextOf, readSlot, verdictOn } from "./readers.js";

const twoDps = {
  dps: [
    { id: "dp-a.example", zones: ["de"] },
    { id: "dp-b.example", zones: ["de"] },
  ],
  prefixes: [`"tel:+49": { zones: [de@dp-a.example, de@dp-b.example] }`],
};
const zones = ["de@dp-a.example", "de@dp-b.example"] as const;

describe("requirement 3: a mapping made by holder, MSP and DP together", () => {
  it("is one mapping for every DP; only statement and acceptance are a zone's", async () => {
    await using federation = await createFederation(twoDps);
    const { registered } = await federation.register({ csi: alice, msps: ["wire.example"] });
    expect(registered.map(({ zone }) => zone)).to.have.members([...zones]);
    await federation.publish();
    const bodies = [];
    for (const zone of zones) {
      const plaintext = await plaintextOf(federation, { zone, csi: alice });
      expect(readSlot(federation, { zone, csi: alice, plaintext }).mappings).to.have.length(1);
      bodies.push(decodeSlotBody(plaintext));
    }
    const [a, b] = bodies;
    const [mine, yours] = [a?.mappings[0], b?.mappings[0]];
    expect(toHex(mine?.mapping.payload ?? new Uint8Array())).to.equal(
      toHex(yours?.mapping.payload ?? new Uint8Array()),
    );
    expect(mine?.mapping.signatures).to.deep.equal(yours?.mapping.signatures);
    const zoneOf = (body: typeof a): string =>
      body === undefined ? "" : decodeStatement(body.statement.payload).zone;
    expect([zoneOf(a), zoneOf(b)]).to.deep.equal([...zones]);
  });

  it("does not verify in a zone for which the holder did not sign", async () => {
    await using federation = await createFederation(twoDps);
    await federation.register({
      csi: alice,
      msps: ["wire.example"],
      zones: [federation.zone(zones[0]).zone],
    });
    const plaintext = await plaintextOf(federation, { zone: zones[0], csi: alice });
    expect(() => readSlot(federation, { zone: zones[0], csi: alice, plaintext })).not.to.throw();
    expect(() => readSlot(federation, { zone: zones[1], csi: alice, plaintext })).to.throw(/BOGUS/);
  });

  it("holds a nonce of the holder, one of the MSP and one of the DP, new each time", async () => {
    await using federation = await createFederation();
    const seen = new Set<string>();
    const people = ["tel:+4930200001", "tel:+4930200002"].map((text) => parseCsi(text));
    for (const csi of people) {
      await federation.register({ csi, msps: ["wire.example"] });
      const body = decodeSlotBody(await plaintextOf(federation, { zone: zones[0], csi }));
      const [slotMapping] = body.mappings;
      if (slotMapping === undefined) throw new Error("no mapping");
      const { nonceH, nonceM } = decodeMapping(slotMapping.mapping.payload);
      const { nonceD } = decodeStatement(body.statement.payload);
      for (const nonce of [nonceH, nonceM, nonceD]) {
        expect(nonce.length).to.be.at.least(16);
        seen.add(toHex(nonce));
      }
    }
    expect(seen.size).to.equal(3 * people.length);
  });

  const parties = makeRegistrationParties();
  const { statement, mappings, plaintext } = makeSlot(parties, { count: 2 });
  const [first, second] = mappings;
  if (first === undefined || second === undefined) throw new TypeError("two mappings");
  const body = (change: Partial<typeof first>): Uint8Array =>
    encodeSlotBody({ statement, mappings: [{ ...first, ...change }, second] });
  const spoilt: readonly [what: string, plaintext: Uint8Array][] = [
    ["a flipped signature of the MSP", body({ mapping: flipSignature(first.mapping, 0) })],
    ["a flipped signature of the holder", body({ mapping: flipSignature(first.mapping, 1) })],
    ["a flipped signature of the prover", body({ credential: flipSignature(first.credential) })],
    ["a flipped signature of the DP", body({ acceptance: flipSignature(first.acceptance) })],
    ["a flipped statement", encodeSlotBody({ statement: flipSignature(statement), mappings })],
    ["another opening", body({ opening: flip(first.opening, 0) })],
    ["the other mapping's acceptance", body({ acceptance: second.acceptance })],
    ["a mapping left out", encodeSlotBody({ statement, mappings: [first] })],
    ["a mapping twice", encodeSlotBody({ statement, mappings: [first, second, second] })],
    ["the mappings in another order", encodeSlotBody({ statement, mappings: [second, first] })],
  ];
  it("verifies offline, from the slot and the registry alone", () => {
    expect(verdictOn(parties, plaintext)).to.deep.equal(["wire.example", "video.example"]);
  });
  for (const [what, bytes] of spoilt) {
    it(`is BOGUS with ${what}`, () => {
      expect(verdictOn(parties, bytes)).to.equal("BOGUS");
    });
  }

  it("is BOGUS or unchanged after any one octet has changed", () => {
    for (let at = 0; at < plaintext.length; at += 7) {
      const verdict = verdictOn(parties, flip(plaintext, at));
      if (typeof verdict === "string") expect(verdict, `octet ${at}`).to.equal("BOGUS");
      // What a reader may lose is a mapping whose record it no longer knows; it never gains or renames one.
      else
        expect(["wire.example", "video.example"], `octet ${at}`).to.include.members([...verdict]);
    }
  });
});

// Open: audience slots, which the DP accepts without reading them (Ask); transfer of a mapping between DPs
// without the holder's app (Hold).
