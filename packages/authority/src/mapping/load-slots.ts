// Fills an empty zone at once: generated zones of benchmarks and tests, and restored ones. The tree is
// built sorted, once, at the depth where the rule ends; rows go to the store in a few large commits and
// mean nothing until the head of the final, synced one names them.

import { createHash } from "node:crypto";
import { DiscoveryError } from "@whither/protocol";
import type { Row } from "@whither/store";
import { encodeHead } from "@whither/wire";
import {
  bucketIndex,
  BucketTree,
  depthFor,
  encodeEntry,
  entryBytes,
  idxBytes,
  putBucket,
  type ChangedBucket,
} from "@whither/zone";
import { sha256 } from "@whither/crypto/node";
import {
  BucketRows,
  headUnchanged,
  makeHead,
  type EpochContext,
  type HeadPlace,
  type PreparedEpoch,
} from "./epoch-batch.js";
import { noCut } from "./pending-changes.js";
import type { PublishedTree } from "./published-tree.js";
import { inSlices, nextTurn } from "./slices.js";
import { bodyKey, loadingKey, manifestKey, present, unsignedHeadKey } from "./zone-table.js";

/** A slot as a generator or a backup gives it. Its `since` becomes the serial of the loading head. */
export type LoadedSlot = {
  /** 16 bytes. */
  readonly idx: Uint8Array;
  /** 12 bytes. */
  readonly masked: Uint8Array;
} & (
  | { readonly body: Uint8Array }
  /** A slot without a body, for benchmarks that never ask for it. */
  | { readonly vhash: Uint8Array }
);

const slotsPerBlock = 65_536;
const slotsPerTurn = 2_048;
const bodyBytesPerCommit = 4 * 1024 * 1024;
const noEntry = new Uint8Array(entryBytes);

/** Stores all slots and an unsigned head over them. Throws CONFIG if the zone is not empty. */
export async function loadSlots(
  context: EpochContext,
  work: { readonly base: PublishedTree; readonly place: HeadPlace },
  slots: Iterable<LoadedSlot> | AsyncIterable<LoadedSlot>,
): Promise<PreparedEpoch> {
  const { store, clock, kid } = context;
  const { base, place } = work;
  if (base.head.mapSize !== 0) throw new DiscoveryError("CONFIG", "load: the zone has slots");
  await store.commit({ puts: [[loadingKey(kid), present]], deletes: [] }, { sync: true });
  const entries = await collect(context, { slots, serial: place.serial });
  const b = depthFor(entries.count);
  const tree = new BucketTree(b);
  const { zone } = base.head;
  // Never the batch of the head: these rows may be the whole zone.
  const rows = new BucketRows(store, { kid, stagedUnless: undefined });
  const changes = createHash("sha256"); // in pieces: together they would be twice the zone
  await inSlices(buckets(entries, b), {
    clock,
    onItem: (bucket) => {
      putBucket({ zone, kid, tree }, bucket);
      for (let at = 0; at < bucket.entries.length; at += entryBytes) {
        changes.update(bucket.entries.subarray(at, at + idxBytes)).update(noEntry);
        changes.update(bucket.entries.subarray(at, at + entryBytes));
      }
      return rows.add(bucket);
    },
  });
  await rows.flush();
  await inSlices(tree.settle(), { clock });
  const outcome = {
    mapRoot: tree.root(),
    size: tree.size,
    b,
    pad: tree.padBytes(),
    changesRoot: new Uint8Array(changes.digest()),
  };
  const head = makeHead({ context, base: base.head, place, outcome });
  const payload = encodeHead(head);
  // No journal row: who follows the zone transfers it whole.
  await store.commit(
    {
      puts: [
        [manifestKey(kid), context.manifest.bytes],
        [unsignedHeadKey(kid), payload],
      ],
      deletes: [loadingKey(kid)],
      expect: headUnchanged(kid, base.headBytes),
    },
    { sync: true },
  );
  return { payload, head, tree, cut: noCut };
}

/** Entries in the order they came, in blocks. */
interface Entries {
  readonly count: number;
  readonly at: (position: number) => Uint8Array;
}

async function collect(
  { store, kid }: EpochContext,
  source: {
    readonly slots: Iterable<LoadedSlot> | AsyncIterable<LoadedSlot>;
    readonly serial: number;
  },
): Promise<Entries> {
  const blocks: Uint8Array[] = [];
  let block = new Uint8Array(0);
  let count = 0;
  let puts: Row[] = [];
  let bytes = 0;
  for await (const slot of source.slots) {
    const within = count % slotsPerBlock;
    if (within === 0) {
      block = new Uint8Array(slotsPerBlock * entryBytes);
      blocks.push(block);
    }
    const vhash = "vhash" in slot ? slot.vhash : sha256(slot.body);
    const { idx, masked } = slot;
    block.set(encodeEntry({ idx, since: source.serial, masked, vhash }), within * entryBytes);
    count += 1;
    if ("body" in slot) {
      puts.push([bodyKey(kid, vhash), slot.body]);
      bytes += slot.body.length;
    }
    if (bytes >= bodyBytesPerCommit) {
      await store.commit({ puts, deletes: [] }, { sync: false });
      puts = [];
      bytes = 0;
    }
    if (count % slotsPerTurn === 0) await nextTurn();
  }
  await store.commit({ puts, deletes: [] }, { sync: false });
  const at = (position: number): Uint8Array => {
    const offset = (position % slotsPerBlock) * entryBytes;
    const holder = blocks[Math.floor(position / slotsPerBlock)];
    if (holder === undefined) throw new TypeError("load: no such entry");
    return holder.subarray(offset, offset + entryBytes);
  };
  return { count, at };
}

/** Sorted buckets: positions counted out to their bucket, then each bucket by idx. */
function* buckets(entries: Entries, b: number): Generator<ChangedBucket, void, void> {
  const starts = new Uint32Array(2 ** b + 1);
  const bucketOf = (position: number): number => bucketIndex(idxOf(entries.at(position)), b);
  for (let position = 0; position < entries.count; position++) {
    const next = bucketOf(position) + 1;
    starts[next] = (starts[next] ?? 0) + 1;
  }
  for (let index = 0; index < 2 ** b; index++) {
    starts[index + 1] = (starts[index + 1] ?? 0) + (starts[index] ?? 0);
  }
  const free = starts.slice();
  const positions = new Uint32Array(entries.count);
  for (let position = 0; position < entries.count; position++) {
    const index = bucketOf(position);
    const place = free[index] ?? 0;
    positions[place] = position;
    free[index] = place + 1;
  }
  for (let index = 0; index < 2 ** b; index++) {
    const own = Array.from(positions.subarray(starts[index], starts[index + 1]), entries.at);
    yield { index, b, entries: joinSorted(own) };
  }
}

function joinSorted(entries: readonly Uint8Array[]): Uint8Array {
  const sorted = entries.toSorted((a, b) => Buffer.compare(idxOf(a), idxOf(b)));
  const joined = new Uint8Array(sorted.length * entryBytes);
  sorted.forEach((entry, position) => {
    const before = sorted[position - 1];
    if (before !== undefined && Buffer.compare(idxOf(before), idxOf(entry)) === 0) {
      throw new DiscoveryError("INVALID_DATA", "load: two slots have one idx");
    }
    joined.set(entry, position * entryBytes);
  });
  return joined;
}

function idxOf(entry: Uint8Array): Uint8Array {
  return entry.subarray(0, idxBytes);
}
