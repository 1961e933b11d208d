// The store on LevelDB: durable, one process at a time. Tells apart who holds it, what is damaged and
// what the disk refused. LevelDB's checksums guard its log and its index; that a value is the right one
// is for the reader's signed head to prove.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { errnoOf, makeStateDirectory, replaceFile } from "@whither/runtime";
import { Level } from "level";
import { createCommitQueue } from "./commit-queue.js";
import type { Batch, CommitOptions, Range, ReadOptions, Row, Snapshot, Store } from "./store.js";

export interface LevelStoreOptions {
  /** Directory of the database; made, for the owner only, where it is missing. */
  readonly path: string;
  /** Memory for blocks read, in bytes; 8 MiB unless told. */
  readonly cacheBytes?: number;
  /** Memory for writes until they become a file, in bytes; 4 MiB unless told, twice at worst. */
  readonly writeBufferBytes?: number;
  /** False: a missing database is an error and not made. */
  readonly create?: boolean;
  /**
   * Called once, when a write has failed: reads go on, and every further write is refused with STORE until the store
   * has been closed and opened again.
   */
  readonly onWriteFailed?: (error: DiscoveryError) => void;
}

/** A file of ours in the database's directory: the pid that has it open. LevelDB's own lock decides. */
const holderName = "HOLDER";
/** Rows and bytes that go into a batch before other work gets a turn: about 2 ms of either. */
const rowsPerTurn = 2048;
const bytesPerTurn = 768 * 1024;
/** Rows that one step of an iteration reads. */
const rowsPerStep = 256;

/**
 * Opens the store. Throws STORE_LOCKED while another process (or this one) has it open, STORE_CORRUPT
 * when its files are damaged, STORE when the disk refuses.
 */
export async function openLevelStore(options: LevelStoreOptions): Promise<Store> {
  const { path } = options;
  if (options.create !== false) await makeStateDirectory(path);
  const level = new Level<Uint8Array, Uint8Array>(path, {
    keyEncoding: "view",
    valueEncoding: "view",
    createIfMissing: options.create !== false,
    cacheSize: options.cacheBytes ?? 8 * 1024 * 1024,
    writeBufferSize: options.writeBufferBytes ?? 4 * 1024 * 1024,
    // Values are ciphertext and hashes: compressing them is work without gain.
    compression: false,
  });
  try {
    await level.open();
  } catch (error) {
    throw await openError(error, path);
  }
  try {
    await replaceFile(join(path, holderName), `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    await level.close();
    throw error;
  }
  return new LevelStore(level, options.onWriteFailed);
}

type Database = Level<Uint8Array, Uint8Array>;
type DatabaseSnapshot = ReturnType<Database["snapshot"]>;

class LevelSnapshot implements Snapshot {
  readonly owner: LevelStore;
  readonly #snapshot: DatabaseSnapshot;
  #closed = false;

  constructor(owner: LevelStore, snapshot: DatabaseSnapshot) {
    this.owner = owner;
    this.#snapshot = snapshot;
  }

  read(): DatabaseSnapshot {
    if (this.#closed) throw new TypeError("store: the snapshot is closed");
    return this.#snapshot;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#snapshot.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

class LevelStore implements Store {
  readonly #level: Database;
  readonly #queue = createCommitQueue({
    get: (key) => this.get(key),
    write: (batches, options) => this.#write(batches, options),
  });
  #closed = false;

  /** Why nothing is written any more. */
  #failed: DiscoveryError | undefined;
  readonly #onWriteFailed: ((error: DiscoveryError) => void) | undefined;

  constructor(level: Database, onWriteFailed: ((error: DiscoveryError) => void) | undefined) {
    this.#level = level;
    this.#onWriteFailed = onWriteFailed;
  }

  get(key: Uint8Array, options: ReadOptions = {}): Uint8Array | undefined {
    const readOptions = this.#readOptions(options);
    try {
      const value = this.#level.getSync(key, readOptions);
      return value === undefined ? undefined : plainBytes(value);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async getMany(
    keys: readonly Uint8Array[],
    options: ReadOptions = {},
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const readOptions = this.#readOptions(options);
    try {
      const values: readonly (Uint8Array | undefined)[] = await this.#level.getMany(
        [...keys],
        readOptions,
      );
      return values.map((value) => (value === undefined ? undefined : plainBytes(value)));
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async *iterate(range: Range = {}): AsyncGenerator<Row, void, undefined> {
    const { gte, lt, reverse, limit } = range;
    const readOptions = this.#readOptions(range);
    const rows = this.#level.iterator({
      ...(gte === undefined ? {} : { gte }),
      ...(lt === undefined ? {} : { lt }),
      ...readOptions,
      reverse: reverse === true,
      limit: limit ?? -1,
    });
    try {
      for (;;) {
        const step = await rows.nextv(rowsPerStep);
        if (step.length === 0) return;
        for (const [key, value] of step) yield [plainBytes(key), plainBytes(value)];
      }
    } catch (error) {
      throw this.#failure(error);
    } finally {
      await rows.close();
    }
  }

  async commit(batch: Batch, options: CommitOptions): Promise<void> {
    if (this.#closed) throw closedError();
    await this.#queue.commit(batch, options);
  }

  snapshot(): Snapshot {
    if (this.#closed) throw closedError();
    return new LevelSnapshot(this, this.#level.snapshot());
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.idle();
    try {
      await this.#level.close();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #readOptions({ snapshot }: ReadOptions): { snapshot?: DatabaseSnapshot } {
    if (this.#closed) throw closedError();
    if (snapshot === undefined) return {};
    if (!(snapshot instanceof LevelSnapshot) || snapshot.owner !== this) {
      throw new TypeError("store: expected a snapshot of this store");
    }
    return { snapshot: snapshot.read() };
  }

  async #write(batches: readonly Batch[], { sync }: CommitOptions): Promise<void> {
    // LevelDB itself refuses only after a failed sync. After a write that ended in the middle it would append to a
    // torn log, whose rest recovery passes over: what was promised then would be gone.
    if (this.#failed !== undefined) {
      const text = "a write failed: the store has to be opened again";
      throw new DiscoveryError("STORE", text, { cause: this.#failed });
    }
    // A chained batch: five times faster here than an array of operations.
    const chained = this.#level.batch();
    try {
      let rows = 0;
      let bytes = 0;
      const turn = async (): Promise<void> => {
        rows = 0;
        bytes = 0;
        await nextTurn();
      };
      for (const { deletes, puts } of batches) {
        for (const key of deletes) {
          chained.del(key);
          if (++rows >= rowsPerTurn) await turn();
        }
        for (const [key, value] of puts) {
          chained.put(key, value);
          bytes += value.length;
          if (++rows >= rowsPerTurn || bytes >= bytesPerTurn) await turn();
        }
      }
      await chained.write({ sync });
    } catch (error) {
      await chained.close();
      throw this.#failedWrite(error);
    }
  }

  #failedWrite(error: unknown): unknown {
    const failure = this.#failure(error);
    if (isDiscoveryError(failure) && !this.#closed) {
      this.#failed = failure;
      this.#onWriteFailed?.(failure);
    }
    return failure;
  }

  /** What LevelDB threw, by code. */
  #failure(error: unknown): unknown {
    if (isDiscoveryError(error)) return error;
    if (this.#closed) return closedError(error);
    return storeError(error, "the database failed");
  }
}

async function openError(error: unknown, path: string): Promise<unknown> {
  const cause: unknown = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (errnoOf(cause) === "LEVEL_LOCKED") {
    const pid = await readHolder(path);
    const whose = pid === undefined ? "another process" : `process ${pid}`;
    return new DiscoveryError("STORE_LOCKED", `the store is in use by ${whose}`, { cause });
  }
  return storeError(cause, "the store cannot be opened");
}

/** LevelDB calls these failures of the disk: a table that is shorter than its index says, a file that is gone. */
const missingBytes = /^IO error: .*: (Invalid argument|No such file or directory)$/;

function storeError(cause: unknown, text: string): DiscoveryError {
  // Its iterators throw without a code.
  const says = cause instanceof Error ? cause.message : "";
  const isCorrupt = errnoOf(cause) === "LEVEL_CORRUPTION" || says.startsWith("Corruption: ");
  if (isCorrupt || missingBytes.test(says)) {
    return new DiscoveryError("STORE_CORRUPT", "the store's files are damaged", { cause });
  }
  return new DiscoveryError("STORE", `${text} (${errnoOf(cause) ?? "unknown"})`, { cause });
}

function closedError(cause?: unknown): DiscoveryError {
  return new DiscoveryError("STORE", "the store is closed", { cause });
}

/** The pid noted at the last opening. It may be wrong when two open at once; it only names. */
async function readHolder(path: string): Promise<number | undefined> {
  try {
    const text = await readFile(join(path, holderName), "latin1");
    return /^[1-9][0-9]{0,9}\n$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}

/** LevelDB hands out Buffers, whose `slice` shares memory; callers get what the type says. */
function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
