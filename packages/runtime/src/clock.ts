// Time as a capability: wall clock, monotonic clock, sleeping and scheduling. The only place of the
// product that reads the machine's time; tests hand in a simulated clock (testkit) instead.
import { DiscoveryError } from "@whither/protocol";

export interface Scheduled {
  /** Takes the call back; after it has run, or twice, this does nothing. */
  cancel(): void;
}

export interface SleepOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch; may jump. For what is signed or shown. */
  nowMs(): number;
  /** Wall clock, whole seconds since the Unix epoch. */
  nowSeconds(): number;
  /** Milliseconds since some fixed point, with fractions; never goes back. For rates and durations. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects at once with the signal's reason as a DiscoveryError if it aborts. */
  sleep(ms: number, options?: SleepOptions): Promise<void>;
  /** Calls `fn` once after `ms`. Does not keep a process alive: background work has another owner. */
  schedule(ms: number, fn: () => void): Scheduled;
}

/** Longest delay Node's timers take; a longer wait is made of several. */
const timerMsMax = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  nowSeconds: () => Math.floor(Date.now() / 1000),
  monotonicMs: () => performance.now(),
  sleep: (ms, { signal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortError(signal));
        return;
      }
      const timer = startTimer({ ms, keepAlive: true, fn: onTime });
      function onTime(): void {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }
      function onAbort(this: AbortSignal): void {
        timer.cancel();
        reject(abortError(this));
      }
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  schedule: (ms, fn) => startTimer({ ms, keepAlive: false, fn }),
};

function startTimer(options: {
  readonly ms: number;
  readonly keepAlive: boolean;
  readonly fn: () => void;
}): Scheduled {
  let timer: NodeJS.Timeout;
  const arm = (leftMs: number): void => {
    timer = setTimeout(
      () => {
        if (leftMs > timerMsMax) arm(leftMs - timerMsMax);
        else options.fn();
      },
      Math.min(Math.max(leftMs, 0), timerMsMax),
    );
    if (!options.keepAlive) timer.unref();
  };
  arm(options.ms);
  return {
    cancel: () => {
      clearTimeout(timer);
    },
  };
}

/**
 * The failure that an aborted signal stands for: its reason if that is a DiscoveryError (a deadline, a
 * shutdown), else CANCELLED with the reason as cause.
 */
export function abortError(signal: AbortSignal): DiscoveryError {
  const reason: unknown = signal.reason;
  if (reason instanceof DiscoveryError) return reason;
  // AbortSignal.timeout() of callers outside aborts with a TimeoutError.
  if (reason instanceof Error && reason.name === "TimeoutError") {
    return new DiscoveryError("DEADLINE", "the caller's time is used up", { cause: reason });
  }
  return new DiscoveryError("CANCELLED", "the caller gave up", { cause: reason });
}
