// Encodings of edwards25519 and ristretto255 that can be judged without arithmetic: canonical field
// elements and scalars, and the points of small order. No curve operation happens here.
import { fromHex } from "./text-encodings.js";

// RFC 8032 section 5.1: the field prime 2^255 - 19 and the group order, 32 bytes little-endian.
const fieldPrime = fromHex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
const groupOrder = fromHex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");

/**
 * y-coordinates, without the sign bit, of the points of order 1, 2, 4 and 8: those are 1, -1, 0 and
 * the two roots that the points of order 8 share. Canonical encodings only; others fail before.
 */
const smallOrderY = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
].map(fromHex);

/** Whether a < b, both 32 bytes little-endian; `topMask` is applied to the top byte of a. */
function isBelow(a: Uint8Array, b: Uint8Array, topMask: number): boolean {
  for (let i = 31; i >= 0; i--) {
    const byte = i === 31 ? a[i]! & topMask : a[i]!;
    if (byte !== b[i]!) return byte < b[i]!;
  }
  return false;
}

/** Whether the y-coordinate of a 32-byte point encoding, sign bit aside, is below 2^255 - 19. */
export function isCanonicalFieldElement(encoding: Uint8Array): boolean {
  return encoding.length === 32 && isBelow(encoding, fieldPrime, 0x7f);
}

/** Whether 32 bytes are a scalar below the group order. Public values only: time varies. */
export function isCanonicalScalar(scalar: Uint8Array): boolean {
  return scalar.length === 32 && isBelow(scalar, groupOrder, 0xff);
}

/** Whether all bytes are zero: the scalar 0, and the encoding of the ristretto255 identity. */
export function isZero(bytes: Uint8Array): boolean {
  let seen = 0;
  for (const byte of bytes) seen |= byte;
  return seen === 0;
}

/** Whether a canonical 32-byte encoding is one of the eight points of small order, either sign. */
export function isSmallOrderEncoding(encoding: Uint8Array): boolean {
  return smallOrderY.some((y) => {
    for (let i = 0; i < 31; i++) if (encoding[i] !== y[i]) return false;
    return (encoding[31]! & 0x7f) === y[31];
  });
}
