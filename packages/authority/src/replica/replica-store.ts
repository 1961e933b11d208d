// The store of a replica. Each tree lies in a generation of its own, laid out as at the primary; one row says which
// generation counts. A transfer of the whole fills the next one beside it and is swapped in by that row, so that a
// truncated one is never seen, and a restart serves at once what was served before. A damaged store is set aside
// whole: everything in it can be had again.

import { DiscoveryError, isDiscoveryError, type Head } from "@whither/protocol";
import { sha256 } from "@whither/crypto/node";
import {
  composeKey,
  openSubStore,
  prefixRange,
  readU32,
  u32Bytes,
  type Store,
} from "@whither/store";
import { decodeHead, decodeSignedObject } from "@whither/wire";
import { deleteKeys } from "../mapping/zone-start.js";
import { headTablePrefix, signedHeadKey } from "../mapping/zone-table.js";

/** Beyond those of a primary (zone-table.ts), so that neither takes the other's store for its own. */
const tables = { current: 240, generation: 241, evidence: 242, promoted: 243 } as const;

const promotedKey = composeKey(tables.promoted);
const currentKey = (kid: Uint8Array): Uint8Array => composeKey(tables.current, kid);
const kidBytes = 4;
const keysPerCommit = 4_096;
/** Forks whose evidence is kept; one is enough to prove a zone false. */
const evidenceMax = 16;

/** Where the store of a replica lies. */
export interface ReplicaDisk {
  /** Throws STORE_LOCKED, STORE_CORRUPT, STORE. */
  open(): Promise<Store>;
  /** Puts what lies there out of the way, closed and in whatever state: the next `open` finds nothing. */
  setAside(): Promise<void>;
}

/** Where a tree lies. */
export interface Generation {
  readonly kid: Uint8Array;
  readonly number: number;
  readonly store: Store;
}

export class ReplicaStore implements AsyncDisposable {
  readonly #disk: ReplicaDisk;
  #open: Store | undefined;

  private constructor(disk: ReplicaDisk) {
    this.#disk = disk;
  }

  /**
   * A damaged store is set aside. Throws STORE_LOCKED, STORE, and CONFIG for the store of a primary, whose
   * registrations no replica may lose.
   */
  static async open(disk: ReplicaDisk): Promise<ReplicaStore> {
    const replicas = new ReplicaStore(disk);
    try {
      const store = await disk.open();
      replicas.#open = store;
      await refusePrimary(store);
    } catch (error) {
      if (!isDiscoveryError(error, "STORE_CORRUPT")) {
        await replicas.#open?.close();
        throw error;
      }
      await replicas.renew();
    }
    return replicas;
  }

  /** Begins anew on an empty store. May be called again after it has failed. */
  async renew(): Promise<void> {
    await this.#open?.close();
    this.#open = undefined;
    await this.#disk.setAside();
    this.#open = await this.#disk.open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open?.close();
  }

  get #store(): Store {
    if (this.#open === undefined) throw new DiscoveryError("STORE", "the replica has no store");
    return this.#open;
  }

  /** The generations that count, one a tree. */
  async current(): Promise<readonly Generation[]> {
    const found: Generation[] = [];
    for await (const [key, value] of this.#store.iterate(prefixRange(composeKey(tables.current)))) {
      found.push(generationOf(this.#store, { kid: key.slice(1), number: readU32(value, 0) }));
    }
    return found;
  }

  /** An empty generation beside the current one. */
  async next(kid: Uint8Array): Promise<Generation> {
    const value = this.#store.get(currentKey(kid));
    const number = value === undefined ? 0 : readU32(value, 0);
    await this.#drop(kid, number);
    return generationOf(this.#store, { kid, number: number + 1 });
  }

  /** From now on, and over restarts, this generation counts. What lies in it has been committed. */
  async swapIn({ kid, number }: Generation): Promise<void> {
    const row = [currentKey(kid), u32Bytes(number)] as const;
    await this.#store.commit({ puts: [row], deletes: [] }, { sync: true });
  }

  /** Forgets a tree that the zone has given up. */
  async forget(kid: Uint8Array): Promise<void> {
    await this.#store.commit({ puts: [], deletes: [currentKey(kid)] }, { sync: true });
    await this.#drop(kid, undefined);
  }

  /** Removes what lies in other generations than the current one. */
  async tidy(kid: Uint8Array): Promise<void> {
    const value = this.#store.get(currentKey(kid));
    await this.#drop(kid, value === undefined ? undefined : readU32(value, 0));
  }

  /** Keeps signed objects and payloads that prove two histories. */
  async keepEvidence(objects: readonly Uint8Array[]): Promise<void> {
    const kept = await this.evidence();
    if (kept.length >= evidenceMax) return;
    const bytes = new Uint8Array(objects.reduce((sum, object) => sum + 4 + object.length, 0));
    let offset = 0;
    for (const object of objects) {
      bytes.set(u32Bytes(object.length), offset);
      bytes.set(object, offset + 4);
      offset += 4 + object.length;
    }
    const key = composeKey(tables.evidence, sha256(bytes));
    await this.#store.commit({ puts: [[key, bytes]], deletes: [] }, { sync: true });
  }

  /** Each the objects of one fork, every one preceded by its length in 4 bytes. */
  async evidence(): Promise<readonly Uint8Array[]> {
    const found: Uint8Array[] = [];
    for await (const [, value] of this.#store.iterate(prefixRange(composeKey(tables.evidence)))) {
      found.push(value);
    }
    return found;
  }

  async #drop(kid: Uint8Array, keep: number | undefined): Promise<void> {
    const prefix = composeKey(tables.generation, kid);
    const kept = keep === undefined ? undefined : u32Bytes(keep);
    let keys: Uint8Array[] = [];
    for await (const [key] of this.#store.iterate(prefixRange(prefix))) {
      const isKept = kept !== undefined && Buffer.compare(key.subarray(5, 9), kept) === 0;
      if (!isKept) keys.push(key);
      if (keys.length < keysPerCommit) continue;
      await deleteKeys(this.#store, keys);
      keys = [];
    }
    await deleteKeys(this.#store, keys);
  }
}

async function refusePrimary(store: Store): Promise<void> {
  for await (const _ of store.iterate({ ...prefixRange(headTablePrefix), limit: 1 })) {
    throw new DiscoveryError("CONFIG", "the store is a primary's: move it away first");
  }
  if (store.get(promotedKey) !== undefined) {
    throw new DiscoveryError("CONFIG", "the store was promoted: move it away first");
  }
}

function generationOf(
  store: Store,
  { kid, number }: { readonly kid: Uint8Array; readonly number: number },
): Generation {
  if (kid.length !== kidBytes) throw new DiscoveryError("STORE_CORRUPT", "a kid has a wrong size");
  const prefix = composeKey(tables.generation, kid, u32Bytes(number));
  return { kid, number, store: openSubStore(store, prefix) };
}

/**
 * The store that a primary opens: its own, or the tree of what was a replica until now. A promotion begins a new
 * history: what the old primary promised after the replica's head is not in it. Throws CONFIG unless the configured
 * epoch is above the replica's, which is how an operator says so.
 */
export async function openPrimaryStore(
  store: Store,
  { kid, epoch }: { readonly kid: Uint8Array; readonly epoch: number },
): Promise<Store> {
  // Whatever keys the zone has had since, all of its trees lie where it was promoted.
  const promoted = store.get(promotedKey);
  if (promoted !== undefined) return generationOf(store, decodePromoted(promoted)).store;
  const value = store.get(currentKey(kid));
  if (value === undefined) {
    await refuseOtherTrees(store);
    return store;
  }
  const number = readU32(value, 0);
  const tree = generationOf(store, { kid, number }).store;
  const head = storedHead(tree, kid);
  if (epoch <= head.epoch) {
    const text = `the store is a replica's: epoch has to be above ${head.epoch}`;
    throw new DiscoveryError("CONFIG", text);
  }
  const row = [promotedKey, Buffer.concat([kid, u32Bytes(number)])] as const;
  await store.commit({ puts: [row], deletes: [] }, { sync: true });
  return tree;
}

function decodePromoted(row: Uint8Array): { readonly kid: Uint8Array; readonly number: number } {
  if (row.length !== kidBytes + 4) throw new DiscoveryError("STORE_CORRUPT", "a wrong promotion");
  return { kid: row.slice(0, kidBytes), number: readU32(row, kidBytes) };
}

/** Begun beside what was replicated, an empty zone would sign everybody away. Throws CONFIG. */
async function refuseOtherTrees(store: Store): Promise<void> {
  for await (const _ of store.iterate({ ...prefixRange(composeKey(tables.current)), limit: 1 })) {
    throw new DiscoveryError(
      "CONFIG",
      "the store is a replica's, without a tree of this voprf key",
    );
  }
}

function storedHead(store: Store, kid: Uint8Array): Head {
  const signed = store.get(signedHeadKey(kid));
  if (signed === undefined) throw new DiscoveryError("STORE_CORRUPT", "the replica has no head");
  return decodeHead(decodeSignedObject(signed).payload);
}
