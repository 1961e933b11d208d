// When a replica asks again: after a period, at once when told, and after a failure later and later, with jitter.

import { limits } from "@whither/protocol";
import type { Clock, Logger, Random, Scheduled } from "@whither/runtime";

const firstRetryMs = limits.failureTtlSecondsMin * 1000;
const longestRetryMs = limits.failureTtlSecondsMax * 1000;
/** Least pause between a round and one that somebody asked for. */
const hurryMs = 250;

export interface RefreshTimerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly zone: string;
  readonly periodMs: () => number;
  readonly round: () => Promise<void>;
}

export class RefreshTimer {
  readonly #options: RefreshTimerOptions;
  #timer: Scheduled | undefined;
  #failures = 0;
  readonly #is = { running: false, wanted: false, closed: false };

  constructor(options: RefreshTimerOptions) {
    this.#options = options;
  }

  get failures(): number {
    return this.#failures;
  }

  /** As it is now: what was set before an await may have changed. */
  get #now(): Readonly<Record<"running" | "wanted" | "closed", boolean>> {
    return this.#is;
  }

  start(): void {
    this.#schedule(0);
  }

  /** A round soon, or another one after the one under way. */
  hurry(): void {
    this.#is.wanted = true;
    if (!this.#is.running) this.#schedule(hurryMs);
  }

  /** The period is another one from now on. */
  restart(): void {
    if (!this.#is.running && this.#failures === 0) this.#schedule(this.#jittered(this.#pauseMs()));
  }

  close(): void {
    this.#is.closed = true;
    this.#timer?.cancel();
  }

  #schedule(ms: number): void {
    this.#timer?.cancel();
    if (this.#is.closed) return;
    this.#timer = this.#options.clock.schedule(ms, () => void this.#run());
  }

  async #run(): Promise<void> {
    const { round, logger, zone } = this.#options;
    this.#is.running = true;
    this.#is.wanted = false;
    try {
      await round();
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      if (!this.#now.closed)
        logger.warn("refresh failed", { zone, error, failures: this.#failures });
    }
    this.#is.running = false;
    // After a failure no push makes it ask a server sooner that is down or false.
    const isNow = this.#now.wanted && this.#failures === 0;
    this.#schedule(isNow ? hurryMs : this.#jittered(this.#pauseMs()));
  }

  #pauseMs(): number {
    if (this.#failures === 0) return this.#options.periodMs();
    return Math.min(firstRetryMs * 2 ** Math.min(this.#failures - 1, 10), longestRetryMs);
  }

  /** ±20 %, so that the replicas of a zone do not come all at once. */
  #jittered(ms: number): number {
    return Math.round(ms * (0.8 + (0.4 * this.#options.random.uint32()) / 2 ** 32));
  }
}
