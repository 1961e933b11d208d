import { expect } from "chai";
import fc from "fast-check";
import { isDiscoveryError } from "./errors.js";
import { parseDpId, parseMspId, parseProverId, parseZoneName, zoneDp } from "./names.js";

const label = "a".repeat(63);
const longest = `${[label, label, label].join(".")}.${"b".repeat(61)}`;

describe("names", () => {
  for (const [text, dp] of [
    [".", undefined],
    ["de@dp-a.example", "dp-a.example"],
    ["rest@dp-c.example", "dp-c.example"],
    ["mail-large@dp-c.example", "dp-c.example"],
    ["x@dp", "dp"],
    [`a@${longest}`, longest],
  ] as const) {
    it(`takes the zone ${text.slice(0, 40)} and names its DP`, () => {
      const zone = parseZoneName(text);
      expect(zone).to.equal(text);
      expect(zoneDp(zone)).to.equal(dp);
    });
  }

  for (const text of [
    "",
    "..",
    "de",
    "@dp-a.example",
    "de@",
    "de@@dp-a.example",
    "DE@dp-a.example",
    "de@DP-A.example",
    "de@dp-a.example.",
    "de@.example",
    "-de@dp-a.example",
    "de-@dp-a.example",
    "d.e@dp-a.example",
    "d e@dp-a.example",
    "de@dp_a.example",
    "d\u00e9@dp-a.example",
    `${label}a@dp`,
    `a@${longest}b`,
    `ab@${longest}`,
    "de@dp-a.example\n",
  ]) {
    it(`refuses the zone ${JSON.stringify(text).slice(0, 40)}`, () => {
      expect(() => parseZoneName(text)).to.throw("INVALID_DATA");
    });
  }

  for (const parse of [parseDpId, parseMspId, parseProverId]) {
    it(`${parse.name} takes lower-case host names of at most 253 octets`, () => {
      for (const text of ["wire.example", "a", "a-1.b2.example", longest])
        expect(parse(text)).to.equal(text);
      for (const text of [
        "",
        ".",
        "Wire.example",
        "wire.example.",
        "a..b",
        "-a",
        "a-",
        "a@b",
        "a_b",
        "a b",
        `${longest}c`,
        "a\n",
      ]) {
        expect(() => parse(text), text).to.throw("INVALID_DATA");
      }
    });
  }

  it("throw nothing but INVALID_DATA", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        for (const parse of [parseZoneName, parseDpId, parseMspId, parseProverId]) {
          try {
            expect(parse(text)).to.equal(text);
          } catch (error) {
            if (!isDiscoveryError(error, "INVALID_DATA")) throw error;
          }
        }
      }),
    );
  });
});
