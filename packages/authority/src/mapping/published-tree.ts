// What readers of a tree see: the state under its last signed head, and nothing newer. Bytes are sent
// as they lie in the store; a path is read, never computed. Holds no key and no secret.

import { DiscoveryError, isDiscoveryError, type Head } from "@whither/protocol";
import { LRUCache } from "lru-cache";
import type { Snapshot, Store } from "@whither/store";
import {
  bucketHash,
  bucketIndex,
  decodeEntry,
  entryBytes,
  findEntry,
  isBucketPrefix,
  prefixOfBucket,
  type BucketTree,
  type Entry,
} from "@whither/zone";
import { equalBytes, sha256 } from "@whither/crypto/node";
import { encodeBucketResponse, encodeObjectResponse } from "./raw-messages.js";
import { bodyKey, bucketKey } from "./zone-table.js";

const noEntries = new Uint8Array(0);

export interface BucketQuery {
  /** 4 bytes. */
  readonly kid: Uint8Array;
  readonly b: number;
  /** 16 bytes. */
  readonly prefix: Uint8Array;
}

export interface PublishedState {
  readonly store: Store;
  readonly head: Head;
  /** The head as an encoded signed object. */
  readonly headBytes: Uint8Array;
  /** SHA-256 of the head's payload. */
  readonly headSha256: Uint8Array;
  readonly tree: BucketTree;
  /** Memory for encoded answers; 0: none is kept. */
  readonly bucketCacheBytes: number;
  /**
   * Makes every row that is read be compared with the head, and hears of one that is not what it was. For a tree that
   * can be had again elsewhere; what a primary reads wrong its readers find BOGUS.
   */
  readonly onDamage?: () => void;
}

/** One published epoch. Its snapshot is kept until nobody reads it any more. */
export class PublishedTree {
  readonly head: Head;
  readonly headSha256: Uint8Array;
  readonly headBytes: Uint8Array;
  readonly tree: BucketTree;
  /** Encoded GetHeadResponse. */
  readonly headResponse: Uint8Array;
  readonly #store: Store;
  readonly #snapshot: Snapshot;
  readonly #onDamage: (() => void) | undefined;
  /** Encoded BucketResponses by bucket. They carry this head, so they go with it. */
  readonly #answers: LRUCache<number, Uint8Array> | undefined;
  #readers = 0;
  #retired = false;

  constructor(state: PublishedState) {
    this.head = state.head;
    this.headSha256 = state.headSha256;
    this.headBytes = state.headBytes;
    this.tree = state.tree;
    this.headResponse = encodeObjectResponse(state.headBytes);
    this.#store = state.store;
    this.#onDamage = state.onDamage;
    this.#snapshot = state.store.snapshot();
    const maxSize = state.bucketCacheBytes;
    this.#answers =
      maxSize === 0
        ? undefined
        : new LRUCache({ maxSize, sizeCalculation: (answer) => answer.length });
  }

  /**
   * Encoded BucketResponse. Throws UNKNOWN_KID or DEPTH_CHANGED when the client's head is not this one,
   * INVALID_DATA for a prefix with bits behind the b-th.
   */
  bucketResponse({ kid, b, prefix }: BucketQuery): Uint8Array {
    const { head } = this;
    if (!equalBytes(kid, head.kid)) throw new DiscoveryError("UNKNOWN_KID", "no tree of that kid");
    if (b !== head.b) throw new DiscoveryError("DEPTH_CHANGED", `the depth is ${head.b}, not ${b}`);
    if (!isBucketPrefix(prefix, b)) {
      throw new DiscoveryError("INVALID_DATA", "expected 16 octets, zero behind the first b bits");
    }
    const index = bucketIndex(prefix, b);
    const kept = this.#answers?.get(index);
    if (kept !== undefined) return kept;
    const answer = this.#encodeBucket(index);
    this.#answers?.set(index, answer);
    return answer;
  }

  #encodeBucket(index: number): Uint8Array {
    const entries = this.readBucket(index);
    return encodeBucketResponse({
      count: entries.length / entryBytes,
      entries,
      padBytes: this.head.pad,
      siblings: this.tree.path(index),
      head: this.headBytes,
    });
  }

  /** Real entries of a bucket. Throws STORE_CORRUPT. */
  readBucket(index: number): Uint8Array {
    const { zone, kid, b } = this.head;
    const key = bucketKey({ kid, b, index });
    return this.#checked(() => {
      const entries = this.#store.get(key, { snapshot: this.#snapshot }) ?? noEntries;
      if (this.#onDamage === undefined) return entries;
      const hash = bucketHash({ zone, kid, b, prefix: prefixOfBucket(index, b), entries });
      if (!this.tree.hasHash(index, hash)) throw corrupt("a bucket");
      return entries;
    });
  }

  /** Tells of damage that a read has come upon. */
  #checked<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (isDiscoveryError(error, "STORE_CORRUPT")) this.#onDamage?.();
      throw error;
    }
  }

  /** The entry of a slot, if the head holds one. */
  find(idx: Uint8Array): Entry | undefined {
    const entries = this.readBucket(bucketIndex(idx, this.head.b));
    const { position, found } = findEntry(entries, entries.length / entryBytes, idx);
    if (!found) return undefined;
    return decodeEntry(entries.subarray(position * entryBytes, (position + 1) * entryBytes));
  }

  /** The body with this hash, if it is of this epoch. */
  body(vhash: Uint8Array): Uint8Array | undefined {
    return this.#store.get(bodyKey(this.head.kid, vhash), { snapshot: this.#snapshot });
  }

  /** Bodies of this tree by hash, in the order asked; undefined for those that are not of this epoch. */
  async bodies(vhashes: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]> {
    const { kid } = this.head;
    const keys = vhashes.map((vhash) => bodyKey(kid, vhash));
    this.#readers += 1;
    try {
      const found = await this.#store.getMany(keys, { snapshot: this.#snapshot });
      if (this.#onDamage !== undefined) checkBodies(found, vhashes);
      return found;
    } catch (error) {
      if (isDiscoveryError(error, "STORE_CORRUPT")) this.#onDamage?.();
      throw error;
    } finally {
      this.#readers -= 1;
      await this.#closeIfUnread();
    }
  }

  /** Keeps the epoch readable until the release, whatever is published meanwhile. */
  hold(): () => Promise<void> {
    this.#readers += 1;
    let isHeld = true;
    return async () => {
      if (!isHeld) return;
      isHeld = false;
      this.#readers -= 1;
      await this.#closeIfUnread();
    };
  }

  /** No further reads begin; the snapshot goes with the last one under way. */
  async retire(): Promise<void> {
    if (this.#retired) return;
    this.#retired = true;
    await this.#closeIfUnread();
  }

  async #closeIfUnread(): Promise<void> {
    if (!this.#retired || this.#readers > 0) return;
    this.#answers?.clear();
    await this.#snapshot.close();
  }
}

function checkBodies(
  bodies: readonly (Uint8Array | undefined)[],
  vhashes: readonly Uint8Array[],
): void {
  const isRight = bodies.every((body, at) => {
    const vhash = vhashes[at];
    return body === undefined || (vhash !== undefined && equalBytes(sha256(body), vhash));
  });
  if (!isRight) throw corrupt("a body");
}

function corrupt(what: string): DiscoveryError {
  return new DiscoveryError("STORE_CORRUPT", `${what} is not what the head says`);
}
