// An AbortSignal that fires when a Clock says so, or when its parent does. Unlike AbortSignal.timeout
// it follows the simulated clock and can be taken back.
import { DiscoveryError } from "@whither/protocol";
import { abortError, type Clock } from "./clock.js";

export interface DeadlineSignal extends Disposable {
  /** Aborts with DiscoveryError DEADLINE, or with the parent's reason as a DiscoveryError. */
  readonly signal: AbortSignal;
  /** Takes the timer back and lets go of the parent; the signal then never aborts. */
  cancel(): void;
}

/** A signal that aborts after `ms` milliseconds of `clock`, or with `parent` if that comes first. */
export function deadlineSignal(clock: Clock, ms: number, parent?: AbortSignal): DeadlineSignal {
  const controller = new AbortController();
  const onParent = (): void => {
    timer.cancel();
    if (parent !== undefined) controller.abort(abortError(parent));
  };
  const timer = clock.schedule(ms, () => {
    parent?.removeEventListener("abort", onParent);
    controller.abort(new DiscoveryError("DEADLINE", `no result within ${ms} ms`));
  });
  const cancel = (): void => {
    timer.cancel();
    parent?.removeEventListener("abort", onParent);
  };
  if (parent?.aborted === true) onParent();
  else parent?.addEventListener("abort", onParent, { once: true });
  return { signal: controller.signal, cancel, [Symbol.dispose]: cancel };
}
