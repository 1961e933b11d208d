import { expect } from "chai";
import { sha256, toHex } from "@whither/crypto/node";
import { parseCsi } from "@whither/protocol";
import {
  bucketIndex,
  nodeVerifier,
  openPublicSlot,
  unmaskMspBits,
  bitPositionsOf,
  verifySlot,
  verifySlotBits,
} from "@whither/zone";
import { createSimulatedClock } from "./clock.js";
import { fillerBodyBytes, generateFillers, makeRealSlots } from "./generator.js";
import { createSeededRandom } from "./random.js";
import { makeRegistrationParties } from "./registration-fixtures.js";
import { openTestZone } from "./zone-fixtures.js";

const parties = makeRegistrationParties();

describe("generateFillers", () => {
  it("gives the same slots for a seed, others for another, at places of their own", () => {
    const made = (seed: string) =>
      Array.from(generateFillers({ count: 3_000, seed }), ({ idx }) => toHex(idx));
    const first = made("a");
    expect(made("a")).to.deep.equal(first);
    expect(new Set([...first, ...made("b")]).size).to.equal(6_000);
  });

  it("spreads over the buckets as a hash would", () => {
    const counts = new Uint32Array(16);
    for (const { idx } of generateFillers({ count: 16_000, seed: "spread" })) {
      const index = bucketIndex(idx, 4);
      counts[index] = counts[index]! + 1;
    }
    // 1,000 a bucket with a deviation of 31: six of them.
    expect(Math.min(...counts)).to.be.above(814);
    expect(Math.max(...counts)).to.be.below(1_186);
  });

  it("gives bodies of the asked size to the slots that shall have one", () => {
    const hasBody = (idx: Uint8Array): boolean => bucketIndex(idx, 1) === 1;
    const options = { count: 200, seed: "bodies", bodyBytes: fillerBodyBytes, hasBody };
    const slots = [...generateFillers(options)];
    for (const slot of slots) {
      const bytes = "body" in slot ? slot.body.length : 0;
      expect(bytes).to.equal(hasBody(slot.idx) ? fillerBodyBytes : 0);
    }
    const bodies = slots.flatMap((slot) => ("body" in slot ? [toHex(slot.body)] : []));
    expect(new Set(bodies).size).to.equal(bodies.length).and.to.be.above(50);
  });
});

describe("makeRealSlots", () => {
  it("makes slots that verify, in a zone of fillers", async () => {
    const csis = ["+14155550123", "+14155550124"].map((text) => parseCsi(text));
    const slots = await makeRealSlots({ parties, csis, count: 2 });
    const clock = createSimulatedClock({ startMs: parties.nowSeconds * 1000 });
    const zone = await openTestZone({ parties, clock, random: createSeededRandom(1) });
    const fillers = generateFillers({ count: 600, seed: "zone", bodyBytes: fillerBodyBytes });
    await zone.loadEntries([...slots.map(({ slot }) => slot), ...fillers]);
    expect(zone.head()).to.include({ mapSize: 602, b: 2 });
    const { registry, dp, manifest, nowSeconds } = parties;
    for (const { csi, y, slot } of slots) {
      const { idx, body, masked } = slot;
      const found = await zone.lookupForRegistration(csi);
      expect(found.vhash).to.deep.equal(sha256(body));
      const kid = manifest.voprfKeys[0]!.kid;
      const plaintext = openPublicSlot({ y, zone: parties.zone, kid, idx, body });
      const check = { csi, zone: parties.zone, manifest, dp, registry, plaintext, nowSeconds };
      const verified = verifySlot({ ...check, verifier: nodeVerifier });
      expect(verified.mappings).to.have.length(2);
      const { bits } = unmaskMspBits({ secret: y, vhash: sha256(body), masked });
      verifySlotBits({ slot: verified, bits: bitPositionsOf(bits), registry });
    }
    await zone.close();
  });
});
