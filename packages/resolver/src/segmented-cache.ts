// A byte-accounted cache that a scan cannot empty: what was asked for once lies in one segment, what was
// asked for again in another, and only the first makes room for newcomers (segmented LRU; the attack is the
// cache flush by random names). Knows nothing of time: when an entry is too old is its owner's to say.

import { LRUCache } from "lru-cache";
import type { CacheUse } from "./cache-shares.js";

export interface SegmentedCacheOptions<V> {
  /** Keys and values together, as `bytesOf` counts them; never exceeded. */
  readonly bytesMax: number;
  /** Bytes that an entry keeps, its key and the cache's own records included. */
  readonly bytesOf: (value: V, key: string) => number;
}

/** Of the whole; the rest is always there for newcomers. */
const oftenShare = 0.8;

export class SegmentedCache<V extends object> {
  readonly #bytesMax: number;
  readonly #oftenBytesMax: number;
  readonly #bytesOf: (value: V, key: string) => number;
  readonly #once: LRUCache<string, V>;
  readonly #often: LRUCache<string, V>;

  constructor({ bytesMax, bytesOf }: SegmentedCacheOptions<V>) {
    this.#bytesMax = Math.max(1, Math.floor(bytesMax));
    this.#oftenBytesMax = Math.floor(this.#bytesMax * oftenShare);
    this.#bytesOf = bytesOf;
    this.#once = new LRUCache({ maxSize: this.#bytesMax });
    this.#often = new LRUCache({ maxSize: this.#bytesMax });
  }

  /** The second `get` of an entry costs a move; every later one, one look-up. */
  get(key: string): V | undefined {
    return this.#often.get(key) ?? this.#promoted(key);
  }

  /** Without counting as a use. */
  peek(key: string): V | undefined {
    return this.#often.peek(key) ?? this.#once.peek(key);
  }

  /** What is larger than the whole cache is not kept. */
  set(key: string, value: V): void {
    const segment = this.#often.has(key) ? this.#often : this.#once;
    segment.delete(key);
    const size = this.#sizeOf(value, key);
    if (size > this.#bytesMax) return;
    this.#makeRoom(size);
    segment.set(key, value, { size });
    this.#demote();
  }

  delete(key: string): boolean {
    return this.#often.delete(key) || this.#once.delete(key);
  }

  clear(): void {
    this.#often.clear();
    this.#once.clear();
  }

  /** Keys now held, those used latest first; a copy, so that time may pass between them. */
  keys(): readonly string[] {
    return [...this.#often.keys(), ...this.#once.keys()];
  }

  get use(): CacheUse {
    const entries = this.#often.size + this.#once.size;
    return { entries, bytes: this.#bytes, bytesMax: this.#bytesMax };
  }

  get #bytes(): number {
    return this.#often.calculatedSize + this.#once.calculatedSize;
  }

  #sizeOf(value: V, key: string): number {
    return Math.max(1, Math.ceil(this.#bytesOf(value, key)));
  }

  #promoted(key: string): V | undefined {
    const value = this.#once.get(key);
    if (value === undefined) return undefined;
    const size = this.#sizeOf(value, key);
    if (size > this.#oftenBytesMax) return value;
    this.#once.delete(key);
    this.#often.set(key, value, { size });
    this.#demote();
    return value;
  }

  #makeRoom(size: number): void {
    while (this.#bytes + size > this.#bytesMax) {
      // Above its share the other segment cannot be: what it holds is let go only when nothing else is left.
      if (this.#once.size > 0) this.#once.pop();
      else this.#often.pop();
    }
  }

  /** What was used least of the often used begins anew among the others. */
  #demote(): void {
    while (this.#often.calculatedSize > this.#oftenBytesMax) {
      const [key] = this.#often.rkeys();
      if (key === undefined) return;
      const value = this.#often.peek(key);
      this.#often.delete(key);
      if (value !== undefined) this.#once.set(key, value, { size: this.#sizeOf(value, key) });
    }
  }
}
