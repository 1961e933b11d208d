// A journal: rows numbered in ascending order under one key prefix, appended, read from a number on and
// trimmed from the old end. The rows are the caller's bytes; they are never changed once written.
import { DiscoveryError } from "@whither/protocol";
import { prefixRange, readU64, u64Bytes } from "./keys.js";
import type { Batch, Expectation, Range, ReadOptions, Row, Store } from "./store.js";

export interface JournalRow {
  readonly sequence: bigint;
  readonly value: Uint8Array;
}

export interface JournalReadOptions extends ReadOptions {
  /** First number wanted, inclusive; a trimmed one starts at the oldest kept. 0 unless told. */
  readonly from?: bigint;
  /** Rows at most; all unless told. */
  readonly limit?: number;
}

export interface JournalPart {
  readonly put: Row;
  /** That the number is not taken: a journal row is never overwritten. */
  readonly expect: Expectation;
}

export interface Journal {
  /** The number that the next `append` takes: one above the highest ever appended or noted here. */
  next(): bigint;
  /**
   * The parts of a batch that write `value` as row `sequence`, for callers that commit it together with
   * other rows and number it themselves (a head's serial). Its commit throws CONFLICT_WRITE when taken.
   */
  row(entry: JournalRow): JournalPart;
  /**
   * Appends `value`, with further rows in the same atomic batch, fsynced if `sync`. Gives its number.
   * Appends may be called without waiting for one another; one that fails leaves a gap.
   */
  append(
    value: Uint8Array,
    options: { readonly sync: boolean; readonly batch?: Batch },
  ): Promise<bigint>;
  read(options?: JournalReadOptions): AsyncIterable<JournalRow>;
  first(options?: ReadOptions): Promise<JournalRow | undefined>;
  last(options?: ReadOptions): Promise<JournalRow | undefined>;
  /** Deletes rows below `sequence`, but never the last one: it keeps the count. Gives how many. */
  trim(sequence: bigint): Promise<number>;
}

const rowsPerTrim = 1024;

/** Opens the journal under `prefix`, which no other key of the store may begin with. */
export async function openJournal(options: {
  readonly store: Store;
  readonly prefix: Uint8Array;
}): Promise<Journal> {
  const { store } = options;
  const prefix = new Uint8Array(options.prefix);
  const keyOf = (sequence: bigint): Uint8Array => {
    const key = new Uint8Array(prefix.length + 8);
    key.set(prefix);
    key.set(u64Bytes(sequence), prefix.length);
    return key;
  };
  const read = async function* (range: Range): AsyncGenerator<JournalRow, void, undefined> {
    for await (const [key, value] of store.iterate({ ...prefixRange(prefix), ...range })) {
      if (key.length !== prefix.length + 8) {
        throw new DiscoveryError("STORE_CORRUPT", "a journal row has a key of another length");
      }
      yield { sequence: readU64(key, prefix.length), value };
    }
  };
  const only = async (range: Range): Promise<JournalRow | undefined> => {
    for await (const row of read({ ...range, limit: 1 })) return row;
    return undefined;
  };
  const last = ({ snapshot }: ReadOptions = {}): Promise<JournalRow | undefined> =>
    only({ reverse: true, snapshot });

  let next = ((await last())?.sequence ?? 0n) + 1n;
  const row = ({ sequence, value }: JournalRow): JournalPart => {
    const key = keyOf(sequence);
    if (sequence >= next) next = sequence + 1n;
    return { put: [key, value], expect: { key, value: undefined } };
  };
  const append: Journal["append"] = async (value, { sync, batch }) => {
    const sequence = next;
    const { put, expect } = row({ sequence, value });
    const puts = [...(batch?.puts ?? []), put];
    const deletes = batch?.deletes ?? [];
    await store.commit({ puts, deletes, expect: [...(batch?.expect ?? []), expect] }, { sync });
    return sequence;
  };
  const trim = async (sequence: bigint): Promise<number> => {
    const newest = (await last())?.sequence ?? 0n;
    const end = sequence < newest ? sequence : newest;
    let count = 0;
    for (;;) {
      const deletes: Uint8Array[] = [];
      for await (const old of read({ lt: keyOf(end), limit: rowsPerTrim })) {
        deletes.push(keyOf(old.sequence));
      }
      if (deletes.length === 0) return count;
      await store.commit({ puts: [], deletes }, { sync: false });
      count += deletes.length;
    }
  };
  return {
    next: () => next,
    row,
    append,
    read: ({ from = 0n, limit, snapshot } = {}) =>
      read({ gte: keyOf(from), snapshot, ...(limit === undefined ? {} : { limit }) }),
    first: ({ snapshot } = {}) => only({ snapshot }),
    last,
    trim,
  };
}
