import { expect } from "chai";
import fc from "fast-check";
import { readEnumName, wireName } from "./enum-name.js";

const suffix = wireName("e164.arpa");
const kindOf = (name: string): string => readEnumName(wireName(name), suffix).kind;

describe("names under the suffix", () => {
  const table: [name: string, kind: string][] = [
    ["e164.arpa", "apex"],
    ["arpa", "outside"],
    ["example.org", "outside"],
    ["xe164.arpa", "outside"],
    ["9.4.e164.arpa", "between"],
    ["4.e164.arpa", "between"],
    ["0.e164.arpa", "impossible"],
    ["9.9.9.e164.arpa", "impossible"],
    ["3.2.1.0.5.5.5.5.1.4.1.e164.arpa", "number"],
    ["6.5.4.3.2.1.9.9.9.e164.arpa", "impossible"],
    ["a.2.1.0.5.5.5.5.1.4.1.e164.arpa", "impossible"],
    ["10.2.1.0.5.5.5.5.1.4.1.e164.arpa", "impossible"],
    ["2.1.0.9.8.7.6.5.4.3.2.1.0.3.9.4.e164.arpa", "impossible"],
  ];
  for (const [name, kind] of table) {
    it(`${name} is ${kind}`, () => expect(kindOf(name)).to.equal(kind));
  }

  it("reads the digits from right to left, whatever the number", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9]{5,13}$/), (rest) => {
        const digits = `49${rest}`;
        const name = readEnumName(
          wireName(`${digits.split("").toReversed().join(".")}.e164.arpa`),
          suffix,
        );
        expect(name).to.deep.equal({ kind: "number", csi: `tel:+${digits}`, digits });
      }),
    );
  });

  it("does not take the suffix's octets inside a label for the suffix", () => {
    const inside = `\x0be164\x04arpa\0x\0`;
    expect(readEnumName(inside, suffix).kind).to.equal("outside");
  });
});
