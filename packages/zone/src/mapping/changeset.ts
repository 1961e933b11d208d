// What an epoch changes: for every touched idx the entry before and after (protocol.md section 4). The
// hash over it stands in the head; the rows themselves are the journal. Applying them is epoch.ts.

import { sha256 } from "@whither/crypto/node";
import { DiscoveryError } from "@whither/protocol";
import { compareIdx, entryBytes, findEntry, idxBytes } from "./entry.js";

/** Wanted state of one slot. */
export interface SlotChange {
  /** 16 bytes. */
  readonly idx: Uint8Array;
  /** Masked bits (12 bytes) and body hash (32 bytes); undefined removes the slot. */
  readonly to: { readonly masked: Uint8Array; readonly vhash: Uint8Array } | undefined;
}

/** One row of the journal: entries as they stood and stand, 68 bytes each or undefined. */
export interface AppliedChange {
  readonly idx: Uint8Array;
  readonly before: Uint8Array | undefined;
  readonly after: Uint8Array | undefined;
}

/** Bytes of one change in the journal and under `changes_root`: idx ‖ before or zeros ‖ after or zeros. */
export const changeBytes = idxBytes + 2 * entryBytes;

/** The bytes that `changes_root` covers, for changes in idx order. */
export function encodeChanges(changes: readonly AppliedChange[]): Uint8Array {
  const bytes = new Uint8Array(changes.length * changeBytes);
  changes.forEach(({ idx, before, after }, position) => {
    const offset = position * changeBytes;
    bytes.set(idx, offset);
    if (before !== undefined) bytes.set(before, offset + idxBytes);
    if (after !== undefined) bytes.set(after, offset + idxBytes + entryBytes);
  });
  return bytes;
}

/** The changes in received bytes, each part a view. Throws BOGUS for what no epoch writes. */
export function decodeChanges(bytes: Uint8Array): readonly AppliedChange[] {
  if (bytes.length % changeBytes !== 0) throw bogus("not whole changes");
  return Array.from({ length: bytes.length / changeBytes }, (_, position) => {
    const offset = position * changeBytes;
    const idx = bytes.subarray(offset, offset + idxBytes);
    if (position > 0) {
      const before = { bytes, offset: offset - changeBytes };
      if (compareIdx(before, { bytes, offset }) >= 0) throw bogus("not in ascending order");
    }
    const [before, after] = [idxBytes, idxBytes + entryBytes].map((at) =>
      entryOf(bytes.subarray(offset + at, offset + at + entryBytes), idx),
    );
    return { idx, before, after };
  });
}

/** Zeros are no entry; an entry is that of its idx. */
function entryOf(entry: Uint8Array, idx: Uint8Array): Uint8Array | undefined {
  if (entry.every((byte) => byte === 0)) return undefined;
  if (compareIdx({ bytes: entry, offset: 0 }, { bytes: idx, offset: 0 }) !== 0) {
    throw bogus("an entry of another idx");
  }
  return entry;
}

function bogus(text: string): DiscoveryError {
  return new DiscoveryError("BOGUS", `changes: ${text}`);
}

/** `changes_root` of a head: SHA-256 over the encoded changes, also of none. */
export function changesRoot(encodedChanges: Uint8Array): Uint8Array {
  return sha256(encodedChanges);
}

/**
 * Merges changes (ascending, all of this bucket) into a bucket's entries. A removal of what is not
 * there changes nothing and leaves no row.
 */
export function mergeBucket(
  entries: Uint8Array,
  changes: readonly { readonly idx: Uint8Array; readonly after: Uint8Array | undefined }[],
): { readonly entries: Uint8Array; readonly applied: readonly AppliedChange[] } {
  const count = entries.length / entryBytes;
  const parts: Uint8Array[] = [];
  const applied: AppliedChange[] = [];
  let copied = 0;
  for (const { idx, after } of changes) {
    const { position, found } = findEntry(entries, count, idx);
    const offset = position * entryBytes;
    const before = found ? entries.slice(offset, offset + entryBytes) : undefined;
    if (before === undefined && after === undefined) continue;
    parts.push(entries.subarray(copied, offset));
    if (after !== undefined) parts.push(after);
    copied = offset + (found ? entryBytes : 0);
    applied.push({ idx, before, after });
  }
  parts.push(entries.subarray(copied));
  return { entries: joinParts(parts), applied };
}

/** Not `concatBytes`: thousands of parts are too many arguments of one call. */
function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
