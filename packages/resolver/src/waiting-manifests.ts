// What a lookup is told of manifests that the directory names and that are not in effect yet: a hop of its trace,
// and the failure of servers that speak under one already.

import { DiscoveryError, isDiscoveryError, limits, type SignedObject } from "@whither/protocol";
import { verifyHead, type SignatureVerifier, type WaitingManifest } from "@whither/zone";
import type { ZoneQuery } from "./query.js";
import type { ZoneView } from "./zone-view.js";

type Waiting = Pick<ZoneView, "zone" | "waiting">;

/** Tells the query what of a zone is not in effect yet. */
export function tellWaiting(
  { waiting }: Waiting,
  { trace, prefix }: ZoneQuery,
  nowSeconds: number,
): void {
  for (const one of waiting) {
    trace.hop({
      prefix,
      from: "memory",
      told: "nothing",
      learnt: waitText(one, nowSeconds),
      serial: undefined,
      verdict: "MANIFEST_WAITS",
      rttMs: 0,
    });
  }
}

/**
 * When to ask again: another server may have the signature that this one left out, or the manifest that could not be
 * had.
 */
export function reviewOf(
  of: Pick<ZoneView, "isPartial" | "waiting">,
  nowSeconds: number,
): Pick<ZoneView, "isPartial" | "reviewAt" | "waiting"> {
  const { waiting, isPartial } = of;
  const soon = nowSeconds + limits.failureTtlSecondsMax;
  const ends = waiting.flatMap(({ effectiveAt }) => [effectiveAt, soon]);
  if (isPartial) ends.push(soon);
  return { waiting, isPartial, reviewAt: Math.min(Infinity, ...ends) };
}

/** Throws MANIFEST_WAITS for a head that is good, under a manifest that is not in effect yet. */
export function refuseWaiting(
  { zone, waiting }: Waiting,
  object: SignedObject,
  check: { readonly nowSeconds: number; readonly verifier: SignatureVerifier },
): void {
  for (const one of waiting) {
    const { manifest, sha256 } = one;
    if (isGood({ ...check, object, zone, manifest, manifestSha256: sha256 })) {
      throw waits({ zone, one }, check.nowSeconds);
    }
  }
}

/** The failure of servers that do not know a key of the manifest in effect any more. */
export function explained(
  { zone, waiting: [one] }: Waiting,
  error: unknown,
  nowSeconds: number,
): unknown {
  if (one === undefined || !isDiscoveryError(error, "UNKNOWN_KID")) return error;
  return waits({ zone, one }, nowSeconds, error);
}

function waits(
  of: { readonly zone: string; readonly one: WaitingManifest },
  nowSeconds: number,
  cause?: unknown,
): DiscoveryError {
  const options = { upstream: of.zone, ...(cause === undefined ? {} : { cause }) };
  return new DiscoveryError("MANIFEST_WAITS", waitText(of.one, nowSeconds), options);
}

function isGood(check: Parameters<typeof verifyHead>[0]): boolean {
  try {
    verifyHead(check);
    return true;
  } catch (error) {
    if (!isDiscoveryError(error) || isDiscoveryError(error, "BUDGET")) throw error;
    return false;
  }
}

function waitText({ manifest, effectiveAt }: WaitingManifest, nowSeconds: number): string {
  const hours = Math.ceil((effectiveAt - nowSeconds) / 3600);
  return `manifest, version ${manifest.version}, in effect in ${hours} h at the earliest`;
}
