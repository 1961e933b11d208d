// Which bodies a verbose lookup asks for (protocol.md section 5): the wanted one among 31 others of its
// bucket, the same set each time for one resolver, unpredictable for the DP. After an absence there is
// nothing to ask for: the anonymous connection then shows a bucket request without bodies, which a compact
// or cached lookup shows as well, and of whom it says no more than the bucket's b bits.

import { compareBytes, concatBytes, hmacSha256 } from "@whither/crypto/node";
import { limits } from "@whither/protocol";
import type { Entry, VerifiedBucket } from "@whither/zone";

/** vhashes of 32 bytes, ascending, the wanted one included; all of a smaller bucket. */
export function bodiesToAsk({
  bucket,
  wanted,
  secret,
}: {
  readonly bucket: VerifiedBucket;
  readonly wanted: Entry;
  /** 32 bytes of this resolver. */
  readonly secret: Uint8Array;
}): readonly Uint8Array[] {
  const others: { readonly vhash: Uint8Array; readonly rank: Uint8Array }[] = [];
  for (let position = 0; position < bucket.count; position++) {
    const { idx, vhash } = bucket.entryAt(position);
    if (compareBytes(idx, wanted.idx) === 0) continue;
    others.push({ vhash, rank: hmacSha256(secret, concatBytes(wanted.idx, idx)) });
  }
  others.sort((a, b) => compareBytes(a.rank, b.rank));
  const vhashes = [wanted, ...others.slice(0, limits.decoyBodies - 1)].map(({ vhash }) => vhash);
  return vhashes.sort(compareBytes);
}
