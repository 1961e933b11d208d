// A clock that moves when told, for the unit tests of this package.
import { abortError } from "@whither/runtime";
import type { Clock } from "@whither/runtime";

export interface ManualClock extends Clock {
  /** Moves on, running what falls due in order, with all promise jobs in between. */
  advance(ms: number): Promise<void>;
}

export function createManualClock(startMs = 1_800_000_000_000): ManualClock {
  let nowMs = startMs;
  let due: { readonly atMs: number; readonly fn: () => void }[] = [];
  const schedule = (ms: number, fn: () => void) => {
    const entry = { atMs: nowMs + ms, fn };
    due.push(entry);
    return { cancel: () => void (due = due.filter((each) => each !== entry)) };
  };
  return {
    nowMs: () => nowMs,
    nowSeconds: () => Math.floor(nowMs / 1000),
    monotonicMs: () => nowMs,
    schedule,
    sleep: (ms, { signal } = {}) =>
      new Promise((resolve, reject) => {
        schedule(ms, resolve);
        signal?.addEventListener("abort", () => reject(abortError(signal)), { once: true });
      }),
    async advance(ms) {
      const untilMs = nowMs + ms;
      await settle();
      for (;;) {
        const [next] = due.filter((each) => each.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
        if (next === undefined) break;
        due = due.filter((each) => each !== next);
        nowMs = next.atMs;
        next.fn();
        await settle();
      }
      nowMs = untilMs;
    },
  };
}

/** Lets all promise jobs that are ready run. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}
