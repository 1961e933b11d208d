// What a failure means for the whole query: bogus, refused or unreachable (protocol.md section 5), and
// which of several is the worst. Absence is no failure.

import { DiscoveryError, isDiscoveryError, type ErrorCode } from "@whither/protocol";
import { joinErrors } from "@whither/rpc";

/** The `status` of a query that throws. */
export type FailureStatus = "bogus" | "refused" | "unreachable";

const refused: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "BLOCKED",
  "PROHIBITED",
  "NOT_AUTHORITATIVE",
  "NOT_AVAILABLE",
  "UNAUTHENTICATED",
  "LIMITED",
  "BUDGET",
  "TOO_LARGE",
  "CONFIG",
  "INVALID_CSI",
]);

const unreachable: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "UNREACHABLE",
  "NETWORK",
  "DEADLINE",
  "CANCELLED",
  "OVERLOADED",
  "STALE",
  "INTERNAL",
  "STORE",
  "STORE_LOCKED",
  // Nobody who answers under the pinned key was reached.
  "PIN_MISMATCH",
  // Nor anybody who speaks under a manifest in effect.
  "MANIFEST_WAITS",
  // Still so after a refresh: the server does not serve what its own head names.
  "UNKNOWN_KID",
  "DEPTH_CHANGED",
  "UNKNOWN_BODY",
]);

/** Class of a failure; whatever signed data or arithmetic does not bear out is bogus. */
export function failureStatus({ code }: DiscoveryError): FailureStatus {
  if (refused.has(code)) return "refused";
  return unreachable.has(code) ? "unreachable" : "bogus";
}

const rank: Readonly<Record<FailureStatus, number>> = { bogus: 2, refused: 1, unreachable: 0 };

/** A wrong local clock explains what else looks expired. */
function rankOf(error: DiscoveryError): number {
  return error.code === "CLOCK_SKEW" ? 3 : rank[failureStatus(error)];
}

/** The worst failure, the first of its class, with the others beside it. */
export function worstFailure(
  errors: readonly [DiscoveryError, ...DiscoveryError[]],
): DiscoveryError {
  const [first] = errors;
  const worst = errors.reduce((so, error) => (rankOf(error) > rankOf(so) ? error : so), first);
  return joinErrors(
    worst,
    errors.filter((error) => error !== worst),
  );
}

/** Whether another server of the same zone may do better. */
export function isServersOwn(error: DiscoveryError): boolean {
  const { code } = error;
  return code !== "CANCELLED" && code !== "DEADLINE" && code !== "BUDGET" && code !== "CLOCK_SKEW";
}

/** `upstream` added where the failure names none. */
export function withUpstream(error: DiscoveryError, upstream: string): DiscoveryError {
  if (error.upstream !== undefined) return error;
  return new DiscoveryError(error.code, error.text, {
    upstream,
    cause: error.cause,
    ...(error.retryAfterSeconds === undefined
      ? {}
      : { retryAfterSeconds: error.retryAfterSeconds }),
  });
}

/** What is no Error was never thrown by us: a defect, made one that has a stack. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new TypeError(`thrown: ${typeof thrown}`);
}

/** A failure that is no DiscoveryError is a defect: it is passed on, never turned into an answer. */
export function requireDiscoveryError(error: unknown): DiscoveryError {
  if (isDiscoveryError(error)) return error;
  throw error;
}
