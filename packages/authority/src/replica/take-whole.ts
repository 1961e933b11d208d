// A whole tree, received: every bucket hashed into its place, every body by its hash, staged in a generation of its
// own. It counts only if the root is the signed one.

import { equalBytes } from "@whither/crypto/node";
import type { Clock } from "@whither/runtime";
import type { Row, Store } from "@whither/store";
import { encodeSignedObject, type TransferPart } from "@whither/wire";
import {
  BucketTree,
  checkOrder,
  entryBytes,
  fillEmpty,
  prefixOfBucket,
  putBucket,
} from "@whither/zone";
import { inSlices } from "../mapping/slices.js";
import { bodyKey, bucketKey, manifestKey, signedHeadKey } from "../mapping/zone-table.js";
import { ExpectedBodies } from "./expected-bodies.js";
import { bogus, invalid, type VerifiedStart } from "./transfer-start.js";
import { vhashesOf } from "./transfer-source.js";

const bytesPerCommit = 2 * 1024 * 1024;

/** Fills an empty store from the parts after the start; gives the tree. Throws BOGUS, INVALID_DATA. */
export async function takeWhole(
  parts: AsyncIterable<TransferPart["part"]>,
  {
    start,
    store,
    clock,
  }: {
    readonly start: VerifiedStart;
    readonly store: Store;
    readonly clock: Clock;
  },
): Promise<BucketTree> {
  const { head, headObject, manifestObject } = start;
  const { zone, kid, b } = head;
  const tree = new BucketTree(b);
  const seen = new Uint8Array(tree.bucketCount);
  const expected = new ExpectedBodies();
  const rows = new StagedRows(store);
  let next = 0;
  for await (const part of parts) {
    if (part.case === "bodies") {
      for (const body of part.value.bodies) {
        await rows.put([bodyKey(kid, expected.take(body)), body]);
      }
      continue;
    }
    if (part.case !== "buckets" || part.value.buckets.length === 0)
      throw invalid("expected buckets");
    expected.requireNone();
    for (const { number, entries } of part.value.buckets) {
      if (number < next || number >= tree.bucketCount) throw invalid("buckets out of order");
      next = number + 1;
      if (entries.length === 0 || entries.length % entryBytes !== 0)
        throw invalid("no whole entries");
      checkOrder(entries, prefixOfBucket(number, b), b);
      putBucket({ zone, kid, tree }, { index: number, entries });
      seen[number] = 1;
      if (tree.size > head.mapSize) throw bogus("more slots than the head has");
      expected.add(vhashesOf(entries));
      await rows.put([bucketKey({ kid, b, index: number }), entries]);
    }
  }
  expected.requireNone();
  await inSlices(
    fillEmpty({ zone, kid, tree }, (index) => seen[index] === 1),
    { clock },
  );
  await inSlices(tree.settle(), { clock });
  const isWhole = equalBytes(tree.root(), head.mapRoot) && tree.size === head.mapSize;
  if (!isWhole || tree.padBytes() !== head.pad) throw bogus("the buckets do not lead to the head");
  await rows.put([manifestKey(kid), encodeSignedObject(manifestObject)]);
  await rows.put([signedHeadKey(kid), encodeSignedObject(headObject)]);
  await rows.flush({ sync: true });
  return tree;
}

class StagedRows {
  readonly #store: Store;
  #puts: Row[] = [];
  #bytes = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  async put(row: Row): Promise<void> {
    this.#puts.push(row);
    this.#bytes += row[1].length;
    if (this.#bytes >= bytesPerCommit) await this.flush({ sync: false });
  }

  /** Synced, it makes durable what went before too. */
  async flush(options: { readonly sync: boolean }): Promise<void> {
    const puts = this.#puts;
    this.#puts = [];
    this.#bytes = 0;
    await this.#store.commit({ puts, deletes: [] }, options);
  }
}
