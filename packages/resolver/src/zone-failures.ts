// What failed for a whole zone a moment ago and is not tried again yet (RFC 9520 section 3.2; protocol.md section 8):
// bad answers of all its servers to what every contact needs of it. 5 s, twice as long each time, at most 300 s,
// forgotten with the first success. Silence and limits are known of each server: server-choice.ts. What concerns one
// bucket or one contact never stands for its zone: who can spoil one could else hide them all.

import { isDiscoveryError, limits, type DiscoveryError, type ErrorCode } from "@whither/protocol";
import { furtherErrors } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import { LRUCache } from "lru-cache";
import type { ZoneQuery } from "./query.js";

interface Failure {
  readonly error: DiscoveryError;
  readonly seconds: number;
  readonly untilMs: number;
}

/** Of the caller, of a server alone, or mended by asking again. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "CANCELLED",
  "DEADLINE",
  "BUDGET",
  "LIMITED",
  "OVERLOADED",
  "CLOCK_SKEW",
  "CONFIG",
  "NOT_AVAILABLE",
  "NETWORK",
  "UNREACHABLE",
  "PIN_MISMATCH",
  "UNAUTHENTICATED",
  "DEPTH_CHANGED",
  "UNKNOWN_KID",
  "UNKNOWN_BODY",
]);

export class ZoneFailures {
  readonly #clock: Clock;
  readonly #failures: LRUCache<string, Failure>;

  constructor({ clock, max }: { readonly clock: Clock; readonly max: number }) {
    this.#clock = clock;
    this.#failures = new LRUCache({ max });
  }

  get size(): number {
    return this.#failures.size;
  }

  /**
   * Takes a step that every contact of the zone takes unless it failed just now, and remembers how it went. One
   * manifest, one tree's head, one key's evaluation each for itself: a successor that fails stops nobody. A batch
   * waits for servers instead, and a caller who wants it anew gets it. Throws what is remembered or `ask` throws.
   */
  async step<T>(
    step: `${"manifest" | "head" | "evaluate"} ${string}`,
    { zone, realm, patient, refresh }: ZoneQuery,
    ask: () => Promise<T>,
  ): Promise<T> {
    if (patient) return await ask();
    const key = `${zone} ${step} ${realm}`;
    const known = this.#failures.get(key);
    if (!refresh && known !== undefined && known.untilMs > this.#clock.monotonicMs()) {
      throw known.error;
    }
    try {
      const value = await ask();
      this.#failures.delete(key);
      return value;
    } catch (error) {
      if (isDiscoveryError(error) && isZonesOwn(error)) this.#note(key, error);
      throw error;
    }
  }

  clear(): void {
    this.#failures.clear();
  }

  /** Of several contacts that fail together one counts. */
  #note(key: string, error: DiscoveryError): void {
    const before = this.#failures.get(key);
    const nowMs = this.#clock.monotonicMs();
    if (before !== undefined && before.untilMs > nowMs) return;
    const { failureTtlSecondsMin: min, failureTtlSecondsMax: max } = limits;
    const seconds = Math.min(max, Math.max(min, 2 * (before?.seconds ?? 0)));
    this.#failures.set(key, { error, seconds, untilMs: nowMs + seconds * 1_000 });
  }
}

/** Every server that was asked gave a bad answer, and none was left out for want of budget. */
function isZonesOwn(error: DiscoveryError): boolean {
  return [error, ...furtherErrors(error)].every(({ code }) => !passing.has(code));
}
