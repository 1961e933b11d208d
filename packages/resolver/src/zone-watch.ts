// Listening for the new heads of one zone (Zone.Watch), as long as it is used. A stream that breaks, falls silent or
// says more than a zone can have to say is left alone for a while: without it everything is asked for as ever.

import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import type { Clock, Random, Scheduled } from "@whither/runtime";
import type { ZoneWatchResponse } from "@whither/wire";

export interface ZoneWatchOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** A stream from one of the zone's servers, whichever is best now. */
  readonly open: (options: { readonly signal: AbortSignal }) => AsyncIterable<ZoneWatchResponse>;
  /** Takes what was pushed; the stream waits for it. */
  readonly onPush: (pushed: ZoneWatchResponse) => Promise<void>;
}

/** A stream is silent for longer than two keep-alives: its server is gone, or says nothing on purpose. */
const silenceMs = 2.5 * limits.watchKeepAliveSeconds * 1_000;
/** Messages that may come at once, as after a pause, and time after which one more may: thrice what a zone publishes. */
const pushesBurst = 16;
const pushMs = (limits.epochSeconds * 1_000) / 3;
const firstRetrySeconds = limits.failureTtlSecondsMin;
const longestRetrySeconds = limits.failureTtlSecondsMax;

export class ZoneWatch {
  readonly #options: ZoneWatchOptions;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: ZoneWatchOptions) {
    this.#options = options;
    this.#running = Promise.resolve().then(() => this.#run());
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const startMs = clock.monotonicMs();
      let isForLong = false;
      try {
        await this.#listen();
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
        // No Watch there, or no room: not for a while.
        isForLong = error.code === "NOT_AVAILABLE" || error.code === "OVERLOADED";
      }
      // One that stood for long ended for another reason than the last one: a restart, as a rule.
      const hasStood = clock.monotonicMs() - startMs >= longestRetrySeconds * 1_000;
      failures = isForLong ? Infinity : hasStood ? 1 : failures + 1;
      // An aborted sleep is the end of the loop.
      await clock.sleep(this.#waitMs(failures), { signal }).catch(() => undefined);
    }
  }

  async #listen(): Promise<void> {
    const { clock, open, onPush } = this.#options;
    const over = new AbortController();
    const pace = new Pace(clock);
    let silence: Scheduled | undefined;
    const listen = (): void => {
      silence?.cancel();
      silence = clock.schedule(silenceMs, () =>
        over.abort(new DiscoveryError("DEADLINE", "silent")),
      );
    };
    try {
      listen();
      for await (const pushed of open({
        signal: AbortSignal.any([this.#closing.signal, over.signal]),
      })) {
        if (!pace.takes()) throw new DiscoveryError("LIMITED", "pushes more than a zone publishes");
        listen();
        await onPush(pushed);
      }
    } finally {
      silence?.cancel();
      over.abort();
    }
  }

  /** ±10 %, so that those whom a restart cut off do not come back all at once. */
  #waitMs(failures: number): number {
    const seconds = Math.min(firstRetrySeconds * 2 ** (failures - 1), longestRetrySeconds);
    return Math.round(seconds * 1_000 * (0.9 + (0.2 * this.#options.random.uint32()) / 2 ** 32));
  }
}

/** What each message costs is bounded by how many are read. */
class Pace {
  readonly #clock: Clock;
  #left = pushesBurst;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  takes(): boolean {
    const nowMs = this.#clock.monotonicMs();
    this.#left = Math.min(pushesBurst, this.#left + (nowMs - this.#atMs) / pushMs);
    this.#atMs = nowMs;
    this.#left -= 1;
    return this.#left >= 0;
  }
}
