// The onion around every handler: each layer may refuse, replace the context, time or count. They see
// facts of the call and its outcome, never a message.
import { DiscoveryError, limits } from "@whither/protocol";
import type { ErrorCode } from "@whither/protocol";
import { deadlineSignal } from "@whither/runtime";
import type { Clock, Logger } from "@whither/runtime";
import { peerKey } from "./context.js";
import type { CallContext, Peer } from "./context.js";

export type NextHandler = (context: CallContext) => Promise<void>;

/**
 * Runs around one call. Resolves when the call has succeeded; a rejection is its failure, sent to the client.
 * The first interceptor of a list is the outermost.
 */
export type ServerInterceptor = (context: CallContext, next: NextHandler) => Promise<void>;

export function compose(
  interceptors: readonly ServerInterceptor[],
  inner: NextHandler,
): NextHandler {
  return interceptors.reduceRight<NextHandler>(
    (next, interceptor) => (context) => interceptor(context, next),
    inner,
  );
}

export interface DeadlineOptions {
  readonly clock: Clock;
  /** Longest time a unary call may take, whatever the client allows it. Default: a query's 7 s. */
  readonly unaryTimeoutMsMax?: number;
}

/** Bounds unary calls in time; streams live as long as their connection. */
export function deadlineInterceptor({
  clock,
  unaryTimeoutMsMax = limits.queryTimeoutMs,
}: DeadlineOptions): ServerInterceptor {
  return async (context, next) => {
    if (context.methodKind !== "unary") return next(context);
    const nowMs = clock.nowMs();
    const deadlineMs = Math.min(context.deadlineMs ?? Infinity, nowMs + unaryTimeoutMsMax);
    const deadline = deadlineSignal(clock, deadlineMs - nowMs, context.signal);
    try {
      await next({ ...context, deadlineMs, signal: deadline.signal });
    } finally {
      deadline.cancel();
    }
  };
}

export interface IdentityOptions {
  /** Decides whether an authenticated peer may call `method`; all may unless told. */
  readonly admit?: (peer: Extract<Peer, { kind: "certificate" }>, method: string) => boolean;
}

/** Refuses anonymous peers, and those that `admit` does not want. */
export function identityInterceptor({
  admit = () => true,
}: IdentityOptions = {}): ServerInterceptor {
  return (context, next) => {
    const { peer, method } = context;
    if (peer.kind === "anonymous") {
      return refuse("UNAUTHENTICATED", "a client certificate is required");
    }
    if (!admit(peer, method)) return refuse("PROHIBITED", "this client may not call that method");
    return next(context);
  };
}

export interface InFlightOptions {
  /** Calls that one peer may have open at a time, over all its connections. */
  readonly perPeerMax?: number;
}

/** Bounds the calls in flight of one peer (protocol.md section 7). */
export function inFlightInterceptor({
  perPeerMax = limits.inFlightPerPeerMax,
}: InFlightOptions = {}): ServerInterceptor {
  const open = new Map<string, number>(); // entries live only as long as their calls
  return async (context, next) => {
    const key = peerKey(context);
    const count = open.get(key) ?? 0;
    if (count >= perPeerMax) {
      throw new DiscoveryError("LIMITED", `more than ${perPeerMax} calls in flight`, {
        retryAfterSeconds: 1,
      });
    }
    open.set(key, count + 1);
    try {
      await next(context);
    } finally {
      const left = (open.get(key) ?? 1) - 1;
      if (left === 0) open.delete(key);
      else open.set(key, left);
    }
  };
}

export interface LogOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One debug line a call: method, code, duration; never the address, the peer or a message. */
export function logInterceptor({ clock, logger }: LogOptions): ServerInterceptor {
  return observed(clock, ({ method, code, durationMs }) => {
    logger.debug("call ended", { method, code, duration_ms: Math.round(durationMs) });
  });
}

export interface CallSample {
  readonly method: string;
  readonly code: ErrorCode | "OK";
  readonly durationMs: number;
}

export interface MetricsOptions {
  readonly clock: Clock;
  /** Called once per finished call. `method` is one of the served methods, so labels are bounded. */
  readonly onCall: (sample: CallSample) => void;
}

export function metricsInterceptor({ clock, onCall }: MetricsOptions): ServerInterceptor {
  return observed(clock, onCall);
}

function observed(clock: Clock, onCall: (sample: CallSample) => void): ServerInterceptor {
  return async (context, next) => {
    const startMs = clock.monotonicMs();
    let code: CallSample["code"] = "INTERNAL";
    try {
      await next(context);
      code = "OK";
    } catch (error) {
      if (error instanceof DiscoveryError) code = error.code;
      throw error;
    } finally {
      onCall({ method: context.method, code, durationMs: clock.monotonicMs() - startMs });
    }
  };
}

function refuse(code: ErrorCode, text: string): Promise<never> {
  return Promise.reject(new DiscoveryError(code, text));
}
