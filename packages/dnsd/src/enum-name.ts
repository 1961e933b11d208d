// What a name under the suffix stands for: RFC 6116 section 3.2, the digits of an E.164 number from right to
// left, one a label. Pure.

import { callingCodeOf, callingCodes, isCanonicalCsi, parseCsi, type Csi } from "@whither/protocol";

export type EnumName =
  /** Not at or below the suffix. */
  | { readonly kind: "outside" }
  | { readonly kind: "apex" }
  /** An empty non-terminal: too short for a number, and numbers may lie below it. */
  | { readonly kind: "between" }
  | { readonly kind: "number"; readonly csi: Csi; readonly digits: string }
  /** Below the suffix where no number can be. */
  | { readonly kind: "impossible" };

/** E.164: at most 15 digits; protocol.md section 1: at least 7. */
const digitsMax = 15;
const digitsMin = 7;

/** A domain in wire form, lower case, one character an octet: as names of queries are held. */
export function wireName(domain: string): string {
  const labels = domain.toLowerCase().split(".");
  return `${labels.map((label) => String.fromCharCode(label.length) + label).join("")}\0`;
}

/** `name` and `suffix` in the form of `wireName`. */
export function readEnumName(name: string, suffix: string): EnumName {
  let digits = "";
  let isDigits = true;
  let at = 0;
  // By labels: the suffix's octets may also stand inside one.
  while (name.length - at > suffix.length) {
    const length = name.charCodeAt(at);
    const first = name.charAt(at + 1);
    if (length === 1 && first >= "0" && first <= "9") digits = first + digits;
    else isDigits = false;
    at += 1 + length;
  }
  if (name.slice(at) !== suffix) return { kind: "outside" };
  if (at === 0) return { kind: "apex" };
  if (!isDigits || digits.length > digitsMax) return { kind: "impossible" };
  if (digits.length < digitsMin) return { kind: mayBegin(digits) ? "between" : "impossible" };
  const text = `tel:+${digits}`;
  return isCanonicalCsi(text)
    ? { kind: "number", csi: parseCsi(text), digits }
    : { kind: "impossible" };
}

/** Whether an assigned calling code begins with these digits, or they with one. */
function mayBegin(digits: string): boolean {
  return (
    callingCodeOf(digits) !== undefined || callingCodes.some((code) => code.startsWith(digits))
  );
}
