import { createHash } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import { foldText, requireVisible } from "./fold.js";
import { isAssigned, isRefused } from "./unicode-15.js";

function count(predicate: (codePoint: number) => boolean): number {
  let found = 0;
  for (let point = 0; point <= 0x10ffff; point += 1) if (predicate(point)) found += 1;
  return found;
}

describe("foldText", () => {
  const cases = [
    ["Alice", "alice", "ASCII"],
    ["\u0130", "i\u0307", "capital I with dot, without locale"],
    ["I\u0131", "i\u0131", "dotless i stays another letter"],
    ["\u1e9e\u00df", "\u00df\u00df", "sharp s, not ss"],
    ["A\u030a\u212b", "\u00e5\u00e5", "NFD and the angstrom sign"],
    ["\u03a3\u03a3", "\u03c3\u03c2", "final sigma"],
    ["\u01c5", "\u01c6", "title case"],
    ["\u{10400}", "\u{10428}", "Deseret, beyond the basic plane"],
    ["\u13a0", "\uab70", "Cherokee"],
    ["a\u200db", "a\u200db", "joiner"],
  ] as const;
  for (const [input, folded, title] of cases) {
    it(`folds ${title}`, () => expect(foldText(input)).to.equal(folded));
  }

  it("is idempotent for text of assigned code points", () => {
    const assigned = fc.integer({ min: 0, max: 0x10ffff }).filter((point) => {
      return isAssigned(point) && (point < 0xd800 || point > 0xdfff);
    });
    fc.assert(
      fc.property(fc.array(assigned, { maxLength: 12 }), (points) => {
        const once = foldText(String.fromCodePoint(...points));
        expect(foldText(once)).to.equal(once);
      }),
      { numRuns: 1000 },
    );
  });

  it("gives the same result for every code point on every runtime", () => {
    // Made with Node 20.3 (Unicode 15.0), the same with Unicode 17.0; another digest means that this runtime folds differently: a fork of csi/v1.
    const hash = createHash("sha256");
    for (let point = 0; point <= 0x10ffff; point += 1) {
      if (!isAssigned(point) || (point >= 0xd800 && point <= 0xdfff)) continue;
      hash.update(`${foldText(`a${String.fromCodePoint(point)}`)}\n`);
    }
    expect(hash.digest("hex")).to.equal(
      "d1e6444fc4bc0f4cb21bff3cecccfba1102ae9d131cab2a08defbc8e5db14c66",
    );
  });

  for (const [point, title] of [
    [0x378, "never assigned"],
    [0x2ebf0, "15.1: first of CJK extension I"],
    [0x2ee5d, "15.1: last of CJK extension I"],
    [0x2ffc, "15.1: ideographic description"],
    [0x31ef, "15.1: ideographic description"],
    [0xa7dc, "16.0: Latin capital"],
    [0x1c89, "16.0: Cyrillic capital"],
    [0xfdd0, "noncharacter"],
    [0x10ffff, "noncharacter"],
  ] as const) {
    it(`refuses U+${point.toString(16).toUpperCase()} (${title})`, () => {
      expect(() => foldText(`a${String.fromCodePoint(point)}`)).to.throw("INVALID_CSI");
    });
  }

  it("refuses lone surrogates", () => {
    for (const text of ["\ud800", "a\udc00b", "\udc00\ud800"]) {
      expect(() => foldText(text)).to.throw("INVALID_CSI");
    }
  });
});

describe("table of Unicode 15.0", () => {
  it("assigns as many code points as Unicode 15.0 says", () => {
    // Unicode 15.0: 149,186 characters; beside them 65 controls, 137,468 private use, 2,048 surrogates.
    expect(count(isAssigned)).to.equal(149_186 + 65 + 137_468 + 2_048);
  });

  it("assigns nothing that this runtime does not", () => {
    const foreign = count(
      (point) => isAssigned(point) && !/\p{Assigned}/u.test(String.fromCodePoint(point)),
    );
    expect(foreign).to.equal(0);
  });

  it("refuses controls, spaces, private use and invisible code points, but no joiner and no letter", () => {
    for (const point of [
      0, 9, 0x20, 0x7f, 0x9f, 0xa0, 0xad, 0x34f, 0x61c, 0x180e, 0x200b, 0x200e, 0x2028, 0x202e,
      0x2060, 0x2066, 0x3164, 0xd800, 0xe000, 0xfe0f, 0xfeff, 0xe0001, 0xe0100, 0x10fffd,
    ]) {
      expect(isRefused(point), point.toString(16)).to.equal(true);
      expect(isAssigned(point), point.toString(16)).to.equal(true);
    }
    for (const point of [0x21, 0x7e, 0xa1, 0xe9, 0x301, 0x5d0, 0x200c, 0x200d, 0x4e00, 0x1f600]) {
      expect(isRefused(point), point.toString(16)).to.equal(false);
    }
    expect(() => requireVisible("a\u200bb")).to.throw("INVALID_CSI");
    expect(() => requireVisible("a\u200db")).not.to.throw();
  });
});
