// Which bodies a run of epochs leaves new: what server and reader of a transfer have to agree on.

import { equalBytes } from "@whither/crypto/node";
import { vhashAt, type AppliedChange } from "@whither/zone";
import { idxText } from "../mapping/pending-changes.js";

/** Hashes of the bodies that the last state has and the first had not, by idx. Changes in order of time. */
export function newBodies(changes: readonly AppliedChange[]): readonly Uint8Array[] {
  return squashed(changes).flatMap(({ before, after }) => {
    const is = vhashOf(after);
    const was = vhashOf(before);
    return is === undefined || (was !== undefined && equalBytes(was, is)) ? [] : [is];
  });
}

/** Hashes of the bodies that the first state had and the last has not. */
export function goneBodies(changes: readonly AppliedChange[]): readonly Uint8Array[] {
  const kept = new Set(squashed(changes).flatMap(({ after }) => textOf(vhashOf(after))));
  return squashed(changes).flatMap(({ before }) => {
    const was = vhashOf(before);
    // A body that one slot loses and another gains stays.
    return was === undefined || kept.has(idxText(was)) ? [] : [was];
  });
}

/** First and last state of every slot that changed, by idx. */
function squashed(changes: readonly AppliedChange[]): readonly AppliedChange[] {
  const bySlot = new Map<string, AppliedChange>();
  for (const { idx, before, after } of changes) {
    const key = idxText(idx);
    const first = bySlot.get(key);
    bySlot.set(key, { idx, before: first === undefined ? before : first.before, after });
  }
  return [...bySlot.values()].sort((a, b) => Buffer.compare(a.idx, b.idx));
}

function vhashOf(entry: Uint8Array | undefined): Uint8Array | undefined {
  return entry === undefined ? undefined : vhashAt(entry, 0);
}

function textOf(vhash: Uint8Array | undefined): readonly string[] {
  return vhash === undefined ? [] : [idxText(vhash)];
}
