// Responses written as protobuf bytes by hand: their large parts are stored bytes that are moved and
// never decoded. Field numbers are those of proto/whither/v1/zone.proto and discovery.proto.

const wireTypes = { varint: 0, bytes: 2, fixed32: 5 } as const;

/** A field of a message: a number, or bytes. Zero and absent fields are not written (proto3). */
type RawField =
  | { readonly field: number; readonly varint: number | bigint }
  | { readonly field: number; readonly fixed32: number }
  | { readonly field: number; readonly bytes: Uint8Array }
  | {
      readonly field: number;
      readonly bytes: Uint8Array;
      /** Written with zeros behind it, to this length. */
      readonly padTo: number;
    };

/** One message of these fields, in this order, in one allocation. Field numbers are 1..15. */
function encodeRaw(fields: readonly RawField[]): Uint8Array {
  let length = 0;
  for (const field of fields) length += lengthOf(field);
  const out = new Uint8Array(length);
  let offset = 0;
  for (const field of fields) offset = write(out, offset, field);
  return out;
}

function lengthOf(field: RawField): number {
  if ("varint" in field) {
    return field.varint === 0 || field.varint === 0n ? 0 : 1 + varintLength(field.varint);
  }
  if ("fixed32" in field) return field.fixed32 === 0 ? 0 : 5;
  const size = "padTo" in field ? field.padTo : field.bytes.length;
  return 1 + varintLength(size) + size;
}

function write(out: Uint8Array, offset: number, field: RawField): number {
  if ("varint" in field) {
    if (field.varint === 0 || field.varint === 0n) return offset;
    out[offset] = (field.field << 3) | wireTypes.varint;
    return writeVarint(out, offset + 1, field.varint);
  }
  if ("fixed32" in field) {
    if (field.fixed32 === 0) return offset;
    out[offset] = (field.field << 3) | wireTypes.fixed32;
    new DataView(out.buffer, out.byteOffset).setUint32(offset + 1, field.fixed32, true);
    return offset + 5;
  }
  const size = "padTo" in field ? field.padTo : field.bytes.length;
  out[offset] = (field.field << 3) | wireTypes.bytes;
  const at = writeVarint(out, offset + 1, size);
  out.set(field.bytes, at);
  return at + size;
}

function varintLength(value: number | bigint): number {
  let length = 1;
  if (typeof value === "bigint") {
    for (let rest = value >> 7n; rest > 0n; rest >>= 7n) length += 1;
    return length;
  }
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

function writeVarint(out: Uint8Array, offset: number, value: number | bigint): number {
  let at = offset;
  if (typeof value === "bigint" && value > BigInt(Number.MAX_SAFE_INTEGER)) {
    let rest = value;
    for (; rest > 127n; rest >>= 7n) out[at++] = Number(rest & 127n) | 128;
    out[at] = Number(rest);
    return at + 1;
  }
  let rest = Number(value);
  for (; rest > 127; rest = Math.floor(rest / 128)) out[at++] = (rest % 128) | 128;
  out[at] = rest;
  return at + 1;
}

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
