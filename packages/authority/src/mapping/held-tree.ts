// An epoch of a tree as a transfer reads it: bytes as they lie in the store, unchanged while it is held, and
// the changes that led there. What is sent of it is transfer-source.ts.

import { DiscoveryError, type Head } from "@whither/protocol";
import { readU32, type Journal } from "@whither/store";
import { bucketIndex, type BucketTree } from "@whither/zone";
import type { PublishedTree } from "./published-tree.js";

export interface JournalledEpoch {
  /** Payload of the head. */
  readonly head: Uint8Array;
  /** What its `changes_root` covers. */
  readonly changes: Uint8Array;
}

export interface HeldTree {
  readonly head: Head;
  /** Encoded signed object. */
  readonly headBytes: Uint8Array;
  readonly headSha256: Uint8Array;
  /** Encoded signed object of the manifest that the head names. */
  readonly manifestBytes: Uint8Array;
  readonly tree: BucketTree;
  readBucket(index: number): Uint8Array;
  bodies(vhashes: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]>;
  /** An epoch up to the held one; undefined when the journal does not reach back so far. */
  epoch(serial: number): Promise<JournalledEpoch | undefined>;
  /** May be called again. */
  release(): Promise<void>;
}

/** A new head, for those who wait for one. */
export interface HeadNews {
  readonly head: Head;
  /** Encoded signed object. */
  readonly headBytes: Uint8Array;
  /** Ascending; undefined: any bucket may have changed. */
  readonly changedBuckets: readonly number[] | undefined;
}

/** Changed buckets that a push names. */
const namedBucketsMax = 4_096;

export function holdTree(
  published: PublishedTree,
  of: { readonly journal: Journal; readonly manifestBytes: Uint8Array },
): HeldTree {
  const release = published.hold();
  const { head, headBytes, headSha256, tree } = published;
  return {
    head,
    headBytes,
    headSha256,
    manifestBytes: of.manifestBytes,
    tree,
    readBucket: (index) => published.readBucket(index),
    bodies: (vhashes) => published.bodies(vhashes),
    async epoch(serial) {
      for await (const row of of.journal.read({ from: BigInt(serial), limit: 1 })) {
        if (row.sequence === BigInt(serial)) return decodeJournalRow(row.value);
      }
      return undefined;
    },
    release,
  };
}

/** Length of the head's payload, the payload, the changes (epoch-batch.ts writes it). */
function decodeJournalRow(row: Uint8Array): JournalledEpoch {
  const end = row.length < 4 ? undefined : 4 + readU32(row, 0);
  if (end === undefined || end > row.length) {
    throw new DiscoveryError("STORE_CORRUPT", "a journal row has a wrong size");
  }
  return { head: row.slice(4, end), changes: row.slice(end) };
}

/** What a new head says to those who wait for it. */
export function headNews(
  published: Pick<PublishedTree, "head" | "headBytes">,
  since: { readonly head: Head; readonly changed: readonly { readonly idx: Uint8Array }[] },
): HeadNews {
  const { head, headBytes } = published;
  const { changed } = since;
  // A bulk load names no changes.
  const isAny =
    since.head.b !== head.b || (changed.length === 0 && since.head.mapSize !== head.mapSize);
  const numbers = isAny ? [] : [...new Set(changed.map(({ idx }) => bucketIndex(idx, head.b)))];
  const changedBuckets = isAny || numbers.length > namedBucketsMax ? undefined : numbers;
  return { head, headBytes, changedBuckets };
}
