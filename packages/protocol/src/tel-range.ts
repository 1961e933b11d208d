// Ranges of numbers that begin or end at no digit boundary: `tel:+7700900..+7700949` as it stands in
// root.zone.yaml. Compiles to the minimal set of prefixes that covers the same numbers and no other.

import type { Prefix } from "./brands.js";
import { prefixOf } from "./csi/csi.js";
import { DiscoveryError } from "./errors.js";

const pattern = /^tel:\+([1-9][0-9]{0,14})\.\.\+([1-9][0-9]{0,14})$/;

/** Whether the text has the shape of a range rather than of a prefix; its bounds may still be wrong. */
export function isTelRange(text: string): boolean {
  return text.startsWith("tel:") && text.includes("..");
}

/**
 * Minimal set of prefixes of a range, ascending. Both ends are included, have the same number of digits
 * (1..15) and the first is not above the last. Throws INVALID_DATA.
 */
export function prefixesOfRange(text: string): readonly Prefix[] {
  const [, first, last] = pattern.exec(text) ?? [];
  if (first === undefined || last === undefined) {
    throw new DiscoveryError("INVALID_DATA", "a range is tel:+FIRST..+LAST, digits only");
  }
  if (first.length !== last.length || first > last) {
    throw new DiscoveryError("INVALID_DATA", "a range has ends of one length, ascending");
  }
  return cover(BigInt(first), BigInt(last)).map((digits) => prefixOf("tel", Array.from(digits)));
}

/** Takes from the lower end, each time, the widest block of ten, hundred, … that starts there and fits. */
function cover(first: bigint, last: bigint): readonly string[] {
  const found: string[] = [];
  let next = first;
  while (next <= last) {
    let block = 1n;
    while (next % (block * 10n) === 0n && next + block * 10n - 1n <= last) block *= 10n;
    found.push((next / block).toString());
    next += block;
  }
  return found;
}
