// What the records of a registration have in common: whose signature, within which times. A record is
// bounded and decoded, then its signature is checked, then what it says. Not the signature itself (signed.ts).

import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type ErrorCode,
  type KeyPeriod,
  type SignedObject,
} from "@whither/protocol";
import { verifySigned, type SignaturePlace, type SignatureVerifier } from "../signed.js";

/** Runs a strict codec; what it refuses breaks a rule of the record. */
export function decodeRecord<T>(code: ErrorCode, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (isDiscoveryError(error)) throw new DiscoveryError(code, error.text, { cause: error });
    throw error;
  }
}

/**
 * Requires one signature in this place by one of the keys. Throws BAD_SIGNATURE when it is missing or
 * wrong, KEY_MISSING when it is by a key that the registry does not (or no longer) list, and EXPIRED or
 * NOT_YET_VALID when that key's period, widened by the clock tolerance, does not cover `atSeconds`.
 * Keys that must not verify anything (small order, not canonical) are refused by the verifier.
 */
export function requireSignature(
  check: SignaturePlace & {
    readonly object: SignedObject;
    readonly keys: readonly (KeyPeriod | Uint8Array)[];
    readonly atSeconds: number;
    readonly verifier: SignatureVerifier;
  },
): void {
  const { object, role, type } = check;
  if (!object.signatures.some((signature) => signature.role === role)) {
    throw new DiscoveryError("BAD_SIGNATURE", `${type}: no signature of role ${role}`);
  }
  try {
    verifySigned({ ...check, keys: check.keys.map(withTolerance) });
  } catch (error) {
    // A key that the record itself names is never "no longer listed".
    const isOwnKey = check.keys.some((key) => key instanceof Uint8Array);
    const isWrong = isDiscoveryError(error, "BOGUS");
    if (!isDiscoveryError(error) || !(isWrong || isOwnKey)) throw error;
    throw new DiscoveryError("BAD_SIGNATURE", error.text, { cause: error });
  }
}

function withTolerance(key: KeyPeriod | Uint8Array): KeyPeriod | Uint8Array {
  if (key instanceof Uint8Array) return key;
  return {
    publicKey: key.publicKey,
    notBefore: key.notBefore - limits.clockSkewSeconds,
    notAfter: key.notAfter + limits.clockSkewSeconds,
  };
}

/** Throws NOT_YET_VALID or EXPIRED outside `notBefore..notAfter`, both widened by the clock tolerance. */
export function requireInForce(check: {
  readonly record: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly nowSeconds: number;
}): void {
  const { record, notBefore, notAfter, nowSeconds } = check;
  if (nowSeconds + limits.clockSkewSeconds < notBefore) {
    throw new DiscoveryError("NOT_YET_VALID", `${record}: not yet valid`);
  }
  if (nowSeconds - limits.clockSkewSeconds >= notAfter) {
    throw new DiscoveryError("EXPIRED", `${record}: expired`);
  }
}
