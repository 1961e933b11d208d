// Responses written as protobuf bytes by hand: their large parts are stored bytes that are moved and
// never decoded. Field numbers are those of proto/whither/v1/zone.proto and discovery.proto.

import { encodeRaw } from "@whither/wire";

/** Cases of FetchResponse. */
export const fetchCases = { bucket: 2, bodies: 3, head: 4, manifest: 5, error: 6 } as const;
/** Cases of ExchangeResponse. */
export const exchangeCases = { evaluate: 2, error: 3 } as const;

/** A stream's response: the correlation id and one case. */
export function encodeCorrelated(
  id: bigint,
  response: { readonly field: number; readonly bytes: Uint8Array },
): Uint8Array {
  return encodeRaw([{ field: 1, varint: id }, response]);
}

/** BucketResponse. */
export function encodeBucketResponse(bucket: {
  readonly count: number;
  readonly entries: Uint8Array;
  readonly padBytes: number;
  readonly siblings: Uint8Array;
  /** Encoded SignedObject. */
  readonly head: Uint8Array;
}): Uint8Array {
  return encodeRaw([
    { field: 1, fixed32: bucket.count },
    { field: 2, bytes: bucket.entries, padTo: bucket.padBytes },
    { field: 3, bytes: bucket.siblings },
    { field: 4, bytes: bucket.head },
  ]);
}

/** BodiesResponse. */
export function encodeBodiesResponse(bodies: readonly Uint8Array[]): Uint8Array {
  return encodeRaw(bodies.map((bytes) => ({ field: 1, bytes })));
}

/** GetHeadResponse and GetManifestResponse: one signed object. */
export function encodeObjectResponse(object: Uint8Array): Uint8Array {
  return encodeRaw([{ field: 1, bytes: object }]);
}

/** EvaluateResponse. */
export function encodeEvaluateResponse(work: {
  readonly evaluated: readonly Uint8Array[];
  readonly proof: Uint8Array;
}): Uint8Array {
  const evaluated = new Uint8Array(work.evaluated.reduce((sum, each) => sum + each.length, 0));
  let offset = 0;
  for (const each of work.evaluated) {
    evaluated.set(each, offset);
    offset += each.length;
  }
  return encodeRaw([
    { field: 1, bytes: evaluated },
    { field: 2, bytes: work.proof },
  ]);
}
