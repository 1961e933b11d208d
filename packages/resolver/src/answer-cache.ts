// Answers and absences by contact (protocol.md section 8): fresh answer before fresh absence before stale
// answer. A hit costs one map look-up: no hashing, no decoding. Failures are failure-cache.ts.

import { limits, type Csi } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { Answer, AnswerForm } from "./answer.js";
import type { CacheUse } from "./cache-shares.js";
import type { Merged } from "./merge.js";
import { SegmentedCache } from "./segmented-cache.js";
import { SharedParts } from "./shared-parts.js";

export interface CachedAnswer<F extends AnswerForm = AnswerForm> {
  readonly answer: Answer<F>;
  /** The promise that every hit gets. */
  readonly settled: Promise<Answer<F>>;
  /** For filters that the answer was not made with. */
  readonly merged: Merged<F>;
  /** Monotonic milliseconds. Written in place by `expire`. */
  expiresMs: number;
  /** Until when it may be served stale, monotonic milliseconds; before its mappings end. */
  readonly staleUntilMs: number;
  /** Beside what every answer takes. */
  readonly bytes: number;
  /** From when a hit asks for the successor, monotonic milliseconds; Infinity once it has. */
  prefetchFromMs: number;
  /** Times that it was given out. Written in place: a hit must not allocate. */
  hits: number;
}

export interface AnswerCacheOptions {
  readonly clock: Clock;
  readonly bytes: number;
}

/** Objects of one cached answer beside its mappings and keys, as the heap has them (bench `memory`). */
const answerBytes = 900;
const forms = ["verbose", "compact"] as const;

export interface AnswerRow {
  readonly csi: Csi;
  readonly form: AnswerForm;
  readonly cached: CachedAnswer;
}

export class AnswerCache {
  readonly #clock: Clock;
  readonly #answers: Readonly<Record<AnswerForm, SegmentedCache<CachedAnswer>>>;

  /** Of all its answers. */
  readonly shared = new SharedParts();

  constructor({ clock, bytes }: AnswerCacheOptions) {
    this.#clock = clock;
    this.#answers = { verbose: answers(bytes / 2), compact: answers(bytes / 2) };
  }

  /** As `fresh`, counted; tells when a successor should be asked for, once for each answer. */
  hit<F extends AnswerForm>(
    form: F,
    csi: Csi,
    onDue: (form: AnswerForm, csi: Csi) => void,
  ): CachedAnswer<F> | undefined {
    const cached = this.#answers[form].get(csi);
    if (cached === undefined) return undefined;
    const nowMs = this.#clock.monotonicMs();
    if (cached.expiresMs <= nowMs) return undefined;
    cached.hits += 1;
    if (cached.prefetchFromMs <= nowMs && cached.hits >= limits.prefetchHitsMin) {
      cached.prefetchFromMs = Infinity;
      onDue(form, csi);
    }
    return cached as CachedAnswer<F>; // each cache holds one form
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
    // What the other form still says is older than this proof, and would outlive a revocation.
    const { status, proof } = cached.answer;
    if (status === "none" && proof.kind === "absence") {
      this.#answers[form === "verbose" ? "compact" : "verbose"].delete(csi);
    }
  }

  /** Its zone has news of where it lies: asked anew when it is next wanted, and shown marked where that fails. */
  expire({ csi, form, cached }: AnswerRow): void {
    const nowMs = this.#clock.monotonicMs();
    if (cached.expiresMs <= nowMs) return;
    if (cached.staleUntilMs > cached.expiresMs) cached.expiresMs = nowMs;
    else this.#answers[form].delete(csi); // what is never served stale
  }

  /** The user acted, or the answer is to be asked anew. Says how many it held. */
  forget(csi: Csi): number {
    return forms.filter((form) => this.#answers[form].delete(csi)).length;
  }

  /** Drops what the test names; says how many. */
  forgetWhere(test: (row: AnswerRow) => boolean): number {
    let dropped = 0;
    for (const row of this.rows()) {
      if (test(row) && this.#answers[row.form].delete(row.csi)) dropped += 1;
    }
    return dropped;
  }

  clear(): void {
    for (const form of forms) this.#answers[form].clear();
    this.shared.clear();
  }

  /** What is held, the expired included; time may pass between two rows. */
  *rows(): Generator<AnswerRow> {
    for (const form of forms) {
      for (const key of this.#answers[form].keys()) {
        const cached = this.#answers[form].peek(key);
        if (cached !== undefined) yield { csi: key as Csi, form, cached }; // keys are those of `set`
      }
    }
  }

  get use(): CacheUse {
    const [verbose, compact] = [this.#answers.verbose.use, this.#answers.compact.use];
    return {
      entries: verbose.entries + compact.entries,
      bytes: verbose.bytes + compact.bytes,
      bytesMax: verbose.bytesMax + compact.bytesMax,
    };
  }
}

function answers(bytesMax: number): SegmentedCache<CachedAnswer> {
  return new SegmentedCache({
    bytesMax,
    bytesOf: ({ bytes }, csi) => bytes + csi.length + answerBytes,
  });
}
