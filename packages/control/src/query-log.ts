// The query log: one line a finished call, for an operator who looks for what loads a server. A client is
// a keyed hash whose key dies with the process, so that lines of one run can be matched and a log that is
// lost tells nothing of whom. What was asked about is not in it: no element, no prefix bits, no CSI.

import { peerKey, type CallContext, type ServerInterceptor } from "@whither/rpc";
import {
  createTokenBucket,
  makeLogTag,
  type Clock,
  type Logger,
  type Random,
} from "@whither/runtime";
import { isDiscoveryError } from "@whither/protocol";

/** Lines a second at most: a flood of calls must not become a flood of lines. */
const linesPerSecondMax = 1_000;

export interface FinishedQuery {
  /** Of a closed set. */
  readonly method: string;
  /** By what its limits are counted; written as a keyed hash. */
  readonly client: string;
  readonly peer: CallContext["peer"]["kind"];
  readonly code: string;
  /** Undefined: not measured. */
  readonly durationMs: number | undefined;
}

export interface QueryLogState {
  readonly enabled: boolean;
  /** Since the start. */
  readonly lines: number;
  /** Left out because there were too many a second. */
  readonly droppedLines: number;
}

export interface QueryLog {
  readonly enabled: boolean;
  /** For every listener whose calls are to be seen; costs nothing while the log is off. */
  readonly interceptor: ServerInterceptor;
  /** A finished query that came another way. Writes nothing while the log is off. */
  note(query: FinishedQuery): void;
  set(enabled: boolean): void;
  state(): QueryLogState;
}

/** Off until it is switched on. `logger` writes at `info`, whatever the level of the daemon's log. */
export function createQueryLog(options: {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}): QueryLog {
  const { clock, random, logger } = options;
  const tag = makeLogTag(random);
  const allowance = createTokenBucket({
    ratePerSecond: linesPerSecondMax,
    burst: linesPerSecondMax,
    clock,
  });
  let enabled = false;
  let lines = 0;
  let droppedLines = 0;
  const note = ({ method, client, peer, code, durationMs }: FinishedQuery): void => {
    if (!enabled) return;
    if (!allowance.tryTake(1).ok) {
      droppedLines += 1;
      return;
    }
    lines += 1;
    logger.info("query", {
      method,
      client: tag(client),
      peer,
      code,
      ...(durationMs === undefined ? {} : { duration_ms: Math.round(durationMs * 1000) / 1000 }),
    });
  };
  return {
    get enabled() {
      return enabled;
    },
    interceptor: async (context, next) => {
      if (!enabled) return next(context);
      const startMs = clock.monotonicMs();
      let code = "OK";
      try {
        await next(context);
      } catch (error) {
        code = isDiscoveryError(error) ? error.code : "INTERNAL";
        throw error;
      } finally {
        const durationMs = clock.monotonicMs() - startMs;
        const { method, peer } = context;
        note({ method, client: peerKey(context), peer: peer.kind, code, durationMs });
      }
    },
    note,
    set: (value) => {
      enabled = value;
    },
    state: () => ({ enabled, lines, droppedLines }),
  };
}
