import { expect } from "chai";
import fc from "fast-check";
import {
  compareKeys,
  composeKey,
  equalValues,
  prefixEnd,
  readU32,
  readU64,
  u32Bytes,
  u64Bytes,
} from "./keys.js";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

describe("composed keys", () => {
  it("hold the table and the parts in order", () => {
    const key = composeKey(7, u32Bytes(0x01020304), bytes(9), u64Bytes(5n));
    expect([...key]).to.deep.equal([7, 1, 2, 3, 4, 9, 0, 0, 0, 0, 0, 0, 0, 5]);
    expect(readU32(key, 1)).to.equal(0x01020304);
    expect(readU64(key, 6)).to.equal(5n);
  });

  it("sort as their numbers do", () => {
    fc.assert(
      fc.property(u64, u64, (a, b) => {
        const order = compareKeys(composeKey(1, u64Bytes(a)), composeKey(1, u64Bytes(b)));
        expect(Math.sign(order)).to.equal(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  it("are read from within a larger memory", () => {
    const memory = bytes(255, ...u64Bytes(2n ** 63n), 255);
    expect(readU64(memory.subarray(1, 9), 0)).to.equal(2n ** 63n);
    expect(() => readU64(memory.subarray(2, 9), 0)).to.throw(RangeError);
  });

  const refused: readonly (readonly [string, () => unknown])[] = [
    ["table 256", () => composeKey(256)],
    ["table -1", () => composeKey(-1)],
    ["a u32 of 2^32", () => u32Bytes(2 ** 32)],
    ["a u32 of 1.5", () => u32Bytes(1.5)],
    ["a negative u64", () => u64Bytes(-1n)],
    ["a u64 of 2^64", () => u64Bytes(2n ** 64n)],
  ];
  for (const [title, make] of refused) {
    it(`refuse ${title}`, () => expect(make).to.throw(TypeError));
  }
});

describe("prefixEnd", () => {
  const cases: readonly (readonly [number[], number[] | undefined])[] = [
    [[1], [2]],
    [[1, 255], [2]],
    [
      [1, 2, 3],
      [1, 2, 4],
    ],
    [[255, 255], undefined],
    [[], undefined],
  ];
  for (const [prefix, end] of cases) {
    it(`of [${prefix.join(",")}] is ${end === undefined ? "nothing" : `[${end.join(",")}]`}`, () =>
      expect(prefixEnd(bytes(...prefix))).to.deep.equal(end && bytes(...end)));
  }

  it("parts what begins with the prefix from what sorts after", () => {
    const short = fc.uint8Array({ minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(short, fc.uint8Array({ maxLength: 5 }), (prefix, key) => {
        const end = prefixEnd(prefix);
        const inRange =
          compareKeys(key, prefix) >= 0 && (end === undefined || compareKeys(key, end) < 0);
        const begins = equalValues(key.subarray(0, prefix.length), prefix);
        expect(inRange).to.equal(begins);
      }),
    );
  });
});
