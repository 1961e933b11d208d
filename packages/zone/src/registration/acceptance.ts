// What a DP signs about a registration: that it parsed and checked a mapping (acceptance), and that a
// statement will stand in a published head in time (promise). Both by a zone key of the manifest.

import {
  DiscoveryError,
  limits,
  roles,
  type Acceptance,
  type Manifest,
  type MergePromise,
  type SignedObject,
} from "@whither/protocol";
import { equalBytes } from "@whither/crypto/node";
import { decodeAcceptance, decodePromise } from "@whither/wire";
import type { SignatureVerifier } from "../signed.js";
import { decodeRecord, requireSignature } from "./signer-rules.js";

export interface AcceptanceCheck {
  readonly object: SignedObject;
  /** The manifest of the zone, trusted by its hash. */
  readonly manifest: Manifest;
  readonly mappingSha256: Uint8Array;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

/**
 * Verifies that the zone accepted this mapping. Throws BAD_SIGNATURE, KEY_MISSING (no key of the
 * manifest), INVALID_DATA (shape) or BOGUS (another zone or mapping, a time to come).
 */
export function verifyAcceptance(check: AcceptanceCheck): Acceptance {
  const { object, manifest, nowSeconds, verifier } = check;
  const acceptance = decodeRecord("INVALID_DATA", () => decodeAcceptance(object.payload));
  requireSignature({
    type: "acceptance",
    role: roles.dp,
    zone: manifest.zone,
    object,
    keys: manifest.zoneKeys,
    atSeconds: acceptance.acceptedAt,
    verifier,
  });
  if (acceptance.zone !== manifest.zone) refuse("acceptance: of another zone");
  if (!equalBytes(acceptance.mappingSha256, check.mappingSha256)) {
    refuse("acceptance: of another mapping");
  }
  if (acceptance.acceptedAt > nowSeconds + limits.clockSkewSeconds) {
    refuse("acceptance: dated in the future");
  }
  return acceptance;
}

export interface PromiseCheck extends Omit<AcceptanceCheck, "mappingSha256"> {
  readonly statementSha256: Uint8Array;
}

/** Verifies the zone's promise for this statement. Throws as verifyAcceptance does. */
export function verifyPromise(check: PromiseCheck): MergePromise {
  const { object, manifest, nowSeconds, verifier } = check;
  const promise = decodeRecord("INVALID_DATA", () => decodePromise(object.payload));
  requireSignature({
    type: "promise",
    role: roles.dp,
    zone: manifest.zone,
    object,
    keys: manifest.zoneKeys,
    atSeconds: promise.acceptedAt,
    verifier,
  });
  if (promise.zone !== manifest.zone) refuse("promise: of another zone");
  if (!equalBytes(promise.statementSha256, check.statementSha256)) {
    refuse("promise: of another statement");
  }
  if (Math.abs(promise.acceptedAt - nowSeconds) > limits.clockSkewSeconds) {
    refuse("promise: not dated now");
  }
  return promise;
}

function refuse(text: string): never {
  throw new DiscoveryError("BOGUS", text);
}
