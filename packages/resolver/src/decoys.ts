// Which bodies a verbose lookup asks for (protocol.md section 5): the wanted one among 31 others of its
// bucket, the same set each time for one resolver, unpredictable for the DP. After an absence there is
// nothing to ask for: the anonymous connection then shows a bucket request without bodies, which a compact
// or cached lookup shows as well, and of whom it says no more than the bucket's b bits.

import { compareBytes, equalBytes, hmacSha256, permuteBlocks } from "@whither/crypto/node";
import { limits } from "@whither/protocol";
import type { Entry, VerifiedBucket } from "@whither/zone";

const idxBytes = 16;
/** Octets of a permuted idx that are its rank: as many as a number holds exactly. */
const rankBytes = 6;

/**
 * vhashes of 32 bytes, ascending, the wanted one included; all of a smaller bucket. The others are those whose idx
 * comes first when permuted under a key of this secret (32 bytes) and the wanted idx: one key and one pass, where
 * a hash for each would cost a third of a millisecond.
 */
export function bodiesToAsk({
  bucket,
  wanted,
  secret,
}: {
  readonly bucket: VerifiedBucket;
  readonly wanted: Entry;
  readonly secret: Uint8Array;
}): readonly Uint8Array[] {
  const { count, bytes } = bucket;
  const indices = new Uint8Array(count * idxBytes);
  for (let position = 0; position < count; position++) {
    const offset = position * limits.entryBytes;
    indices.set(bytes.subarray(offset, offset + idxBytes), position * idxBytes);
  }
  const permuted = permuteBlocks(hmacSha256(secret, wanted.idx), indices);
  const ranks = Buffer.from(permuted.buffer, permuted.byteOffset, permuted.length);
  const others: { readonly position: number; readonly rank: number }[] = [];
  for (let position = 0; position < count; position++) {
    const at = position * idxBytes;
    if (equalBytes(indices.subarray(at, at + idxBytes), wanted.idx)) continue;
    others.push({ position, rank: ranks.readUIntBE(at, rankBytes) });
  }
  others.sort((a, b) => a.rank - b.rank);
  const decoys = others.slice(0, limits.decoyBodies - 1);
  const entries = [wanted, ...decoys.map(({ position }) => bucket.entryAt(position))];
  const vhashes = entries.map(({ vhash }) => vhash);
  return vhashes.sort(compareBytes);
}
