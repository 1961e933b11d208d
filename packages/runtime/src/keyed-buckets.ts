// Token buckets by key (client identity, address prefix) in bounded memory. The bound must not become
// the way around the limit: whoever can make keys would otherwise push out his own spent bucket.
import type { Clock } from "./clock.js";
import { createTokenBucket, type Taken, type TokenBucket } from "./token-bucket.js";

export interface BucketLimit {
  readonly ratePerSecond: number;
  readonly burst: number;
}

export interface KeyedBucketsOptions extends BucketLimit {
  /** Buckets kept at once, ≥ 1. About 200 bytes each. */
  readonly keysMax: number;
  readonly clock: Clock;
  /** Another limit for some keys (an MSP's registered quota); undefined = the general one. */
  readonly limitOf?: (key: string) => BucketLimit | undefined;
}

export interface KeyedBuckets {
  tryTake(key: string, amount: number, nowMs?: number): Taken;
  force(key: string, amount: number, nowMs?: number): void;
  refund(key: string, amount: number, nowMs?: number): void;
  level(key: string, nowMs?: number): number;
  /** Buckets kept now, and how often a key without room was put on the shared one. */
  stats(): { readonly keys: number; readonly overflows: number };
}

/** Buckets looked at, oldest first, when a new key needs room: bounds the work of one request. */
const evictionScan = 16;

/**
 * A bucket for each key, made full on first use. Only a bucket that is full again is ever dropped: it
 * holds nothing that a new one would not. While `keysMax` buckets are all in use, further keys share
 * one overflow bucket of the general limit; so no active key's limit is ever reset, strangers get less
 * instead, and `stats().overflows` tells.
 */
export function createKeyedBuckets(options: KeyedBucketsOptions): KeyedBuckets {
  const { keysMax, clock } = options;
  if (!Number.isInteger(keysMax) || keysMax < 1) {
    throw new TypeError(`keyed buckets: expected keysMax of 1 or more, got ${keysMax}`);
  }
  interface Kept {
    readonly bucket: TokenBucket;
    readonly burst: number;
  }
  const makeKept = (limit: BucketLimit): Kept => ({
    bucket: createTokenBucket({ ratePerSecond: limit.ratePerSecond, burst: limit.burst, clock }),
    burst: limit.burst,
  });
  const kept = new Map<string, Kept>(); // least recently used first
  const overflow = makeKept(options).bucket;
  let overflows = 0;

  const makeRoom = (nowMs: number): boolean => {
    if (kept.size < keysMax) return true;
    let scanned = 0;
    for (const [key, entry] of kept) {
      if (entry.bucket.level(nowMs) >= entry.burst) {
        kept.delete(key);
        return true;
      }
      if (++scanned >= evictionScan) break;
      // To the end, so that the next scan looks at others and a few long debts don't hide free places.
      kept.delete(key);
      kept.set(key, entry);
    }
    return false;
  };
  const bucketOf = (key: string, nowMs: number): TokenBucket => {
    const known = kept.get(key);
    if (known !== undefined) {
      kept.delete(key);
      kept.set(key, known);
      return known.bucket;
    }
    if (!makeRoom(nowMs)) {
      overflows += 1;
      return overflow;
    }
    const made = makeKept(options.limitOf?.(key) ?? options);
    kept.set(key, made);
    return made.bucket;
  };
  return {
    tryTake: (key, amount, nowMs = clock.monotonicMs()) =>
      bucketOf(key, nowMs).tryTake(amount, nowMs),
    force: (key, amount, nowMs = clock.monotonicMs()) => {
      bucketOf(key, nowMs).force(amount, nowMs);
    },
    refund: (key, amount, nowMs = clock.monotonicMs()) => {
      bucketOf(key, nowMs).refund(amount, nowMs);
    },
    level: (key, nowMs = clock.monotonicMs()) => bucketOf(key, nowMs).level(nowMs),
    stats: () => ({ keys: kept.size, overflows }),
  };
}
