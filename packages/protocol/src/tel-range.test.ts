import { expect } from "chai";
import fc from "fast-check";
import { isTelRange, prefixesOfRange } from "./tel-range.js";

/** Every number of the range by counting; then whole tens are replaced by their prefix, as often as possible. */
function bruteForce(first: number, last: number): string[] {
  const members = new Set<string>();
  for (let number = first; number <= last; number += 1) members.add(String(number));
  for (let length = String(last).length; length > 1; length -= 1) {
    for (const parent of new Set(
      [...members].filter((one) => one.length === length).map((one) => one.slice(0, -1)),
    )) {
      const children = Array.from("0123456789", (digit) => parent + digit);
      if (!children.every((child) => members.has(child))) continue;
      for (const child of children) members.delete(child);
      members.add(parent);
    }
  }
  return [...members].sort().map((digits) => `tel:+${digits}`);
}

describe("number ranges", () => {
  for (const [range, prefixes] of [
    [
      "tel:+7700900..+7700949",
      ["tel:+770090", "tel:+770091", "tel:+770092", "tel:+770093", "tel:+770094"],
    ],
    ["tel:+49..+49", ["tel:+49"]],
    ["tel:+10..+19", ["tel:+1"]],
    [
      "tel:+1..+9",
      ["tel:+1", "tel:+2", "tel:+3", "tel:+4", "tel:+5", "tel:+6", "tel:+7", "tel:+8", "tel:+9"],
    ],
    ["tel:+4498..+4501", ["tel:+4498", "tel:+4499", "tel:+4500", "tel:+4501"]],
    ["tel:+199..+300", ["tel:+199", "tel:+2", "tel:+300"]],
    ["tel:+100000000000000..+199999999999999", ["tel:+1"]],
    ["tel:+999999999999999..+999999999999999", ["tel:+999999999999999"]],
  ] as const) {
    it(`${range} compiles to ${prefixes.length} prefixes`, () => {
      expect(prefixesOfRange(range)).to.deep.equal(prefixes);
    });
  }

  it("compile to the same set as counting every number does", () => {
    const ends = fc.integer({ min: 1, max: 4 }).chain((length) => {
      const bound = fc.integer({ min: 10 ** (length - 1), max: 10 ** length - 1 });
      return fc.tuple(bound, bound);
    });
    fc.assert(
      fc.property(ends, ([a, b]) => {
        const [first, last] = [Math.min(a, b), Math.max(a, b)];
        expect(prefixesOfRange(`tel:+${first}..+${last}`)).to.deep.equal(bruteForce(first, last));
      }),
    );
  });

  it("need few prefixes at any length: at most 18 a digit", () => {
    const bound = fc.bigInt({ min: 10n ** 14n, max: 10n ** 15n - 1n });
    fc.assert(
      fc.property(bound, bound, (a, b) => {
        const found = prefixesOfRange(`tel:+${a < b ? a : b}..+${a < b ? b : a}`);
        expect(found.length).to.be.within(1, 15 * 18);
      }),
    );
  });

  for (const range of [
    "tel:+49",
    "tel:+49..",
    "tel:..+49",
    "tel:+49..+5",
    "tel:+50..+49",
    "tel:+0..+9",
    "tel:+49..50",
    "tel:49..+50",
    "+49..+50",
    "tel:+49...+50",
    "tel:+49..+50..+51",
    "tel:+4a..+50",
    "tel:+1000000000000000..+1000000000000001",
    "mailto:a..b",
    "",
    "tel:+49..+50 ",
  ]) {
    it(`refuse ${JSON.stringify(range)}`, () => {
      expect(() => prefixesOfRange(range)).to.throw("INVALID_DATA");
    });
  }

  it("are told from prefixes by their dots", () => {
    expect(isTelRange("tel:+49..+50")).to.equal(true);
    for (const text of ["tel:+49", "tel:", "mailto:example.org", "."])
      expect(isTelRange(text)).to.equal(false);
  });
});
