// The one writer of a tree. An epoch is two writes: everything it changes together with the head's
// payload, then the head's signature. In between lies the only state in which store and readers
// differ; a process that starts there signs that payload as it stands, so that no serial ever means
// two things.

import { equalBytes, sha256 } from "@whither/crypto/node";
import { limits, roles, type Head } from "@whither/protocol";
import type { Clock, Logger, Scheduled } from "@whither/runtime";
import type { Journal, Store } from "@whither/store";
import { encodeHead, encodeSignedObject } from "@whither/wire";
import { changesPerEpochMax, changesRoot, nextDepth, signObject } from "@whither/zone";
import {
  headUnchanged,
  makeHead,
  prepareEpoch,
  type EpochContext,
  type HeadPlace,
  type PreparedEpoch,
} from "./epoch-batch.js";
import { headNews, holdTree, type HeadNews, type HeldTree } from "./held-tree.js";
import { loadSlots, type LoadedSlot } from "./load-slots.js";
import type { PendingChanges } from "./pending-changes.js";
import { PublishedTree } from "./published-tree.js";
import type { ManifestKeys } from "./zone-keys.js";
import type { StoredTree } from "./zone-start.js";
import { manifestKey, signedHeadKey, unsignedHeadKey } from "./zone-table.js";
import { dropBuckets, dropOldRows } from "./zone-upkeep.js";

/** Share of `epoch_s` between two looks for changes; the rest is for the work itself. */
const tickShare = 0.9;
/** Ticks between two rounds of upkeep. */
const ticksPerUpkeep = 20;

const noHash = new Uint8Array(32);

export interface TreeWriterOptions {
  readonly store: Store;
  readonly journal: Journal;
  /** What heads name and who signs them, until `useManifest` says otherwise. */
  readonly under: ManifestKeys;
  readonly kid: Uint8Array;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Number of the zone's history at least. */
  readonly epoch: number;
  readonly pending: PendingChanges;
  /** Memory for encoded bucket answers of the published epoch. */
  readonly bucketCacheBytes: number;
}

export class TreeWriter {
  readonly #options: TreeWriterOptions;
  #under: ManifestKeys;
  #published: PublishedTree;
  #prepared: PreparedEpoch | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #timer: Scheduled | undefined;
  #ticks = 0;
  #closed = false;
  readonly #listeners = new Set<(news: HeadNews) => void>();

  private constructor(options: TreeWriterOptions, published: PublishedTree) {
    this.#options = options;
    this.#under = options.under;
    this.#published = published;
  }

  /** Brings the store to a signed head and the head up to date. */
  static async open(options: TreeWriterOptions, stored: StoredTree): Promise<TreeWriter> {
    const published = await firstPublished(options, stored);
    const writer = new TreeWriter(options, published);
    await writer.publishIfDue();
    return writer;
  }

  get published(): PublishedTree {
    return this.#published;
  }

  /** What heads name and who signs them. */
  get under(): ManifestKeys {
    return this.#under;
  }

  /** Heads name this manifest from the next epoch on; `publishIfDue` finds that one is due. */
  useManifest(under: ManifestKeys): Promise<void> {
    return this.#exclusive(() => {
      this.#under = under;
      return Promise.resolve();
    });
  }

  /** The published epoch, kept for a transfer. */
  hold(): HeldTree {
    const { journal } = this.#options;
    return holdTree(this.#published, { journal, manifestBytes: this.#under.bytes });
  }

  onHead(listener: (news: HeadNews) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Publishes what waits, or a fresh head when nothing does. */
  publish(): Promise<void> {
    return this.#exclusive(() => this.#epoch());
  }

  /** Publishes if something waits or the head is due for another reason. */
  publishIfDue(): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#prepared !== undefined) await this.#finish(this.#prepared);
      if (this.#isDue()) await this.#epoch();
      while (this.#options.pending.size >= changesPerEpochMax) await this.#epoch();
    });
  }

  /** Ends an epoch whose signature could not be written. */
  settle(): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#prepared !== undefined) await this.#finish(this.#prepared);
    });
  }

  /** Fills an empty zone. */
  load(slots: Iterable<LoadedSlot> | AsyncIterable<LoadedSlot>): Promise<void> {
    return this.#exclusive(async () => {
      const work = { base: this.#published, place: this.#nextPlace() };
      this.#prepared = await loadSlots(this.#context(), work, slots);
      await this.#finish(this.#prepared);
    });
  }

  /** Looks for changes within every `epoch_s`. A failed epoch is tried again at the next look. */
  start(): void {
    const { clock, logger } = this.#options;
    const { zone, manifest } = this.#under;
    const periodMs = Math.floor(manifest.epochSeconds * 1000 * tickShare);
    const tick = async (): Promise<void> => {
      try {
        await this.publishIfDue();
        this.#ticks += 1;
        if (this.#ticks % ticksPerUpkeep === 0) await this.#upkeep();
      } catch (error) {
        logger.error("epoch failed", { zone, error });
      }
      if (!this.#closed) this.#timer = clock.schedule(periodMs, () => void tick());
    };
    this.#timer = clock.schedule(periodMs, () => void tick());
  }

  /** Waits for the epoch under way. What still waits stays in the store for the next start. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#queue.catch(() => undefined);
    await this.#published.retire();
  }

  #exclusive(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  #isDue(): boolean {
    const { head } = this.#published;
    const { clock, epoch, pending } = this.#options;
    const { manifest, sha256: manifestSha256 } = this.#under;
    const { b, mapSize: size } = head;
    const heartbeat = limits.heartbeatSeconds - manifest.epochSeconds;
    return (
      pending.size > 0 ||
      nextDepth({ b, size }) !== b ||
      head.epoch < epoch ||
      !equalBytes(head.manifestSha256, manifestSha256) ||
      clock.nowSeconds() - head.time >= heartbeat
    );
  }

  async #epoch(): Promise<void> {
    if (this.#prepared !== undefined) await this.#finish(this.#prepared);
    const cut = this.#options.pending.cut();
    const work = { base: this.#published, place: this.#nextPlace(), cut };
    this.#prepared = await prepareEpoch(this.#context(), work);
    await this.#finish(this.#prepared);
  }

  async #finish(prepared: PreparedEpoch): Promise<void> {
    const { store, pending, logger } = this.#options;
    const before = this.#published;
    this.#published = await signHead({ ...this.#options, under: this.#under }, prepared);
    this.#prepared = undefined;
    pending.remove(prepared.cut.taken);
    const { zone, serial, mapSize, b } = prepared.head;
    logger.info("head published", { zone, serial, slots: mapSize, b });
    const since = { head: before.head, changed: prepared.cut.changes };
    const news = headNews(this.#published, since);
    for (const listener of this.#listeners) listener(news);
    await before.retire();
    // Only now, since readers of the old head needed them until here.
    if (before.head.b !== b) await dropBuckets(store, before.head);
  }

  #nextPlace(): HeadPlace {
    const { head, headSha256 } = this.#published;
    const { clock, logger, epoch } = this.#options;
    const nowSeconds = clock.nowSeconds();
    if (nowSeconds < head.time) {
      // The time of heads never goes back; readers would take it for a roll-back.
      logger.warn("clock behind head", { zone: head.zone, behind_s: head.time - nowSeconds });
    }
    return {
      epoch: Math.max(head.epoch, epoch),
      serial: head.serial + 1,
      time: Math.max(head.time, nowSeconds),
      prevSha256: head.epoch < epoch ? noHash : headSha256,
    };
  }

  #context(): EpochContext {
    return contextOf({ ...this.#options, under: this.#under });
  }

  async #upkeep(): Promise<void> {
    const { store, journal, clock } = this.#options;
    const { serial } = this.#published.head;
    await dropOldRows({ store, journal, serial, nowSeconds: clock.nowSeconds() });
  }
}

function contextOf({ store, journal, clock, under, kid }: TreeWriterOptions): EpochContext {
  return { store, journal, clock, manifest: under, kid };
}

/** The second write of an epoch, and what readers see from then on. */
async function signHead(
  { store, under, kid, bucketCacheBytes }: TreeWriterOptions,
  prepared: Pick<PreparedEpoch, "payload" | "head" | "tree">,
): Promise<PublishedTree> {
  const { payload, head, tree } = prepared;
  const { zone, signer } = under;
  const object = signObject({ type: "head", role: roles.zone, zone, payload, signer });
  const headBytes = encodeSignedObject(object);
  await store.commit(
    { puts: [[signedHeadKey(kid), headBytes]], deletes: [unsignedHeadKey(kid)] },
    { sync: true },
  );
  const shown = { head, headBytes, headSha256: sha256(payload), tree };
  return new PublishedTree({ store, bucketCacheBytes, ...shown });
}

async function firstPublished(
  options: TreeWriterOptions,
  { last, tree }: StoredTree,
): Promise<PublishedTree> {
  const { store, bucketCacheBytes } = options;
  if (last === undefined) return signHead(options, await storeFirstHead(options, { tree }));
  const { head, payload, signed } = last;
  if (signed === undefined) return signHead(options, { payload, head, tree });
  const shown = { head, headBytes: signed, headSha256: sha256(payload), tree };
  return new PublishedTree({ store, bucketCacheBytes, ...shown });
}

/** The head of a new and empty tree. */
async function storeFirstHead(
  options: TreeWriterOptions,
  { tree }: Pick<StoredTree, "tree">,
): Promise<Pick<PreparedEpoch, "payload" | "head" | "tree">> {
  const { store, under, kid, clock, epoch } = options;
  const head: Head = makeHead({
    context: contextOf(options),
    base: under,
    place: { epoch, serial: 1, time: clock.nowSeconds(), prevSha256: noHash },
    outcome: {
      mapRoot: tree.root(),
      size: 0,
      b: tree.b,
      pad: tree.padBytes(),
      changesRoot: changesRoot(new Uint8Array(0)),
    },
  });
  const payload = encodeHead(head);
  await store.commit(
    {
      puts: [
        [manifestKey(kid), under.bytes],
        [unsignedHeadKey(kid), payload],
      ],
      deletes: [],
      expect: headUnchanged(kid, undefined),
    },
    { sync: true },
  );
  return { payload, head, tree };
}
