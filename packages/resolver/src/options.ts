// Options of a lookup: bounds and defaults in one place. Parameters that later versions bring are refused
// by name rather than ignored.

import { DiscoveryError, limits, type Federation, type MspId } from "@whither/protocol";
import type { AnswerForm, HopRecord } from "./answer.js";

export interface LookupOptions<F extends AnswerForm = AnswerForm> {
  /** `lookup`: "verbose" unless told; `lookupAll`: "compact". */
  readonly form?: F;
  /** Only these MSPs; applied here, so that no DP learns the wish. */
  readonly msps?: readonly (MspId | string)[];
  /** The caller's own MSP, for slots that count only inside one app; that of the resolver unless told. */
  readonly ownMsp?: MspId | string;
  /** Account whose earlier choice counts; "" unless told. */
  readonly account?: string;
  readonly signal?: AbortSignal;
  /** 50..60000 ms; 7000 unless told, for one contact. A batch waits up to ten minutes for the DP's limits. */
  readonly timeoutMs?: number;
  /** Hears each hop as it happens; implies nothing else, `hops` is always there. */
  readonly onHop?: (hop: HopRecord) => void;
  /** Steps to where the holder says it moved, 0..4; 4 unless told. No DP forwards in this version. */
  readonly maxHops?: number;
  /** Shows a slot whose signatures do not verify, marked; it is never cached. Buckets are always checked. */
  readonly checkingDisabled?: boolean;
  /** Asks anew even if a cached answer is fresh. */
  readonly refresh?: boolean;

  /** "default": the DPs that the directory names. All else is not available yet. */
  readonly federation?: "default" | Federation;
  readonly dps?: readonly string[];
  /** "blind": the DP learns who asks and not about whom. "relayed" is not available yet. */
  readonly privacy?: "blind" | "relayed";
  readonly audience?: unknown;
  /**
   * Only servers of the DPs that lie in these countries (ISO 3166-1 alpha-2) are asked, 1..64. A cached answer is
   * given all the same: it tells nobody anything. The directory is public and not concerned.
   */
  readonly jurisdiction?: readonly string[];
}

const timeoutMsMin = 50;
const timeoutMsMax = 60_000;
const hopsMax = 4;
/** A batch's contact waits for the DP's limits; each wait is bounded, and this bounds their sum. */
export const batchTimeoutMs = 10 * 60_000;

/**
 * Throws NOT_AVAILABLE for a parameter of a later version and TypeError for a value out of range.
 * Called before anything is asked or looked up.
 */
export function checkLookupOptions(options: LookupOptions): void {
  const { federation = "default", privacy = "blind" } = options;
  if (federation !== "default") throw notAvailable("federation");
  if (options.dps !== undefined) throw notAvailable("dps");
  if (privacy !== "blind") throw notAvailable("privacy relayed");
  if (options.audience !== undefined) throw notAvailable("audience");
  checkJurisdiction(options.jurisdiction);
  checkRange("timeoutMs", options.timeoutMs, { min: timeoutMsMin, max: timeoutMsMax });
  checkRange("maxHops", options.maxHops, { min: 0, max: hopsMax });
}

const jurisdictionsMax = 64;

function checkJurisdiction(given: readonly string[] | undefined): void {
  if (given === undefined) return;
  const isOk = given.length > 0 && given.length <= jurisdictionsMax;
  if (!isOk || !given.every((one) => /^[A-Z]{2}$/.test(one))) {
    throw new TypeError(`jurisdiction: expected 1..${jurisdictionsMax} country codes such as DE`);
  }
}

/** Most bytes that one contact may cost at one DP. */
export function bytesPerZone(form: AnswerForm): number {
  return form === "compact" ? limits.queryBytesCompactMax : limits.queryBytesVerboseMax;
}

function checkRange(
  name: string,
  value: number | undefined,
  { min, max }: { readonly min: number; readonly max: number },
): void {
  if (value === undefined) return;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new TypeError(`${name}: expected ${min}..${max}`);
  }
}

function notAvailable(name: string): DiscoveryError {
  return new DiscoveryError("NOT_AVAILABLE", `${name}: not available in this version`);
}
