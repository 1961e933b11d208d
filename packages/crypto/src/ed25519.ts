// Ed25519 (RFC 8032 section 5.1), strict and cofactorless, on @noble/ed25519: the portable backend,
// the offline signer and the oracle of the tests. The fast twin is `node/ed25519.ts`.
import { Point, getPublicKey, hash, hashes, sign, etc } from "@noble/ed25519";
import { sha512 as nobleSha512 } from "@noble/hashes/sha2.js";
import { DiscoveryError } from "@whither/protocol";
import { concatBytes, equalBytes, expectLength } from "./bytes.js";
import type { RandomBytes } from "./bytes.js";
import type { Hash } from "./hashes.js";
import { sha256 } from "./hashes.js";
import { isCanonicalFieldElement, isCanonicalScalar, isSmallOrderEncoding } from "./curve25519.js";

hashes.sha512 = nobleSha512; // the synchronous API of noble has none of its own

export const publicKeyBytes = 32;
export const secretKeyBytes = 32;
export const signatureBytes = 64;
const keyIdBytes = 8;

/** Holds a secret key and signs with it; never shows it. */
export interface Signer {
  readonly publicKey: Uint8Array;
  /** 8 bytes. */
  readonly keyId: Uint8Array;
  /** 64-byte signature of the message, deterministic. */
  sign(message: Uint8Array): Uint8Array;
}

export interface SignatureCheck {
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** Binds the derivation of key ids to a SHA-256: the first 8 bytes of the key's hash. */
export function createKeyIdOf(digest: Hash): (publicKey: Uint8Array) => Uint8Array {
  return (publicKey) => {
    expectLength(publicKey, publicKeyBytes, "public key");
    return digest(publicKey).slice(0, keyIdBytes);
  };
}

/** 8-byte id of a 32-byte public key (protocol.md section 2). */
export const keyIdOf = createKeyIdOf(sha256);

/**
 * A copy of a public key that is safe to verify with: 32 bytes, canonical, on the curve, not of
 * small order. Throws INVALID_DATA. For keys that are kept: registry, key sets, manifests, files.
 * `verifyEd25519` refuses the same keys by itself, as OpenSSL and noble's default do not: they
 * accept `pk = R = identity, S = 0` for any message.
 */
export function importPublicKey(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== publicKeyBytes) {
    throw new DiscoveryError("INVALID_DATA", "public key: expected 32 bytes");
  }
  if (decodeKey(publicKey) === undefined) {
    throw new DiscoveryError("INVALID_DATA", "public key: not a canonical point of large order");
  }
  return Uint8Array.from(publicKey);
}

function decodeKey(publicKey: Uint8Array): Point | undefined {
  if (!isCanonicalFieldElement(publicKey) || isSmallOrderEncoding(publicKey)) return undefined;
  try {
    return Point.fromBytes(publicKey, false);
  } catch {
    return undefined; // not on the curve
  }
}

/** 32 fresh secret bytes. */
export function generateSecretKey(randomBytes: RandomBytes): Uint8Array {
  const secret = randomBytes(secretKeyBytes);
  expectLength(secret, secretKeyBytes, "random bytes");
  return secret;
}

/** Public key of a 32-byte secret key (RFC 8032 section 5.1.5). */
export function publicKeyOf(secretKey: Uint8Array): Uint8Array {
  expectLength(secretKey, secretKeyBytes, "secret key");
  return getPublicKey(secretKey);
}

/** Signer over a copy of a 32-byte secret key. */
export function createSigner(secretKey: Uint8Array): Signer {
  expectLength(secretKey, secretKeyBytes, "secret key");
  const secret = Uint8Array.from(secretKey);
  const publicKey = getPublicKey(secret);
  return {
    publicKey,
    keyId: keyIdOf(publicKey),
    sign: (message) => sign(message, secret),
  };
}

/**
 * Whether a signature is valid: key as `importPublicKey` demands, S below the group order, R not of
 * small order, and `R = [S]B - [k]A` byte for byte. This is noble's `{ zip215: false }` less its multiplication by
 * the cofactor, so that this backend and OpenSSL agree on every input, mixed-order ones included.
 */
export function verifyEd25519({ publicKey, message, signature }: SignatureCheck): boolean {
  if (publicKey.length !== publicKeyBytes || signature.length !== signatureBytes) return false;
  const encodedR = signature.subarray(0, 32);
  const encodedS = signature.subarray(32);
  if (!isCanonicalScalar(encodedS) || isSmallOrderEncoding(encodedR)) return false;
  const key = decodeKey(publicKey);
  if (key === undefined) return false;
  const challenge = littleEndian(hash(concatBytes(encodedR, publicKey, message)));
  const k = etc.mod(challenge, Point.CURVE().n);
  const expected = Point.BASE.multiply(littleEndian(encodedS), false).subtract(
    key.multiply(k, false),
  );
  return equalBytes(expected.toBytes(), encodedR);
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${etc.bytesToHex(Uint8Array.from(bytes).reverse())}`);
}
