// DiscoveryError to gRPC status and trailer `whither-error-bin`, and back (protocol.md section 9).
// What comes from a server is bounded and cleaned here: it may be hostile.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  DiscoveryError,
  errorCodeOfNumber,
  errorRegistry,
  errorTextBytesMax,
} from "@whither/protocol";
import type { ErrorCode, GrpcStatusName } from "@whither/protocol";
import { ErrorDetailSchema } from "@whither/wire";
import type { ErrorDetail } from "@whither/wire";

export const errorTrailer = "whither-error-bin";
/** Details that travel with one failure, and the most bytes read of each. */
const detailsMax = 8;
const detailBytesMax = 1024;
const upstreamBytesMax = 255;
/** Longest advice believed, in seconds: a day. */
const retryAfterSecondsMax = 86_400;

/** gRPC's status numbers (grpc.io, "Status codes and their use in gRPC"); also those without an own code. */
const grpcStatus = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const satisfies Record<GrpcStatusName | "OK" | "UNKNOWN", number>;

/** How a failed call looks on the wire. */
export interface WireStatus {
  readonly code: number;
  /** Status message: the error's text. */
  readonly text: string;
  /** Encoded ErrorDetails, the first for the error itself. */
  readonly details: readonly Uint8Array[];
}

export function statusOf(error: DiscoveryError): WireStatus {
  return {
    code: grpcStatus[errorRegistry[error.code].grpc],
    text: shortText(error.text, errorTextBytesMax),
    details: [error, ...furtherErrors(error)]
      .slice(0, detailsMax)
      .map((each) => toBinary(ErrorDetailSchema, toErrorDetail(each))),
  };
}

/** The wire form of an error, also for the `error` case of a stream's response. */
export function toErrorDetail(error: DiscoveryError): ErrorDetail {
  return create(ErrorDetailSchema, {
    number: error.number,
    text: shortText(error.text, errorTextBytesMax),
    upstream: shortText(error.upstream ?? "", upstreamBytesMax),
    retryAfterS: Math.min(Math.ceil(error.retryAfterSeconds ?? 0), retryAfterSecondsMax),
  });
}

/**
 * The error that `upstream` reported. A party it blames in turn is named before it (`dp-b via host:port`),
 * so that a server cannot put its failure on another. Unknown numbers are INTERNAL.
 */
export function fromErrorDetail(detail: ErrorDetail, upstream: string): DiscoveryError {
  const blamed = shortText(detail.upstream, upstreamBytesMax);
  const retryAfterSeconds = Math.min(detail.retryAfterS, retryAfterSecondsMax);
  return new DiscoveryError(
    errorCodeOfNumber(detail.number) ?? "INTERNAL",
    shortText(detail.text, errorTextBytesMax),
    {
      upstream: blamed === "" ? upstream : `${blamed} via ${upstream}`,
      ...(retryAfterSeconds === 0 ? {} : { retryAfterSeconds }),
    },
  );
}

/** Several failures as one: the first is the error, the others travel beside it. */
export function joinErrors(
  first: DiscoveryError,
  others: readonly DiscoveryError[],
): DiscoveryError {
  if (others.length === 0) return first;
  return new DiscoveryError(first.code, first.text, {
    ...(first.upstream === undefined ? {} : { upstream: first.upstream }),
    ...(first.retryAfterSeconds === undefined
      ? {}
      : { retryAfterSeconds: first.retryAfterSeconds }),
    cause: new AggregateError(others, "further errors"),
  });
}

/** The errors that came beside `error`. */
export function furtherErrors(error: DiscoveryError): readonly DiscoveryError[] {
  if (!(error.cause instanceof AggregateError)) return [];
  return error.cause.errors.filter(
    (each): each is DiscoveryError => each instanceof DiscoveryError,
  );
}

export interface ReceivedStatus {
  readonly code: number;
  /** Only looked at to tell a message that is too large from a quota. */
  readonly text: string;
  readonly details: readonly (string | Uint8Array)[];
}

/** The error of a failed call to `upstream`; undefined for status OK. */
export function errorOfStatus(
  status: ReceivedStatus,
  upstream: string,
): DiscoveryError | undefined {
  if (status.code === grpcStatus.OK) return undefined;
  const errors = status.details.slice(0, detailsMax).flatMap((bytes) => {
    const detail = readDetail(bytes);
    return detail === undefined ? [] : [fromErrorDetail(detail, upstream)];
  });
  const [first, ...others] = errors;
  if (first !== undefined) return joinErrors(first, others);
  const [code, text] = codeOfBareStatus(status);
  return new DiscoveryError(code, text, { upstream });
}

function readDetail(bytes: string | Uint8Array): ErrorDetail | undefined {
  if (typeof bytes === "string" || bytes.length > detailBytesMax) return undefined;
  try {
    return fromBinary(ErrorDetailSchema, bytes);
  } catch {
    return undefined; // the status still tells that the call failed
  }
}

/** A status without our trailer: from the gRPC library on either side, a proxy, or another kind of server. */
function codeOfBareStatus({ code, text }: ReceivedStatus): readonly [ErrorCode, string] {
  switch (code) {
    case grpcStatus.CANCELLED:
      return ["CANCELLED", "the call was cancelled"];
    case grpcStatus.DEADLINE_EXCEEDED:
      return ["DEADLINE", "no answer within the time allowed"];
    case grpcStatus.UNAVAILABLE:
      return ["NETWORK", "the connection failed"];
    case grpcStatus.UNIMPLEMENTED:
      return ["NOT_AVAILABLE", "the server does not offer that method"];
    case grpcStatus.UNAUTHENTICATED:
      return ["UNAUTHENTICATED", "the server wants a client certificate"];
    case grpcStatus.PERMISSION_DENIED:
      return ["PROHIBITED", "the server refuses this client"];
    case grpcStatus.RESOURCE_EXHAUSTED:
      // grpc-js words it "Received message larger than max (…)", "Attempted to send message with a size larger than …".
      return /larger than/i.test(text)
        ? ["TOO_LARGE", "a message is over the size limit"]
        : ["LIMITED", "the server limits this client"];
    case grpcStatus.INVALID_ARGUMENT:
      return ["INVALID_DATA", "the server could not read the request"];
    default:
      return ["INTERNAL", "the server failed"];
  }
}

/** What was thrown, wrapped if it is no Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new TypeError("no Error was thrown", { cause: thrown });
}

/** At most `bytesMax` octets of UTF-8, whole characters, without control characters. */
function shortText(text: string, bytesMax: number): string {
  // Texts reach terminals: no control or format characters (bidirectional overrides are of those).
  const clean = text.slice(0, bytesMax).replace(/[\p{Cc}\p{Cf}]/gu, " ");
  // By way of bytes, so that a lone surrogate, on which grpc-js would throw, becomes U+FFFD.
  const target = new Uint8Array(bytesMax);
  const { written } = new TextEncoder().encodeInto(clean, target);
  return new TextDecoder().decode(target.subarray(0, written));
}
