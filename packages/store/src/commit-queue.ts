// The one writer of a store: takes commits in order, checks their expectations against the store and
// the commits before them, and writes all that wait as one batch (group commit). So an fsync is shared
// by everyone who waits for one, and compare-and-commit is atomic within the process that has the store.
import { DiscoveryError } from "@whither/protocol";
import { equalValues, keyText } from "./keys.js";
import type { Batch, CommitOptions } from "./store.js";

export interface CommitQueueBackend {
  get(key: Uint8Array): Uint8Array | undefined;
  /** Writes the batches in order, all or none; resolves when applied, and fsynced if `sync`. */
  write(batches: readonly Batch[], options: CommitOptions): Promise<void>;
}

export interface CommitQueue {
  commit(batch: Batch, options: CommitOptions): Promise<void>;
  /** Resolves when nothing waits or is under way. */
  idle(): Promise<void>;
}

interface Waiting {
  readonly batch: Batch;
  readonly sync: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/** Bounds of one group; a single larger batch still goes, alone. */
const groupCommitsMax = 1024;
const groupBytesMax = 4 * 1024 * 1024;

export function createCommitQueue(backend: CommitQueueBackend): CommitQueue {
  let queue: Waiting[] = [];
  let writing: Promise<void> | undefined;

  const writeAll = async (): Promise<void> => {
    // One turn for others to join the first group.
    await Promise.resolve();
    while (queue.length > 0) {
      const count = groupLength(queue);
      const group = queue.slice(0, count);
      queue = queue.slice(count);
      await writeGroup(backend, group);
    }
    writing = undefined;
  };
  return {
    commit: (batch, { sync }) => {
      checkBatch(batch);
      return new Promise<void>((resolve, reject) => {
        queue.push({ batch, sync, resolve, reject });
        writing ??= writeAll();
      });
    },
    idle: async () => {
      await writing;
    },
  };
}

async function writeGroup(backend: CommitQueueBackend, group: readonly Waiting[]): Promise<void> {
  const accepted: Waiting[] = [];
  try {
    const overlay = createOverlay(backend, group);
    for (const one of group) {
      if (overlay.accepts(one.batch)) accepted.push(one);
      else one.reject(new DiscoveryError("CONFLICT_WRITE", "a row is not what the commit expects"));
    }
    const batches = accepted.map((one) => one.batch).filter(hasChanges);
    const sync = accepted.some((one) => one.sync);
    if (batches.length > 0) await backend.write(batches, { sync });
    for (const one of accepted) one.resolve();
  } catch (error) {
    // Those refused above are settled already; rejecting them again does nothing.
    for (const one of group) one.reject(error);
  }
}

/** What the store will hold after the commits of the group accepted so far. */
function createOverlay(
  backend: CommitQueueBackend,
  group: readonly Waiting[],
): { accepts(batch: Batch): boolean } {
  const changes = new Map<string, Uint8Array | undefined>();
  let checksLeft = group.filter((one) => hasExpectations(one.batch)).length;
  const current = (key: Uint8Array): Uint8Array | undefined => {
    const text = keyText(key);
    return changes.has(text) ? changes.get(text) : backend.get(key);
  };
  return {
    accepts: (batch) => {
      if (hasExpectations(batch)) checksLeft -= 1;
      const expect = batch.expect ?? [];
      if (!expect.every(({ key, value }) => equalValues(current(key), value))) return false;
      // Only a later check would look at them: a large batch alone costs no map.
      if (checksLeft > 0) {
        for (const key of batch.deletes) changes.set(keyText(key), undefined);
        for (const [key, value] of batch.puts) changes.set(keyText(key), value);
      }
      return true;
    },
  };
}

function hasExpectations(batch: Batch): boolean {
  return batch.expect !== undefined && batch.expect.length > 0;
}

function hasChanges(batch: Batch): boolean {
  return batch.puts.length > 0 || batch.deletes.length > 0;
}

function groupLength(queue: readonly Waiting[]): number {
  if (queue.length === 1) return 1; // a large batch alone is not even counted
  let bytes = 0;
  let count = 0;
  for (const { batch } of queue) {
    for (const [key, value] of batch.puts) bytes += key.length + value.length;
    if (count > 0 && (bytes > groupBytesMax || count >= groupCommitsMax)) break;
    count += 1;
  }
  return count;
}

function checkBatch(batch: Batch): void {
  const empty =
    batch.puts.some(([key]) => key.length === 0) || batch.deletes.some((key) => key.length === 0);
  if (empty) throw new TypeError("store: expected a key, got an empty one");
}
