// The closed error registry (protocol.md section 9). Numbers are RFC 8914's where the meaning is the
// same and start at 49152 where it is ours. Absence is an answer and has no entry here.

/** gRPC status names as used by the registry; the rpc package maps them to numbers. */
export type GrpcStatusName =
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED"
  | "CANCELLED";

interface ErrorEntry {
  readonly number: number;
  readonly grpc: GrpcStatusName;
  readonly retryable: boolean;
  readonly meaning: string;
}

const entry = (
  number: number,
  grpc: GrpcStatusName,
  retryable: boolean,
  meaning: string,
): ErrorEntry => ({
  number,
  grpc,
  retryable,
  meaning,
});

export const errorRegistry = {
  // RFC 8914 section 4
  STALE: entry(3, "UNAVAILABLE", true, "the answer is older than its lifetime"),
  BOGUS: entry(6, "DATA_LOSS", false, "a signature, proof or hash does not verify"),
  EXPIRED: entry(7, "FAILED_PRECONDITION", false, "signed data is past its not_after"),
  NOT_YET_VALID: entry(8, "FAILED_PRECONDITION", false, "signed data is before its not_before"),
  KEY_MISSING: entry(9, "DATA_LOSS", false, "no such key in the key set that should hold it"),
  DENIAL_MISSING: entry(12, "DATA_LOSS", false, "absence was claimed without its proof"),
  BLOCKED: entry(15, "PERMISSION_DENIED", false, "this client is blocked by the operator"),
  PROHIBITED: entry(18, "PERMISSION_DENIED", false, "this client may not do that"),
  NOT_AUTHORITATIVE: entry(20, "FAILED_PRECONDITION", false, "the server does not serve that zone"),
  UNREACHABLE: entry(22, "UNAVAILABLE", true, "no authority could be reached"),
  NETWORK: entry(23, "UNAVAILABLE", true, "the connection to a server failed"),
  INVALID_DATA: entry(
    24,
    "INVALID_ARGUMENT",
    false,
    "a message could not be parsed or is out of bounds",
  ),

  // General
  INTERNAL: entry(49152, "INTERNAL", false, "the program met a state it should not"),
  NOT_AVAILABLE: entry(
    49153,
    "UNIMPLEMENTED",
    false,
    "this function is not available in this version",
  ),
  CANCELLED: entry(49154, "CANCELLED", false, "the caller gave up"),
  DEADLINE: entry(49155, "DEADLINE_EXCEEDED", true, "the time for this query is used up"),
  LIMITED: entry(49156, "RESOURCE_EXHAUSTED", true, "a rate or quota of this client is used up"),
  BUDGET: entry(49157, "RESOURCE_EXHAUSTED", false, "the work budget of this query is used up"),
  TOO_LARGE: entry(49158, "INVALID_ARGUMENT", false, "a message, list or field is over its limit"),
  OVERLOADED: entry(49159, "UNAVAILABLE", true, "the server sheds load or is shutting down"),
  CLOCK_SKEW: entry(
    49160,
    "FAILED_PRECONDITION",
    false,
    "the local clock disagrees with signed times",
  ),
  CONFIG: entry(49161, "FAILED_PRECONDITION", false, "a configuration or key file is wrong"),
  STORE: entry(49162, "INTERNAL", false, "the local database failed"),
  STORE_LOCKED: entry(49163, "FAILED_PRECONDITION", false, "another process holds the database"),
  STORE_CORRUPT: entry(49164, "DATA_LOSS", false, "stored data does not match its signed head"),
  CONFLICT_WRITE: entry(49165, "ABORTED", true, "a compare-and-commit found another value"),

  // Identity and transport
  UNAUTHENTICATED: entry(49170, "UNAUTHENTICATED", false, "a client certificate is required"),
  PIN_MISMATCH: entry(
    49171,
    "UNAUTHENTICATED",
    false,
    "the server's key is not the one the directory names",
  ),
  UNSUPPORTED_SUITE: entry(49172, "FAILED_PRECONDITION", false, "unknown cryptographic suite"),

  // Identifiers and lookup
  INVALID_CSI: entry(49180, "INVALID_ARGUMENT", false, "not a valid identifier"),
  UNASSIGNED: entry(
    49181,
    "NOT_FOUND",
    false,
    "the directory proves that nobody serves that prefix",
  ),
  UNKNOWN_KID: entry(49182, "FAILED_PRECONDITION", true, "no such VOPRF key in this zone now"),
  DEPTH_CHANGED: entry(
    49183,
    "FAILED_PRECONDITION",
    true,
    "the bucket depth is not the current head's",
  ),
  UNKNOWN_BODY: entry(49184, "NOT_FOUND", true, "no body with that hash in the current epoch"),
  INVALID_ELEMENT: entry(
    49185,
    "INVALID_ARGUMENT",
    false,
    "not a canonical ristretto255 element, or the identity",
  ),
  ROLLBACK: entry(49186, "DATA_LOSS", false, "older than what this client has already seen"),
  FORKED: entry(49187, "DATA_LOSS", false, "two different signed heads with one serial"),
  DNS_MISMATCH: entry(
    49189,
    "FAILED_PRECONDITION",
    false,
    "the DNS names servers that the signed directory does not",
  ),
  MANIFEST_WAITS: entry(
    49188,
    "FAILED_PRECONDITION",
    false,
    "a manifest that its predecessor did not sign waits 72 h",
  ),

  // Registration
  BAD_OFFER: entry(
    49200,
    "FAILED_PRECONDITION",
    true,
    "the offer is unknown, expired or for another zone",
  ),
  REPLAYED: entry(49201, "FAILED_PRECONDITION", false, "this nonce was used before"),
  BAD_SIGNATURE: entry(
    49202,
    "INVALID_ARGUMENT",
    false,
    "a required signature is missing or wrong",
  ),
  BAD_OPENING: entry(49203, "INVALID_ARGUMENT", false, "the opening does not match the commitment"),
  BAD_CREDENTIAL: entry(
    49204,
    "FAILED_PRECONDITION",
    false,
    "the credential does not cover this registration",
  ),
  UNKNOWN_PROVER: entry(49205, "FAILED_PRECONDITION", false, "the prover is not in the registry"),
  PROVER_NOT_INDEPENDENT: entry(
    49206,
    "FAILED_PRECONDITION",
    false,
    "prover and DP or MSP share an operator",
  ),
  PROVER_SCOPE: entry(
    49207,
    "FAILED_PRECONDITION",
    false,
    "level or prefix beyond the prover's registration",
  ),
  UNKNOWN_MSP: entry(
    49208,
    "FAILED_PRECONDITION",
    false,
    "the MSP is not in the registry or not accredited now",
  ),
  BAD_MAPPING: entry(49209, "INVALID_ARGUMENT", false, "the mapping breaks a rule"),
  BAD_STATEMENT: entry(49210, "INVALID_ARGUMENT", false, "the statement breaks a rule"),
  STALE_SEQUENCE: entry(49211, "FAILED_PRECONDITION", false, "the statement's seq is not newer"),
  INCUMBENT: entry(49212, "FAILED_PRECONDITION", false, "another holder key has this identifier"),
  SLOT_FULL: entry(49213, "RESOURCE_EXHAUSTED", false, "the slot or its size class is full"),
  NOT_REACHABLE_HERE: entry(49214, "NOT_FOUND", false, "the MSP does not confirm reachability"),
  BAD_KEY_LINK: entry(49215, "INVALID_ARGUMENT", false, "the key-link breaks a rule"),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorRegistry;

/** Longest `text` that travels with an error, in UTF-8 octets (protocol.md section 9). */
export const errorTextBytesMax = 64;

export interface DiscoveryErrorOptions {
  /** Server, zone or party the error concerns; never an identifier of a person. */
  readonly upstream?: string;
  /** Seconds after which a retry makes sense. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/**
 * The one failure type of whither. `code` and `number` are stable; `text` is for people and is
 * lower case, at most 64 octets on the wire, and never holds a CSI, key or proof.
 */
export class DiscoveryError extends Error {
  override readonly name = "DiscoveryError";
  readonly code: ErrorCode;
  readonly number: number;
  readonly text: string;
  readonly retryable: boolean;
  readonly upstream?: string;
  readonly retryAfterSeconds?: number;

  constructor(code: ErrorCode, text: string, options: DiscoveryErrorOptions = {}) {
    super(`${code}: ${text}`, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.number = errorRegistry[code].number;
    this.retryable = errorRegistry[code].retryable;
    this.text = text;
    if (options.upstream !== undefined) this.upstream = options.upstream;
    if (options.retryAfterSeconds !== undefined) this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

const codesByNumber = new Map<number, ErrorCode>(
  (Object.keys(errorRegistry) as ErrorCode[]).map((code) => [errorRegistry[code].number, code]), // keys of the const object
);

/** The code of a registry number, or undefined for a number this version does not know. */
export function errorCodeOfNumber(number: number): ErrorCode | undefined {
  return codesByNumber.get(number);
}

/** Narrows `unknown` to DiscoveryError, with a code if one is given. */
export function isDiscoveryError(error: unknown, code?: ErrorCode): error is DiscoveryError {
  return error instanceof DiscoveryError && (code === undefined || error.code === code);
}
