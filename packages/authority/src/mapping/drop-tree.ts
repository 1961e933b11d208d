// Deletes a tree that has served its time, or never served. Begun in one synced row, so that a process that ends
// on the way goes on at the next start; its heads go last, with that row.

import { prefixRange, type Store } from "@whither/store";
import {
  bodyTablePrefix,
  bucketTablePrefix,
  buildKey,
  droppingKey,
  droppingPrefix,
  journalPrefix,
  loadingKey,
  manifestKey,
  pendingTablePrefix,
  present,
  removedPrefix,
  retiredKey,
  signedHeadKey,
  stagedPrefix,
  unsignedHeadKey,
} from "./zone-table.js";
import { deleteKeys } from "./zone-start.js";

const rowsPerStep = 4096;

/** From here on the tree is gone, whatever comes between. Nobody may write to it any more. */
export async function beginDrop(store: Store, kid: Uint8Array): Promise<void> {
  await store.commit({ puts: [[droppingKey(kid), present]], deletes: [] }, { sync: true });
}

export async function endDrop(store: Store, kid: Uint8Array): Promise<void> {
  const tables = [bucketTablePrefix, bodyTablePrefix, journalPrefix, pendingTablePrefix];
  for (const prefix of tables) await deletePrefix(store, prefix(kid));
  await deletePrefix(store, stagedPrefix(kid));
  await deletePrefix(store, removedPrefix(kid));
  const heads = [unsignedHeadKey(kid), signedHeadKey(kid), manifestKey(kid)];
  const states = [loadingKey(kid), buildKey(kid), retiredKey(kid), droppingKey(kid)];
  await store.commit({ puts: [], deletes: [...heads, ...states] }, { sync: true });
}

/** Ends what an earlier process began. */
export async function endDrops(store: Store): Promise<void> {
  const kids: Uint8Array[] = [];
  for await (const [key] of store.iterate(prefixRange(droppingPrefix))) {
    kids.push(key.slice(droppingPrefix.length));
  }
  for (const kid of kids) await endDrop(store, kid);
}

/** Deletes rows in steps, none of them synced. */
export async function deletePrefix(store: Store, prefix: Uint8Array): Promise<void> {
  for (;;) {
    const keys: Uint8Array[] = [];
    for await (const [key] of store.iterate({ ...prefixRange(prefix), limit: rowsPerStep })) {
      keys.push(key);
    }
    if (keys.length === 0) return;
    await deleteKeys(store, keys);
  }
}
