// Percent-encoding of the name part of `mailto:` and `acct:` (RFC 3986 section 2.1). Canonical bodies
// keep non-ASCII characters as they are (NFC) and encode reserved ASCII only, in upper-case hex.

import { invalidCsi } from "./scheme.js";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes `%XX` as UTF-8. Throws INVALID_CSI for a broken escape or octets that are not UTF-8. */
export function percentDecode(text: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) {
    throw invalidCsi("a percent escape is not % and two hex digits");
  }
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (escapes) => {
    const hex = escapes.slice(1).split("%");
    try {
      return strictUtf8.decode(Uint8Array.from(hex, (octet) => Number.parseInt(octet, 16)));
    } catch {
      throw invalidCsi("percent escapes are not UTF-8");
    }
  });
}

/** Encodes the ASCII characters that `keep` does not match; everything else stays. */
export function percentEncode(text: string, keep: RegExp): string {
  return text.replace(/[\0-\x7f]/g, (character) =>
    keep.test(character) ? character : `%${hexOctet(character.charCodeAt(0))}`,
  );
}

function hexOctet(octet: number): string {
  return octet.toString(16).toUpperCase().padStart(2, "0");
}
