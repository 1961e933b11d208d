// A clock that stands still until a test moves it. Timers due on the way run in order, and what they set
// off settles before the next one; nothing ever waits for real time.
import { abortError, type Clock, type Scheduled } from "@whither/runtime";

export interface SimulatedClockOptions {
  /** Wall clock at the start, milliseconds since the Unix epoch; 2027-01-15T08:00:00Z unless told. */
  readonly startMs?: number;
}

export interface SimulatedClock extends Clock {
  /** Moves time on by `ms`, running every timer due on the way at its time, in order. */
  advance(ms: number): Promise<void>;
  /** Lets what is under way settle without moving time. */
  settle(): Promise<void>;
  /** Moves the wall clock alone, forwards or back, as a wrong clock or a leap does. */
  shiftWall(ms: number): void;
  /** Timers and sleeps that wait. */
  pending(): number;
}

interface Timer {
  readonly dueMs: number;
  /** Order of making: timers due together run in it. */
  readonly order: number;
  readonly fn: () => void;
}

const defaultStartMs = Date.UTC(2027, 0, 15, 8);

export function createSimulatedClock(options: SimulatedClockOptions = {}): SimulatedClock {
  let wallMs = options.startMs ?? defaultStartMs;
  let elapsedMs = 0;
  let made = 0;
  const timers = new Set<Timer>();

  const schedule = (ms: number, fn: () => void): Scheduled => {
    const timer: Timer = { dueMs: elapsedMs + Math.max(0, ms), order: made++, fn };
    timers.add(timer);
    return {
      cancel: () => {
        timers.delete(timer);
      },
    };
  };
  const nextDue = (untilMs: number): Timer | undefined => {
    let next: Timer | undefined;
    for (const timer of timers) {
      if (timer.dueMs > untilMs) continue;
      const earlier =
        next === undefined ||
        timer.dueMs < next.dueMs ||
        (timer.dueMs === next.dueMs && timer.order < next.order);
      if (earlier) next = timer;
    }
    return next;
  };
  const moveTo = (ms: number): void => {
    wallMs += ms - elapsedMs;
    elapsedMs = ms;
  };
  return {
    nowMs: () => wallMs,
    nowSeconds: () => Math.floor(wallMs / 1000),
    monotonicMs: () => elapsedMs,
    schedule,
    sleep: (ms, { signal } = {}) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) {
          reject(abortError(signal));
          return;
        }
        const onAbort = (): void => {
          timer.cancel();
          if (signal !== undefined) reject(abortError(signal));
        };
        const timer = schedule(ms, () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        });
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
    advance: async (ms) => {
      if (!(ms >= 0)) throw new TypeError(`clock: expected to advance by 0 or more, got ${ms}`);
      const endMs = elapsedMs + ms;
      await settle();
      for (let timer = nextDue(endMs); timer !== undefined; timer = nextDue(endMs)) {
        timers.delete(timer);
        moveTo(Math.max(elapsedMs, timer.dueMs));
        timer.fn();
        await settle();
      }
      moveTo(endMs);
    },
    settle,
    shiftWall: (ms) => {
      wallMs += ms;
    },
    pending: () => timers.size,
  };
}

/** Turns of the event loop given to work under way: enough for promises that pass through setImmediate. */
const settleTurns = 4;

async function settle(): Promise<void> {
  for (let turn = 0; turn < settleTurns; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
