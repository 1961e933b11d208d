// RFC 4648, strict: exactly one text for one value.
import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import fc from "fast-check";
import { fromBase64, fromBase64Url, fromHex, toBase64, toBase64Url, toHex, utf8 } from "./index.js";

const codecs = [
  ["hex", toHex, fromHex, "hex"],
  ["base64url", toBase64Url, fromBase64Url, "base64url"],
  ["base64", toBase64, fromBase64, "base64"],
] as const;

for (const [name, encode, decode, nodeName] of codecs) {
  describe(name, () => {
    it("encodes as node does, and decodes what it encodes", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
          const text = encode(bytes);
          expect(text).to.equal(Buffer.from(bytes).toString(nodeName));
          expect(decode(text)).to.deep.equal(bytes);
        }),
      );
    });

    it("decodes a text only if encoding gives that very text back", () => {
      const alphabet = "0123456789abcdefABCDEFxyz+/-_= \n\u00e9\u{1F600}";
      const text = fc.string({ unit: fc.constantFrom(...Array.from(alphabet)), maxLength: 9 });
      fc.assert(
        fc.property(text, (candidate) => {
          let decoded: Uint8Array;
          try {
            decoded = decode(candidate);
          } catch (error) {
            expect(isDiscoveryError(error, "INVALID_DATA")).to.be.true;
            return;
          }
          expect(encode(decoded)).to.equal(candidate);
        }),
        { numRuns: 2_000 },
      );
    });
  });
}

describe("RFC 4648 section 10", () => {
  for (const [text, base64, hex] of [
    ["", "", ""],
    ["f", "Zg==", "66"],
    ["fo", "Zm8=", "666f"],
    ["foo", "Zm9v", "666f6f"],
    ["foob", "Zm9vYg==", "666f6f62"],
    ["fooba", "Zm9vYmE=", "666f6f6261"],
    ["foobar", "Zm9vYmFy", "666f6f626172"],
  ] as const) {
    it(`has the vector "${text}"`, () => {
      expect(toBase64(utf8(text))).to.equal(base64);
      expect(toBase64Url(utf8(text))).to.equal(base64.replaceAll("=", ""));
      expect(toHex(utf8(text))).to.equal(hex);
    });
  }
});

describe("refused texts", () => {
  for (const [what, decode] of [
    ["upper-case hex", () => fromHex("AB")],
    ["an odd number of hex digits", () => fromHex("abc")],
    ["hex with 0x", () => fromHex("0x12")],
    ["a full-width digit", () => fromHex("\uff11a")],
    ["padding in base64url", () => fromBase64Url("Zg==")],
    ["the standard alphabet in base64url", () => fromBase64Url("+/+/")],
    ["stray bits in base64url", () => fromBase64Url("Zh")],
    ["one character of base64url", () => fromBase64Url("Z")],
    ["base64 without padding", () => fromBase64("Zg")],
    ["base64 with too much padding", () => fromBase64("Z===")],
    ["base64 with padding inside", () => fromBase64("Zg==Zg==")],
    ["stray bits in base64", () => fromBase64("Zh==")],
    ["the url alphabet in base64", () => fromBase64("-_-_")],
    ["white space in base64", () => fromBase64("Zm9v\n")],
  ] as const) {
    it(`throws INVALID_DATA for ${what}`, () => {
      expect(decode)
        .to.throw()
        .satisfies((error: unknown) => isDiscoveryError(error, "INVALID_DATA"));
    });
  }
});
