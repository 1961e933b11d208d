// The fingerprint of an anchors file, for people to compare by a way that nobody in between can change. It is
// SHA-256 over the bytes of the file, so that `sha256sum anchors.json` says the same.

import { sha256, toHex } from "@whither/crypto";

/** 64 lower-case hex digits. */
export function anchorsFingerprint(file: Uint8Array): string {
  return toHex(sha256(file));
}

/** Eight groups of eight digits: what people read out to each other. */
export function formatFingerprint(fingerprint: string): string {
  return fingerprint.match(/.{8}/g)?.join(" ") ?? fingerprint;
}

/** 64 hex digits with or without blanks and colons between them; undefined if it is not that. */
export function parseFingerprint(text: string): string | undefined {
  const digits = text.replaceAll(/[\s:]/g, "").toLowerCase();
  return /^[0-9a-f]{64}$/.test(digits) ? digits : undefined;
}
