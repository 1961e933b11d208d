// A clock that stands still until a test moves it. Timers due on the way run in order, and what they set
// off settles before the next one; nothing ever waits for real time.
import { abortError, type Clock, type Scheduled } from "@whither/runtime";

export interface SimulatedClockOptions {
  /** Wall clock at the start, milliseconds since the Unix epoch; 2027-01-15T08:00:00Z unless told. */
  readonly startMs?: number;
  /**
   * Whether all that is waited for is promises and setImmediate: no file, no socket, no thread. Then a turn that leaves
   * none of them is the last one given to it. Default: false.
   */
  readonly isInMemory?: boolean;
}

export interface SimulatedClock extends Clock {
  /** Moves time on by `ms`, running every timer due on the way at its time, in order. */
  advance(ms: number): Promise<void>;
  /** Moves time on from timer to timer until the work is done. Throws when nothing is left to happen. */
  runUntil<T>(work: Promise<T>): Promise<T>;
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
  const { startMs = defaultStartMs, isInMemory = false } = options;
  const settle = settleIn({ isInMemory });
  let wallMs = startMs;
  let elapsedMs = 0;
  let made = 0;
  /** The one that runs next is the last: taking it moves no other. */
  const timers: Timer[] = [];

  const schedule = (ms: number, fn: () => void): Scheduled => {
    const timer: Timer = { dueMs: elapsedMs + Math.max(0, ms), order: made++, fn };
    timers.splice(placeOf(timers, timer), 0, timer);
    return {
      cancel: () => {
        const place = placeOf(timers, timer);
        if (timers[place] === timer) timers.splice(place, 1);
      },
    };
  };
  const takeDue = (untilMs: number): Timer | undefined => {
    const next = timers.at(-1);
    return next === undefined || next.dueMs > untilMs ? undefined : timers.pop();
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
    sleep: (ms, { signal } = {}) => sleepOn(schedule, ms, signal),
    advance: async (ms) => {
      if (!(ms >= 0)) throw new TypeError(`clock: expected to advance by 0 or more, got ${ms}`);
      const endMs = elapsedMs + ms;
      await settle();
      for (let timer = takeDue(endMs); timer !== undefined; timer = takeDue(endMs)) {
        moveTo(Math.max(elapsedMs, timer.dueMs));
        timer.fn();
        await settle();
      }
      moveTo(endMs);
    },
    runUntil: async (work) => {
      const progress = { over: false };
      const end = (): void => void (progress.over = true);
      work.then(end, end);
      await settle();
      while (!progress.over) {
        const timer = takeDue(Infinity);
        if (timer === undefined) throw new Error("nothing is left to happen, and work is not done");
        moveTo(Math.max(elapsedMs, timer.dueMs));
        timer.fn();
        await settle();
      }
      return await work;
    },
    settle,
    shiftWall: (ms) => {
      wallMs += ms;
    },
    pending: () => timers.length,
  };
}

/** Where a timer stands, or would, among timers of which the last runs next. */
function placeOf(timers: readonly Timer[], { dueMs, order }: Timer): number {
  let low = 0;
  let high = timers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = timers[middle];
    const isLater =
      other !== undefined &&
      (other.dueMs > dueMs || (other.dueMs === dueMs && other.order > order));
    if (isLater) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A process's own clock: its wall may be wrong, and nothing it has planned happens once it is dead. */
export interface NodeClock extends Clock {
  /** By how much the wall clock is ahead of the true one; negative: behind. Milliseconds. */
  setOffset(ms: number): void;
  /** Every timer and sleep of the process is gone; later ones never come. */
  kill(): void;
}

/** A clock of one process on the simulated time. */
export function createNodeClock(
  time: SimulatedClock,
  options: { readonly offsetMs?: number } = {},
) {
  let offsetMs = options.offsetMs ?? 0;
  let dead = false;
  const own = new Set<Scheduled>();
  const schedule = (ms: number, fn: () => void): Scheduled => {
    if (dead) return { cancel: () => undefined };
    const timer = time.schedule(ms, () => {
      own.delete(timer);
      fn();
    });
    own.add(timer);
    return {
      cancel: () => {
        own.delete(timer);
        timer.cancel();
      },
    };
  };
  const clock: NodeClock = {
    nowMs: () => time.nowMs() + offsetMs,
    nowSeconds: () => Math.floor((time.nowMs() + offsetMs) / 1000),
    monotonicMs: () => time.monotonicMs(),
    schedule,
    sleep: (ms, { signal } = {}) => sleepOn(schedule, ms, signal),
    setOffset: (ms) => {
      offsetMs = ms;
    },
    kill: () => {
      dead = true;
      for (const timer of own) timer.cancel();
      own.clear();
    },
  };
  return clock;
}

function sleepOn(
  schedule: Clock["schedule"],
  ms: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
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
  });
}

/** Turns of the event loop given to work under way: enough for promises that pass through setImmediate. */
const settleTurns = 4;

/** Work under way has its turns. Without a promise a turn: a simulation settles two thousand times an hour of its time. */
function settleIn({ isInMemory }: { readonly isInMemory: boolean }): () => Promise<void> {
  const isSettled = (): boolean =>
    isInMemory && !process.getActiveResourcesInfo().includes("Immediate");
  return () =>
    new Promise((resolve) => {
      let turnsLeft = settleTurns;
      const turn = (): void => {
        turnsLeft -= 1;
        if (turnsLeft === 0 || isSettled()) resolve();
        else setImmediate(turn);
      };
      setImmediate(turn);
    });
}
