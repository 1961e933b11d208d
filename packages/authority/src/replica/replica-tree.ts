// One tree of a replica: what it serves, and how a transfer becomes what it serves. The last good state stays until
// a newer one has been verified whole.

import { sha256 } from "@whither/crypto/node";
import { DiscoveryError, type Manifest } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { openJournal, type Journal } from "@whither/store";
import {
  decodeManifest,
  decodeSignedObject,
  encodeSignedObject,
  type TransferPart,
} from "@whither/wire";
import type { BucketTree } from "@whither/zone";
import { headNews, holdTree, type HeadNews, type HeldTree } from "../mapping/held-tree.js";
import { PublishedTree } from "../mapping/published-tree.js";
import { readStoredTree } from "../mapping/zone-start.js";
import { journalPrefix, manifestKey } from "../mapping/zone-table.js";
import { dropBuckets } from "../mapping/zone-upkeep.js";
import type { Generation, ReplicaStore } from "./replica-store.js";
import { takeEpochs } from "./take-epochs.js";
import { takeWhole } from "./take-whole.js";
import { startSha256, type VerifiedStart } from "./transfer-start.js";

/** Epochs kept for those that follow this replica, as at a primary. */
const journalRowsMax = 2_880;
const epochsPerTrim = 64;

export interface ReplicaTreeContext {
  readonly zone: string;
  readonly replicas: ReplicaStore;
  readonly clock: Clock;
  readonly bucketCacheBytes: number;
  /** Hears that a row is not what it was. */
  readonly onDamage: () => void;
}

export class ReplicaTree {
  readonly #context: ReplicaTreeContext;
  #generation: Generation;
  #published: PublishedTree;
  #manifestBytes: Uint8Array;
  #manifest: Manifest;
  #journal: Journal;
  #isLost = false;

  private constructor(
    context: ReplicaTreeContext,
    state: {
      readonly generation: Generation;
      readonly published: PublishedTree;
      readonly manifestBytes: Uint8Array;
      readonly journal: Journal;
    },
  ) {
    this.#journal = state.journal;
    this.#context = context;
    this.#generation = state.generation;
    this.#published = state.published;
    this.#manifestBytes = state.manifestBytes;
    this.#manifest = decodeManifest(decodeSignedObject(state.manifestBytes).payload);
  }

  /** What a restart finds, every bucket of it hashed again. Throws STORE_CORRUPT. */
  static async load(context: ReplicaTreeContext, generation: Generation): Promise<ReplicaTree> {
    const { zone, clock, bucketCacheBytes, onDamage } = context;
    const { store, kid } = generation;
    const { last, tree } = await readStoredTree({ store, zone, kid, clock });
    const manifestBytes = store.get(manifestKey(kid));
    if (last?.signed === undefined || manifestBytes === undefined) {
      throw new DiscoveryError("STORE_CORRUPT", "the replica has no signed head");
    }
    const shown = {
      head: last.head,
      headBytes: last.signed,
      headSha256: sha256(last.payload),
      tree,
    };
    const published = new PublishedTree({ store, bucketCacheBytes, onDamage, ...shown });
    const journal = await journalOf(generation);
    return new ReplicaTree(context, { generation, published, manifestBytes, journal });
  }

  /** The first transfer of a tree. */
  static async receive(
    context: ReplicaTreeContext,
    received: {
      readonly start: VerifiedStart;
      readonly parts: AsyncIterable<TransferPart["part"]>;
    },
  ): Promise<ReplicaTree> {
    const { start, parts } = received;
    const generation = await context.replicas.next(start.head.kid);
    const { store } = generation;
    const tree = await takeWhole(parts, { start, store, clock: context.clock });
    await context.replicas.swapIn(generation);
    const published = publish(context, { generation, start, tree });
    const manifestBytes = encodeSignedObject(start.manifestObject);
    const journal = await journalOf(generation);
    return new ReplicaTree(context, { generation, published, manifestBytes, journal });
  }

  get published(): PublishedTree {
    return this.#published;
  }

  get manifest(): Manifest {
    return this.#manifest;
  }

  get manifestBytes(): Uint8Array {
    return this.#manifestBytes;
  }

  /** Whether only its place is known: its rows are gone, and it waits for the whole. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Lets go of the rows. What was held stays the place that nothing may go back from. */
  async lose(): Promise<void> {
    this.#isLost = true;
    await this.#published.retire();
  }

  /** Takes what is newer; gives the news of it. */
  async advance(received: {
    readonly start: VerifiedStart;
    readonly parts: AsyncIterable<TransferPart["part"]>;
  }): Promise<HeadNews> {
    const { start, parts } = received;
    const { clock, replicas } = this.#context;
    const before = this.#published;
    if (start.kind === "epochs") {
      const { store } = this.#generation;
      const journal = this.#journal;
      const tree = await takeEpochs(parts, { start, held: before, store, journal, clock });
      this.#published = publish(this.#context, { generation: this.#generation, start, tree });
      await before.retire();
      if (before.head.b !== tree.b) await dropBuckets(store, before.head);
      await this.#trim();
    } else {
      const generation = await replicas.next(start.head.kid);
      const { store } = generation;
      const tree = await takeWhole(parts, { start, store, clock });
      await replicas.swapIn(generation);
      this.#published = publish(this.#context, { generation, start, tree });
      this.#generation = generation;
      this.#isLost = false;
      this.#journal = await journalOf(generation);
      await before.retire();
      await replicas.tidy(generation.kid);
    }
    this.#manifestBytes = encodeSignedObject(start.manifestObject);
    this.#manifest = start.manifest;
    // What changed between two heads is not kept: readers of the push ask for what they hold.
    return {
      ...headNews(this.#published, { head: before.head, changed: [] }),
      changedBuckets: undefined,
    };
  }

  hold(): HeldTree {
    const { manifestBytes } = this;
    return holdTree(this.#published, { journal: this.#journal, manifestBytes });
  }

  retire(): Promise<void> {
    return this.#published.retire();
  }

  async #trim(): Promise<void> {
    const { serial } = this.#published.head;
    if (serial % epochsPerTrim !== 0 || serial <= journalRowsMax) return;
    await this.#journal.trim(BigInt(serial - journalRowsMax));
  }
}

function journalOf({ store, kid }: Generation): Promise<Journal> {
  return openJournal({ store, prefix: journalPrefix(kid) });
}

function publish(
  { bucketCacheBytes, onDamage }: ReplicaTreeContext,
  of: {
    readonly generation: Generation;
    readonly start: VerifiedStart;
    readonly tree: BucketTree;
  },
): PublishedTree {
  const { generation, start, tree } = of;
  return new PublishedTree({
    store: generation.store,
    head: start.head,
    headBytes: encodeSignedObject(start.headObject),
    headSha256: startSha256(start),
    tree,
    bucketCacheBytes,
    onDamage,
  });
}
