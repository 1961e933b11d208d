// SHA-2, HMAC and HKDF on node:crypto. Same names, signatures and bytes as the portable `hashes.ts`.
import { createHash, createHmac, hash } from "node:crypto";
import { checkHkdfLength } from "../hashes.js";
import type { HkdfExpandInput, HkdfInput } from "../hashes.js";

const hashBytes = 64;

// A digest that comes back as a one-byte string and is copied out costs a third of one that comes
// back as a Buffer: below 65 bytes a typed array needs no allocation outside the JavaScript heap.
const encoding = "binary";

function bytesOf(digest: string): Uint8Array {
  const bytes = new Uint8Array(digest.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = digest.charCodeAt(i);
  return bytes;
}

// Parts are gathered here for a one-shot call, up to a whole bucket; longer ones go through a hash object.
const scratch = new Uint8Array(32 * 1024);

function digest(algorithm: string, parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0] !== undefined) {
    return bytesOf(hash(algorithm, parts[0], encoding));
  }
  let length = 0;
  for (const part of parts) length += part.length;
  if (length > scratch.length) {
    const stream = createHash(algorithm);
    for (const part of parts) stream.update(part);
    return bytesOf(stream.digest(encoding));
  }
  let offset = 0;
  for (const part of parts) {
    scratch.set(part, offset);
    offset += part.length;
  }
  const bytes = bytesOf(hash(algorithm, scratch.subarray(0, length), encoding));
  scratch.fill(0, 0, length);
  return bytes;
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

const innerPad = 0x36;
const outerPad = 0x5c;
const blockBytes = { sha256: 64, sha512: 128 } as const;
const shortMessageBytes = 1024;

/** RFC 2104 over two one-shot hashes: a third of what an Hmac object costs for a short message. */
function hmac(
  algorithm: keyof typeof blockBytes,
  key: Uint8Array,
  parts: readonly Uint8Array[],
): Uint8Array {
  const block = blockBytes[algorithm];
  let length = block;
  for (const part of parts) length += part.length;
  if (key.length > block || length > shortMessageBytes) {
    const stream = createHmac(algorithm, key);
    for (const part of parts) stream.update(part);
    return bytesOf(stream.digest(encoding));
  }
  padKey(key, block, innerPad);
  let offset = block;
  for (const part of parts) {
    scratch.set(part, offset);
    offset += part.length;
  }
  const inner = hash(algorithm, scratch.subarray(0, length), encoding);
  padKey(key, block, outerPad);
  for (let i = 0; i < inner.length; i++) scratch[block + i] = inner.charCodeAt(i);
  const outer = hash(algorithm, scratch.subarray(0, block + inner.length), encoding);
  scratch.fill(0, 0, Math.max(length, block + inner.length));
  return bytesOf(outer);
}

function padKey(key: Uint8Array, block: number, pad: number): void {
  scratch.fill(pad, 0, block);
  for (let i = 0; i < key.length; i++) scratch[i] = key[i]! ^ pad;
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
