// Lists of byte strings in one buffer, so that a message to a thread moves one memory block. Cloning
// views one by one would copy the whole block that each looks into.

export interface PackedBytes {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Length of each string, in order. */
  readonly lengths: Uint32Array<ArrayBuffer>;
}

export function packBytes(list: readonly Uint8Array[]): PackedBytes {
  const lengths = Uint32Array.from(list, (item) => item.length);
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let offset = 0;
  for (const item of list) {
    bytes.set(item, offset);
    offset += item.length;
  }
  return { bytes, lengths };
}

/** The strings of `packBytes`, as views of its memory. */
export function unpackBytes({ bytes, lengths }: PackedBytes): Uint8Array[] {
  let offset = 0;
  return Array.from(lengths, (length) => bytes.subarray(offset, (offset += length)));
}

/** The blocks that may move to the other side. */
export function buffersOf(...packed: readonly PackedBytes[]): ArrayBuffer[] {
  return packed.flatMap(({ bytes, lengths }) => [bytes.buffer, lengths.buffer]);
}
