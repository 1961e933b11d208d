// The contract of an ordered key-value store: byte keys in unsigned byte order, atomic batches,
// compare-and-commit, snapshots. Both backends, and any later one, pass conformance.ts. One process
// opens a store at a time; what several zones need kept apart are several stores.

export type Row = readonly [key: Uint8Array, value: Uint8Array];

/** What a key must hold for a batch to be committed: a value, or nothing. */
export interface Expectation {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export interface Batch {
  /** Applied after the deletes; of two puts of one key the later counts. */
  readonly puts: readonly Row[];
  readonly deletes: readonly Uint8Array[];
  /** Checked together with the write: no other commit comes between. */
  readonly expect?: readonly Expectation[];
}

export interface CommitOptions {
  /** True: resolves only once the batch is fsynced, and with it every batch committed before. */
  readonly sync: boolean;
}

/** The store as it was at one moment, until it is closed. Keeps superseded data on disk meanwhile. */
export interface Snapshot extends AsyncDisposable {
  close(): Promise<void>;
}

export interface ReadOptions {
  readonly snapshot?: Snapshot | undefined;
}

export interface Range extends ReadOptions {
  /** First key, inclusive. */
  readonly gte?: Uint8Array;
  /** End, exclusive; see `prefixEnd`. */
  readonly lt?: Uint8Array;
  /** From the last key to the first. */
  readonly reverse?: boolean;
  /** Rows at most; all unless told. */
  readonly limit?: number;
}

/**
 * Bytes handed out are the caller's; bytes handed in must not change until the promise settles. Errors:
 * STORE when the disk fails or the store is closed, STORE_CORRUPT when its files are damaged,
 * CONFLICT_WRITE from commit. An empty key to write and a closed or foreign snapshot are TypeErrors.
 */
export interface Store extends AsyncDisposable {
  /**
   * Point read on the caller's thread: a few microseconds from cache, up to a disk access. For the
   * query path, where a promise a key would cost more than the read.
   */
  get(key: Uint8Array, options?: ReadOptions): Uint8Array | undefined;
  /** Reads many keys, off the caller's thread, as of one moment; in the order of `keys`. */
  getMany(
    keys: readonly Uint8Array[],
    options?: ReadOptions,
  ): Promise<readonly (Uint8Array | undefined)[]>;
  /** Rows in key order, as of the snapshot or else of the first step; commits meanwhile do not show. */
  iterate(range?: Range): AsyncIterable<Row>;
  /**
   * Writes all of the batch or nothing. Commits take effect in the order they were called; those that
   * wait while a write is under way go to disk together. Throws CONFLICT_WRITE, with nothing written,
   * when an expectation does not hold.
   */
  commit(batch: Batch, options: CommitOptions): Promise<void>;
  snapshot(): Snapshot;
  /** Waits for commits under way; snapshots and iterations end. */
  close(): Promise<void>;
}
