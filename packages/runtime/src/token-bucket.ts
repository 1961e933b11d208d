// Token buckets (leaky buckets read the other way round): rates with a burst, in any unit — requests,
// bytes, CPU milliseconds, contacts. Time is the clock's monotonic time. No I/O, no timers.
import type { Clock } from "./clock.js";

export interface TokenBucketOptions {
  /** Tokens that flow back a second; may be a fraction. > 0. */
  readonly ratePerSecond: number;
  /** Tokens of a full bucket; a single taking of more never succeeds. > 0. */
  readonly burst: number;
  readonly clock: Clock;
}

export interface Taken {
  readonly ok: boolean;
  /** 0 when ok; else whole seconds until it would be, Infinity for more than a full bucket. */
  readonly retryAfterSeconds: number;
}

export interface TokenBucket {
  /** Takes `amount` (≥ 0) if it is there, else nothing. Taking 0 asks whether the bucket is in debt. */
  tryTake(amount: number, nowMs?: number): Taken;
  /** Takes `amount` after the fact, if need be into debt that later takings wait for. */
  force(amount: number, nowMs?: number): void;
  /** Gives back what was taken and not used, up to a full bucket. */
  refund(amount: number, nowMs?: number): void;
  /** Tokens there now; negative in debt. */
  level(nowMs?: number): number;
}

/** A bucket that starts full. `nowMs` of its methods is monotonic and defaults to the clock's. */
export function createTokenBucket(options: TokenBucketOptions): TokenBucket {
  const { ratePerSecond, burst, clock } = options;
  requirePositive("rate", ratePerSecond);
  requirePositive("burst", burst);
  const ratePerMs = ratePerSecond / 1000;
  let level = burst;
  let atMs = clock.monotonicMs();

  const refill = (nowMs: number): void => {
    // A caller's older reading must not take back what has flowed in since.
    if (nowMs <= atMs) return;
    level = Math.min(burst, level + (nowMs - atMs) * ratePerMs);
    atMs = nowMs;
  };
  return {
    tryTake: (amount, nowMs = clock.monotonicMs()) => {
      requireAmount(amount);
      refill(nowMs);
      if (amount <= level) {
        level -= amount;
        return { ok: true, retryAfterSeconds: 0 };
      }
      const missing = amount - level;
      const seconds = amount > burst ? Infinity : Math.max(1, Math.ceil(missing / ratePerSecond));
      return { ok: false, retryAfterSeconds: seconds };
    },
    force: (amount, nowMs = clock.monotonicMs()) => {
      requireAmount(amount);
      refill(nowMs);
      level -= amount;
    },
    refund: (amount, nowMs = clock.monotonicMs()) => {
      requireAmount(amount);
      refill(nowMs);
      level = Math.min(burst, level + amount);
    },
    level: (nowMs = clock.monotonicMs()) => {
      refill(nowMs);
      return level;
    },
  };
}

function requirePositive(what: string, value: number): void {
  if (!Number.isFinite(value) || value <= 0) {
    throw new TypeError(`token bucket: expected a ${what} above 0, got ${value}`);
  }
}

function requireAmount(amount: number): void {
  if (!Number.isFinite(amount) || amount < 0) {
    throw new TypeError(`token bucket: expected an amount of 0 or more, got ${amount}`);
  }
}
