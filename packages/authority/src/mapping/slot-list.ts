// The slots of one tree in the order of their places: of the last signed epoch, with what waits for the next one laid
// over it. Places are VOPRF outputs and say nothing of whose they are.

import { limits } from "@whither/protocol";
import { bucketIndex, decodeEntry, entryBytes, idxBytes } from "@whither/zone";
import type { ListedSlot, SlotRange } from "./mapping-zone.js";
import type { PendingChange } from "./pending-changes.js";
import { nextTurn } from "./slices.js";
import type { ServedTree } from "./zone-trees.js";

/** Stays on one epoch from the first slot to the last. */
export async function* listSlots(
  { pending, writer }: Pick<ServedTree, "pending" | "writer">,
  { after, limit }: SlotRange,
): AsyncGenerator<ListedSlot, void, undefined> {
  const published = writer.published;
  const release = published.hold();
  const waiting = [...pending.latestChanges()]
    .filter(({ idx }) => isBehind(idx, after))
    .sort((a, b) => Buffer.compare(a.idx, b.idx));
  let left = Math.min(limit, limits.listedSlotsMax);
  try {
    const { b } = published.head;
    const first = after === undefined ? 0 : bucketIndex(after, b);
    for (let index = first, from = 0; index < 2 ** b && left > 0; index += 1) {
      const begin = from;
      while (isIn(waiting[from], { index, b })) from += 1;
      const ofBucket = waiting.slice(begin, from);
      for (const slot of mergedBucket(published.readBucket(index), ofBucket)) {
        if (!isBehind(slot.idx, after)) continue;
        yield slot;
        left -= 1;
        if (left === 0) return;
      }
      await nextTurn();
    }
  } finally {
    await release();
  }
}

function isIn(
  change: PendingChange | undefined,
  { index, b }: { readonly index: number; readonly b: number },
): boolean {
  return change !== undefined && bucketIndex(change.idx, b) === index;
}

/** Both are in order. */
function mergedBucket(
  entries: Uint8Array,
  waiting: readonly Pick<PendingChange, "idx">[],
): readonly ListedSlot[] {
  const slots = new Map<string, ListedSlot>();
  for (let at = 0; at < entries.length; at += entryBytes) {
    const { idx, since } = decodeEntry(entries.subarray(at, at + entryBytes));
    slots.set(hex(idx), { idx, state: "active", since });
  }
  for (const { idx } of waiting) slots.set(hex(idx), { idx, state: "pending", since: 0 });
  return [...slots.values()].sort((a, b) => Buffer.compare(a.idx, b.idx));
}

function isBehind(idx: Uint8Array, after: Uint8Array | undefined): boolean {
  if (after !== undefined && after.length !== idxBytes)
    throw new TypeError("list: a place of 16 bytes");
  return after === undefined || Buffer.compare(idx, after) > 0;
}

function hex(idx: Uint8Array): string {
  return Buffer.from(idx.buffer, idx.byteOffset, idx.length).toString("hex");
}
