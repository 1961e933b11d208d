// The first of an epoch's two writes: everything the new head speaks for, and the head without its
// signature, in one atomic synced batch (protocol.md section 4 "Head"). Signing is mapping-zone.ts.

import { limits, type Head } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { u32Bytes, type Expectation, type Journal, type Row, type Store } from "@whither/store";
import { encodeHead } from "@whither/wire";
import { applyEpoch, type BucketTree, type ChangedBucket, type EpochOutcome } from "@whither/zone";
import { idxText, type PendingCut } from "./pending-changes.js";
import type { PublishedTree } from "./published-tree.js";
import { inSlices } from "./slices.js";
import type { ManifestKeys } from "./zone-keys.js";
import {
  bodyKey,
  bucketKey,
  encodeReceipt,
  manifestKey,
  pendingKey,
  receiptKey,
  signedHeadKey,
  unsignedHeadKey,
} from "./zone-table.js";

/** Bytes of buckets that go ahead of the batch in one commit when the depth changes. */
const stagedBytesMax = 2 * 1024 * 1024;

/** An epoch that is stored and waits for its signature. */
export interface PreparedEpoch {
  readonly payload: Uint8Array;
  readonly head: Head;
  readonly tree: BucketTree;
  readonly cut: PendingCut;
}

export interface EpochContext {
  readonly store: Store;
  readonly journal: Journal;
  readonly clock: Clock;
  /** The manifest that the head is to name. */
  readonly manifest: Pick<ManifestKeys, "bytes" | "sha256">;
  readonly kid: Uint8Array;
}

/** The fields of a head that do not come from the tree. */
export interface HeadPlace {
  readonly epoch: number;
  readonly serial: number;
  readonly time: number;
  readonly prevSha256: Uint8Array;
}

/** Applies a cut of pending changes to the published zone and stores the result, unsigned. */
export async function prepareEpoch(
  context: EpochContext,
  work: { readonly base: PublishedTree; readonly place: HeadPlace; readonly cut: PendingCut },
): Promise<PreparedEpoch> {
  const { store, clock, kid } = context;
  const { base, place, cut } = work;
  const { zone } = base.head;
  const buckets = new BucketRows(store, { kid, stagedUnless: base.head.b });
  const outcome = await inSlices(
    applyEpoch({
      zone,
      kid,
      tree: base.tree,
      readBucket: (index) => base.readBucket(index),
      changes: cut.changes,
      serial: place.serial,
    }),
    { clock, onItem: (bucket) => buckets.add(bucket) },
  );
  const head = makeHead({ context, base: base.head, place, outcome });
  const payload = encodeHead(head);
  await buckets.flush();
  await store.commit(
    {
      puts: [
        ...buckets.puts,
        ...newBodies(kid, outcome, cut),
        ...receipts(cut, place.serial),
        context.journal.row({
          sequence: BigInt(place.serial),
          value: journalRow(payload, outcome.journal),
        }).put,
        [manifestKey(kid), context.manifest.bytes],
        [unsignedHeadKey(kid), payload],
      ],
      deletes: [
        ...buckets.deletes,
        ...oldBodies(kid, outcome),
        ...cut.taken.map(({ sequence }) => pendingKey(kid, sequence)),
      ],
      expect: headUnchanged(kid, base.headBytes),
    },
    { sync: true },
  );
  return { payload, head, tree: outcome.tree, cut };
}

/** That no other head came between: one writer per tree, also after a write of unknown outcome. */
export function headUnchanged(kid: Uint8Array, signedHead: Uint8Array | undefined): Expectation[] {
  return [
    { key: signedHeadKey(kid), value: signedHead },
    { key: unsignedHeadKey(kid), value: undefined },
  ];
}

export function makeHead(parts: {
  readonly context: Pick<EpochContext, "manifest" | "kid">;
  readonly base: Pick<Head, "zone">;
  readonly place: HeadPlace;
  readonly outcome: Pick<EpochOutcome, "mapRoot" | "size" | "b" | "pad" | "changesRoot">;
}): Head {
  const { context, base, place, outcome } = parts;
  return {
    zone: base.zone,
    epoch: place.epoch,
    serial: place.serial,
    mapRoot: outcome.mapRoot,
    mapSize: outcome.size,
    kid: context.kid,
    b: outcome.b,
    pad: outcome.pad,
    manifestSha256: context.manifest.sha256,
    changesRoot: outcome.changesRoot,
    time: place.time,
    prevSha256: place.prevSha256,
    notAfter: place.time + limits.headLifetimeSeconds,
  };
}

/** Length of the head's payload, the payload, the changes: what a secondary needs to follow. */
export function journalRow(payload: Uint8Array, changes: Uint8Array): Uint8Array {
  const row = new Uint8Array(4 + payload.length + changes.length);
  row.set(u32Bytes(payload.length));
  row.set(payload, 4);
  row.set(changes, 4 + payload.length);
  return row;
}

/**
 * Collects the rows of changed buckets. Those of another depth than the present head's mean nothing
 * until a head names it, so they go ahead, unsynced and in commits of bounded size: the synced batch
 * that follows makes them durable before the head that needs them.
 */
export class BucketRows {
  readonly #store: Store;
  readonly #kid: Uint8Array;
  readonly #stagedUnless: number | undefined;
  #bytes = 0;
  #puts: Row[] = [];
  #deletes: Uint8Array[] = [];
  #staged = false;

  constructor(
    store: Store,
    place: { readonly kid: Uint8Array; readonly stagedUnless: number | undefined },
  ) {
    this.#store = store;
    this.#kid = place.kid;
    this.#stagedUnless = place.stagedUnless;
  }

  /** Rows for the batch of the epoch; none where they went ahead. */
  get puts(): readonly Row[] {
    return this.#puts;
  }

  get deletes(): readonly Uint8Array[] {
    return this.#deletes;
  }

  /** A promise when rows go to the store now. */
  add({ index, b, entries }: ChangedBucket): Promise<void> | undefined {
    const key = bucketKey({ kid: this.#kid, b, index });
    this.#staged ||= b !== this.#stagedUnless;
    // Empty buckets have no row; what an abandoned change of depth left in their place has to go.
    if (entries.length === 0) this.#deletes.push(key);
    else this.#puts.push([key, entries]);
    this.#bytes += key.length + entries.length;
    return this.#staged && this.#bytes >= stagedBytesMax ? this.#commit() : undefined;
  }

  /** Sends ahead what is left of staged rows. */
  async flush(): Promise<void> {
    if (this.#staged) await this.#commit();
  }

  async #commit(): Promise<void> {
    const batch = { puts: this.#puts, deletes: this.#deletes };
    this.#puts = [];
    this.#deletes = [];
    this.#bytes = 0;
    await this.#store.commit(batch, { sync: false });
  }
}

function newBodies(kid: Uint8Array, outcome: EpochOutcome, cut: PendingCut): Row[] {
  return outcome.addedBodies.map((vhash): Row => {
    const body = cut.bodies.get(idxText(vhash));
    if (body === undefined) throw new TypeError("epoch: a new entry has no body");
    return [bodyKey(kid, vhash), body];
  });
}

function oldBodies(kid: Uint8Array, outcome: EpochOutcome): Uint8Array[] {
  // A body that one slot loses and another gains in the same epoch stays.
  const added = new Set(outcome.addedBodies.map(idxText));
  return outcome.removedBodies
    .filter((vhash) => !added.has(idxText(vhash)))
    .map((vhash) => bodyKey(kid, vhash));
}

/** A statement that a newer one of the same epoch replaced counts as published with it. */
function receipts(cut: PendingCut, serial: number): Row[] {
  const rows = new Map<string, Row>();
  for (const { statementSha256, acceptedAt, givesReceipt } of cut.taken) {
    if (!givesReceipt) continue;
    const row: Row = [receiptKey(statementSha256), encodeReceipt({ acceptedAt, serial })];
    rows.set(idxText(statementSha256), row);
  }
  return [...rows.values()];
}
