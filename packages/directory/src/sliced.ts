// Drives work that is written in steps, giving the event loop a turn between slices, so that verifying a
// whole directory blocks nobody for more than about 5 ms.

import { setImmediate } from "node:timers/promises";
import { abortError } from "@whither/runtime";
import type { SignalOption } from "./follower.js";

/** Steps of one slice: 8 records take 2 ms on an idle core. */
const stepsPerSlice = 8;

/** Runs the generator to its end. Throws what it throws, CANCELLED or DEADLINE when aborted. */
export async function runSliced<T>(
  work: Generator<undefined, T>,
  { signal }: SignalOption = {},
): Promise<T> {
  for (let steps = 1; ; steps++) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (steps % stepsPerSlice !== 0) continue;
    await setImmediate();
    if (signal?.aborted === true) throw abortError(signal);
  }
}
