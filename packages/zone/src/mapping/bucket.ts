// A bucket: all entries whose idx begins with the same b bits. One verifier proves presence and
// absence alike, for every form of answer (protocol.md section 4). Who signed the head is head.ts.

import {
  compareBytes,
  concatBytes,
  equalBytes,
  lp,
  sha256,
  uint16Bytes,
  uint32Bytes,
  utf8,
} from "@whither/crypto/node";
import { DiscoveryError, limits, type Head } from "@whither/protocol";
import { compareIdx, decodeEntry, entryBytes, findEntry, idxBytes, type Entry } from "./entry.js";
import { rootOverPath } from "./tree.js";

const leafTag = Uint8Array.of(0);
const bucketLabel = utf8("whither/bucket/v1");
const hashBytes = 32;
/** A head with fewer slots a bucket on average is refused: its buckets would hide nobody. */
const meanMin = 32;

/** Number of the bucket an idx lies in, 0..2^b - 1. */
export function bucketIndex(idx: Uint8Array, b: number): number {
  if (idx.length !== idxBytes) throw new TypeError("expected an idx of 16 bytes");
  if (b === 0) return 0;
  return ((idx[0]! << 24) | (idx[1]! << 16) | (idx[2]! << 8) | idx[3]!) >>> (32 - b);
}

/** The first b bits of an idx, the other bits zero; 16 bytes. */
export function bucketPrefix(idx: Uint8Array, b: number): Uint8Array {
  return prefixOfBucket(bucketIndex(idx, b), b);
}

/** The 16-byte prefix of the bucket with this number. */
export function prefixOfBucket(index: number, b: number): Uint8Array {
  const prefix = new Uint8Array(idxBytes);
  if (b > 0) new DataView(prefix.buffer).setUint32(0, (index << (32 - b)) >>> 0);
  return prefix;
}

/** Whether 16 bytes have nothing behind their first b bits. */
export function isBucketPrefix(prefix: Uint8Array, b: number): boolean {
  return prefix.length === idxBytes && equalBytes(prefix, bucketPrefix(prefix, b));
}

export interface BucketPlace {
  readonly zone: string;
  /** 4 bytes. */
  readonly kid: Uint8Array;
  readonly b: number;
  /** 16 bytes. */
  readonly prefix: Uint8Array;
}

/** Hash of a bucket; `entries` are the real ones, without padding. */
export function bucketHash(bucket: BucketPlace & { readonly entries: Uint8Array }): Uint8Array {
  const { zone, kid, b, prefix, entries } = bucket;
  return sha256(
    leafTag,
    bucketLabel,
    lp(zone),
    kid,
    Uint8Array.of(b),
    prefix,
    uint16Bytes(entryBytes),
    uint32Bytes(entries.length / entryBytes),
    entries,
  );
}

/** A bucket that a signed head vouches for. */
export interface VerifiedBucket {
  readonly count: number;
  /** count × 68 bytes, ascending. */
  readonly bytes: Uint8Array;
  /**
   * The entry of an idx; undefined is a proven absence. Throws TypeError for an idx of another bucket,
   * of which this one proves nothing.
   */
  find(idx: Uint8Array): Entry | undefined;
  /** The entry at position 0..count - 1. */
  entryAt(position: number): Entry;
}

/**
 * Checks a received bucket against a verified head: length and zero fill of the padding, order,
 * prefix, depth and kid, the path to `head.mapRoot`. Throws BOGUS with a text that says what differs.
 */
export function verifyBucket(
  bucket: BucketPlace & {
    readonly count: number;
    /** `head.pad` bytes as received. */
    readonly entries: Uint8Array;
    /** b × 32 bytes, deepest first. */
    readonly siblings: Uint8Array;
    readonly head: Head;
  },
): VerifiedBucket {
  const { b, prefix, count, entries, siblings, head } = bucket;
  checkPlace(bucket, head);
  if (entries.length !== head.pad) {
    throw bogus(`expected ${head.pad} octets, got ${entries.length}`);
  }
  const length = count * entryBytes;
  if (!Number.isInteger(count) || count < 0 || length > entries.length) {
    throw bogus("count is beyond the padded length");
  }
  if (count > head.mapSize || (b === 0 && count !== head.mapSize)) {
    throw bogus("count differs from the head's map size");
  }
  if (!isZeroFrom(entries, length)) throw bogus("padding is not zero");
  const bytes = entries.subarray(0, length);
  checkOrder(bytes, prefix, b);
  if (siblings.length !== b * hashBytes) throw bogus(`expected ${b} siblings`);
  const index = bucketIndex(prefix, b);
  const hash = bucketHash({ ...bucket, entries: bytes });
  if (!equalBytes(rootOverPath({ index, bucketHash: hash, siblings }), head.mapRoot)) {
    throw bogus("does not match the signed head");
  }
  return verified(bytes, count, (idx) => bucketIndex(idx, b) === index);
}

function checkPlace(place: BucketPlace, head: Head): void {
  if (place.zone !== head.zone) throw bogus("zone differs from the head's");
  if (!equalBytes(place.kid, head.kid)) throw bogus("kid differs from the head's");
  if (place.b !== head.b) throw bogus("depth differs from the head's");
  if (head.b > 0 && head.mapSize / 2 ** head.b < meanMin) {
    throw bogus(`fewer than ${meanMin} slots a bucket`);
  }
  if (!isBucketPrefix(place.prefix, place.b)) throw new TypeError("not a prefix of b bits");
}

const zeros = new Uint8Array(limits.padBytes);

/** Compared in blocks: the padding is often as long as the entries. */
function isZeroFrom(bytes: Uint8Array, offset: number): boolean {
  for (let from = offset; from < bytes.length; from += zeros.length) {
    const block = bytes.subarray(from, from + zeros.length);
    if (Buffer.compare(block, zeros.subarray(0, block.length)) !== 0) return false;
  }
  return true;
}

/** Throws BOGUS unless the entries of a bucket ascend strictly and begin with its bits. */
export function checkOrder(entries: Uint8Array, prefix: Uint8Array, b: number): void {
  if (entries.length === 0) return;
  const index = bucketIndex(prefix, b);
  for (let offset = entryBytes; offset < entries.length; offset += entryBytes) {
    const before = { bytes: entries, offset: offset - entryBytes };
    if (compareIdx(before, { bytes: entries, offset }) >= 0) {
      throw bogus("entries do not ascend strictly");
    }
  }
  // Ascending, so that the first and the last speak for all.
  const ends = [0, entries.length - entryBytes];
  if (
    ends.some((offset) => bucketIndex(entries.subarray(offset, offset + idxBytes), b) !== index)
  ) {
    throw bogus("an entry is outside the asked prefix");
  }
}

function verified(
  bytes: Uint8Array,
  count: number,
  holds: (idx: Uint8Array) => boolean,
): VerifiedBucket {
  const entryAt = (position: number): Entry => {
    if (!Number.isInteger(position) || position < 0 || position >= count) {
      throw new TypeError("bucket: no entry at that position");
    }
    return decodeEntry(bytes.subarray(position * entryBytes, (position + 1) * entryBytes));
  };
  return {
    count,
    bytes,
    entryAt,
    find(idx) {
      if (!holds(idx)) throw new TypeError("bucket: that idx lies in another one");
      const { position, found } = findEntry(bytes, count, idx);
      return found ? entryAt(position) : undefined;
    },
  };
}

/** The entries in the order of their idx; a repeated idx is a TypeError. For whoever builds a bucket. */
export function sortEntries(entries: readonly Uint8Array[]): Uint8Array {
  const sorted = entries.toSorted((a, b) =>
    compareBytes(a.subarray(0, idxBytes), b.subarray(0, idxBytes)),
  );
  const joined = concatBytes(...sorted);
  for (let offset = entryBytes; offset < joined.length; offset += entryBytes) {
    const before = { bytes: joined, offset: offset - entryBytes };
    if (compareIdx(before, { bytes: joined, offset }) >= 0) throw new TypeError("idx twice");
  }
  return joined;
}

/** Bytes as a bucket answer carries them: real entries, then zeros up to `padBytes`. */
export function padEntries(entries: Uint8Array, padBytes: number): Uint8Array {
  if (padBytes % limits.padBytes !== 0 || entries.length > padBytes) {
    throw new TypeError("bucket: pad is no multiple of 4096 or too small");
  }
  const padded = new Uint8Array(padBytes);
  padded.set(entries);
  return padded;
}

function bogus(text: string): DiscoveryError {
  return new DiscoveryError("BOGUS", `bucket: ${text}`);
}
