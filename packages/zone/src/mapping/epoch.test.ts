import { expect } from "chai";
import fc from "fast-check";
import { sha256, toHex, uint32Bytes, concatBytes } from "@whither/crypto";
import { bucketIndex, sortEntries } from "./bucket.js";
import type { SlotChange } from "./changeset.js";
import { encodeEntry, type Entry } from "./entry.js";
import {
  applyEpoch,
  changesPerEpochMax,
  emptyTree,
  putBucket,
  rebuildTree,
  type EpochOutcome,
} from "./epoch.js";
import { BucketTree, nextDepth } from "./tree.js";

const zone = "de@dp-a.example";
const kid = Uint8Array.of(1, 2, 3, 4);

/** The same zone twice: under test, and as a map that is rebuilt whole. */
class Model {
  tree = emptyTree({ zone, kid });
  buckets = new Map<number, Uint8Array>();
  readonly entries = new Map<string, Entry>();
  serial = 1;
  slices = 0;

  apply(changes: readonly SlotChange[]): EpochOutcome {
    this.serial += 1;
    const work = applyEpoch({
      zone,
      kid,
      tree: this.tree,
      readBucket: (index) => this.buckets.get(index) ?? new Uint8Array(0),
      changes,
      serial: this.serial,
    });
    const made = new Map<number, Uint8Array>();
    let step = work.next();
    while (step.done !== true) {
      this.slices += 1;
      if (step.value !== undefined) made.set(step.value.index, step.value.entries);
      step = work.next();
    }
    const outcome = step.value;
    this.buckets =
      outcome.b === this.tree.b
        ? new Map([...this.buckets, ...made])
        : new Map([...made].filter(([, entries]) => entries.length > 0));
    this.tree = outcome.tree;
    for (const { idx, to } of changes) {
      const key = toHex(idx);
      if (to === undefined) this.entries.delete(key);
      else this.entries.set(key, { idx, since: this.serial, ...to });
    }
    return outcome;
  }

  /** Everything again from the map. */
  naive(b: number): { tree: BucketTree; buckets: Uint8Array[] } {
    const tree = new BucketTree(b);
    const buckets = Array.from({ length: 2 ** b }, (_, index) =>
      sortEntries(
        [...this.entries.values()].filter((e) => bucketIndex(e.idx, b) === index).map(encodeEntry),
      ),
    );
    buckets.forEach((entries, index) => {
      putBucket({ zone, kid, tree }, { index, entries });
    });
    Array.from(tree.settle());
    return { tree, buckets };
  }
}

const idxOf = (n: number): Uint8Array => sha256(uint32Bytes(n)).slice(0, 16);
const bodyOf = (n: number) => ({
  masked: sha256(uint32Bytes(n)).slice(0, 12),
  vhash: sha256(uint32Bytes(n), Uint8Array.of(1)),
});
const changesOf = (rows: readonly (readonly [slot: number, body: number | undefined])[]) =>
  [...new Map(rows).entries()]
    .map(([slot, body]): SlotChange => ({
      idx: idxOf(slot),
      to: body === undefined ? undefined : bodyOf(body),
    }))
    .sort((a, b) => Buffer.compare(a.idx, b.idx));
const range = (from: number, to: number): (readonly [number, number])[] =>
  Array.from({ length: to - from }, (_, n) => [from + n, from + n] as const);

describe("epoch", () => {
  it("equals a rebuild of the whole zone after any sequence of changes", () => {
    const row = fc.tuple(fc.nat(1200), fc.option(fc.nat(5000), { nil: undefined }));
    const bulk = fc.record({ from: fc.nat(900), length: fc.nat(700), remove: fc.boolean() });
    const round = fc.oneof(
      fc.array(row, { maxLength: 40 }).map(changesOf),
      bulk.map(({ from, length, remove }) =>
        changesOf(range(from, from + length).map(([s, v]) => [s, remove ? undefined : v] as const)),
      ),
    );
    fc.assert(
      fc.property(fc.array(round, { minLength: 1, maxLength: 8 }), (rounds) => {
        const model = new Model();
        for (const changes of rounds) {
          const before = model.tree.b;
          const outcome = model.apply(changes);
          expect(outcome.size).to.equal(model.entries.size);
          expect(outcome.b).to.equal(nextDepth({ b: before, size: model.entries.size }));
          const naive = model.naive(outcome.b);
          expect(toHex(outcome.mapRoot)).to.equal(toHex(naive.tree.root()));
          expect(outcome.pad).to.equal(naive.tree.padBytes());
          naive.buckets.forEach((entries, index) => {
            expect(model.buckets.get(index) ?? new Uint8Array(0)).to.deep.equal(entries);
          });
        }
      }),
      { numRuns: 25 },
    );
  });

  it("says in changes_root what stood and stands, in idx order", () => {
    const model = new Model();
    model.apply(changesOf([[1, 1]]));
    const old = encodeEntry({ idx: idxOf(1), since: 2, ...bodyOf(1) });
    const outcome = model.apply(
      changesOf([
        [1, 5],
        [2, 2],
      ]),
    );
    const rows = [
      [idxOf(1), old, encodeEntry({ idx: idxOf(1), since: 3, ...bodyOf(5) })],
      [idxOf(2), new Uint8Array(68), encodeEntry({ idx: idxOf(2), since: 3, ...bodyOf(2) })],
    ].sort((a, b) => Buffer.compare(a[0]!, b[0]!));
    const journal = concatBytes(...rows.flat());
    expect(outcome.journal).to.deep.equal(journal);
    expect(outcome.changesRoot).to.deep.equal(sha256(journal));
    const removal = model.apply(changesOf([[2, undefined]]));
    expect(removal.journal.subarray(-68)).to.deep.equal(new Uint8Array(68));
  });

  it("names the bodies that came and went", () => {
    const model = new Model();
    expect(model.apply(changesOf([[1, 1]])).addedBodies).to.deep.equal([bodyOf(1).vhash]);
    const replaced = model.apply(changesOf([[1, 2]]));
    expect(replaced.removedBodies).to.deep.equal([bodyOf(1).vhash]);
    expect(replaced.addedBodies).to.deep.equal([bodyOf(2).vhash]);
    const removed = model.apply(changesOf([[1, undefined]]));
    expect(removed.removedBodies).to.deep.equal([bodyOf(2).vhash]);
    const rewritten = model.apply(changesOf([[3, 3]]));
    expect(rewritten.addedBodies).to.have.length(1);
    const same = model.apply(changesOf([[3, 3]]));
    expect(same.addedBodies).to.have.length(0);
    expect(same.removedBodies).to.have.length(0);
    expect(same.applied).to.have.length(1);
  });

  it("changes nothing for the removal of a slot that is not there", () => {
    const model = new Model();
    model.apply(changesOf([[1, 1]]));
    const root = model.tree.root();
    const outcome = model.apply(changesOf([[2, undefined]]));
    expect(outcome.mapRoot).to.deep.equal(root);
    expect(outcome.applied).to.have.length(0);
    expect(outcome.changesRoot).to.deep.equal(sha256(new Uint8Array(0)));
  });

  it("grows one step an epoch when many arrive at once, and shrinks one step", () => {
    const model = new Model();
    expect(model.apply(changesOf(range(0, 2100))).b).to.equal(1);
    expect(model.apply([]).b).to.equal(2);
    expect(model.apply([]).b).to.equal(3);
    expect(model.apply([]).b).to.equal(4);
    expect(model.apply([]).b).to.equal(4);
    const fewer = changesOf(range(0, 1300).map(([slot]) => [slot, undefined] as const));
    expect(model.apply(fewer).b).to.equal(3);
    expect(model.apply([]).b).to.equal(3);
    expect(toHex(model.tree.root())).to.equal(toHex(model.naive(3).tree.root()));
  });

  it("yields only touched buckets while the depth stays", () => {
    const model = new Model();
    model.apply(changesOf(range(0, 600)));
    model.apply([]);
    const before = model.slices;
    const outcome = model.apply(changesOf([[5000, 1]]));
    expect(outcome.b).to.equal(2);
    expect(model.slices - before).to.be.lessThan(4);
  });

  it("leaves the tree it was given as it was, also when abandoned half way", () => {
    const model = new Model();
    model.apply(changesOf(range(0, 100)));
    const root = model.tree.root();
    const work = applyEpoch({
      zone,
      kid,
      tree: model.tree,
      readBucket: (index) => model.buckets.get(index)!,
      changes: changesOf([[1, 900]]),
      serial: 9,
    });
    work.next();
    expect(model.tree.root()).to.deep.equal(root);
  });

  it("takes as many changes as it may in one epoch", () => {
    const model = new Model();
    const outcome = model.apply(changesOf(range(0, changesPerEpochMax)));
    expect(outcome.size).to.equal(changesPerEpochMax);
    expect(toHex(outcome.mapRoot)).to.equal(toHex(model.naive(1).tree.root()));
  });

  it("refuses unsorted, repeated and too many changes", () => {
    const run = (changes: readonly SlotChange[]) => () =>
      applyEpoch({
        zone,
        kid,
        tree: emptyTree({ zone, kid }),
        readBucket: () => new Uint8Array(0),
        changes,
        serial: 2,
      }).next();
    const sorted = changesOf([
      [1, 1],
      [2, 2],
    ]);
    expect(run(sorted.toReversed())).to.throw(TypeError);
    expect(run([sorted[0]!, sorted[0]!])).to.throw(TypeError);
    const many = Array.from({ length: changesPerEpochMax + 1 }, () => sorted[0]!);
    expect(run(many)).to.throw(TypeError);
  });
});

describe("rebuilding a tree", () => {
  it("gives the same root from stored buckets, those left out being empty", () => {
    const model = new Model();
    model.apply(changesOf(range(0, 900)));
    model.apply([]);
    const b = model.tree.b;
    const stored = [...model.buckets].map(([index, entries]) => ({ index, entries })).reverse();
    const work = rebuildTree({ zone, kid, b, buckets: stored });
    let step = work.next();
    while (step.done !== true) step = work.next();
    expect(step.value.root()).to.deep.equal(model.tree.root());
    expect(step.value.size).to.equal(900);
    const holes = rebuildTree({ zone, kid, b, buckets: stored.slice(1) });
    let hole = holes.next();
    while (hole.done !== true) hole = holes.next();
    expect(hole.value.root()).not.to.deep.equal(model.tree.root());
  });
});
