// Failures that are too young to be tried again (RFC 2308 section 7, RFC 9520): 5 s, twice as long each time,
// at most 300 s, forgotten with the first success. By form and contact; what is
// down for every contact is server-choice.ts, and what is spoilt for every one zone-failures.ts.

import { isDiscoveryError, limits, type Csi, type DiscoveryError } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { LRUCache } from "lru-cache";
import type { AnswerForm } from "./answer.js";
import type { CacheUse } from "./cache-shares.js";
import { ZoneFailures } from "./zone-failures.js";

interface Failure {
  readonly error: DiscoveryError;
  readonly untilMs: number;
  readonly seconds: number;
}

export interface FailureCacheOptions {
  readonly clock: Clock;
  readonly bytes: number;
}

export interface FailureRow {
  readonly form: AnswerForm;
  readonly csi: Csi;
  readonly error: DiscoveryError;
  /** Milliseconds until the next try. */
  readonly waitMs: number;
}

/** A DiscoveryError with its stack, a key, the cache's own records. */
const failureBytes = 1_000;
const forms = ["verbose", "compact"] as const;
/** The part of the bytes that zones may take. */
const zonesShare = 1 / 8;

export class FailureCache {
  readonly #clock: Clock;
  readonly #bytes: number;
  readonly zones: ZoneFailures;
  readonly #contacts: Readonly<Record<AnswerForm, LRUCache<Csi, Failure>>>;

  constructor({ clock, bytes }: FailureCacheOptions) {
    this.#clock = clock;
    this.#bytes = bytes;
    const places = (share: number): number =>
      Math.max(1, Math.floor((bytes * share) / failureBytes));
    this.zones = new ZoneFailures({ clock, max: places(zonesShare) });
    const max = places((1 - zonesShare) / forms.length);
    this.#contacts = { verbose: new LRUCache({ max }), compact: new LRUCache({ max }) };
  }

  get(form: AnswerForm, csi: Csi): DiscoveryError | undefined {
    const failure = this.#contacts[form].get(csi);
    return failure !== undefined && failure.untilMs > this.#clock.monotonicMs()
      ? failure.error
      : undefined;
  }

  fail(form: AnswerForm, csi: Csi, error: DiscoveryError): void {
    const failure = this.#next(this.#contacts[form].get(csi), error);
    this.#contacts[form].set(csi, failure);
  }

  /** It went well, or is to be tried now. Says how many were held. */
  forget(csi: Csi, only: readonly AnswerForm[] = forms): number {
    return only.filter((form) => this.#contacts[form].delete(csi)).length;
  }

  forgetWhere(test: (csi: Csi) => boolean): number {
    let dropped = 0;
    for (const form of forms) {
      for (const csi of [...this.#contacts[form].keys()]) {
        if (test(csi) && this.#contacts[form].delete(csi)) dropped += 1;
      }
    }
    return dropped;
  }

  clear(): void {
    this.zones.clear();
    for (const form of forms) this.#contacts[form].clear();
  }

  *rows(): Generator<FailureRow> {
    for (const form of forms) {
      for (const csi of [...this.#contacts[form].keys()]) {
        const failure = this.#contacts[form].peek(csi);
        if (failure === undefined) continue;
        const waitMs = Math.max(0, failure.untilMs - this.#clock.monotonicMs());
        yield { form, csi, error: failure.error, waitMs };
      }
    }
  }

  get use(): CacheUse {
    const { verbose, compact } = this.#contacts;
    const entries = verbose.size + compact.size + this.zones.size;
    return { entries, bytes: entries * failureBytes, bytesMax: this.#bytes };
  }

  #next(before: Failure | undefined, error: DiscoveryError): Failure {
    const { failureTtlSecondsMin: min, failureTtlSecondsMax: max } = limits;
    const seconds = Math.min(max, Math.max(min, 2 * (before?.seconds ?? 0)));
    // A server that says when it wants to be asked again is taken at its word, within the same bound.
    const told = isDiscoveryError(error, "LIMITED") ? error.retryAfterSeconds : undefined;
    const waitSeconds = told === undefined ? seconds : Math.min(max, Math.max(1, told));
    return { error, seconds, untilMs: this.#clock.monotonicMs() + waitSeconds * 1_000 };
  }
}
