// Messages written as protobuf bytes by hand, where going through the generated types and their reflection costs more than
// the message is worth: what is encoded some times over on its way, and stored bytes that are moved and never decoded.

const wireTypes = { varint: 0, bytes: 2, fixed32: 5 } as const;

/** A field of a message: a number, or bytes. Zero and absent fields are not written (proto3). */
export type RawField =
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
export function encodeRaw(fields: readonly RawField[]): Uint8Array {
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
