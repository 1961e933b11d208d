// One entry of a bucket: where a slot lies, when it was last written, its compact bits and the hash
// of its body (protocol.md section 4). Fixed layout of 68 bytes; what the masked bits say is slot.ts.

import { DiscoveryError, limits } from "@whither/protocol";

export const idxBytes = 16;
export const entryBytes = limits.entryBytes;
export const maskedBytes = limits.maskedBytes;
const vhashBytes = 32;
const sinceOffset = idxBytes;
const maskedOffset = sinceOffset + 8;
const vhashOffset = maskedOffset + maskedBytes;

export interface Entry {
  /** 16 bytes, unique in the tree; its order is the tree's. */
  readonly idx: Uint8Array;
  /** Serial of the head that first held this state of the slot. */
  readonly since: number;
  /** 12 bytes: registry version and MSP bits under the slot's mask. */
  readonly masked: Uint8Array;
  /** 32 bytes, SHA-256 of the body. */
  readonly vhash: Uint8Array;
}

/** The 68 bytes of an entry. Parts of another length are a TypeError. */
export function encodeEntry({ idx, since, masked, vhash }: Entry): Uint8Array {
  if (idx.length !== idxBytes || masked.length !== maskedBytes || vhash.length !== vhashBytes) {
    throw new TypeError("entry: a part has the wrong length");
  }
  const bytes = new Uint8Array(entryBytes);
  bytes.set(idx);
  new DataView(bytes.buffer).setBigUint64(sinceOffset, BigInt(since));
  bytes.set(masked, maskedOffset);
  bytes.set(vhash, vhashOffset);
  return bytes;
}

/** The entry in 68 bytes; its parts are copies. Throws INVALID_DATA. */
export function decodeEntry(bytes: Uint8Array): Entry {
  if (bytes.length !== entryBytes) {
    throw new DiscoveryError("INVALID_DATA", `entry: expected ${entryBytes} octets`);
  }
  const since = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(sinceOffset);
  if (since > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new DiscoveryError("INVALID_DATA", "entry since: expected at most 2^53 - 1");
  }
  return {
    idx: bytes.slice(0, idxBytes),
    since: Number(since),
    masked: bytes.slice(maskedOffset, vhashOffset),
    vhash: bytes.slice(vhashOffset),
  };
}

/** The vhash of the entry at a byte offset, as a view. */
export function vhashAt(entries: Uint8Array, offset: number): Uint8Array {
  return entries.subarray(offset + vhashOffset, offset + entryBytes);
}

/** Order of the 16 bytes at two offsets: negative, 0 or positive. */
export function compareIdx(
  a: { readonly bytes: Uint8Array; readonly offset: number },
  b: { readonly bytes: Uint8Array; readonly offset: number },
): number {
  for (let i = 0; i < idxBytes; i++) {
    const difference = a.bytes[a.offset + i]! - b.bytes[b.offset + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * Place of an idx among `count` entries: the position of the first entry that is not before it, and
 * whether that is the entry itself.
 */
export function findEntry(
  entries: Uint8Array,
  count: number,
  idx: Uint8Array,
): { readonly position: number; readonly found: boolean } {
  const wanted = { bytes: idx, offset: 0 };
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareIdx({ bytes: entries, offset: middle * entryBytes }, wanted);
    if (order === 0) return { position: middle, found: true };
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return { position: low, found: false };
}
