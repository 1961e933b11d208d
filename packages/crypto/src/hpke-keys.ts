// Keys that relayed queries are sealed to: X25519 for HPKE's DHKEM(X25519, HKDF-SHA256) (RFC 9180 section 7.1), in files
// as PEM PKCS#8 (RFC 8410), in text as `x25519:<base64url>`. Keys only; sealing comes with the relay.

import { x25519 } from "@noble/curves/ed25519.js";
import { DiscoveryError } from "@whither/protocol";
import { concatBytes, equalBytes, expectLength, type RandomBytes } from "./bytes.js";
import { fromBase64, fromHex, toBase64, toBase64Url } from "./text-encodings.js";

const keyBytes = 32;
const publicKeyPrefix = "x25519:";
const pemHeader = "-----BEGIN PRIVATE KEY-----";
const pemFooter = "-----END PRIVATE KEY-----";
// RFC 8410 section 7: version 0, id-X25519, an OCTET STRING in an OCTET STRING, then 32 key bytes.
const pkcs8Prefix = fromHex("302e020100300506032b656e04220420");

/** A 32-byte secret key: any 32 octets are one (RFC 7748 section 5). */
export function generateHpkeKey(randomBytes: RandomBytes): Uint8Array {
  return randomBytes(keyBytes);
}

/** 32 bytes of a 32-byte secret key. */
export function hpkePublicKeyOf(secretKey: Uint8Array): Uint8Array {
  expectLength(secretKey, keyBytes, "hpke secret key");
  return x25519.getPublicKey(secretKey);
}

/**
 * The key, if it is one that may be sealed to. Throws INVALID_DATA for a point of low order, with which everybody knows
 * the shared secret (RFC 9180 section 7.1.4), and for one that is not reduced, so that a key has one encoding.
 */
export function importHpkePublicKey(publicKey: Uint8Array): Uint8Array {
  const isReduced = publicKey.length === keyBytes && isBelowField(publicKey);
  if (!isReduced || !isContributory(publicKey)) {
    throw new DiscoveryError("INVALID_DATA", "hpke key: not a usable x25519 key");
  }
  return publicKey;
}

/** Below 2^255 - 19, little-endian, which also keeps the top bit clear. */
function isBelowField(key: Uint8Array): boolean {
  const [lowest = 0] = key;
  if ((key.at(-1) ?? 0) > 0x7f) return false;
  const isTop = key.at(-1) === 0x7f && key.subarray(1, -1).every((byte) => byte === 0xff);
  return !isTop || lowest < 0xed;
}

function isContributory(publicKey: Uint8Array): boolean {
  try {
    x25519.getSharedSecret(new Uint8Array(keyBytes).fill(1), publicKey);
    return true;
  } catch {
    return false; // the product is zero: noble refuses it
  }
}

/** `x25519:<base64url>` of a 32-byte public key. */
export function formatHpkePublicKey(publicKey: Uint8Array): string {
  expectLength(publicKey, keyBytes, "hpke public key");
  return publicKeyPrefix + toBase64Url(publicKey);
}

/** PEM PKCS#8, as `openssl genpkey -algorithm X25519` writes it, newline included. */
export function encodeHpkeKeyPem(secretKey: Uint8Array): string {
  expectLength(secretKey, keyBytes, "hpke secret key");
  return `${pemHeader}\n${toBase64(concatBytes(pkcs8Prefix, secretKey))}\n${pemFooter}\n`;
}

/** The 32-byte secret key of a PEM file that holds one X25519 key. Throws INVALID_DATA. */
export function decodeHpkeKeyPem(pem: string): Uint8Array {
  const text = pem.trim();
  if (text.startsWith(pemHeader) && text.endsWith(pemFooter)) {
    const body = text.slice(pemHeader.length, -pemFooter.length).replace(/[\r\n]/g, "");
    const der = fromBase64(body);
    const prefix = der.subarray(0, pkcs8Prefix.length);
    if (der.length === pkcs8Prefix.length + keyBytes && equalBytes(prefix, pkcs8Prefix)) {
      return der.slice(pkcs8Prefix.length);
    }
  }
  throw new DiscoveryError("INVALID_DATA", "expected an x25519 key in pkcs#8 version 0");
}
