// Byte strings: the encodings that everything signed and hashed is built from.
import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import fc from "fast-check";
import {
  compareBytes,
  concatBytes,
  equalBytes,
  lp,
  toHex,
  uint16Bytes,
  uint32Bytes,
  uint64Bytes,
  uint8Bytes,
  utf8,
  wipe,
} from "./index.js";

const bytes = fc.uint8Array({ maxLength: 40 });

describe("big-endian integers", () => {
  for (const [encoded, expected] of [
    [uint8Bytes(0), "00"],
    [uint8Bytes(255), "ff"],
    [uint16Bytes(0x0102), "0102"],
    [uint16Bytes(65_535), "ffff"],
    [uint32Bytes(0x01020304), "01020304"],
    [uint32Bytes(0xffff_ffff), "ffffffff"],
    [uint64Bytes(1), "0000000000000001"],
    [uint64Bytes(Number.MAX_SAFE_INTEGER), "001fffffffffffff"],
    [uint64Bytes(2n ** 64n - 1n), "ffffffffffffffff"],
    [uint64Bytes(0n), "0000000000000000"],
  ] as const) {
    it(`encodes ${expected}`, () => {
      expect(toHex(encoded)).to.equal(expected);
    });
  }

  for (const [what, encode] of [
    ["256 as one byte", () => uint8Bytes(256)],
    ["-1", () => uint8Bytes(-1)],
    ["a fraction", () => uint16Bytes(1.5)],
    ["65536 as two bytes", () => uint16Bytes(65_536)],
    ["2^32 as four bytes", () => uint32Bytes(2 ** 32)],
    ["NaN", () => uint32Bytes(NaN)],
    ["a number that is not exact", () => uint64Bytes(2 ** 53)],
    ["a negative bigint", () => uint64Bytes(-1n)],
    ["2^64", () => uint64Bytes(2n ** 64n)],
  ] as const) {
    it(`throws TypeError for ${what}`, () => {
      expect(encode).to.throw(TypeError);
    });
  }
});

describe("lp", () => {
  it("prefixes bytes and texts with their length in octets", () => {
    expect(toHex(lp(new Uint8Array()))).to.equal("0000");
    expect(toHex(lp("ab"))).to.equal("00026162");
    expect(toHex(lp("ß"))).to.equal("0002c39f");
    expect(toHex(lp(new Uint8Array(1024)).subarray(0, 2))).to.equal("0400");
  });

  it("throws TOO_LARGE above 1024 octets, counted in UTF-8", () => {
    for (const value of [new Uint8Array(1025), "x".repeat(1025), "ß".repeat(513)]) {
      expect(() => lp(value))
        .to.throw()
        .satisfies((error: unknown) => isDiscoveryError(error, "TOO_LARGE"));
    }
  });

  it("keeps different lists of parts apart", () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 4 }), fc.array(bytes, { maxLength: 4 }), (a, b) => {
        const same = a.length === b.length && a.every((part, i) => equalBytes(part, b[i]!));
        const joined = (parts: Uint8Array[]) => toHex(concatBytes(...parts.map(lp)));
        expect(joined(a) === joined(b)).to.equal(same);
      }),
    );
  });
});

describe("comparison", () => {
  it("orders as unsigned bytes, a prefix first", () => {
    const ascending = ["", "00", "0000", "0001", "01", "7f", "80", "ff", "ff00"];
    const values = ascending.map((hex) => Uint8Array.from(Buffer.from(hex, "hex")));
    values.forEach((a, i) => {
      values.forEach((b, j) => {
        expect(Math.sign(compareBytes(a, b))).to.equal(Math.sign(i - j));
      });
    });
  });

  it("finds equality of content alone", () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(equalBytes(a, b)).to.equal(Buffer.compare(a, b) === 0);
        expect(equalBytes(a, Uint8Array.from(a))).to.be.true;
        expect(Math.sign(compareBytes(a, b))).to.equal(Buffer.compare(a, b));
      }),
    );
    expect(equalBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).to.be.false;
    expect(equalBytes(Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 131))).to.be.false;
  });
});

it("joins into an array of its own", () => {
  const part = Uint8Array.of(1, 2);
  const joined = concatBytes(part);
  part[0] = 9;
  expect([...joined]).to.deep.equal([1, 2]);
  expect(concatBytes()).to.have.lengthOf(0);
  expect(toHex(utf8("aß"))).to.equal("61c39f");
});

it("wipes", () => {
  const secret = Uint8Array.of(1, 2, 3);
  wipe(secret);
  expect([...secret]).to.deep.equal([0, 0, 0]);
});
