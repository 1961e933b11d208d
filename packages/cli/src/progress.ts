// A counter on the terminal while something long runs. Written to stderr, only where a person looks at it.

import type { Clock } from "@whither/runtime";
import type { Terminal } from "./terminal.js";

const refreshMs = 100;
const clearLine = "\r\u001b[K";

export interface Progress {
  /** One more is done. */
  tick(): void;
  /** Takes the counter off the screen; the next tick brings it back. */
  clear(): void;
}

/** `12 of 300 registered`, at most ten times a second. */
export function createProgress(options: {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly what: string;
  readonly total?: number | undefined;
}): Progress {
  const { terminal, clock, what, total } = options;
  const isShown = terminal.stderr.isTTY === true;
  let done = 0;
  let shownAtMs = -Infinity;
  let isOnScreen = false;
  return {
    tick: () => {
      done += 1;
      if (!isShown || clock.monotonicMs() - shownAtMs < refreshMs) return;
      shownAtMs = clock.monotonicMs();
      isOnScreen = true;
      const of = total === undefined ? "" : ` of ${total}`;
      terminal.stderr.write(`${clearLine}${done}${of} ${what}`);
    },
    clear: () => {
      if (!isOnScreen) return;
      isOnScreen = false;
      terminal.stderr.write(clearLine);
    },
  };
}
