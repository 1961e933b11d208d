// The store in memory: the same contract without durability, for tests and throw-away zones. Rows lie
// in a sorted array that is copied on the first write after a snapshot or iteration began. Durability,
// where a test needs it, is what lies behind: memory-disk.ts.
import { DiscoveryError } from "@whither/protocol";
import { createCommitQueue } from "./commit-queue.js";
import {
  emptyRows,
  findValue,
  lowerBound,
  mergeRows,
  sortedChanges,
  spliceChanges,
  splicesMax,
  type Rows,
} from "./memory-rows.js";
import type { Batch, CommitOptions, Range, ReadOptions, Row, Snapshot, Store } from "./store.js";

/** `sync` means nothing here: a committed batch lives as long as the process. */
export function createMemoryStore(): Store {
  return new MemoryStore({ rows: emptyRows, backing: undefined });
}

/** What lies behind a store: decides when a write is done and what a row reads as. */
export interface MemoryBacking {
  /** Writes: calls `apply` when the rows change for readers. Throws STORE. */
  write(
    batches: readonly Batch[],
    how: { readonly sync: boolean; readonly apply: () => Rows },
  ): Promise<void>;
  /** The value as it is read now. Throws STORE_CORRUPT. */
  read(key: Uint8Array, value: Uint8Array | undefined): Uint8Array | undefined;
  closed(store: MemoryStore): void;
}

/** A store over rows that a backing has kept. */
export function openMemoryStore(options: {
  readonly rows: Rows;
  readonly backing: MemoryBacking;
}): MemoryStore {
  return new MemoryStore(options);
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

/** Made by `createMemoryStore`, or by a disk in memory. */
export class MemoryStore implements Store {
  readonly #backing: MemoryBacking | undefined;
  readonly #queue = createCommitQueue({
    get: (key) => this.#read(key, findValue(this.#version.rows, key)),
    write: (batches, { sync }) => this.#write(batches, sync),
  });
  #version: Version;
  #closed = false;
  #isLost = false;

  constructor(options: { readonly rows: Rows; readonly backing: MemoryBacking | undefined }) {
    this.#version = { rows: [...options.rows], shared: false };
    this.#backing = options.backing;
  }

  get(key: Uint8Array, options: ReadOptions = {}): Uint8Array | undefined {
    const value = this.#read(key, findValue(this.#rows(options), key));
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
    const { limit = Infinity } = range;
    let given = 0;
    for (let step = 0; step < to - from && given < limit; step += 1) {
      const row = rows[range.reverse === true ? to - 1 - step : from + step];
      // A turn of the event loop a row, so that other work interleaves as it does on disk.
      await Promise.resolve();
      if (this.#closed) throw closedError();
      if (range.snapshot instanceof MemorySnapshot) range.snapshot.read();
      const value = row === undefined ? undefined : this.#read(row[0], row[1]);
      if (row === undefined || value === undefined) continue;
      given += 1;
      yield [new Uint8Array(row[0]), new Uint8Array(value)];
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
    this.#backing?.closed(this);
  }

  /** The process is gone: whatever it still does finds the store closed. */
  lose(): void {
    this.#closed = true;
    this.#isLost = true;
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

  #read(key: Uint8Array, value: Uint8Array | undefined): Uint8Array | undefined {
    return this.#backing === undefined ? value : this.#backing.read(key, value);
  }

  async #write(batches: readonly Batch[], sync: boolean): Promise<void> {
    const apply = (): Rows => {
      for (const batch of batches) this.#apply(batch);
      // A disk keeps the rows of the last synced write.
      this.#version.shared ||= sync;
      return this.#version.rows;
    };
    // What waited for its turn when the process went must not reach the disk that the next one has opened.
    if (this.#isLost) throw closedError();
    if (this.#backing === undefined) apply();
    else await this.#backing.write(batches, { sync, apply });
  }

  #apply(batch: Batch): void {
    const changes = sortedChanges(batch);
    if (this.#version.shared || changes.length > splicesMax) {
      this.#version = { rows: mergeRows(this.#version.rows, changes), shared: false };
      return;
    }
    spliceChanges(this.#version.rows, changes);
  }
}

function closedError(): DiscoveryError {
  return new DiscoveryError("STORE", "the store is closed");
}
