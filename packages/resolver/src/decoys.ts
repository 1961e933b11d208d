// Which bodies a verbose lookup asks for (protocol.md section 5): the wanted one among 31 others of its
// bucket, the same set each time for one resolver, unpredictable for the DP. After an absence there is
// nothing to ask for: the anonymous connection then shows a bucket request without bodies, which a compact
// or cached lookup shows as well, and of whom it says no more than the bucket's b bits.

import { compareBytes, type Hash } from "@whither/crypto/node";
import { limits } from "@whither/protocol";
import type { Entry, VerifiedBucket } from "@whither/zone";

/** vhashes of 32 bytes, ascending, the wanted one included; all of a smaller bucket. */
export function bodiesToAsk({
  bucket,
  wanted,
  rank,
}: {
  readonly bucket: VerifiedBucket;
  readonly wanted: Entry;
  /** HMAC-SHA256 under a secret of this resolver. */
  readonly rank: Hash;
}): readonly Uint8Array[] {
  const others: { readonly position: number; readonly at: Uint8Array }[] = [];
  for (let position = 0; position < bucket.count; position++) {
    const offset = position * limits.entryBytes;
    const idx = bucket.bytes.subarray(offset, offset + wanted.idx.length);
    if (compareBytes(idx, wanted.idx) === 0) continue;
    others.push({ position, at: rank(wanted.idx, idx) });
  }
  others.sort((a, b) => compareBytes(a.at, b.at));
  const decoys = others.slice(0, limits.decoyBodies - 1);
  const entries = [wanted, ...decoys.map(({ position }) => bucket.entryAt(position))];
  const vhashes = entries.map(({ vhash }) => vhash);
  return vhashes.sort(compareBytes);
}
