import { expect } from "chai";
import fc from "fast-check";
import { sha256, toHex } from "@whither/crypto";
import { BucketTree, depthFor, innerHash, nextDepth, rootOverPath } from "./tree.js";

const settle = (tree: BucketTree): BucketTree => {
  Array.from(tree.settle());
  return tree;
};
const leaf = (n: number): Uint8Array => sha256(Uint8Array.of(n >>> 8, n & 255));

function treeOf(leaves: readonly Uint8Array[]): BucketTree {
  const tree = new BucketTree(Math.log2(leaves.length));
  leaves.forEach((hash, index) => {
    tree.set(index, { hash, count: 1 });
  });
  return settle(tree);
}

/** The definition, without any cleverness. */
function naiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0]!;
  const half = leaves.length / 2;
  return innerHash(naiveRoot(leaves.slice(0, half)), naiveRoot(leaves.slice(half)));
}

describe("depth rule", () => {
  it("keeps one bucket below 512 slots, then ends where a bucket holds 128 to 255 on average", () => {
    const table: [size: number, b: number][] = [
      [0, 0],
      [1, 0],
      [511, 0],
      [512, 2],
      [1023, 2],
      [1024, 3],
      [100_000, 9],
      [1_000_000, 12],
    ];
    for (const [size, b] of table) expect(depthFor(size), `${size}`).to.equal(b);
  });

  it("moves by one an epoch and rests between 64 and 255 on average", () => {
    const table: [b: number, size: number, next: number][] = [
      [0, 511, 0],
      [0, 512, 1],
      [1, 512, 2],
      [2, 512, 2],
      [2, 256, 2],
      [2, 255, 1],
      [1, 128, 1],
      [1, 127, 0],
      [0, 0, 0],
      [5, 0, 4],
      [3, 2048, 4],
      [3, 2047, 3],
    ];
    for (const [b, size, next] of table) {
      expect(nextDepth({ b, size }), `b ${b}, ${size} slots`).to.equal(next);
    }
  });

  it("never oscillates: a depth the rule ends at is one it stays at", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (size) => {
        const b = depthFor(size);
        expect(nextDepth({ b, size })).to.equal(b);
        if (b === 0) return;
        expect(size / 2 ** b).to.be.at.least(128);
        expect(size / 2 ** b).to.be.lessThan(256);
      }),
    );
  });
});

describe("bucket tree", () => {
  it("has the root of the plain definition, and every path leads to it", () => {
    for (const b of [0, 1, 2, 5]) {
      const leaves = Array.from({ length: 2 ** b }, (_, n) => leaf(n));
      const tree = treeOf(leaves);
      expect(toHex(tree.root())).to.equal(toHex(naiveRoot(leaves)));
      leaves.forEach((bucketHash, index) => {
        const siblings = tree.path(index);
        expect(siblings).to.have.length(b * 32);
        expect(rootOverPath({ index, bucketHash, siblings })).to.deep.equal(tree.root());
      });
    }
  });

  it("agrees with a rebuild after any sequence of changes, and leaves its origin alone", () => {
    const change = fc.record({ index: fc.nat(15), value: fc.nat(65_535) });
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 6 }), (rounds) => {
        let leaves = Array.from({ length: 16 }, (_, n) => leaf(n));
        let tree = treeOf(leaves);
        for (const round of rounds) {
          const rootBefore = tree.root();
          const next = tree.clone();
          leaves = [...leaves];
          for (const { index, value } of round) {
            leaves[index] = leaf(value);
            next.set(index, { hash: leaf(value), count: 1 });
          }
          settle(next);
          expect(next.root()).to.deep.equal(naiveRoot(leaves));
          expect(tree.root()).to.deep.equal(rootBefore);
          tree = next;
        }
      }),
      { numRuns: 50 },
    );
  });

  it("counts entries and pads to the largest bucket in steps of 4 KiB", () => {
    const tree = new BucketTree(1);
    tree.set(0, { hash: leaf(0), count: 60 });
    tree.set(1, { hash: leaf(1), count: 61 });
    expect(tree.size).to.equal(121);
    expect(tree.padBytes()).to.equal(8192);
    tree.set(1, { hash: leaf(2), count: 2 });
    expect(tree.size).to.equal(62);
    expect(tree.padBytes()).to.equal(4096);
  });

  it("refuses to say a root before it is settled", () => {
    const tree = new BucketTree(1);
    tree.set(0, { hash: leaf(0), count: 0 });
    expect(() => tree.root()).to.throw(TypeError);
    expect(() => tree.set(2, { hash: leaf(0), count: 0 })).to.throw(TypeError);
    expect(() => new BucketTree(31)).to.throw(TypeError);
  });

  it("settles a large tree in slices", () => {
    const tree = new BucketTree(12);
    for (let n = 0; n < 4096; n++) tree.set(n, { hash: leaf(n), count: 0 });
    expect(Array.from(tree.settle()).length).to.be.greaterThan(10);
  });
});
