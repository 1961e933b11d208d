// Replies by name and type, ready to be finished: bounded in bytes, never longer than the resolver's own TTL.

import type { Clock } from "@whither/runtime";
import { LRUCache } from "lru-cache";
import type { StoredReply } from "./response.js";

export interface CachedReply {
  readonly stored: StoredReply;
  readonly storedMs: number;
  readonly seconds: number;
}

/** Objects of an entry beside its octets. */
const entryBytes = 500;

export class ReplyCache {
  readonly #clock: Clock;
  readonly #replies: LRUCache<string, CachedReply>;
  #hits = 0;
  #misses = 0;

  constructor({ clock, bytes }: { readonly clock: Clock; readonly bytes: number }) {
    this.#clock = clock;
    this.#replies = new LRUCache({
      maxSize: bytes,
      sizeCalculation: ({ stored }, key) => stored.records.length + 2 * key.length + entryBytes,
    });
  }

  /** A reply in its time, with its age. */
  get(key: string): { readonly stored: StoredReply; readonly ageSeconds: number } | undefined {
    const cached = this.#replies.get(key);
    if (cached !== undefined) {
      const ageSeconds = Math.floor((this.#clock.monotonicMs() - cached.storedMs) / 1_000);
      if (ageSeconds < cached.seconds) {
        this.#hits += 1;
        return { stored: cached.stored, ageSeconds };
      }
      this.#replies.delete(key);
    }
    this.#misses += 1;
    return undefined;
  }

  set(key: string, stored: StoredReply, seconds: number): void {
    if (seconds <= 0) return;
    this.#replies.set(key, { stored, seconds, storedMs: this.#clock.monotonicMs() });
  }

  /** What is shown of providers has changed, or what the replies were made of is gone. */
  clear(): void {
    this.#replies.clear();
  }

  stats(): {
    readonly replies: number;
    readonly bytes: number;
    readonly hits: number;
    readonly misses: number;
  } {
    const { size: replies, calculatedSize: bytes } = this.#replies;
    return { replies, bytes, hits: this.#hits, misses: this.#misses };
  }
}
