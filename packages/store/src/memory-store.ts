// The store in memory: the same contract without durability, for tests and throw-away zones. Rows lie
// in a sorted array that is copied on the first write after a snapshot or iteration began.
import { DiscoveryError } from "@whither/protocol";
import { createCommitQueue } from "./commit-queue.js";
import { compareKeys, keyText } from "./keys.js";
import type { Batch, CommitOptions, Range, ReadOptions, Row, Snapshot, Store } from "./store.js";

/** `sync` means nothing here: a committed batch lives as long as the process. */
export function createMemoryStore(): Store {
  return new MemoryStore();
}

/** Rows in key order; never changed once a reader holds it. */
interface Version {
  rows: Row[];
  shared: boolean;
}

class MemorySnapshot implements Snapshot {
  readonly owner: MemoryStore;
  #rows: readonly Row[] | undefined;

  constructor(owner: MemoryStore, rows: readonly Row[]) {
    this.owner = owner;
    this.#rows = rows;
  }

  read(): readonly Row[] {
    if (this.#rows === undefined) throw new TypeError("store: the snapshot is closed");
    return this.#rows;
  }

  close(): Promise<void> {
    this.#rows = undefined;
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

class MemoryStore implements Store {
  #version: Version = { rows: [], shared: false };
  readonly #queue = createCommitQueue({
    get: (key) => find(this.#version.rows, key),
    write: (batches) => {
      for (const batch of batches) this.#apply(batch);
      return Promise.resolve();
    },
  });
  #closed = false;

  get(key: Uint8Array, options: ReadOptions = {}): Uint8Array | undefined {
    const value = find(this.#rows(options), key);
    return value === undefined ? undefined : new Uint8Array(value);
  }

  // Asynchronous so that a closed store or snapshot rejects, as on disk, and does not throw.
  async getMany(
    keys: readonly Uint8Array[],
    options: ReadOptions = {},
  ): Promise<readonly (Uint8Array | undefined)[]> {
    await Promise.resolve();
    return keys.map((key) => this.get(key, options));
  }

  async *iterate(range: Range = {}): AsyncGenerator<Row, void, undefined> {
    const rows = this.#rows(range);
    if (range.snapshot === undefined) this.#version.shared = true;
    const from = range.gte === undefined ? 0 : lowerBound(rows, range.gte);
    const to = range.lt === undefined ? rows.length : lowerBound(rows, range.lt);
    const count = Math.min(Math.max(to - from, 0), range.limit ?? Infinity);
    for (let step = 0; step < count; step += 1) {
      const row = rows[range.reverse === true ? to - 1 - step : from + step];
      // A turn of the event loop a row, so that other work interleaves as it does on disk.
      await Promise.resolve();
      if (this.#closed) throw closedError();
      if (range.snapshot instanceof MemorySnapshot) range.snapshot.read();
      if (row !== undefined) yield [new Uint8Array(row[0]), new Uint8Array(row[1])];
    }
  }

  async commit(batch: Batch, options: CommitOptions): Promise<void> {
    if (this.#closed) throw closedError();
    await this.#queue.commit(batch, options);
  }

  snapshot(): Snapshot {
    if (this.#closed) throw closedError();
    this.#version.shared = true;
    return new MemorySnapshot(this, this.#version.rows);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.idle();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #rows({ snapshot }: ReadOptions): readonly Row[] {
    if (this.#closed) throw closedError();
    if (snapshot === undefined) return this.#version.rows;
    if (!(snapshot instanceof MemorySnapshot) || snapshot.owner !== this) {
      throw new TypeError("store: expected a snapshot of this store");
    }
    return snapshot.read();
  }

  #apply(batch: Batch): void {
    const changes = sortedChanges(batch);
    const version = this.#version;
    if (version.shared || changes.length > splicesMax) {
      this.#version = { rows: merge(version.rows, changes), shared: false };
      return;
    }
    for (const { key, value } of changes) {
      const at = lowerBound(version.rows, key);
      const found = find(version.rows, key) === undefined ? 0 : 1;
      if (value === undefined) version.rows.splice(at, found);
      else version.rows.splice(at, found, [key, value]);
    }
  }
}

interface Change {
  readonly key: Uint8Array;
  /** Undefined: deleted. */
  readonly value: Uint8Array | undefined;
}

/** Changes made one by one in place; more are merged in one pass. */
const splicesMax = 64;

/** The last change to each key, with bytes of its own, in key order. */
function sortedChanges({ deletes, puts }: Batch): Change[] {
  const changes = new Map<string, Change>();
  for (const key of deletes) {
    changes.set(keyText(key), { key: new Uint8Array(key), value: undefined });
  }
  for (const [key, value] of puts) {
    changes.set(keyText(key), { key: new Uint8Array(key), value: new Uint8Array(value) });
  }
  return [...changes.values()].sort((a, b) => compareKeys(a.key, b.key));
}

function merge(rows: readonly Row[], changes: readonly Change[]): Row[] {
  const merged: Row[] = [];
  let at = 0;
  for (const { key, value } of changes) {
    for (; at < rows.length; at += 1) {
      const row = rows[at];
      if (row === undefined || compareKeys(row[0], key) >= 0) break;
      merged.push(row);
    }
    const there = rows[at];
    if (there !== undefined && compareKeys(there[0], key) === 0) at += 1;
    if (value !== undefined) merged.push([key, value]);
  }
  for (; at < rows.length; at += 1) {
    const row = rows[at];
    if (row !== undefined) merged.push(row);
  }
  return merged;
}

function closedError(): DiscoveryError {
  return new DiscoveryError("STORE", "the store is closed");
}

function find(rows: readonly Row[], key: Uint8Array): Uint8Array | undefined {
  const row = rows[lowerBound(rows, key)];
  return row !== undefined && compareKeys(row[0], key) === 0 ? row[1] : undefined;
}

/** Index of the first row whose key is not below `key`. */
function lowerBound(rows: readonly Row[], key: Uint8Array): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle];
    if (row !== undefined && compareKeys(row[0], key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
