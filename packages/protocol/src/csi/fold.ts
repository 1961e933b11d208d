// Case folding of names, and what a name may consist of (protocol.md section 1: `csi/v1`).
// Locale-free and frozen to Unicode 15.0; this is not NFKC: look-alikes stay different.

import { invalidCsi } from "./scheme.js";
import { isAssigned, isRefused } from "./unicode-15.js";

/**
 * NFC(toLowerCase(NFC(text))). Throws INVALID_CSI for a code point that Unicode 15.0 does not assign,
 * so that a runtime with a newer Unicode folds nothing that an older one would leave alone.
 */
export function foldText(text: string): string {
  requireAssigned(text);
  return text.normalize("NFC").toLowerCase().normalize("NFC");
}

/** Throws INVALID_CSI if Unicode 15.0 does not assign every code point; lone surrogates too. */
export function requireAssigned(text: string): void {
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0;
    if (!isAssigned(codePoint) || isSurrogate(codePoint)) {
      throw invalidCsi("a code point is not assigned in Unicode 15.0");
    }
  }
}

/** Throws INVALID_CSI for white space, controls, private use and anything invisible but ZWJ and ZWNJ. */
export function requireVisible(text: string): void {
  for (const character of text) {
    if (isRefused(character.codePointAt(0) ?? 0)) {
      throw invalidCsi("the name has a space, control or invisible character");
    }
  }
}

function isSurrogate(codePoint: number): boolean {
  return codePoint >= 0xd800 && codePoint <= 0xdfff;
}
