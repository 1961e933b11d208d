// Signed objects: made once, carried opaque, verified before they are parsed (protocol.md section 2).

import { DiscoveryError, type KeyPeriod, type Role, type SignedObject } from "@whither/protocol";
import {
  equalBytes,
  keyIdOf,
  sha256,
  signatureInput,
  verifyEd25519,
  type SignedType,
  type Signer,
} from "@whither/crypto/node";

/** Verifies one Ed25519 signature. Injected so that a query can count and cache its verifications. */
export interface SignatureVerifier {
  verify(check: {
    readonly publicKey: Uint8Array;
    readonly message: Uint8Array;
    readonly signature: Uint8Array;
  }): boolean;
}

/** The strict verifier on node:crypto, without budget or cache. */
export const nodeVerifier: SignatureVerifier = { verify: verifyEd25519 };

/** What is signed and in which place: closes the door on using a signature elsewhere. */
export interface SignaturePlace {
  readonly type: SignedType;
  readonly role: Role;
  /** Zone name, or "" for records that belong to no zone. */
  readonly zone: string;
}

/** A payload with its first signature. */
export function signObject(
  place: SignaturePlace & { readonly payload: Uint8Array; readonly signer: Signer },
): SignedObject {
  return addSignature({ payload: place.payload, signatures: [] }, place);
}

/** The same payload with one more signature. */
export function addSignature(
  object: SignedObject,
  place: SignaturePlace & { readonly signer: Signer },
): SignedObject {
  const { signer, type, role, zone } = place;
  const message = signatureInput({ type, role, zone, payload: object.payload });
  const signature = { keyId: signer.keyId, role, signature: signer.sign(message) };
  return { payload: object.payload, signatures: [...object.signatures, signature] };
}

/**
 * Checks that at least `threshold` (default 1) different keys of `keys` signed the object in this place.
 * Throws KEY_MISSING when no signature names one of the keys, BOGUS when one that does is wrong, and
 * EXPIRED / NOT_YET_VALID when the only fitting key may not sign at `atSeconds`.
 */
export function verifySigned(
  check: SignaturePlace & {
    readonly object: SignedObject;
    readonly keys: readonly (KeyPeriod | Uint8Array)[];
    readonly atSeconds: number;
    readonly verifier: SignatureVerifier;
    readonly threshold?: number;
  },
): void {
  const { object, type, role, zone, keys, atSeconds, verifier, threshold = 1 } = check;
  const message = signatureInput({ type, role, zone, payload: object.payload });
  let verified = 0;
  let outside: DiscoveryError | undefined;
  for (const key of keys) {
    const publicKey = key instanceof Uint8Array ? key : key.publicKey;
    const keyId = keyIdOf(publicKey);
    const signature = object.signatures.find((s) => s.role === role && equalBytes(s.keyId, keyId));
    if (signature === undefined) continue;
    outside = key instanceof Uint8Array ? undefined : outsidePeriod(type, key, atSeconds);
    if (outside !== undefined) continue;
    if (!verifier.verify({ publicKey, message, signature: signature.signature })) {
      throw new DiscoveryError("BOGUS", `${type}: signature does not verify`);
    }
    verified += 1;
    if (verified >= threshold) return;
  }
  if (outside !== undefined) throw outside;
  throw new DiscoveryError("KEY_MISSING", `${type}: ${verified} of ${threshold} known signers`);
}

function outsidePeriod(
  type: string,
  key: KeyPeriod,
  atSeconds: number,
): DiscoveryError | undefined {
  if (atSeconds < key.notBefore)
    return new DiscoveryError("NOT_YET_VALID", `${type}: key not yet valid`);
  if (atSeconds > key.notAfter) return new DiscoveryError("EXPIRED", `${type}: key expired`);
  return undefined;
}

/** "Hash of a record": SHA-256 over its payload as signed. */
export function payloadSha256(object: SignedObject): Uint8Array {
  return sha256(object.payload);
}
