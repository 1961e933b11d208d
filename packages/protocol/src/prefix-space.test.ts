import { expect } from "chai";
import fc from "fast-check";
import {
  comparePrefixes,
  csiLabels,
  csiScheme,
  disclosureLimit,
  isCsiWithin,
  isWithin,
  parentPrefix,
  parseCsi,
  parsePrefix,
  prefixDepth,
  prefixesOfCsi,
  prefixLabels,
  prefixOf,
} from "./csi/csi.js";
import { compareLabels } from "./prefix-space.js";
import type { Csi, Prefix } from "./brands.js";

const number = fc.stringMatching(/^[0-9]{5,11}$/).map((rest) => parseCsi(`tel:+49${rest}`));
const host = fc.stringMatching(/^[a-z][a-z0-9]{0,5}(\.[a-z][a-z0-9]{0,5}){0,3}$/);
const address = fc
  .tuple(fc.constantFrom("mailto:", "acct:"), host)
  .map(([scheme, domain]) => parseCsi(`${scheme}alice@${domain}`));
const csis: fc.Arbitrary<Csi> = fc.oneof(number, address);
const prefixes: fc.Arbitrary<Prefix> = fc.tuple(csis, fc.nat(20)).map(([csi, level]) => {
  const all = prefixesOfCsi(csi);
  return all[level % all.length]!;
});

describe("prefix", () => {
  const accepted: readonly (readonly [string, readonly string[]])[] = [
    [".", []],
    ["tel:", ["tel"]],
    ["tel:+4", ["tel", "4"]],
    ["tel:+49", ["tel", "4", "9"]],
    ["tel:+999", ["tel", "9", "9", "9"]],
    ["mailto:", ["mailto"]],
    ["mailto:com", ["mailto", "com"]],
    ["mailto:example.com", ["mailto", "com", "example"]],
    ["mailto:xn--bcher-kva.example", ["mailto", "example", "xn--bcher-kva"]],
    ["acct:video.example", ["acct", "example", "video"]],
  ];
  for (const [text, labels] of accepted) {
    it(`${text} has the labels ${JSON.stringify(labels)}`, () => {
      const prefix = parsePrefix(text);
      expect(prefix).to.equal(text);
      expect(prefixLabels(prefix)).to.deep.equal(labels);
      expect(prefixDepth(prefix)).to.equal(labels.length);
    });
  }

  for (const text of [
    "",
    "tel",
    "tel:49",
    "tel:+",
    "tel:+0",
    "tel:+4 9",
    "tel:+1234567890123456",
    "TEL:+49",
    "sip:",
    "..",
    ":",
    "+49",
    "mailto:Example.com",
    "mailto:example.com.",
    "mailto:.com",
    "mailto:b\u00fccher.example",
    "mailto:a@example.com",
    "mailto:127.0.0.1",
    "mailto:xn--a",
    "acct:a..b",
    "tel:+49..+50",
    "constructor:",
    "__proto__:",
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(() => parsePrefix(text)).to.throw("INVALID_DATA");
    });
  }

  it("enclose a CSI one label a level, from the root to the whole number or domain", () => {
    expect(prefixesOfCsi(parseCsi("tel:+4930901"))).to.deep.equal([
      ".",
      "tel:",
      "tel:+4",
      "tel:+49",
      "tel:+493",
      "tel:+4930",
      "tel:+49309",
      "tel:+493090",
      "tel:+4930901",
    ]);
    expect(prefixesOfCsi(parseCsi("alice@mail.example.org"))).to.deep.equal([
      ".",
      "mailto:",
      "mailto:org",
      "mailto:example.org",
      "mailto:mail.example.org",
    ]);
  });

  it("round-trip through their text, their labels and their parents", () => {
    fc.assert(
      fc.property(prefixes, (prefix) => {
        expect(parsePrefix(prefix)).to.equal(prefix);
        const [scheme, ...labels] = prefixLabels(prefix);
        if (scheme === undefined) {
          expect(parentPrefix(prefix)).to.equal(undefined);
          return;
        }
        expect(prefixOf(scheme, labels)).to.equal(prefix);
        const parent = parentPrefix(prefix)!;
        expect(prefixLabels(parent)).to.deep.equal(prefixLabels(prefix).slice(0, -1));
        expect(isWithin(prefix, parent)).to.equal(true);
        expect(isWithin(parent, prefix)).to.equal(false);
        expect(comparePrefixes(parent, prefix)).to.equal(-1);
      }),
    );
  });

  it("of a CSI are those within which it lies", () => {
    fc.assert(
      fc.property(csis, prefixes, (csi, prefix) => {
        expect(isCsiWithin(csi, prefix)).to.equal(prefixesOfCsi(csi).includes(prefix));
      }),
    );
  });

  it("of a CSI begin with its scheme and continue with its labels", () => {
    fc.assert(
      fc.property(csis, (csi) => {
        const last = prefixesOfCsi(csi).at(-1)!;
        expect(prefixLabels(last)).to.deep.equal([csiScheme(csi), ...csiLabels(csi)]);
      }),
    );
  });

  it("contain by whole labels, not by characters", () => {
    const within = (inner: string, outer: string) =>
      isWithin(parsePrefix(inner), parsePrefix(outer));
    expect(within("mailto:myexample.com", "mailto:example.com")).to.equal(false);
    expect(within("mailto:my.example.com", "mailto:example.com")).to.equal(true);
    expect(within("mailto:com", "acct:com")).to.equal(false);
    expect(within("tel:+491", "tel:+49")).to.equal(true);
    expect(within("tel:+49", "tel:+49")).to.equal(true);
    expect(within("tel:+49", ".")).to.equal(true);
    expect(within(".", "tel:")).to.equal(false);
  });

  it("have a total order: parents first, then siblings by octets of their labels", () => {
    const sorted = [
      ".",
      "acct:",
      "mailto:",
      "mailto:com",
      "mailto:b.com",
      "mailto:de",
      "tel:",
      "tel:+1",
      "tel:+12",
      "tel:+2",
    ];
    const shuffled = sorted.toReversed().map(parsePrefix);
    expect(shuffled.toSorted(comparePrefixes)).to.deep.equal(sorted);
    fc.assert(
      fc.property(prefixes, prefixes, (a, b) => {
        expect(comparePrefixes(a, b)).to.equal(0 - comparePrefixes(b, a));
        expect(comparePrefixes(a, b) === 0).to.equal(a === b);
      }),
    );
    expect([
      compareLabels("a-b", "a"),
      compareLabels("10", "9"),
      compareLabels("a", "a"),
    ]).to.deep.equal([1, -1, 0]);
  });

  it("that may be disclosed enclose the CSI and leave 10,000 numbers or a registrable domain", () => {
    fc.assert(
      fc.property(csis, (csi) => {
        const limit = disclosureLimit(csi);
        expect(isCsiWithin(csi, limit)).to.equal(true);
        const hidden = csiLabels(csi).length + 1 - prefixDepth(limit);
        if (csiScheme(csi) === "tel") expect(hidden).to.equal(4);
        else expect(hidden).to.be.at.least(Math.max(0, csiLabels(csi).length - 3));
      }),
    );
  });
});
