// SHA-2, HMAC and HKDF on node:crypto. Same names, signatures and bytes as the portable `hashes.ts`.
import { createHash, createHmac, hash } from "node:crypto";
import { concatBytes } from "../bytes.js";
import { checkHkdfLength } from "../hashes.js";
import type { HkdfExpandInput, HkdfInput } from "../hashes.js";

// Up to here one copy and a one-shot call beat a streaming hash object; beyond it the copy loses.
const oneShotBytesMax = 16 * 1024;
const hashBytes = 64;

/** A Uint8Array over a Buffer's memory: `slice` copies, unlike Buffer's, and types stay alike. */
const plain = (buffer: Buffer): Uint8Array =>
  new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);

function digest(algorithm: string, parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0] !== undefined) {
    return plain(hash(algorithm, parts[0], "buffer"));
  }
  let length = 0;
  for (const part of parts) length += part.length;
  if (length <= oneShotBytesMax) return plain(hash(algorithm, concatBytes(...parts), "buffer"));
  const stream = createHash(algorithm);
  for (const part of parts) stream.update(part);
  return plain(stream.digest());
}

/** 32-byte SHA-256 of the concatenated parts. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return digest("sha256", parts);
}

/** 48-byte SHA-384 of the concatenated parts. */
export function sha384(...parts: readonly Uint8Array[]): Uint8Array {
  return digest("sha384", parts);
}

/** 64-byte SHA-512 of the concatenated parts. */
export function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  return digest("sha512", parts);
}

function hmac(algorithm: string, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const stream = createHmac(algorithm, key);
  for (const part of parts) stream.update(part);
  return plain(stream.digest());
}

/** 32-byte HMAC-SHA256 of the concatenated parts. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return hmac("sha256", key, parts);
}

const emptySalt = new Uint8Array(hashBytes);

/** 64-byte pseudorandom key, reusable for several expansions of one secret (RFC 5869 section 2.2). */
export function hkdfExtract(secret: Uint8Array): Uint8Array {
  return hmac("sha512", emptySalt, [secret]);
}

/** Output of a pseudorandom key for one info (RFC 5869 section 2.3). */
export function hkdfExpand({ prk, info, lengthBytes }: HkdfExpandInput): Uint8Array {
  checkHkdfLength(lengthBytes);
  // Two HMACs are half the price of hkdfSync, which makes a KeyObject on every call.
  let block = hmac("sha512", prk, [info, Uint8Array.of(1)]);
  if (lengthBytes <= hashBytes) return block.slice(0, lengthBytes);
  const output = new Uint8Array(lengthBytes);
  output.set(block);
  for (let offset = hashBytes, counter = 2; offset < lengthBytes; offset += hashBytes, counter++) {
    block = hmac("sha512", prk, [block, info, Uint8Array.of(counter)]);
    output.set(block.subarray(0, lengthBytes - offset), offset);
  }
  return output;
}

/** HKDF-SHA512 with an empty salt. */
export function hkdf({ secret, info, lengthBytes }: HkdfInput): Uint8Array {
  return hkdfExpand({ prk: hkdfExtract(secret), info, lengthBytes });
}
