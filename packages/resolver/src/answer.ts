// What a lookup returns: the types of protocol.md section 5, "Answer". Everything in a verbose answer has
// been verified; a compact one shows what the DP attests and is never routed on (requirement 15).

import type {
  Csi,
  DiscoveryError,
  DpId,
  ErrorCode,
  MspId,
  Prefix,
  ZoneName,
} from "@whither/protocol";
import type { FailureStatus } from "./failure.js";

/** `verbose`: all signatures checked. `compact`: the DP's bits, proven to be the published ones. */
export type AnswerForm = "verbose" | "compact";

/** One provider, as holder, MSP, prover and DP signed it. Times are Unix seconds. */
export interface VerifiedAnswerMapping {
  readonly msp: MspId;
  /** The holder's order, lower is better. */
  readonly preference: number;
  readonly tags: readonly string[];
  /** 1..3: how strong the proof of possession was. */
  readonly level: number;
  readonly establishedAt: number;
  readonly notAfter: number;
  /** The MSP's MIMI directory, where the next step starts; "" if it names none. */
  readonly directoryUrl: string;
}

/** One provider, by the DP's word. */
export interface AttestedAnswerMapping {
  readonly msp: MspId;
  readonly directoryUrl: string;
}

export type AnswerMapping<F extends AnswerForm = AnswerForm> = F extends "compact"
  ? AttestedAnswerMapping
  : VerifiedAnswerMapping;

/** How many of the DPs that the directory names proved their part. */
export interface Completeness {
  readonly answered: number;
  readonly asked: number;
}

/**
 * `present`, `absent`: proven. `conflict`: present under another holder key than the one that counts.
 * `failed`: its error stands in `errors`, with the zone as upstream.
 */
export type DpOutcome = "present" | "absent" | "conflict" | "failed";

export interface DpPart {
  readonly dp: DpId;
  readonly zone: ZoneName;
  /** Whom it was asked about, where the holder moved to another identifier. */
  readonly csi?: Csi;
  readonly outcome: DpOutcome;
  /** Serial of the head that proves it; undefined when it failed. */
  readonly serial: number | undefined;
  /** 8 hex digits, the VOPRF key. */
  readonly kid: string | undefined;
}

/**
 * `followed`: the answer is from there. `absent`, `conflict`: it is not, since nothing of the holder is there, or
 * another's. A code: why there is no knowing; BAD_STATEMENT for a circle, BUDGET for a step too many.
 */
export type PortOutcome = "followed" | "absent" | "conflict" | ErrorCode;

/** The holder says it moved. */
export interface PortStep {
  /** Whose slot says so. */
  readonly zone: ZoneName;
  /** Identifier or zone. */
  readonly to: string;
  readonly outcome: PortOutcome;
}

export interface ProofSummary {
  readonly kind: "presence" | "absence";
  /** False only with `checkingDisabled`. */
  readonly verified: boolean;
  /** The zone that proves it; `.` when the directory itself proves that nobody serves the prefix. */
  readonly zone: ZoneName;
  readonly serial: number;
  /** 8 hex digits; "" for the directory. */
  readonly kid: string;
}

export type WarningCode =
  /** Another holder key than at the last lookup. */
  | "HOLDER_KEY_CHANGED"
  /** Gone before its time and without a signed reason. */
  | "VANISHED"
  /** DPs show different holders; only one counts. */
  | "CONFLICT"
  /** Older than it should be, since nothing newer could be had. */
  | "STALE"
  /** A slot exists that names nobody in the compact bits: ask verbose. */
  | "VERBOSE_ONLY"
  /** With `checkingDisabled`: this answer was not validated. */
  | "UNVALIDATED";

export interface AnswerWarning {
  readonly code: WarningCode;
  readonly text: string;
  /** Zone it concerns. */
  readonly upstream: string;
}

export interface AnswerError {
  readonly code: ErrorCode;
  readonly number: number;
  readonly text: string;
  readonly upstream: string;
}

/** One step of the way, for people: who was asked and what that server was told. */
export interface HopRecord {
  readonly prefix: Prefix;
  /** `host:port`, or `cache`, `mirror`. */
  readonly from: string;
  /** In words: what that server learnt from being asked. */
  readonly told: string;
  readonly learnt: string;
  readonly serial: number | undefined;
  /** `verified`, or the code of the failure. */
  readonly verdict: string;
  readonly rttMs: number;
  /**
   * `identified`: asked in one's own name. `direct`: without, at the DP, which sees an address. `replica`: without,
   * at another operator. Absent where no DP was asked.
   */
  readonly path?: HopPath;
  /** Who runs that server, where it is not the DP's operator. */
  readonly operator?: string;
}

export type HopPath = "identified" | "direct" | "replica";

export interface QueryStats {
  readonly rpcs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

interface AnswerBase<F extends AnswerForm> {
  readonly form: F;
  readonly complete: Completeness;
  /** In canonical order of the zones' names. */
  readonly dps: readonly DpPart[];
  readonly proof: ProofSummary;
  /** Compact answers are the DP's word. */
  readonly attested: F extends "compact" ? "dp" : "signatures";
  readonly privacy: "blind";
  /** Seconds for which asking again gives the same; counts down in a cached answer. */
  readonly ttlSeconds: number;
  /** Version of the MSP registry that was used. */
  readonly registryVersion: number;
  /** Verified mappings left out by `msps`, EXCLUSIVE or SAME_APP_ONLY. */
  readonly leftOut: number;
  /** CSI or zone the holder says it moved to, the last of `ports`; "" for none. */
  readonly portedTo: string;
  /** Steps from whom was asked about to whom the answer is from, at most 4 followed. Verbose only. */
  readonly ports: readonly PortStep[];
  readonly warnings: readonly AnswerWarning[];
  readonly errors: readonly AnswerError[];
  readonly hops: readonly HopRecord[];
  readonly stats: QueryStats;
}

/** At least one mapping. */
export interface FoundAnswer<F extends AnswerForm = AnswerForm> extends AnswerBase<F> {
  readonly status: "found";
  /** In the holder's order; compact: in the order of the registry's bits. */
  readonly mappings: readonly [AnswerMapping<F>, ...AnswerMapping<F>[]];
  /**
   * The holder's first choice, the same every time until it disappears or `choose` is called. A compact
   * answer knows no order and offers none.
   */
  readonly choice: F extends "compact" ? undefined : VerifiedAnswerMapping;
}

/** No mapping, and every DP asked proved it. */
export interface NoneAnswer<F extends AnswerForm = AnswerForm> extends AnswerBase<F> {
  readonly status: "none";
  readonly mappings: readonly [];
  readonly choice: undefined;
}

/** No mapping, and only some of the DPs proved it. */
export interface IncompleteAnswer<F extends AnswerForm = AnswerForm> extends AnswerBase<F> {
  readonly status: "incomplete";
  readonly mappings: readonly [];
  readonly choice: undefined;
}

export type Answer<F extends AnswerForm = AnswerForm> =
  FoundAnswer<F> | NoneAnswer<F> | IncompleteAnswer<F>;

/** In a batch a failed contact is an element, not the end of the batch. */
export interface FailedAnswer {
  readonly status: FailureStatus;
  readonly error: DiscoveryError;
  readonly errors: readonly AnswerError[];
  readonly hops: readonly HopRecord[];
  readonly stats: QueryStats;
}

export interface BatchItem<F extends AnswerForm = AnswerForm> {
  readonly csi: Csi;
  readonly answer: Answer<F> | FailedAnswer;
}

/** Entry of `errors` for a failure. */
export function answerError(error: DiscoveryError, upstream: string): AnswerError {
  const { code, number, text } = error;
  return { code, number, text, upstream: error.upstream ?? upstream };
}
