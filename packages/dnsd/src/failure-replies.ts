// Failures that are too young to be tried again (RFC 9520): SERVFAIL by name, 5 s, twice as long each time, at most
// 300 s, forgotten with the first success. A reply of the cache is looked for first: a failure hides no data.

import { isDiscoveryError, limits } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { LRUCache } from "lru-cache";
import type { StoredReply } from "./response.js";

interface Failure {
  readonly stored: StoredReply;
  readonly untilMs: number;
  /** How long the next one lasts is twice this. */
  readonly seconds: number;
}

/** Names: some 10 MB at most. Whoever makes names fail pushes out other failures, and nothing else. */
const failuresMax = 10_000;

export class FailureReplies {
  readonly #clock: Clock;
  readonly #failures = new LRUCache<string, Failure>({ max: failuresMax });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#failures.size;
  }

  /** What the name failed with, while it is not to be tried again. */
  get(name: string): StoredReply | undefined {
    const failure = this.#failures.get(name);
    return failure !== undefined && failure.untilMs > this.#clock.monotonicMs()
      ? failure.stored
      : undefined;
  }

  /** The name failed. `cause` may say when to come back, which is heeded within the same bounds. */
  fail(name: string, stored: StoredReply, cause?: unknown): void {
    // Two types of one name that failed at once are one failure.
    if (this.get(name) !== undefined) return;
    const { failureTtlSecondsMin: min, failureTtlSecondsMax: max } = limits;
    const before = this.#failures.get(name)?.seconds ?? 0;
    const seconds = Math.min(max, Math.max(min, 2 * before));
    const told = isDiscoveryError(cause, "LIMITED") ? cause.retryAfterSeconds : undefined;
    const waitSeconds = told === undefined ? seconds : Math.min(max, Math.max(1, told));
    const untilMs = this.#clock.monotonicMs() + waitSeconds * 1_000;
    this.#failures.set(name, { stored, untilMs, seconds });
  }

  /** It went well. */
  forget(name: string): void {
    this.#failures.delete(name);
  }

  clear(): void {
    this.#failures.clear();
  }
}
