import { expect } from "chai";
import fc from "fast-check";
import { isDiscoveryError, limits } from "@whither/protocol";
import { UsageError } from "../usage.js";
import { helpText } from "./help.js";
import { optionNames, parseWords, type Query } from "./query-arguments.js";

const queryOf = (...args: readonly string[]): Query => parseWords(args);

const csis = fc.array(fc.constantFrom("+14155550123", "bob@example.org", "acct:a@b.example"), {
  minLength: 1,
  maxLength: 3,
});
// One word each, which set different fields: their order cannot matter.
const options = fc.uniqueArray(
  fc.constantFrom(
    "+short",
    "+trace",
    "+compact",
    "+nomirror",
    "+cd",
    "+noproof",
    "+msp=wire.example,chat.example",
    "+timeout=2s",
    "+tries=3",
    "+hops=1",
    "--region=DE",
    "--config=a.yaml",
    "@root.example:7363",
  ),
);

describe("words of whither", () => {
  it("mean the same in any order", () => {
    fc.assert(
      fc.property(csis, options, fc.infiniteStream(fc.nat()), (identifiers, words, places) => {
        const mixed: string[] = [...words];
        let at = 0;
        for (const identifier of identifiers) {
          // Identifiers keep their order among themselves and stand anywhere between the options.
          at += (places.next().value ?? 0) % (mixed.length - at + 1);
          mixed.splice(at, 0, identifier);
          at += 1;
        }
        expect(queryOf(...mixed)).to.deep.equal(queryOf(...words.toReversed(), ...identifiers));
      }),
    );
  });

  it("take every +option as --option", () => {
    fc.assert(
      fc.property(options, (words) => {
        const dashed = words.map((word) => word.replace(/^\+/, "--"));
        expect(queryOf("+14155550123", ...dashed)).to.deep.equal(queryOf("+14155550123", ...words));
      }),
    );
  });

  it("never throw anything but a usage error or a coded refusal", () => {
    const word = fc.oneof(
      fc.string(),
      fc.string().map((text) => `+${text}`),
      fc.string().map((text) => `--${text}`),
      fc.constantFrom("-f", "--", "@", "+msp=", "--timeout", "-", "+nono", "--constructor"),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (args) => {
        try {
          parseWords(args);
        } catch (error) {
          const isExpected =
            error instanceof UsageError || isDiscoveryError(error, "NOT_AVAILABLE");
          expect(isExpected, String(error)).to.equal(true);
        }
      }),
    );
  });

  const meanings: readonly (readonly [words: string, field: keyof Query, value: unknown])[] = [
    ["+14155550123", "identifiers", ["+14155550123"]],
    ["+1 +(49)30-123", "identifiers", ["+1", "+(49)30-123"]],
    ["-- +short x", "identifiers", ["+short", "x"]],
    ["x +json", "format", "json"],
    ["x +yaml", "format", "yaml"],
    ["x +yaml +noyaml", "format", "text"],
    ["x +json +short", "format", "short"],
    ["x +short +noshort", "format", "text"],
    ["x --no-trace", "trace", false],
    ["x +trace", "trace", true],
    ["x", "form", undefined],
    ["x +compact", "form", "compact"],
    ["x +nocompact", "form", "verbose"],
    ["x +mirror", "mirror", true],
    ["x +nomirror", "mirror", false],
    ["x +cd", "checkingDisabled", true],
    ["x +novalidate", "checkingDisabled", true],
    ["x +cd +validate", "checkingDisabled", false],
    ["x +noall +answer", "sections", new Set(["answer"])],
    ["x +nostats", "sections", new Set(["comments", "answer", "provenance", "proof"])],
    ["x +msp=a.example,b.example,a.example", "msps", ["a.example", "b.example"]],
    ["x --msp a.example", "msps", ["a.example"]],
    ["x +timeout=2", "timeoutMs", 2_000],
    ["x +timeout=500ms", "timeoutMs", 500],
    ["x --timeout 2s", "timeoutMs", 2_000],
    ["x +tries=10", "tries", 10],
    ["x +hops=0", "hops", 0],
    ["x @h.example:1", "server", "h.example:1"],
    ["x --region de", "region", "DE"],
    ["-f book.txt", "file", "book.txt"],
    ["-f -", "file", "-"],
    ["--file=book.txt", "file", "book.txt"],
    ["x +nodp +nofederation", "identifiers", ["x"]],
  ];
  for (const [words, field, value] of meanings) {
    it(`${words}: ${field} is ${JSON.stringify(value)}`, () => {
      expect(queryOf(...words.split(" "))[field]).to.deep.equal(value);
    });
  }

  const refusals: readonly (readonly [words: string, message: string])[] = [
    ["", "identifier: expected at least one, got none"],
    ["+short", "identifier: expected at least one, got none"],
    ["x +shrot", "option: expected a known one, got +shrot"],
    ["x -x", "option: expected a known one, got -x"],
    ["x -", "option: expected a known one, got -"],
    ["x --constructor", "option: expected a known one, got --constructor"],
    ["x +notimeout", "option: expected a known one, got +notimeout"],
    ["x +short=yes", "short: expected no value, got yes"],
    ["x +msp", "msp: expected a value (+msp=…), got nothing"],
    ["x +msp=", "msp: expected a value (+msp=…), got nothing"],
    ["x +msp=Wire.Example", "msp: expected domains separated by commas, got Wire.Example"],
    [
      "x +msp=a.example,,b.example",
      "msp: expected domains separated by commas, got a.example,,b.example",
    ],
    ["x +timeout=49ms", "timeout: expected 50ms..60s, got 49ms"],
    ["x +timeout=61", "timeout: expected 50ms..60s, got 61"],
    ["x +tries=0", "tries: expected 1..10, got 0"],
    ["x +hops=5", "hops: expected 0..4, got 5"],
    ["x +hops=1e0", "hops: expected 0..4, got 1e0"],
    ["x --region Germany", "region: expected a country code such as DE, got Germany"],
    ["x @", "server: expected @host:port, got @"],
    ["x @a.example @b.example", "server: expected it once, got a.example and b.example"],
    ["x +privacy=open", "privacy: expected blind or relayed, got open"],
  ];
  for (const [words, message] of refusals) {
    it(`"${words}" is refused: ${message}`, () => {
      expect(() => parseWords(words === "" ? [] : words.split(" "))).to.throw(UsageError, message);
    });
  }

  for (const word of [
    "+federation=all",
    "+dp=dp-a.example",
    "+audience=friends.yaml",
    "+policy",
    "+privacy=relayed",
  ]) {
    it(`${word} is refused by name, not ignored`, () => {
      const name = word.replace(/^\+|(?<!privacy)=.*/g, "");
      expect(() => parseWords(["x", word])).to.throw(`+${name}: not available in this version`);
    });
  }

  it("+jurisdiction takes countries, each once, and nothing else", () => {
    expect(parseWords(["x", "+jurisdiction=de,FR,DE"]).jurisdiction).to.deep.equal(["DE", "FR"]);
    for (const text of ["DEU", "DE,", "D1"]) {
      expect(() => parseWords(["x", `+jurisdiction=${text}`])).to.throw(
        UsageError,
        "country codes",
      );
    }
  });

  it("the help names every option and the default time", () => {
    const unnamed = optionNames.filter(
      (name) => !new RegExp(`[+\\]-]${name}|no${name}`).test(helpText),
    );
    expect(unnamed.filter((name) => name !== "file")).to.deep.equal([]);
    expect(helpText).to.contain(`+timeout=${limits.queryTimeoutMs / 1000}s`);
  });
});
