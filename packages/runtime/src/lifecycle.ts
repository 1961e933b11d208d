// The life of a daemon: open everything in a scope, say "listening", wait for a signal, drain, close in
// reverse order, exit 0. Nothing here or elsewhere calls process.exit: a closed daemon has no reason to
// stay, and one that stays shows a leak.
import { systemClock, type Clock } from "./clock.js";
import { formatConfigError } from "./config-issues.js";
import { createLogger, type LogFields, type Logger } from "./logger.js";
import { noticeReady } from "./ready-notice.js";
import { createScope, type Scope } from "./scope.js";
import { isDiscoveryError } from "@whither/protocol";

export interface DaemonScope extends Scope {
  readonly logger: Logger;
  /** Aborts when the daemon begins to drain; hand it to background work. */
  readonly signal: AbortSignal;
  /**
   * What SIGHUP does. A failure is logged, and the last good state stays. Reloads never overlap. Gives a
   * function that reloads as SIGHUP does and resolves, or rejects, with the outcome (`whitherctl reload`).
   */
  onReload<T>(fn: () => Promise<T>): () => Promise<T>;
  /** Why the last reload changed nothing; undefined when it succeeded, or before the first. */
  reloadFailure(): unknown;
  /** Prints `{"event":"listening",…}` and tells systemd; call it once, when every port accepts. */
  listening(fields: LogFields): void;
  /** Starts the drain as SIGTERM would (`whitherctl stop`). */
  stop(): void;
}

/** The part of `process` that a daemon uses; tests hand in their own. */
export interface DaemonProcess {
  on(signal: "SIGTERM" | "SIGINT" | "SIGHUP", listener: () => void): unknown;
  off(signal: "SIGTERM" | "SIGINT" | "SIGHUP", listener: () => void): unknown;
  readonly stderr: { write(text: string): unknown };
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly pid?: number;
  exitCode?: number | string | null | undefined;
}

export interface RunDaemonOptions {
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly process?: DaemonProcess;
  /** Time to drain and close before a warning is logged and a second signal may kill; 10 s. */
  readonly drainMs?: number;
}

const drainMsDefault = 10_000;

/**
 * Runs a daemon from start to end. `start` opens resources with `scope.use`, registers `onReload`, and
 * resolves once it listens; a failure of it prints `error: …` and a `hint: …` where there is one, closes
 * what was opened and sets exit code 1. SIGTERM and SIGINT drain and set exit code 0.
 */
export async function runDaemon(
  start: (scope: DaemonScope) => Promise<void>,
  options: RunDaemonOptions = {},
): Promise<void> {
  const self = options.process ?? process;
  const logger = options.logger ?? createLogger();
  const scope = createScope();
  const draining = new AbortController();
  const drained = new Promise<void>((resolve) => {
    draining.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const reload = createReload(logger);
  const onStop = (): void => draining.abort();
  self.on("SIGTERM", onStop);
  self.on("SIGINT", onStop);
  self.on("SIGHUP", reload.request);
  const release = (): void => {
    self.off("SIGTERM", onStop);
    self.off("SIGINT", onStop);
    self.off("SIGHUP", reload.request);
  };

  let failed = false;
  try {
    await start({
      ...scope,
      logger,
      signal: draining.signal,
      onReload: (fn) => reload.set(fn),
      reloadFailure: () => reload.failure(),
      listening: (fields) => {
        logger.info("listening", fields);
        noticeReady({ env: self.env ?? {}, pid: self.pid ?? 0, logger });
      },
      stop: onStop,
    });
    await drained;
    logger.info("draining");
  } catch (error) {
    // A signal during the start ends it on purpose; what then fails is not a failure to report.
    if (!draining.signal.aborted) {
      failed = true;
      self.stderr.write(formatStartFailure(error));
    }
    draining.abort();
  }
  await reload.settled();
  const closed = await closeWithin({ scope, logger, options, self, onLate: release });
  release();
  self.exitCode = failed || !closed ? 1 : 0;
  if (!failed) logger.info("stopped");
}

async function closeWithin(parts: {
  readonly scope: Scope;
  readonly logger: Logger;
  readonly options: RunDaemonOptions;
  readonly self: DaemonProcess;
  /** Gives signals their default action back: from here a second one kills. */
  readonly onLate: () => void;
}): Promise<boolean> {
  const { scope, logger, options, self, onLate } = parts;
  const { clock = systemClock, drainMs = drainMsDefault } = options;
  const closed = new AbortController();
  // A sleep keeps the process alive, as what closes may wait for nothing but timers and threads that do not.
  clock.sleep(drainMs, { signal: closed.signal }).then(
    () => {
      logger.warn("drain overdue");
      // What never closes may let the process run empty: it then ends with this and not with Node's 13.
      self.exitCode = 1;
      onLate();
    },
    () => undefined,
  );
  try {
    await scope.close();
    return true;
  } catch (error) {
    logger.error("close failed", { error });
    return false;
  } finally {
    closed.abort();
  }
}

interface Reload {
  set<T>(fn: () => Promise<T>): () => Promise<T>;
  readonly request: () => void;
  /** Of the last one. */
  failure(): unknown;
  settled(): Promise<void>;
}

/** Requests that come before a reload has begun share it: it will see what they mean. */
function createReload(logger: Logger): Reload {
  let ask: (() => Promise<unknown>) | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let failure: unknown;
  const set = <T>(fn: () => Promise<T>): (() => Promise<T>) => {
    let waiting: Promise<T> | undefined;
    const once = async (): Promise<T> => {
      waiting = undefined;
      try {
        const outcome = await fn();
        failure = undefined;
        logger.info("reloaded");
        return outcome;
      } catch (error) {
        failure = error;
        logger.error("reload failed", { error, detail: formatConfigError(error) });
        throw error;
      }
    };
    const reload = (): Promise<T> => {
      if (waiting !== undefined) return waiting;
      const next = last.then(once);
      waiting = next;
      last = next.catch(() => undefined);
      return next;
    };
    ask = reload;
    return reload;
  };
  return {
    set,
    request: () => {
      if (ask === undefined) logger.warn("reload ignored");
      else ask().catch(() => undefined); // it has been logged
    },
    failure: () => failure,
    settled: async () => {
      await last;
    },
  };
}

/** `error: …` for each line of what went wrong and `hint: …` where one is known. */
export function formatStartFailure(error: unknown): string {
  const lines = formatConfigError(error)
    .split("\n")
    .map((line) => `error: ${line}\n`);
  const hint = hintFor(error);
  return lines.join("") + (hint === undefined ? "" : `hint: ${hint}\n`);
}

function hintFor(error: unknown): string | undefined {
  if (isDiscoveryError(error, "CONFIG")) return "check a file without starting: --check";
  if (isDiscoveryError(error, "STORE_LOCKED")) {
    return "stop the other process, or give this one a state directory of its own";
  }
  if (isDiscoveryError(error, "STORE_CORRUPT")) return "restore the state directory from a backup";
  return undefined;
}
