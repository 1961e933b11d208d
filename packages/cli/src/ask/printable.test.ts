import { expect } from "chai";
import fc from "fast-check";
import { printable } from "./printable.js";

describe("text from others on a terminal", () => {
  const rows: readonly (readonly [given: string, shown: string])[] = [
    ["plain Grüße 電話", "plain Grüße 電話"],
    ["\u001b[31mred", "\\u{1b}[31mred"],
    ["a\r\nb", "a\\u{d}\\u{a}b"],
    ["\u202ereversed", "\\u{202e}reversed"],
    ["\u009b2J", "\\u{9b}2J"],
  ];
  for (const [given, shown] of rows) {
    it(`${JSON.stringify(given)} is shown as ${shown}`, () => {
      expect(printable(given)).to.equal(shown);
    });
  }

  it("never moves the cursor, starts a line or an escape sequence", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        // eslint-disable-next-line no-control-regex -- exactly these must not be there
        expect(printable(text)).not.to.match(/[\u0000-\u001f\u007f-\u009f]/);
      }),
    );
  });
});
