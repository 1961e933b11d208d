import { readFileSync } from "node:fs";
import { expect } from "chai";
import { getCountries, getExampleNumber } from "libphonenumber-js/max";
import examples from "libphonenumber-js/mobile/examples";
import { callingCodes } from "./csi/calling-codes.js";
import {
  disclosureLimit,
  isCsiWithin,
  isWithin,
  parseCsi,
  parsePrefix,
  prefixDepth,
  prefixesOfCsi,
} from "./csi/csi.js";
import { parseZoneName } from "./names.js";
import { isTelRange, prefixesOfRange } from "./tel-range.js";
import type { Prefix } from "./brands.js";

// configs/root.zone.yaml against the numbering metadata. Lines are read one by one: the zone package
// parses and compiles the file, this test is about what stands in it.
interface Row {
  readonly text: string;
  readonly prefixes: readonly Prefix[];
  /** None: unassigned. */
  readonly zones: readonly string[];
  readonly regions: readonly string[];
}

const file = new URL("../../../configs/root.zone.yaml", import.meta.url);
const entry =
  /^ {2}"([^"]+)": \{ (?:zones: \[([^\]]+)\]|unassigned: true)[^}]* \}(?: # ([A-Z ]+))?$/;
const rows: readonly Row[] = readFileSync(file, "utf8")
  .split("\n")
  .filter((line) => line.startsWith('  "'))
  .map((line) => {
    const [, text, zones, regions] = entry.exec(line) ?? [];
    if (text === undefined) throw new Error(`not an entry: ${line}`);
    const prefixes = isTelRange(text) ? prefixesOfRange(text) : [parsePrefix(text)];
    return {
      text,
      prefixes,
      zones: zones?.split(", ") ?? [],
      regions: regions?.split(" ") ?? [],
    };
  });

function rowOf(prefix: Prefix): Row | undefined {
  return rows.find((row) => row.prefixes.includes(prefix));
}

/** The row that serves a number: the one with the longest prefix. */
function servedBy(number: string): Row | undefined {
  const enclosing = prefixesOfCsi(parseCsi(number)).toReversed();
  return enclosing.map(rowOf).find((row) => row !== undefined);
}

// Numbers on both sides of a border inside a shared calling code.
const borders = [
  ["+441481256789", "GG"],
  ["+447911123456", "GG"],
  ["+447911023456", "GB"],
  ["+441534456789", "JE"],
  ["+447700812345", "JE"],
  ["+447700900123", "GB"],
  ["+441624756789", "IM"],
  ["+447624412345", "IM"],
  ["+390669812345", "VA"],
  ["+390612345678", "IT"],
  ["+77012345678", "KZ"],
  ["+74951234567", "RU"],
  ["+4779123456", "SJ"],
  ["+61891621234", "CC"],
  ["+61891641234", "CX"],
  ["+212528812345", "EH"],
  ["+212528712345", "MA"],
  ["+262269123456", "YT"],
  ["+262262123456", "RE"],
  ["+35818123456", "AX"],
  ["+590590271234", "BL"],
  ["+590590071234", "MF"],
  ["+590590011234", "GP"],
  ["+5993161234", "BQ"],
  ["+59994351234", "CW"],
  ["+18095551234", "DO"],
  ["+16585551234", "JM"],
  ["+19395551234", "PR"],
  ["+14155550123", "US"],
] as const;

describe("configs/root.zone.yaml", () => {
  it("names each prefix once, in ranges too", () => {
    const all = rows.flatMap((row) => row.prefixes);
    expect(new Set(all).size).to.equal(all.length);
    expect(rows.length).to.be.greaterThan(280);
    expect(rows.filter((row) => isTelRange(row.text))).to.have.length.of.at.least(10);
  });

  it("has a line for every assigned calling code and for no other", () => {
    for (const code of callingCodes) {
      expect(rowOf(parsePrefix(`tel:+${code}`))?.zones, `+${code}`).to.have.length.of.at.least(1);
    }
    const codes = callingCodes.map((code) => parsePrefix(`tel:+${code}`));
    for (const prefix of rows.flatMap((row) => row.prefixes)) {
      if (!prefix.startsWith("tel:+")) continue;
      expect(
        codes.some((code) => isWithin(prefix, code)),
        prefix,
      ).to.equal(true);
    }
    expect(rowOf(parsePrefix("tel:"))?.zones).to.deep.equal([]);
  });

  for (const region of getCountries()) {
    it(`has a line for ${region}, and its numbers lead there`, () => {
      expect(rows.some((row) => row.regions.includes(region))).to.equal(true);
      const number = getExampleNumber(region, examples)?.number;
      if (number !== undefined) expect(servedBy(number)?.regions).to.include(region);
    });
  }

  for (const [number, region] of borders) {
    it(`leads ${number} to ${region}`, () => {
      expect(servedBy(number)?.regions).to.include(region);
    });
  }

  it("proves that an unassigned calling code is nobody's: it has no line", () => {
    for (const code of ["210", "259", "388", "999"]) {
      expect(rows.some((row) => row.prefixes.includes(parsePrefix(`tel:+${code}`)))).to.equal(
        false,
      );
    }
  });

  it("gives Germany a zone, Britain two of different DPs, the rest one, and mail with handles one", () => {
    const zones = rows.flatMap((row) => row.zones.map((zone) => parseZoneName(zone)));
    expect([...new Set(zones)].sort()).to.deep.equal([
      "de@dp-a.example",
      "gb@dp-b.example",
      "mail@dp-c.example",
      "rest@dp-c.example",
      "uk@dp-d.example",
    ]);
    const prefixesOf = (zone: string): readonly string[] =>
      rows.filter((row) => row.zones.includes(zone)).map((row) => row.text);
    expect(prefixesOf("de@dp-a.example")).to.deep.equal(["tel:+49"]);
    expect(prefixesOf("gb@dp-b.example")).to.deep.equal(["tel:+44"]);
    expect(prefixesOf("uk@dp-d.example")).to.deep.equal(["tel:+44"]);
    for (const row of rows) {
      expect(row.zones.includes("mail@dp-c.example"), row.text).to.equal(
        !row.text.startsWith("tel:"),
      );
    }
  });

  it("delegates nothing deeper than a directory may be told", () => {
    const shown = getCountries().map((region) => getExampleNumber(region, examples)?.number);
    const numbers = [...shown, ...borders.map(([number]) => number)].filter(
      (one) => one !== undefined,
    );
    expect(numbers.length).to.be.greaterThan(250);
    for (const csi of numbers.map((number) => parseCsi(number))) {
      const limit = prefixDepth(disclosureLimit(csi));
      for (const prefix of rows.flatMap((row) => row.prefixes)) {
        if (isCsiWithin(csi, prefix)) expect(prefixDepth(prefix), prefix).to.be.at.most(limit);
      }
    }
    for (const row of rows.filter((one) => /^(mailto|acct):./.test(one.text))) {
      const csi = parseCsi(row.text.replace(":", ":someone@"));
      expect(disclosureLimit(csi)).to.equal(row.text);
    }
  });
});
