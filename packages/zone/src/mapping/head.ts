// A zone's head: the one signature of an epoch (protocol.md section 4). Verifies a head, and one
// head against what was seen before; remembering what was seen is the resolver's.

import { equalBytes } from "@whither/crypto/node";
import { DiscoveryError, limits, roles, type Head, type Manifest } from "@whither/protocol";
import type { SignedObject } from "@whither/protocol";
import { decodeHead } from "@whither/wire";
import { payloadSha256, verifySigned, type SignatureVerifier } from "../signed.js";

/**
 * Checks signature, zone, manifest, kid and time of a head. Throws BOGUS or KEY_MISSING for what was
 * never this zone's, EXPIRED past its life and CLOCK_SKEW when it comes from the future; both
 * allow clocks 300 s apart.
 */
export function verifyHead(check: {
  readonly object: SignedObject;
  readonly zone: string;
  readonly manifest: Manifest;
  /** 32 bytes. */
  readonly manifestSha256: Uint8Array;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}): Head {
  const { object, zone, manifest, manifestSha256, nowSeconds, verifier } = check;
  verifySigned({
    type: "head",
    role: roles.zone,
    zone,
    object,
    keys: manifest.zoneKeys,
    atSeconds: nowSeconds,
    verifier,
  });
  const head = decodeHead(object.payload);
  if (head.zone !== zone) throw bogus("zone is another one");
  if (!equalBytes(head.manifestSha256, manifestSha256)) throw bogus("manifest is another one");
  if (!manifest.voprfKeys.some((key) => equalBytes(key.kid, head.kid))) {
    throw bogus("kid is not in the manifest");
  }
  if (head.notAfter <= head.time || head.notAfter - head.time > limits.headLifetimeSeconds) {
    throw bogus("lifetime is not that of a head");
  }
  if (head.time > nowSeconds + limits.clockSkewSeconds) {
    throw new DiscoveryError("CLOCK_SKEW", "head: signed later than the local clock says");
  }
  if (head.notAfter + limits.clockSkewSeconds < nowSeconds) {
    throw new DiscoveryError("EXPIRED", "head: past its not_after");
  }
  return head;
}

/** What is remembered of a head. */
export interface HeadMark {
  readonly epoch: number;
  readonly serial: number;
  readonly time: number;
  /** SHA-256 of the payload. */
  readonly sha256: Uint8Array;
}

/** The mark of a verified head. */
export function headMarkOf(object: SignedObject, head: Head): HeadMark {
  const { epoch, serial, time } = head;
  return { epoch, serial, time, sha256: payloadSha256(object) };
}

/**
 * Checks a verified head against the newest one seen. Throws ROLLBACK for an older one and FORKED when
 * the zone signed two different heads for one place in its history; both heads are then evidence.
 */
export function verifyHeadSequence({
  seen,
  next,
  nextPrevSha256,
}: {
  readonly seen: HeadMark;
  readonly next: HeadMark;
  /** `prev_sha256` of the next head, when its link to the seen one shall be checked too. */
  readonly nextPrevSha256?: Uint8Array;
}): void {
  const order = next.epoch === seen.epoch ? next.serial - seen.serial : next.epoch - seen.epoch;
  if (order < 0) throw new DiscoveryError("ROLLBACK", "head: older than one already seen");
  if (order === 0) {
    if (equalBytes(next.sha256, seen.sha256)) return;
    throw new DiscoveryError("FORKED", "head: two signed heads with one serial");
  }
  if (next.time < seen.time) {
    throw new DiscoveryError("ROLLBACK", "head: newer serial with an older time");
  }
  const follows = next.epoch === seen.epoch && order === 1 && nextPrevSha256 !== undefined;
  if (follows && !equalBytes(nextPrevSha256, seen.sha256)) {
    throw new DiscoveryError("FORKED", "head: does not continue the one seen before");
  }
}

function bogus(text: string): DiscoveryError {
  return new DiscoveryError("BOGUS", `head: ${text}`);
}
