// What one identifier scheme has to say about itself (protocol.md section 1). A scheme is one file
// that exports one of these; the registry does everything that schemes have in common.

import { DiscoveryError } from "../errors.js";

/** One text to parse, outer white space removed. */
export interface CsiInput {
  /** `uri`: what follows `scheme:`. `bare`: the whole text, which `claims` accepted. */
  readonly form: "uri" | "bare";
  readonly text: string;
  /** ISO 3166-1 alpha-2, for numbers in national form. */
  readonly defaultRegion?: string;
}

/**
 * A scheme. "Body" is the canonical text after `scheme:`. Labels are ASCII, highest first: the order in
 * which the directory delegates. Canonical forms are compared byte by byte, so a body must be NFC.
 */
export interface CsiScheme {
  /** Lower case, RFC 3986: `tel`. */
  readonly scheme: string;
  /** Ways in which possession can be proved, as they stand in prover records: `sms`, `email`. */
  readonly proofMethods: readonly string[];
  /** Whether a text without a scheme is meant for this one. At most one scheme may say so. */
  readonly claims: (bare: string) => boolean;
  /** Canonical body. Throws INVALID_CSI with a text that does not repeat the input. */
  readonly parse: (input: CsiInput) => string;
  /** Delegation labels of a canonical body, at least one. */
  readonly labels: (body: string) => readonly string[];
  /** How many leading labels a directory may be told, at most `labels.length` (Req 14). */
  readonly disclosedLabels: (labels: readonly string[]) => number;
  /** Whether the text after `scheme:` is a canonical prefix; the empty text is one. */
  readonly isPrefix: (text: string) => boolean;
  /** Labels of a text that `isPrefix` accepts, and the text of labels. */
  readonly prefixLabels: (text: string) => readonly string[];
  readonly prefixText: (labels: readonly string[]) => string;
}

/** The failure of every identifier parser. `reason` never repeats the identifier. */
export function invalidCsi(reason: string): DiscoveryError {
  return new DiscoveryError("INVALID_CSI", reason);
}

const encoder = new TextEncoder();

/** Length in UTF-8 octets. */
export function utf8Length(text: string): number {
  return encoder.encode(text).length;
}
