// The statements that removed slots, kept as long as an offer lives: within that time an older statement
// that was signed but never sent could bring a removed slot back. Later its offer has expired. Memory only.

import { DiscoveryError, limits } from "@whither/protocol";
import { toHex } from "@whither/crypto/node";
import type { Clock } from "@whither/runtime";

/** Removals of one offer's lifetime; 1 KiB each. */
const removalsMax = 65_536;

export interface Removals {
  /** Throws OVERLOADED when no more removals can be remembered. */
  requireRoom(): void;
  /** Remembers the encoded, empty SlotBody of a removal. */
  add(idx: Uint8Array, plaintext: Uint8Array): void;
  get(idx: Uint8Array): Uint8Array | undefined;
  delete(idx: Uint8Array): void;
}

export function createRemovals(options: {
  readonly clock: Clock;
  readonly max?: number;
}): Removals {
  const { clock, max = removalsMax } = options;
  // In order of time: what is added again goes to the end.
  const kept = new Map<string, { readonly plaintext: Uint8Array; readonly until: number }>();
  const prune = (): void => {
    const nowSeconds = clock.nowSeconds();
    for (const [key, { until }] of kept) {
      if (until > nowSeconds) return;
      kept.delete(key);
    }
  };
  return {
    requireRoom() {
      prune();
      if (kept.size < max) return;
      const retryAfterSeconds = limits.offerSeconds;
      throw new DiscoveryError("OVERLOADED", "too many removals", { retryAfterSeconds });
    },
    add(idx, plaintext) {
      const key = toHex(idx);
      kept.delete(key);
      const until = clock.nowSeconds() + limits.offerSeconds + limits.clockSkewSeconds;
      kept.set(key, { plaintext, until });
    },
    get(idx) {
      prune();
      return kept.get(toHex(idx))?.plaintext;
    },
    delete(idx) {
      kept.delete(toHex(idx));
    },
  };
}
