// Hexadecimal, base64url and base64 (RFC 4648 sections 8, 5, 4), strict: one text for one value.
// Upper-case hex, missing or extra padding, foreign characters and stray bits are all refused.
import { DiscoveryError } from "@whither/protocol";

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const common = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const urlAlphabet = `${common}-_`;
const standardAlphabet = `${common}+/`;

const hexValues = valuesOf("0123456789abcdef");
const urlValues = valuesOf(urlAlphabet);
const standardValues = valuesOf(standardAlphabet);

/** Value of each ASCII code in an alphabet, -1 where it has none. */
function valuesOf(alphabet: string): Int8Array {
  const values = new Int8Array(128).fill(-1);
  for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;
  return values;
}

function valueAt(values: Int8Array, text: string, index: number, what: string): number {
  const value = values[text.charCodeAt(index)] ?? -1;
  if (value < 0) throw new DiscoveryError("INVALID_DATA", `unexpected character in ${what}`);
  return value;
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexPairs[byte]!;
  return text;
}

/** Bytes of lower-case hexadecimal. Throws INVALID_DATA for anything else. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0) throw new DiscoveryError("INVALID_DATA", "odd number of hex digits");
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    const high = valueAt(hexValues, text, 2 * i, "hex");
    bytes[i] = (high << 4) | valueAt(hexValues, text, 2 * i + 1, "hex");
  }
  return bytes;
}

function encode64(bytes: Uint8Array, alphabet: string): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group =
      (bytes[i]! << 16) | (left > 1 ? bytes[i + 1]! << 8 : 0) | (left > 2 ? bytes[i + 2]! : 0);
    text += alphabet.charAt(group >>> 18) + alphabet.charAt((group >>> 12) & 63);
    if (left > 1) text += alphabet.charAt((group >>> 6) & 63);
    if (left > 2) text += alphabet.charAt(group & 63);
  }
  return text;
}

function decode64(text: string, values: Int8Array, what: string): Uint8Array {
  const rest = text.length % 4;
  if (rest === 1) throw new DiscoveryError("INVALID_DATA", `wrong length of ${what}`);
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let bitCount = 0;
  let offset = 0;
  for (let i = 0; i < text.length; i++) {
    bits = ((bits << 6) | valueAt(values, text, i, what)) & 0xffff;
    bitCount += 6;
    if (bitCount >= 8) {
      bitCount -= 8;
      bytes[offset++] = (bits >>> bitCount) & 0xff;
    }
  }
  // Bits beyond the last byte would let two texts mean one value.
  if ((bits & ((1 << bitCount) - 1)) !== 0) {
    throw new DiscoveryError("INVALID_DATA", `stray bits at the end of ${what}`);
  }
  return bytes;
}

/** base64url without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return encode64(bytes, urlAlphabet);
}

/** Bytes of unpadded base64url. Throws INVALID_DATA for anything else. */
export function fromBase64Url(text: string): Uint8Array {
  return decode64(text, urlValues, "base64url");
}

/** base64 with padding. */
export function toBase64(bytes: Uint8Array): string {
  return encode64(bytes, standardAlphabet) + "=".repeat((3 - (bytes.length % 3)) % 3);
}

/** Bytes of padded base64. Throws INVALID_DATA for anything else. */
export function fromBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0) throw new DiscoveryError("INVALID_DATA", "wrong length of base64");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return decode64(text.slice(0, text.length - padding), standardValues, "base64");
}
