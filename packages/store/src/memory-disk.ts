// A disk in memory for stores in memory: what was synced outlasts the process, what was not is lost with it,
// wholly or from some commit on, as a log is cut short. With the failures of disks. For tests.
import { DiscoveryError } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { keyText } from "./keys.js";
import { applyBatch, emptyRows, type Rows } from "./memory-rows.js";
import { openMemoryStore, type MemoryBacking, type MemoryStore } from "./memory-store.js";
import type { Batch, Row, Store } from "./store.js";

export interface DiskFaults {
  /** Every write fails with STORE, as on a full disk; reads go on. */
  readonly full?: boolean;
  /** How long a synced write takes, in milliseconds of the disk's clock. */
  readonly syncMs?: number;
}

/** What a damaged row reads as: other bytes, nothing, or an error of the disk. */
export type Damage =
  | { readonly kind: "changed"; readonly value: Uint8Array }
  | { readonly kind: "lost" }
  | { readonly kind: "unreadable" };

export interface MemoryDisk {
  /** Opens the store as a new process would. Throws STORE_LOCKED while it is open. */
  open(): Promise<Store>;
  /** Replaces the faults; undefined: none. */
  setFaults(faults: DiskFaults | undefined): void;
  /** Commits that a power failure would endanger: written or being written, and not synced. */
  unsynced(): number;
  /**
   * The power fails: the open store answers nothing more, and of the commits not synced the first `kept` are
   * found at the next opening.
   */
  cut(kept?: number): void;
  /** Rows as they lie on the disk, damage apart. */
  rows(): readonly Row[];
  /** Damages a row until it is written again. */
  damage(key: Uint8Array, damage: Damage): void;
  /** What was damaged reads as it was written. */
  mend(): void;
  /** Rows that are damaged. */
  damaged(): number;
  /** An empty one in its place, as when files are moved away. Throws STORE_LOCKED while it is open. */
  clear(): Promise<void>;
}

/** An empty disk. The clock times slow writes. */
export function createMemoryDisk(options: { readonly clock: Pick<Clock, "sleep"> }): MemoryDisk {
  return new Disk(options.clock);
}

class Disk implements MemoryDisk, MemoryBacking {
  readonly #clock: Pick<Clock, "sleep">;
  readonly #damages = new Map<string, Damage>();
  /** As of the last synced write. */
  #durable: Rows = emptyRows;
  /** Groups of batches written since, the last of which may be under way. */
  #log: (readonly Batch[])[] = [];
  #faults: DiskFaults = {};
  #open: MemoryStore | undefined;

  constructor(clock: Pick<Clock, "sleep">) {
    this.#clock = clock;
  }

  async open(): Promise<Store> {
    await Promise.resolve();
    if (this.#open !== undefined) throw new DiscoveryError("STORE_LOCKED", "the store is in use");
    this.#durable = this.#found(this.#log.length);
    this.#log = [];
    this.#open = openMemoryStore({ rows: this.#durable, backing: this });
    return this.#open;
  }

  setFaults(faults: DiskFaults | undefined): void {
    this.#faults = faults ?? {};
  }

  unsynced(): number {
    return this.#log.length;
  }

  cut(kept = 0): void {
    this.#durable = this.#found(kept);
    this.#log = [];
    this.#open?.lose();
    this.#open = undefined;
  }

  rows(): readonly Row[] {
    return this.#found(this.#log.length);
  }

  damage(key: Uint8Array, damage: Damage): void {
    this.#damages.set(keyText(key), damage);
  }

  mend(): void {
    this.#damages.clear();
  }

  damaged(): number {
    return this.#damages.size;
  }

  async clear(): Promise<void> {
    await Promise.resolve();
    if (this.#open !== undefined) throw new DiscoveryError("STORE_LOCKED", "the store is in use");
    this.#durable = emptyRows;
    this.#log = [];
    this.#damages.clear();
  }

  async write(
    batches: readonly Batch[],
    { sync, apply }: { readonly sync: boolean; readonly apply: () => Rows },
  ): Promise<void> {
    const store = this.#open;
    this.#requireRoom();
    this.#log.push(batches);
    if (sync && this.#faults.syncMs !== undefined) await this.#clock.sleep(this.#faults.syncMs);
    // Meanwhile the power may have failed: then this write is where `cut` has left it.
    if (store === undefined || store !== this.#open) {
      throw new DiscoveryError("STORE", "the store is closed");
    }
    const rows = apply();
    if (this.#damages.size > 0) this.#mendWritten(batches);
    if (!sync) return;
    this.#durable = rows;
    this.#log = [];
  }

  read(key: Uint8Array, value: Uint8Array | undefined): Uint8Array | undefined {
    if (this.#damages.size === 0 || value === undefined) return value;
    const damage = this.#damages.get(keyText(key));
    switch (damage?.kind) {
      case undefined:
        return value;
      case "changed":
        return damage.value;
      case "lost":
        return undefined;
      case "unreadable":
        throw new DiscoveryError("STORE_CORRUPT", "the store's files are damaged");
    }
  }

  closed(store: MemoryStore): void {
    if (this.#open === store) this.#open = undefined;
  }

  #mendWritten(batches: readonly Batch[]): void {
    for (const { puts, deletes } of batches) {
      for (const [key] of puts) this.#damages.delete(keyText(key));
      for (const key of deletes) this.#damages.delete(keyText(key));
    }
  }

  #requireRoom(): void {
    if (this.#faults.full === true) {
      throw new DiscoveryError("STORE", "the database failed (ENOSPC)");
    }
  }

  #found(kept: number): Rows {
    return this.#log
      .slice(0, kept)
      .flat()
      .reduce((rows, batch) => applyBatch(rows, batch), this.#durable);
  }
}
