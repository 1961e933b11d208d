// Listening for new heads (Directory.Watch), so that a mirror hears of a change within seconds instead of
// minutes. What is pushed is a reason to fetch and nothing else; without it the mirror polls as ever.

import { isDiscoveryError, limits } from "@whither/protocol";
import type { Clock, Logger, Random } from "@whither/runtime";
import type { DirectoryServer } from "./directory-server.js";

export interface HeadWatchOptions {
  readonly server: DirectoryServer;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The payload of a head, unverified. */
  readonly onPush: (payload: Uint8Array) => void;
}

/** First wait after a stream has ended, doubled up to the interval of polling. */
const firstRetrySeconds = limits.failureTtlSecondsMin;

export class HeadWatch {
  readonly #options: HeadWatchOptions;
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: HeadWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { server, clock, logger, onPush } = this.#options;
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      try {
        for await (const payload of server.watch({ signal })) {
          failures = 0;
          onPush(payload);
        }
      } catch (error) {
        logger.debug("directory watch ended", { error });
        // A server without Watch, or full, will be so for a while: polling does.
        if (isDiscoveryError(error, "NOT_AVAILABLE")) failures = Infinity;
      }
      failures += 1;
      // An aborted sleep is the end of the loop.
      await clock.sleep(this.#waitMs(failures), { signal }).catch(() => undefined);
    }
  }

  /** ±10 %, so that those whom a restart cut off do not come back all at once. */
  #waitMs(failures: number): number {
    const seconds = Math.min(firstRetrySeconds * 2 ** (failures - 1), limits.mirrorPollSeconds);
    return Math.round(seconds * 1000 * (0.9 + (0.2 * this.#options.random.uint32()) / 2 ** 32));
  }
}
