// Runs long work in slices, so that no turn of the event loop belongs to one zone's epoch for long
// (protocol.md section 4: no block above 10 ms). The work itself says where it may be interrupted.

import { abortError, type Clock } from "@whither/runtime";

/** A slice ends at the first step that reaches this; the longest step comes on top. */
const sliceMs = 4;
/** And after this many steps, whatever the clock says. */
const stepsPerSliceMax = 256;

export interface SliceOptions<Item> {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** Takes what the work yields; a promise is waited for. */
  readonly onItem?: (item: Exclude<Item, undefined>) => Promise<void> | undefined;
}

/** Runs a generator to its end and gives what it returns. */
export async function inSlices<Item, Result>(
  work: Generator<Item, Result, void>,
  options: SliceOptions<Item>,
): Promise<Result> {
  const { clock, signal, onItem } = options;
  let startMs = clock.monotonicMs();
  let steps = 0;
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (step.value !== undefined) {
      // Narrowing by the comparison does not reach the generic type.
      const waiting = onItem?.(step.value as Exclude<Item, undefined>);
      if (waiting !== undefined) await waiting;
    }
    steps += 1;
    if (steps >= stepsPerSliceMax || clock.monotonicMs() - startMs >= sliceMs) {
      await nextTurn();
      if (signal?.aborted === true) throw abortError(signal);
      startMs = clock.monotonicMs();
      steps = 0;
    }
  }
}

/** Lets everything that waits on the event loop have its turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
