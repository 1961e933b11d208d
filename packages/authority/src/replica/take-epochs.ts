// The epochs after a held head, received: linked up to the signed one, each applied as the primary applied it and
// compared with what its head says; then all of it in one batch.

import { equalBytes, sha256 } from "@whither/crypto/node";
import { DiscoveryError, limits, type Head } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { Journal, Row, Store } from "@whither/store";
import {
  decodeHead,
  encodeSignedObject,
  type TransferEpoch,
  type TransferPart,
} from "@whither/wire";
import {
  applyEpoch,
  changesRoot,
  decodeChanges,
  decodeEntry,
  type AppliedChange,
  type BucketTree,
  type SlotChange,
} from "@whither/zone";
import { journalRow } from "../mapping/epoch-batch.js";
import type { PublishedTree } from "../mapping/published-tree.js";
import { inSlices } from "../mapping/slices.js";
import { bodyKey, bucketKey, manifestKey, signedHeadKey } from "../mapping/zone-table.js";
import { ExpectedBodies } from "./expected-bodies.js";
import { goneBodies, newBodies } from "./new-bodies.js";
import { bogus, invalid, startSha256, type VerifiedStart } from "./transfer-start.js";

/** Bytes of changed buckets and new bodies held until the batch; beyond, the whole is fetched instead. */
const stagedBytesMax = 512 * 1024 * 1024;
const noEntries = new Uint8Array(0);

interface EpochsInto {
  readonly start: VerifiedStart;
  readonly held: PublishedTree;
  readonly store: Store;
  readonly journal: Journal;
  readonly clock: Clock;
}

/** Applies the parts after the start; gives the tree. Throws BOGUS, INVALID_DATA, TOO_LARGE. */
export async function takeEpochs(
  parts: AsyncIterable<TransferPart["part"]>,
  into: EpochsInto,
): Promise<BucketTree> {
  const { kid } = into.start.head;
  const run = new EpochRun(into);
  const expected = new ExpectedBodies();
  const bodies: Row[] = [];
  let isApplied = false;
  for await (const part of parts) {
    if (part.case === "epoch" && !isApplied) {
      await run.apply(part.value);
      isApplied = run.isAtHead;
      if (isApplied) expected.add(newBodies(run.changes));
    } else if (part.case === "bodies" && isApplied && part.value.bodies.length > 0) {
      for (const body of part.value.bodies) {
        bodies.push([bodyKey(kid, expected.take(body)), body]);
        run.addBytes(body.length);
      }
    } else {
      throw invalid("a part out of order");
    }
  }
  if (!isApplied) throw bogus("epochs are missing");
  expected.requireNone();
  await run.commit(bodies);
  return run.tree;
}

class EpochRun {
  readonly #into: EpochsInto;
  readonly #changed = new Map<number, Uint8Array>();
  readonly #journal: Row[] = [];
  readonly #received: { readonly serial: number; readonly row: Uint8Array }[] = [];
  #head: Head;
  #sha256: Uint8Array;
  #tree: BucketTree;
  #changes: AppliedChange[] = [];
  #bytes = 0;

  constructor(into: EpochsInto) {
    this.#into = into;
    this.#head = into.held.head;
    this.#sha256 = into.held.headSha256;
    this.#tree = into.held.tree;
  }

  get tree(): BucketTree {
    return this.#tree;
  }

  /** Of all epochs, in order of time. */
  get changes(): readonly AppliedChange[] {
    return this.#changes;
  }

  get isAtHead(): boolean {
    return equalBytes(this.#sha256, startSha256(this.#into.start));
  }

  addBytes(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > stagedBytesMax)
      throw new DiscoveryError("TOO_LARGE", "transfer: too far behind");
  }

  async apply(epoch: TransferEpoch): Promise<void> {
    const next = this.#linked(epoch);
    const changes = decodeChanges(epoch.changes);
    if (!equalBytes(changesRoot(epoch.changes), next.changesRoot)) throw bogus("other changes");
    this.#changes = this.#changes.concat(changes);
    if (this.#changes.length > limits.transferChangesMax) {
      throw new DiscoveryError("TOO_LARGE", "transfer: too many changes");
    }
    const before = this.#tree.b;
    const merged = new Map<number, Uint8Array>();
    const resized = new ResizedRows(this.#into.store, next.kid);
    const outcome = await inSlices(
      applyEpoch({
        zone: next.zone,
        kid: next.kid,
        tree: this.#tree,
        readBucket: (index) => this.#read(index),
        changes: changes.map(wantedOf),
        serial: next.serial,
      }),
      {
        clock: this.#into.clock,
        onItem: ({ index, b, entries }) => {
          if (b !== before) return resized.add({ index, b, entries });
          merged.set(index, entries);
          this.addBytes(entries.length);
          return undefined;
        },
      },
    );
    const isSame =
      equalBytes(outcome.mapRoot, next.mapRoot) &&
      equalBytes(outcome.changesRoot, next.changesRoot) &&
      outcome.size === next.mapSize &&
      outcome.b === next.b &&
      outcome.pad === next.pad;
    if (!isSame) throw bogus("the changes do not lead to the head");
    await resized.flush();
    if (outcome.b !== before) this.#changed.clear();
    for (const [index, entries] of merged) this.#changed.set(index, entries);
    this.#tree = outcome.tree;
    this.#head = next;
    this.#sha256 = sha256(epoch.head);
    this.#received.push({ serial: next.serial, row: journalRow(epoch.head, epoch.changes) });
  }

  /** Everything in one synced batch: readers and restarts see the last state or the new one. */
  async commit(bodies: readonly Row[]): Promise<void> {
    const { start, store, journal, held } = this.#into;
    const { kid, b } = start.head;
    for (const { serial, row: value } of this.#received) {
      this.#journal.push(journal.row({ sequence: BigInt(serial), value }).put);
    }
    const rows = [...this.#changed].map(([index, entries]): Row => [
      bucketKey({ kid, b, index }),
      entries,
    ]);
    await store.commit(
      {
        puts: [
          ...rows.filter(([, entries]) => entries.length > 0),
          ...bodies,
          ...this.#journal,
          [manifestKey(kid), encodeSignedObject(start.manifestObject)],
          [signedHeadKey(kid), encodeSignedObject(start.headObject)],
        ],
        deletes: [
          ...rows.filter(([, entries]) => entries.length === 0).map(([key]) => key),
          ...goneBodies(this.#changes).map((vhash) => bodyKey(kid, vhash)),
        ],
        expect: [{ key: signedHeadKey(kid), value: held.headBytes }],
      },
      { sync: true },
    );
  }

  #linked({ head: payload }: TransferEpoch): Head {
    const { head, headObject } = this.#into.start;
    // The last one is the signed head, which has been read.
    const next = equalBytes(payload, headObject.payload) ? head : decodeHead(payload);
    const before = this.#head;
    const isNext =
      next.zone === before.zone &&
      equalBytes(next.kid, before.kid) &&
      next.epoch === before.epoch &&
      next.serial === before.serial + 1 &&
      next.time >= before.time &&
      equalBytes(next.prevSha256, this.#sha256);
    if (!isNext) throw bogus("the epochs do not follow one another");
    return next;
  }

  #read(index: number): Uint8Array {
    const changed = this.#changed.get(index);
    if (changed !== undefined) return changed;
    const { held, store } = this.#into;
    const { b } = this.#tree;
    if (b === held.head.b) return held.readBucket(index);
    return store.get(bucketKey({ kid: held.head.kid, b, index })) ?? noEntries;
  }
}

/** Buckets of another depth than the served one: no head names them yet, so they go ahead of the batch. */
class ResizedRows {
  readonly #store: Store;
  readonly #kid: Uint8Array;
  #puts: Row[] = [];
  #deletes: Uint8Array[] = [];
  #bytes = 0;

  constructor(store: Store, kid: Uint8Array) {
    this.#store = store;
    this.#kid = kid;
  }

  add(bucket: {
    readonly index: number;
    readonly b: number;
    readonly entries: Uint8Array;
  }): Promise<void> | undefined {
    const { index, b, entries } = bucket;
    const key = bucketKey({ kid: this.#kid, b, index });
    if (entries.length === 0) this.#deletes.push(key);
    else this.#puts.push([key, entries]);
    this.#bytes += entries.length;
    return this.#bytes < resizedBytesPerCommit ? undefined : this.flush();
  }

  async flush(): Promise<void> {
    if (this.#puts.length + this.#deletes.length === 0) return;
    const batch = { puts: this.#puts, deletes: this.#deletes };
    this.#puts = [];
    this.#deletes = [];
    this.#bytes = 0;
    await this.#store.commit(batch, { sync: false });
  }
}

const resizedBytesPerCommit = 2 * 1024 * 1024;

function wantedOf({ idx, after }: AppliedChange): SlotChange {
  if (after === undefined) return { idx, to: undefined };
  const { masked, vhash } = decodeEntry(after);
  return { idx, to: { masked, vhash } };
}
