// The dense tree over a zone's buckets and the rule for its depth (protocol.md section 4). Holds
// hashes and counts only: 2^b leaves, 2^(b+1) hashes of 32 bytes, about 0.3 bytes a slot.

import { equalBytes, sha256 } from "@whither/crypto/node";
import { limits } from "@whither/protocol";

const hashBytes = 32;
/** Inner nodes recomputed between two yields: about 0.5 ms. */
const innerHashesPerSlice = 256;
const innerTag = 1;

/** Entries a bucket may hold on average before the tree grows, and below which it shrinks. */
const meanMax = 256;
const meanMin = 64;
/** The tree has one bucket until the zone holds this many slots. */
const firstSplitSize = 512;

/** Depth at the next epoch of a zone of `size` slots: the present one, or one more or one less. */
export function nextDepth({ b, size }: { readonly b: number; readonly size: number }): number {
  const mean = size / 2 ** b;
  if (mean >= meanMax && size >= firstSplitSize && b < limits.bucketDepthMax) return b + 1;
  if (mean < meanMin && b > 0) return b - 1;
  return b;
}

/** Depth at which the rule ends for a zone made whole: generated or restored. */
export function depthFor(size: number): number {
  let b = 0;
  for (let next = nextDepth({ b, size }); next !== b; next = nextDepth({ b, size })) b = next;
  return b;
}

/** Hash of two neighbours. */
export function innerHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + 2 * hashBytes);
  input[0] = innerTag;
  input.set(left, 1);
  input.set(right, 1 + hashBytes);
  return sha256(input);
}

/** The root that a bucket hash leads to over its siblings, deepest first. */
export function rootOverPath(path: {
  readonly index: number;
  readonly bucketHash: Uint8Array;
  /** b × 32 bytes. */
  readonly siblings: Uint8Array;
}): Uint8Array {
  let hash = path.bucketHash;
  let index = path.index;
  const input = new Uint8Array(1 + 2 * hashBytes);
  input[0] = innerTag;
  for (let offset = 0; offset < path.siblings.length; offset += hashBytes) {
    const isLeft = (index & 1) === 0;
    input.set(hash, isLeft ? 1 : 1 + hashBytes);
    input.set(path.siblings.subarray(offset, offset + hashBytes), isLeft ? 1 + hashBytes : 1);
    hash = sha256(input);
    index >>>= 1;
  }
  return hash;
}

/** Hashes of a dense tree of depth b, node 1 the root, the children of n at 2n and 2n + 1. */
export class BucketTree {
  readonly b: number;
  readonly #hashes: Uint8Array;
  readonly #counts: Uint32Array;
  #size = 0;
  #dirty = new Set<number>();

  /** A tree without hashes; every bucket has to be set before it is settled. */
  constructor(b: number) {
    if (!Number.isInteger(b) || b < 0 || b > limits.bucketDepthMax) {
      throw new TypeError(`tree: expected a depth of 0..${limits.bucketDepthMax}`);
    }
    this.b = b;
    this.#hashes = new Uint8Array(2 ** (b + 1) * hashBytes);
    this.#counts = new Uint32Array(2 ** b);
  }

  /** Number of buckets, 2^b. */
  get bucketCount(): number {
    return this.#counts.length;
  }

  /** Entries in all buckets. */
  get size(): number {
    return this.#size;
  }

  /** A copy that can be changed apart. */
  clone(): BucketTree {
    const copy = new BucketTree(this.b);
    copy.#hashes.set(this.#hashes);
    copy.#counts.set(this.#counts);
    copy.#size = this.#size;
    copy.#dirty = new Set(this.#dirty);
    return copy;
  }

  /** Puts a bucket's hash and its number of entries; the path above it waits for `settle`. */
  set(index: number, bucket: { readonly hash: Uint8Array; readonly count: number }): void {
    if (index >= this.bucketCount) throw new TypeError("tree: no such bucket");
    if (bucket.hash.length !== hashBytes) throw new TypeError("tree: expected a 32-byte hash");
    const node = this.bucketCount + index;
    this.#hashes.set(bucket.hash, node * hashBytes);
    this.#size += bucket.count - this.#counts[index]!;
    this.#counts[index] = bucket.count;
    this.#dirty.add(node);
  }

  /** Recomputes what lies above changed buckets, in slices of bounded work. */
  *settle(): Generator<void, void, void> {
    let level: ReadonlySet<number> = this.#dirty;
    const input = new Uint8Array(1 + 2 * hashBytes);
    input[0] = innerTag;
    let slice = 0;
    for (let depth = this.b; depth > 0; depth -= 1) {
      const parents = new Set<number>();
      for (const node of level) parents.add(node >>> 1);
      for (const node of parents) {
        const children = 2 * node * hashBytes;
        input.set(this.#hashes.subarray(children, children + 2 * hashBytes), 1);
        this.#hashes.set(sha256(input), node * hashBytes);
        slice += 1;
        if (slice % innerHashesPerSlice === 0) yield;
      }
      level = parents;
    }
    this.#dirty = new Set();
  }

  /** 32-byte root. */
  root(): Uint8Array {
    this.#requireSettled();
    return this.#hashes.slice(hashBytes, 2 * hashBytes);
  }

  /** b × 32 bytes: the siblings on the way from a bucket to the root, deepest first. */
  path(index: number): Uint8Array {
    this.#requireSettled();
    const siblings = new Uint8Array(this.b * hashBytes);
    let node = this.bucketCount + index;
    for (let offset = 0; offset < siblings.length; offset += hashBytes) {
      const sibling = (node ^ 1) * hashBytes;
      siblings.set(this.#hashes.subarray(sibling, sibling + hashBytes), offset);
      node >>>= 1;
    }
    return siblings;
  }

  /** Entries of one bucket. */
  countOf(index: number): number {
    const count = this.#counts[index];
    if (count === undefined) throw new TypeError("tree: no such bucket");
    return count;
  }

  /** Whether this is the hash of the bucket as it stands in the tree. */
  hasHash(index: number, hash: Uint8Array): boolean {
    const node = (this.bucketCount + index) * hashBytes;
    return equalBytes(this.#hashes.subarray(node, node + hashBytes), hash);
  }

  /** `pad` of a head: entry bytes of the largest bucket, rounded up to 4 KiB. */
  padBytes(): number {
    let largest = 0;
    for (const count of this.#counts) if (count > largest) largest = count;
    return Math.ceil((largest * limits.entryBytes) / limits.padBytes) * limits.padBytes;
  }

  #requireSettled(): void {
    if (this.#dirty.size > 0) throw new TypeError("tree: changed buckets are not settled");
  }
}
