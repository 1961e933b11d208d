// SHA-2 (FIPS 180-4), HMAC (RFC 2104) and HKDF (RFC 5869) on @noble/hashes: the portable backend.
// HKDF is always HKDF-SHA512 with an empty salt (protocol.md, preamble).
import { expand, extract } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import {
  sha256 as nobleSha256,
  sha384 as nobleSha384,
  sha512 as nobleSha512,
} from "@noble/hashes/sha2.js";
import { concatBytes } from "./bytes.js";

/** Hash of the concatenation of its parts. */
export type Hash = (...parts: readonly Uint8Array[]) => Uint8Array;

export interface HkdfInput {
  readonly secret: Uint8Array;
  readonly info: Uint8Array;
  /** 1..16320 (255 hash lengths). */
  readonly lengthBytes: number;
}

export interface HkdfExpandInput {
  /** 64 bytes, from hkdfExtract. */
  readonly prk: Uint8Array;
  readonly info: Uint8Array;
  /** 1..16320 (255 hash lengths). */
  readonly lengthBytes: number;
}

const hkdfBytesMax = 255 * 64;

/** Throws TypeError for an output length that HKDF-SHA512 cannot give. */
export function checkHkdfLength(lengthBytes: number): void {
  if (!Number.isInteger(lengthBytes) || lengthBytes < 1 || lengthBytes > hkdfBytesMax) {
    throw new TypeError(`expected an output length of 1 to ${hkdfBytesMax} bytes`);
  }
}

const joined = (parts: readonly Uint8Array[]): Uint8Array =>
  parts.length === 1 && parts[0] !== undefined ? parts[0] : concatBytes(...parts);

/** 32-byte SHA-256 of the concatenated parts. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return nobleSha256(joined(parts));
}

/** 48-byte SHA-384 of the concatenated parts. */
export function sha384(...parts: readonly Uint8Array[]): Uint8Array {
  return nobleSha384(joined(parts));
}

/** 64-byte SHA-512 of the concatenated parts. */
export function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  return nobleSha512(joined(parts));
}

/** 32-byte HMAC-SHA256 of the concatenated parts. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return hmac(nobleSha256, key, joined(parts));
}

/** 64-byte pseudorandom key, reusable for several expansions of one secret (RFC 5869 section 2.2). */
export function hkdfExtract(secret: Uint8Array): Uint8Array {
  return extract(nobleSha512, secret);
}

/** Output of a pseudorandom key for one info (RFC 5869 section 2.3). */
export function hkdfExpand({ prk, info, lengthBytes }: HkdfExpandInput): Uint8Array {
  checkHkdfLength(lengthBytes);
  return expand(nobleSha512, prk, info, lengthBytes);
}

/** HKDF-SHA512 with an empty salt. */
export function hkdf({ secret, info, lengthBytes }: HkdfInput): Uint8Array {
  return hkdfExpand({ prk: hkdfExtract(secret), info, lengthBytes });
}
