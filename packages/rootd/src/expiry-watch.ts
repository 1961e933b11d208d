// Tells in time that the served directory is about to end, and when it has: what is past its not_after
// helps nobody, so the service then says that it does not serve.

import type { Clock, Logger, Scheduled } from "@whither/runtime";
import type { Directory } from "@whither/zone";

/** Time before the end at which an operator should have signed anew. */
const warningSeconds = 86_400;

export interface ExpiryWatch extends Disposable {
  /** Watches another directory from now on. */
  watch(directory: Directory): void;
}

export function createExpiryWatch(options: {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called with whether the directory is in its time, at each change. */
  readonly onServing: (isServing: boolean) => void;
}): ExpiryWatch {
  const { clock, logger, onServing } = options;
  let timer: Scheduled | undefined;
  const look = (directory: Directory): void => {
    const { serial, notAfter } = directory.head;
    const leftSeconds = notAfter - clock.nowSeconds();
    onServing(leftSeconds > 0);
    if (leftSeconds <= 0) {
      logger.error("directory expired", { serial, not_after: notAfter });
      return;
    }
    if (leftSeconds <= warningSeconds) {
      logger.warn("directory expires soon", { serial, left_s: leftSeconds });
    }
    const untilSeconds = leftSeconds > warningSeconds ? leftSeconds - warningSeconds : leftSeconds;
    timer = clock.schedule(untilSeconds * 1000, () => {
      look(directory);
    });
  };
  return {
    watch: (directory) => {
      timer?.cancel();
      look(directory);
    },
    [Symbol.dispose]: () => timer?.cancel(),
  };
}
