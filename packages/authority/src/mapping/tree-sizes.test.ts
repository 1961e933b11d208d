import { expect } from "chai";
import { missingSlots } from "./tree-sizes.js";
import type { ServedTree } from "./zone-trees.js";

const idxOf = (n: number): Uint8Array => new Uint8Array(16).fill(n);
const content = { body: new Uint8Array(), vhash: new Uint8Array(32), masked: new Uint8Array(12) };

/** A tree of these slots, and what waits for it: n is put, -n is removed. */
function treeOf(slots: readonly number[], waiting: readonly number[] = []): ServedTree {
  const changes = waiting.map((n) => ({
    idx: idxOf(Math.abs(n)),
    to: n < 0 ? undefined : content,
  }));
  return {
    pending: { size: changes.length, latestChanges: () => changes },
    writer: {
      published: {
        head: { mapSize: slots.length },
        find: (idx: Uint8Array) => (slots.includes(idx[0] ?? 0) ? {} : undefined),
      },
    },
  } as unknown as ServedTree; // what is counted, and no more
}

describe("slots that the next tree lacks", () => {
  const cases: readonly (readonly [string, ServedTree, ServedTree, number | undefined])[] = [
    ["none where both hold the same", treeOf([1, 2]), treeOf([3, 4]), 0],
    ["one that was not copied", treeOf([1, 2, 3]), treeOf([1, 2]), 1],
    ["none where it waits for the next tree", treeOf([1, 2, 3]), treeOf([1, 2], [3]), 0],
    [
      "none where its removal waits for the present one",
      treeOf([1, 2, 3], [-3]),
      treeOf([1, 2]),
      0,
    ],
    ["one whose removal waits for the next tree only", treeOf([1, 2]), treeOf([1, 2], [-2]), 1],
    ["none for a slot that is only replaced", treeOf([1, 2], [2]), treeOf([1, 2]), 0],
    ["none for a removal of what is not there", treeOf([1], [-9]), treeOf([1]), 0],
  ];
  for (const [title, of, inTree, expected] of cases) {
    it(title, () => {
      expect(missingSlots(of, inTree)).to.equal(expected);
    });
  }

  it("are not told while more waits than is looked at in one turn", () => {
    const many = Array.from({ length: 1_025 }, () => 7);
    expect(missingSlots(treeOf([7], many), treeOf([7]))).to.equal(undefined);
    expect(missingSlots(treeOf([7]), treeOf([7], many))).to.equal(undefined);
  });
});
