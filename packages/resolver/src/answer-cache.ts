// Answers, absences and failures by contact (protocol.md section 8): fresh answer before fresh absence
// before stale answer before failure. A hit costs one map look-up: no hashing, no decoding.

import { limits, type Csi, type DiscoveryError } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { LRUCache } from "lru-cache";
import type { Answer, AnswerForm, HopRecord } from "./answer.js";
import type { Merged } from "./merge.js";

export interface CachedAnswer<F extends AnswerForm = AnswerForm> {
  readonly answer: Answer<F>;
  /** The promise that every hit gets. */
  readonly settled: Promise<Answer<F>>;
  /** For filters that the answer was not made with; its mappings are decoded when asked for. */
  readonly merged: Merged<F>;
  readonly hops: readonly HopRecord[];
  /** Monotonic milliseconds. */
  readonly expiresMs: number;
  /** Until when it may be served stale, monotonic milliseconds; before its mappings end. */
  readonly staleUntilMs: number;
  readonly bytes: number;
}

interface CachedFailure {
  readonly error: DiscoveryError;
  readonly untilMs: number;
  readonly seconds: number;
}

export interface AnswerCacheOptions {
  readonly clock: Clock;
  readonly bytes: number;
}

/** Objects of one cached answer beside the bytes its mappings are decoded from. */
const answerBytes = 900;
const failureBytes = 500;
const failuresShare = 0.05;

export class AnswerCache {
  readonly #clock: Clock;
  readonly #answers: Readonly<Record<AnswerForm, LRUCache<Csi, CachedAnswer>>>;
  readonly #failures: LRUCache<string, CachedFailure>;

  constructor({ clock, bytes }: AnswerCacheOptions) {
    this.#clock = clock;
    const share = bytes * (1 - failuresShare);
    this.#answers = { verbose: answers(share / 2), compact: answers(share / 2) };
    this.#failures = new LRUCache({
      max: Math.max(1, Math.floor((bytes * failuresShare) / failureBytes)),
    });
  }

  /** An answer or absence that need not be asked again. */
  fresh<F extends AnswerForm>(form: F, csi: Csi): CachedAnswer<F> | undefined {
    const cached = this.#answers[form].get(csi);
    if (cached === undefined || cached.expiresMs <= this.#clock.monotonicMs()) return undefined;
    return cached as CachedAnswer<F>; // each cache holds one form
  }

  /** An expired answer that may still be shown, marked, when nothing newer can be had. */
  stale<F extends AnswerForm>(form: F, csi: Csi): CachedAnswer<F> | undefined {
    const cached = this.#answers[form].peek(csi);
    if (cached === undefined || cached.staleUntilMs <= this.#clock.monotonicMs()) return undefined;
    return cached as CachedAnswer<F>; // each cache holds one form
  }

  set<F extends AnswerForm>(form: F, csi: Csi, cached: CachedAnswer<F>): void {
    this.#answers[form].set(csi, cached);
    this.#failures.delete(`${form} ${csi}`);
  }

  /** The user acted, or the answer is to be asked anew. */
  forget(csi: Csi): void {
    for (const form of ["verbose", "compact"] as const) {
      this.#answers[form].delete(csi);
      this.#failures.delete(`${form} ${csi}`);
    }
  }

  /** A failure that is too young to be tried again. */
  failure(form: AnswerForm, csi: Csi): DiscoveryError | undefined {
    const failure = this.#failures.get(`${form} ${csi}`);
    return failure !== undefined && failure.untilMs > this.#clock.monotonicMs()
      ? failure.error
      : undefined;
  }

  /** Remembers a failure: 5 s, twice as long each time, at most 300 s (RFC 2308 section 7). */
  fail(form: AnswerForm, csi: Csi, error: DiscoveryError): void {
    const key = `${form} ${csi}`;
    const before = this.#failures.get(key)?.seconds ?? 0;
    const seconds = Math.min(
      limits.failureTtlSecondsMax,
      Math.max(limits.failureTtlSecondsMin, 2 * before),
    );
    const untilMs = this.#clock.monotonicMs() + seconds * 1_000;
    this.#failures.set(key, { error, untilMs, seconds });
  }
}

function answers(maxSize: number): LRUCache<Csi, CachedAnswer> {
  return new LRUCache({
    maxSize: Math.max(1, Math.floor(maxSize)),
    sizeCalculation: ({ bytes }, csi) => bytes + csi.length + answerBytes,
  });
}
