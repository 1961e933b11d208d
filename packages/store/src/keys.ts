// Composed keys: one byte that names the table, then fixed-width big-endian parts, so that byte order
// is numeric order. Variable-length parts only at the end of a key.

/** A key of table `table` (0..255) and parts in order. */
export function composeKey(table: number, ...parts: readonly Uint8Array[]): Uint8Array {
  if (!Number.isInteger(table) || table < 0 || table > 255) {
    throw new TypeError(`key: expected a table of 0..255, got ${table}`);
  }
  const key = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 1));
  key[0] = table;
  let offset = 1;
  for (const part of parts) {
    key.set(part, offset);
    offset += part.length;
  }
  return key;
}

/** 4 bytes, big-endian. */
export function u32Bytes(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new TypeError(`key: expected an integer of 0..2^32-1, got ${value}`);
  }
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** 8 bytes, big-endian. */
export function u64Bytes(value: bigint): Uint8Array {
  if (value < 0n || value > 0xffff_ffff_ffff_ffffn) {
    throw new TypeError(`key: expected an integer of 0..2^64-1, got ${value}`);
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** The integer in 4 bytes at `offset`. RangeError when they are not there. */
export function readU32(bytes: Uint8Array, offset: number): number {
  return viewOf(bytes).getUint32(offset);
}

/** The integer in 8 bytes at `offset`. RangeError when they are not there. */
export function readU64(bytes: Uint8Array, offset: number): bigint {
  return viewOf(bytes).getBigUint64(offset);
}

/** The first key after all that begin with `prefix`; undefined when there is none (all bytes 255). */
export function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  for (let length = prefix.length; length > 0; length -= 1) {
    const last = prefix[length - 1] ?? 0;
    if (last < 255) {
      const end = new Uint8Array(prefix.subarray(0, length));
      end[length - 1] = last + 1;
      return end;
    }
  }
  return undefined;
}

/** The range of all keys that begin with `prefix`. */
export function prefixRange(prefix: Uint8Array): {
  readonly gte: Uint8Array;
  readonly lt?: Uint8Array;
} {
  const lt = prefixEnd(prefix);
  return lt === undefined ? { gte: prefix } : { gte: prefix, lt };
}

/** Negative, zero or positive as `a` sorts before, with or after `b`: unsigned bytes, shorter first. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/** Whether two values, or two absences, are the same. */
export function equalValues(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** A key as a Map key: one character a byte. */
export function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
