import { expect } from "chai";
import fc from "fast-check";
import { limits, parseMspId, parseZoneName } from "@whither/protocol";
import { fixedBytes, outcomeOf } from "@whither/testkit";
import type { HolderItem } from "@whither/ceremony";
import { formatHolderMemory, parseHolderMemory, type HolderMemory } from "./holder-memory.js";

const item: HolderItem = {
  mappingSha256: fixedBytes("mapping"),
  csiCommit: fixedBytes("commit"),
  mspId: parseMspId("wire.example"),
  notAfter: 1_790_000_000,
  preference: 1,
  tags: ["work"],
};
const memory: HolderMemory = new Map([
  [
    parseZoneName("us@dp-a.example"),
    { seq: 7, items: [item], exclusive: true, sameAppOnly: false, portedTo: "" },
  ],
  [
    parseZoneName("us@dp-b.example"),
    { seq: 1, items: [], exclusive: false, sameAppOnly: true, portedTo: "tel:+4930123456" },
  ],
]);

describe("holder memory", () => {
  it("comes back as it was written", () => {
    expect(parseHolderMemory(formatHolderMemory(memory))).to.deep.equal(memory);
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const items = fc.uniqueArray(
      fc.record({
        mappingSha256: bytes,
        csiCommit: bytes,
        mspId: fc.constant(item.mspId),
        notAfter: fc.nat(),
        preference: fc.nat(),
        tags: fc.array(fc.string(), { maxLength: limits.tagsPerItemMax }),
      }),
      { selector: (one) => one.preference, maxLength: limits.mappingsPerSlotMax },
    );
    const slot = fc.record({
      seq: fc.maxSafeNat(),
      items,
      exclusive: fc.boolean(),
      sameAppOnly: fc.boolean(),
      portedTo: fc.constantFrom("", "tel:+4930123456", "us@dp-b.example"),
    });
    fc.assert(
      fc.property(slot, (one) => {
        const held: HolderMemory = new Map([[parseZoneName("us@dp-a.example"), one]]);
        expect(parseHolderMemory(formatHolderMemory(held))).to.deep.equal(held);
      }),
    );
  });

  const text = formatHolderMemory(memory);
  for (const [title, damaged] of [
    ["half of it", text.slice(0, text.length / 2)],
    ["another version", text.replace('"version": 1', '"version": 2')],
    ["no zone's name", text.replace("us@dp-a.example", "US")],
    ["a short hash", text.replace(/"mapping_sha256": "..../, '"mapping_sha256": "')],
    ["a negative seq", text.replace('"seq": 7', '"seq": -7')],
    ["no list", text.replace('"items": []', '"items": {}')],
    ["empty", ""],
    ["a list", "[]"],
  ] as const) {
    it(`CONFIG: ${title}`, () => {
      expect(damaged).to.not.equal(text);
      expect(outcomeOf(() => parseHolderMemory(damaged))).to.equal("CONFIG");
    });
  }
});
