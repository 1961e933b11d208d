// Byte strings: joining, big-endian integers, the length prefix `lp` of protocol.md, comparison.
// Everything that is signed or hashed is built from these. Text encodings live in `text-encodings.ts`.
import { DiscoveryError, limits } from "@whither/protocol";

/** Source of secret randomness: returns that many fresh bytes, which the receiver may overwrite. */
export type RandomBytes = (length: number) => Uint8Array;

const encoder = new TextEncoder();

/** UTF-8 octets of a text. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The parts one after another, in a new array. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/**
 * Length prefix of protocol.md: 2-byte big-endian length, then the bytes (a text as UTF-8).
 * Throws TOO_LARGE above 1024 bytes.
 */
export function lp(value: Uint8Array | string): Uint8Array {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  if (bytes.length > limits.lengthPrefixedBytesMax) {
    throw new DiscoveryError("TOO_LARGE", `expected at most 1024 bytes, got ${bytes.length}`);
  }
  const prefixed = new Uint8Array(2 + bytes.length);
  prefixed[0] = bytes.length >>> 8;
  prefixed[1] = bytes.length & 0xff;
  prefixed.set(bytes, 2);
  return prefixed;
}

function checkUnsigned(value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new TypeError(`expected an integer from 0 to ${max}`);
  }
}

/** One byte, 0..255. */
export function uint8Bytes(value: number): Uint8Array {
  checkUnsigned(value, 0xff);
  return Uint8Array.of(value);
}

/** Two bytes, big-endian. */
export function uint16Bytes(value: number): Uint8Array {
  checkUnsigned(value, 0xffff);
  return Uint8Array.of(value >>> 8, value & 0xff);
}

/** Four bytes, big-endian. */
export function uint32Bytes(value: number): Uint8Array {
  checkUnsigned(value, 0xffffffff);
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

/** Eight bytes, big-endian. A `number` must be a safe integer. */
export function uint64Bytes(value: bigint | number): Uint8Array {
  if (typeof value === "number") checkUnsigned(value, Number.MAX_SAFE_INTEGER);
  else if (value < 0n || value > 0xffff_ffff_ffff_ffffn) {
    throw new TypeError("expected an unsigned 64-bit integer");
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/** Equality in time that depends on the length alone; arrays of different length are unequal. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

/** Order of unsigned bytes, a prefix before its extensions: negative, 0 or positive. Not for secrets. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Overwrites a secret with zeros. Copies the engine may have made are out of reach. */
export function wipe(secret: Uint8Array): void {
  secret.fill(0);
}

/** Throws TypeError unless `value` is a byte array of that length; the text holds no bytes of it. */
export function expectLength(value: Uint8Array, length: number, name: string): void {
  if (!(value instanceof Uint8Array) || value.length !== length) {
    throw new TypeError(`${name}: expected ${length} bytes`);
  }
}
