// Whether two trees of a zone hold the same number of slots, with what waits for either: a slot that the vault
// does not know would be lost by a change of the VOPRF key, and nobody would notice.

import type { ServedTree } from "./zone-trees.js";

/** Changes that are looked at in one turn, of either tree. */
const changesMax = 1024;

/** Slots of one tree beyond those of the other; undefined while too much waits to tell. */
export function missingSlots(of: ServedTree, inTree: ServedTree): number | undefined {
  const [all, there] = [sizeOf(of), sizeOf(inTree)];
  return all === undefined || there === undefined ? undefined : all - there;
}

function sizeOf({ pending, writer }: ServedTree): number | undefined {
  if (pending.size > changesMax) return undefined;
  let size = writer.published.head.mapSize;
  for (const { idx, to } of pending.latestChanges()) {
    const isThere = writer.published.find(idx) !== undefined;
    if (isThere && to === undefined) size -= 1;
    else if (!isThere && to !== undefined) size += 1;
  }
  return size;
}
