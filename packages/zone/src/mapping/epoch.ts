// Applies the changes of one epoch to a zone's buckets and tree, and says what the next head has
// to say (protocol.md section 4). Pure: reads buckets through a function and stores nothing. Written
// as generators that yield between slices of bounded work, so that the caller can let others run.

import { DiscoveryError } from "@whither/protocol";
import { bucketHash, bucketIndex, prefixOfBucket } from "./bucket.js";
import {
  changesRoot,
  encodeChanges,
  mergeBucket,
  type AppliedChange,
  type SlotChange,
} from "./changeset.js";
import { compareIdx, encodeEntry, entryBytes, idxBytes, vhashAt } from "./entry.js";
import { BucketTree, nextDepth } from "./tree.js";

/** Changes that one epoch takes; the rest waits for the next, which follows at once. */
export const changesPerEpochMax = 16_384;

/** Buckets merged, split or joined between two yields: about 1 ms at 256 entries a bucket. */
const bucketsPerSlice = 8;

export interface ZoneTree {
  readonly zone: string;
  /** 4 bytes. */
  readonly kid: Uint8Array;
  readonly tree: BucketTree;
  /** Real entries of a bucket at the tree's depth; empty bytes for an empty one. */
  readonly readBucket: (index: number) => Uint8Array;
}

/** A bucket of the tree it is spoken of with. */
export interface StoredBucket {
  readonly index: number;
  /** Real entries, ascending. */
  readonly entries: Uint8Array;
}

/** A bucket to be stored. */
export interface ChangedBucket extends StoredBucket {
  /** Depth of the tree after the epoch. */
  readonly b: number;
}

export interface EpochOutcome {
  /** The tree after the epoch; the one handed in is as it was. */
  readonly tree: BucketTree;
  readonly b: number;
  readonly size: number;
  readonly pad: number;
  readonly mapRoot: Uint8Array;
  readonly changesRoot: Uint8Array;
  /** The journal row: 152 bytes a change, in idx order. */
  readonly journal: Uint8Array;
  readonly applied: readonly AppliedChange[];
  /** Body hashes that slots gained and lost. */
  readonly addedBodies: readonly Uint8Array[];
  readonly removedBodies: readonly Uint8Array[];
}

/**
 * The next state of a zone. Throws STORE_CORRUPT for a bucket that the tree does not know. `changes` ascend strictly by idx; `serial` is that of the coming head.
 * Yields each bucket to be stored as soon as it is made, or undefined where a slice of work ends.
 * When the depth changes every bucket is yielded.
 */
export function* applyEpoch(
  zone: ZoneTree & { readonly changes: readonly SlotChange[]; readonly serial: number },
): Generator<ChangedBucket | undefined, EpochOutcome, void> {
  const { changes, serial, tree: before } = zone;
  if (changes.length > changesPerEpochMax) throw new TypeError("epoch: too many changes");
  checkOrder(changes);
  const read = (index: number): Uint8Array => readWhole(zone, index);
  const merged = new Map<number, Uint8Array>();
  const applied: AppliedChange[] = [];
  for (const [index, wanted] of groupByBucket(changes, { b: before.b, serial })) {
    const result = mergeBucket(read(index), wanted);
    for (const change of result.applied) applied.push(change);
    if (result.applied.length > 0) merged.set(index, result.entries);
    if (merged.size % bucketsPerSlice === 0) yield undefined;
  }
  const size = before.size + applied.reduce((sum, change) => sum + growth(change), 0);
  const b = nextDepth({ b: before.b, size });
  const tree = b === before.b ? before.clone() : new BucketTree(b);
  const next =
    b === before.b
      ? merged.entries()
      : resize({ from: before.b, to: b }, (index) => merged.get(index) ?? read(index));
  for (const [index, entries] of next) {
    putBucket({ ...zone, tree }, { index, entries });
    yield { index, b, entries };
  }
  yield* pausing(tree.settle());
  const journal = encodeChanges(applied);
  return {
    tree,
    b,
    size,
    pad: tree.padBytes(),
    mapRoot: tree.root(),
    changesRoot: changesRoot(journal),
    journal,
    applied,
    ...bodyChanges(applied),
  };
}

/**
 * A bucket as the last head speaks for it. What a disk has lost or changed since would else be signed as if the
 * holder had left. Throws STORE_CORRUPT.
 */
function readWhole(zone: ZoneTree, index: number): Uint8Array {
  const { tree, kid } = zone;
  const entries = zone.readBucket(index);
  const prefix = prefixOfBucket(index, tree.b);
  const isWhole =
    entries.length % entryBytes === 0 &&
    tree.hasHash(index, bucketHash({ zone: zone.zone, kid, b: tree.b, prefix, entries }));
  if (isWhole) return entries;
  throw new DiscoveryError("STORE_CORRUPT", "a bucket is not what the last head speaks for");
}

/** Hashes a bucket into its place in the tree. */
export function putBucket(
  zone: { readonly zone: string; readonly kid: Uint8Array; readonly tree: BucketTree },
  { index, entries }: StoredBucket,
): void {
  const { tree } = zone;
  const prefix = prefixOfBucket(index, tree.b);
  const hash = bucketHash({ zone: zone.zone, kid: zone.kid, b: tree.b, prefix, entries });
  tree.set(index, { hash, count: entries.length / entryBytes });
}

/** The tree over stored buckets, recomputed from every entry. Yields between slices of work. */
export function* rebuildTree(zone: {
  readonly zone: string;
  readonly kid: Uint8Array;
  readonly b: number;
  /** Buckets in any order; those left out are empty. */
  readonly buckets: Iterable<StoredBucket>;
}): Generator<undefined, BucketTree, void> {
  const tree = new BucketTree(zone.b);
  const seen = new Uint8Array(tree.bucketCount);
  let bytes = 0;
  for (const bucket of zone.buckets) {
    putBucket({ ...zone, tree }, bucket);
    seen[bucket.index] = 1;
    bytes += bucket.entries.length;
    if (bytes > bytesPerSlice) {
      bytes = 0;
      yield undefined;
    }
  }
  yield* fillEmpty({ ...zone, tree }, (index) => seen[index] === 1);
  yield* pausing(tree.settle());
  return tree;
}

const bytesPerSlice = 512 * 1024;
const emptiesPerSlice = 256;
const noEntries = new Uint8Array(0);

/** Gives every bucket that nobody has set the hash of an empty one. */
export function* fillEmpty(
  zone: { readonly zone: string; readonly kid: Uint8Array; readonly tree: BucketTree },
  isSet: (index: number) => boolean,
): Generator<undefined, void, void> {
  let filled = 0;
  for (let index = 0; index < zone.tree.bucketCount; index++) {
    if (isSet(index)) continue;
    putBucket(zone, { index, entries: noEntries });
    filled += 1;
    if (filled % emptiesPerSlice === 0) yield undefined;
  }
}

/** The tree of a zone without slots. */
export function emptyTree(zone: { readonly zone: string; readonly kid: Uint8Array }): BucketTree {
  const tree = new BucketTree(0);
  putBucket({ ...zone, tree }, { index: 0, entries: noEntries });
  Array.from(tree.settle());
  return tree;
}

function checkOrder(changes: readonly SlotChange[]): void {
  for (let i = 1; i < changes.length; i++) {
    const order = compareIdx(
      { bytes: changes[i - 1]!.idx, offset: 0 },
      { bytes: changes[i]!.idx, offset: 0 },
    );
    if (order >= 0) throw new TypeError("epoch: changes do not ascend strictly");
  }
}

interface WantedEntry {
  readonly idx: Uint8Array;
  readonly after: Uint8Array | undefined;
}

function* groupByBucket(
  changes: readonly SlotChange[],
  { b, serial }: { readonly b: number; readonly serial: number },
): Generator<readonly [index: number, wanted: readonly WantedEntry[]], void, void> {
  let index = -1;
  let group: WantedEntry[] = [];
  for (const { idx, to } of changes) {
    const next = bucketIndex(idx, b);
    if (next !== index && group.length > 0) {
      yield [index, group];
      group = [];
    }
    index = next;
    const after = to === undefined ? undefined : encodeEntry({ idx, since: serial, ...to });
    group.push({ idx, after });
  }
  if (group.length > 0) yield [index, group];
}

/** All buckets of the next depth, made of those of the present one. Depths differ by one. */
function* resize(
  depth: { readonly from: number; readonly to: number },
  read: (index: number) => Uint8Array,
): Generator<readonly [index: number, entries: Uint8Array], void, void> {
  const { from, to } = depth;
  if (to < from) {
    for (let index = 0; index < 2 ** to; index++) {
      yield [index, join(read(2 * index), read(2 * index + 1))];
    }
    return;
  }
  for (let index = 0; index < 2 ** from; index++) {
    const entries = read(index);
    const middle = splitOffset(entries, to);
    yield [2 * index, entries.slice(0, middle)];
    yield [2 * index + 1, entries.slice(middle)];
  }
}

function join(left: Uint8Array, right: Uint8Array): Uint8Array {
  const joined = new Uint8Array(left.length + right.length);
  joined.set(left);
  joined.set(right, left.length);
  return joined;
}

/** Offset of the first entry whose bit b is set. */
function splitOffset(entries: Uint8Array, b: number): number {
  let low = 0;
  let high = entries.length / entryBytes;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const offset = middle * entryBytes;
    const upper = (bucketIndex(entries.subarray(offset, offset + idxBytes), b) & 1) === 1;
    if (upper) high = middle;
    else low = middle + 1;
  }
  return low * entryBytes;
}

function growth({ before, after }: AppliedChange): number {
  return (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
}

function bodyChanges(applied: readonly AppliedChange[]): {
  readonly addedBodies: readonly Uint8Array[];
  readonly removedBodies: readonly Uint8Array[];
} {
  const addedBodies: Uint8Array[] = [];
  const removedBodies: Uint8Array[] = [];
  for (const { before, after } of applied) {
    const was = before === undefined ? undefined : vhashAt(before, 0);
    const is = after === undefined ? undefined : vhashAt(after, 0);
    if (was !== undefined && is !== undefined && sameBytes(was, is)) continue;
    if (was !== undefined) removedBodies.push(was);
    if (is !== undefined) addedBodies.push(is);
  }
  return { addedBodies, removedBodies };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

function* pausing(work: Generator<void, void, void>): Generator<undefined, void, void> {
  while (work.next().done !== true) yield undefined;
}
