// Whether an expired answer may be shown, and how it then looks (RFC 8767; protocol.md section 8): never
// beyond the end of a mapping, never what a newer signed bucket contradicts, never from a zone that the
// directory no longer names.

import { DiscoveryError, type Authority, type Csi } from "@whither/protocol";
import { answerError, type AnswerForm, type AnswerWarning } from "./answer.js";
import type { CachedAnswer } from "./answer-cache.js";
import type { Buckets } from "./buckets.js";
import type { Evaluations } from "./evaluations.js";
import { failureStatus } from "./failure.js";
import type { Merged } from "./merge.js";
import type { Clock } from "@whither/runtime";
import type { ZoneViews } from "./zone-views.js";

export interface StaleParts {
  readonly views: ZoneViews;
  readonly evaluations: Evaluations;
  readonly buckets: Buckets;
  readonly clock: Clock;
}

/** What is known when nothing newer has come. */
export interface Circumstances {
  /** Why nothing came; undefined: it has not come yet. */
  readonly error: DiscoveryError | undefined;
  /** Who is authoritative now; undefined: the directory could not be asked, or has not answered yet. */
  readonly authorities: (csi: Csi) => readonly Authority[] | undefined;
}

/** Whether a failure says that nothing could be had, not that the caller may not have it. */
export function mayAnswerStale({ code }: DiscoveryError): boolean {
  switch (code) {
    // A wrong clock cannot tell how old anything is; the caller's own end is no failure of a server.
    case "CLOCK_SKEW":
    case "CANCELLED":
    case "CONFIG":
      return false;
    case "LIMITED":
    case "BUDGET":
    case "NOT_AUTHORITATIVE":
      return true;
    default:
      // A refusal is an answer about who asks. What does not verify is worth as much as silence: whoever
      // can serve it could have served nothing.
      return failureStatus(new DiscoveryError(code, "")) !== "refused";
  }
}

/** The old result, marked; undefined if it must not be shown. */
export function staleResult<F extends AnswerForm>(
  parts: StaleParts,
  { csi, stale }: { readonly csi: Csi; readonly stale: CachedAnswer<F> },
  { error, authorities }: Circumstances,
): Merged<F> | undefined {
  const { merged } = stale;
  if (merged.content.endsAt <= parts.clock.nowSeconds()) return undefined;
  if (!isStillNamed(csi, stale, authorities)) return undefined;
  if (isContradicted(parts, csi, stale)) return undefined;
  const warning: AnswerWarning = {
    code: "STALE",
    text: "nothing newer could be had",
    upstream: merged.proof.zone,
  };
  const errors = error === undefined ? [] : [answerError(error, merged.proof.zone)];
  return {
    ...merged,
    warnings: [...merged.warnings, warning],
    errors: [...merged.errors, ...errors],
  };
}

/**
 * Whether a result would hide what a DP that failed now had proven: the old answer then counts for more, since the
 * others' absence says nothing about that DP. So does one from where the holder moved, if it cannot be had there now.
 */
export function hidesData(merged: Merged, stale: CachedAnswer): boolean {
  const { complete, dps, ports, content } = merged;
  if (complete.answered === complete.asked) return false;
  const last = ports.at(-1)?.outcome ?? "followed";
  const isSent = stale.merged.ports.some(({ outcome }) => outcome === "followed");
  if (isSent && last !== "followed" && last !== "absent" && last !== "conflict") return true;
  if (content.mappings.length > 0) return false;
  const failed = new Set(dps.filter(({ outcome }) => outcome === "failed").map(({ zone }) => zone));
  return stale.merged.dps.some(({ outcome, zone }) => outcome === "present" && failed.has(zone));
}

/** A withdrawn delegation takes its data with it (ghost domains): old data of it is shown no more. */
function isStillNamed(
  asked: Csi,
  { merged: { dps } }: CachedAnswer,
  authorities: Circumstances["authorities"],
): boolean {
  return dps.every(({ zone, outcome, csi = asked }) => {
    const named = authorities(csi);
    if (outcome !== "present" || named === undefined) return true;
    return named.some((authority) => authority.zone === zone);
  });
}

/** A bucket fetched since, for another contact perhaps, in which the slot is gone or was written anew. */
function isContradicted(
  { views, evaluations, buckets }: StaleParts,
  asked: Csi,
  { merged: { dps } }: CachedAnswer,
): boolean {
  return dps.some(({ zone, outcome, serial, csi = asked }) => {
    const view = views.named(zone);
    if (outcome !== "present" || serial === undefined || view === undefined) return false;
    const evaluated = evaluations.peek(view, csi);
    const newest = evaluated === undefined ? undefined : buckets.newest(view, evaluated.idx);
    if (evaluated === undefined || newest === undefined) return false;
    if (newest.head.head.serial <= serial) return false;
    const entry = newest.bucket.find(evaluated.idx);
    return entry === undefined || entry.since > serial;
  });
}
