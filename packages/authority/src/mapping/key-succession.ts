// What a zone is under, its manifest and keys, and how it goes on to the next while it serves (protocol.md sections 2
// and 4): the successor is served as soon as it is configured, the tree of a new VOPRF key is made beside the present
// one, the zone switches when everybody can know the successor, and 72 h later the tree before is dropped. Every step
// is durable before it is seen, and a process that ends goes on where it was.

import { equalBytes, wipe } from "@whither/crypto/node";
import { DiscoveryError, limits, type ZoneName } from "@whither/protocol";
import type { Clock, Logger, Scheduled } from "@whither/runtime";
import { u64Bytes, type Row, type Store } from "@whither/store";
import { beginDrop, endDrop } from "./drop-tree.js";
import { missingSlots } from "./tree-sizes.js";
import { encodeNamed, type NamedSince } from "./succession-rows.js";
import type { AcceptanceRenewal } from "./renew-acceptances.js";
import type { DirectoryNames, SuccessionStatus } from "./succession-status.js";
import type { NextTreeWork } from "./next-tree.js";
import { nextKeyOf, type ManifestKeys, type TreeKey, type ZoneKeys } from "./zone-keys.js";
import { inForceKey, namedKey, predecessorKey, retiredKey } from "./zone-table.js";
import type { ServedTree, ZoneTrees } from "./zone-trees.js";

export interface KeySuccessionParts {
  readonly zone: ZoneName;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trees: ZoneTrees;
  readonly nextTree: NextTreeWork;
  readonly acceptances: AcceptanceRenewal;
  /** A successor waits until the directory has named it for long enough; else it is used as soon as it can be. */
  readonly followsDirectory: boolean;
}

/** A manifest as it is served. */
export interface HeldManifest {
  /** Encoded signed object. */
  readonly bytes: Uint8Array;
  /** Hash of the payload, 32 bytes. */
  readonly sha256: Uint8Array;
}

/** As the store has it. */
export interface SuccessionStart {
  readonly under: ManifestKeys;
  readonly predecessor: HeldManifest | undefined;
  readonly named: NamedSince | undefined;
  /** When each of the trees before the current one stopped being it. */
  readonly retiredAt: ReadonlyMap<ServedTree, number>;
}

export class KeySuccession {
  readonly #parts: KeySuccessionParts;
  #under: ManifestKeys;
  #predecessor: HeldManifest | undefined;
  #successor: ManifestKeys | undefined;
  #named: NamedSince | undefined;
  /** The directory names the successor and no longer what the zone is under. */
  #isAlone = false;
  readonly #retiredAt: Map<ServedTree, number>;
  #problem: DiscoveryError | undefined;
  /** Slots of the current tree that the next one has not. */
  #missing: number | undefined;
  #timer: Scheduled | undefined;
  #isClosed = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(parts: KeySuccessionParts, start: SuccessionStart) {
    this.#parts = parts;
    this.#under = start.under;
    this.#predecessor = start.predecessor;
    this.#named = start.named;
    this.#retiredAt = new Map(start.retiredAt);
  }

  get under(): ManifestKeys {
    return this.#under;
  }

  /** Those that the directory may name: the one in force, its successor, the one before. */
  get manifests(): readonly HeldManifest[] {
    const all = [this.#under, this.#successor, this.#predecessor];
    return all.filter((one) => one !== undefined);
  }

  nowSeconds(): number {
    return this.#parts.clock.nowSeconds();
  }

  get status(): SuccessionStatus {
    const { trees, nextTree } = this.#parts;
    const { next, current } = trees;
    const total = current.writer.published.head.mapSize;
    return {
      successor:
        this.#successor === undefined
          ? undefined
          : {
              sha256: this.#successor.sha256,
              namedAt: this.#named?.since,
              switchAt: this.#switchAt(),
            },
      next:
        next === undefined
          ? undefined
          : {
              kid: next.key.kid,
              phase: next.kind,
              done: nextTree.done ?? total,
              total,
              missing: this.#missing ?? 0,
            },
      previous: trees.previous.map((tree) => ({ kid: tree.key.kid, dropAt: this.#dropAt(tree) })),
      acceptances: this.#parts.acceptances.isDone ? "renewed" : "to renew",
      problem: nextTree.problem ?? this.#problem,
    };
  }

  /**
   * Takes a manifest and keys as the operator has configured them. Throws CONFIG, with nothing changed, where they
   * do not fit what is served.
   */
  use(configured: ZoneKeys): Promise<void> {
    return this.#exclusive(async () => {
      this.#requireFit(configured);
      await this.#parts.nextTree.want(nextKeyOf(this.#under, configured));
      const isInForce = equalBytes(configured.under.sha256, this.#under.sha256);
      this.#successor = isInForce ? undefined : configured.under;
      // The same manifest may be signed by another of its keys.
      if (isInForce) await this.#speakUnder(configured.under);
    });
  }

  /** What the directory says now. */
  directoryNames({ manifestSha256, ttlSeconds }: DirectoryNames): Promise<void> {
    return this.#exclusive(async () => {
      const successor = this.#successor;
      if (successor === undefined) return;
      const { store, clock, logger, zone } = this.#parts;
      const names = (sha256: Uint8Array) => manifestSha256.some((one) => equalBytes(one, sha256));
      if (!names(successor.sha256)) {
        if (this.#named !== undefined) {
          await store.commit({ puts: [], deletes: [namedKey] }, { sync: false });
        }
        this.#named = undefined;
        return;
      }
      this.#isAlone = !names(this.#under.sha256);
      if (this.#named === undefined || !equalBytes(this.#named.sha256, successor.sha256)) {
        const named = { sha256: successor.sha256, since: clock.nowSeconds(), ttlSeconds };
        await store.commit(
          { puts: [[namedKey, encodeNamed(named)]], deletes: [] },
          { sync: false },
        );
        this.#named = named;
        logger.info("successor named", { zone, switch_at: this.#switchAt() });
      }
      await this.#steps();
    });
  }

  /** Whatever the directory says. Throws NOT_AVAILABLE where nothing is to be switched to, or not yet. */
  switchNow(): Promise<void> {
    return this.#exclusive(async () => {
      const successor = this.#successor;
      if (successor === undefined) {
        throw new DiscoveryError("NOT_AVAILABLE", "the manifest configured is in force");
      }
      if (!this.#canGoOn(successor)) {
        throw new DiscoveryError("NOT_AVAILABLE", "the next tree is not built", {
          cause: this.#problem,
        });
      }
      await this.#switch(successor);
    });
  }

  /** Takes every step that is due, the making of the next tree included. */
  async advance(): Promise<void> {
    const { nextTree } = this.#parts;
    nextTree.run();
    await nextTree.ended();
    await this.step();
    await this.#parts.acceptances.run();
  }

  /** Takes the steps that are due and need no tree to be made. */
  step(): Promise<void> {
    return this.#exclusive(() => this.#steps());
  }

  /** Takes steps by itself from now on. */
  start(): void {
    const { clock, logger, zone, nextTree, acceptances } = this.#parts;
    nextTree.start();
    acceptances.start();
    const tick = async (): Promise<void> => {
      try {
        await this.step();
      } catch (error) {
        logger.error("change of keys failed", { zone, error });
      }
      if (!this.#isClosed) schedule();
    };
    const schedule = (): void => {
      const periodMs = this.#under.manifest.epochSeconds * 1000;
      this.#timer = clock.schedule(periodMs, () => void tick());
    };
    schedule();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#parts.nextTree.close();
    await this.#parts.acceptances.close();
    await this.#queue.catch(() => undefined);
  }

  #exclusive(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /** Throws CONFIG unless the zone can go on from what it serves to what is configured. */
  #requireFit({ under, tree, other }: ZoneKeys): void {
    const { trees } = this.#parts;
    if (equalBytes(under.sha256, this.#predecessor?.sha256 ?? noKey)) {
      throw config("the zone has gone on from this manifest already");
    }
    for (const { key } of trees.served) {
      const isHeld = [tree, other].some((one) =>
        equalBytes(one?.publicKey ?? noKey, key.publicKey),
      );
      if (!isHeld) throw config("the voprf key of a tree that is served is missing");
      const listed = under.manifest.voprfKeys.find((one) =>
        equalBytes(one.publicKey, key.publicKey),
      );
      if (listed !== undefined && !equalBytes(listed.kid, key.kid)) {
        throw config("the manifest names another kid than the tree's");
      }
    }
  }

  async #steps(): Promise<void> {
    const { trees, clock } = this.#parts;
    const successor = this.#successor;
    if (successor !== undefined && this.#isReady(successor)) await this.#switch(successor);
    for (const tree of trees.previous) {
      if (this.#dropAt(tree) <= clock.nowSeconds()) await this.#drop(tree);
    }
  }

  /** Whether everybody can know the successor, and the zone can go on under it. */
  #isReady(successor: ManifestKeys): boolean {
    const at = this.#switchAt();
    const canGoOn = this.#canGoOn(successor);
    return canGoOn && at !== undefined && at <= this.nowSeconds();
  }

  /** Whether there is a whole tree of its current key. */
  #canGoOn(successor: ManifestKeys): boolean {
    const { trees } = this.#parts;
    const [key] = successor.manifest.voprfKeys;
    const isOf = (tree: TreeKey): boolean => equalBytes(tree.publicKey, key?.publicKey ?? noKey);
    if (!isOf(trees.current.key)) {
      const { next } = trees;
      if (next?.kind !== "built" || !isOf(next.key)) return false;
      this.#missing = missingSlots(trees.current, next.tree) ?? this.#missing;
      if (this.#missing !== 0) {
        const text = "the vault does not know every slot of the zone";
        if (this.#missing !== undefined) this.#problem = new DiscoveryError("CONFIG", text);
        return false;
      }
    }
    return true;
  }

  /** Publish, wait max TTL + 1 h, switch (protocol.md section 2); undefined: not before it is named. */
  #switchAt(): number | undefined {
    if (!this.#parts.followsDirectory || this.#isAlone) return 0;
    if (this.#named === undefined) return undefined;
    return this.#named.since + this.#named.ttlSeconds + limits.switchDelaySeconds;
  }

  async #switch(successor: ManifestKeys): Promise<void> {
    const { trees, store, clock, logger, zone } = this.#parts;
    const before = this.#under;
    const now = clock.nowSeconds();
    const { next, current } = trees;
    const [key] = successor.manifest.voprfKeys;
    const isPromoted = !equalBytes(current.key.publicKey, key?.publicKey ?? noKey);
    const puts: Row[] = [
      [inForceKey, successor.bytes],
      [predecessorKey, before.bytes],
    ];
    if (isPromoted) puts.push([retiredKey(current.key.kid), u64Bytes(BigInt(now))]);
    await store.commit({ puts, deletes: [namedKey] }, { sync: true });
    if (isPromoted && next?.kind === "built") {
      // Its first head that anybody sees is already under the manifest that names it.
      await next.tree.writer.useManifest(successor);
      await next.tree.writer.publish();
      trees.promote();
      this.#retiredAt.set(current, now);
    }
    this.#predecessor = before;
    this.#successor = undefined;
    this.#named = undefined;
    this.#isAlone = false;
    this.#missing = undefined;
    this.#problem = undefined;
    await this.#speakUnder(successor);
    logger.info("manifest in force", { zone, version: successor.manifest.version });
  }

  async #speakUnder(under: ManifestKeys): Promise<void> {
    this.#under = under;
    const { published } = this.#parts.trees;
    for (const { writer } of published) await writer.useManifest(under);
    for (const { writer } of published) await writer.publishIfDue();
    await this.#parts.acceptances.want(under.signer);
  }

  #dropAt(tree: ServedTree): number {
    const isListed = this.#under.manifest.voprfKeys.some(({ kid }) =>
      equalBytes(kid, tree.key.kid),
    );
    // Readers refuse its heads: a manifest that leaves the key out gives it up at once.
    if (!isListed) return 0;
    return (this.#retiredAt.get(tree) ?? 0) + limits.kidOverlapSeconds;
  }

  async #drop(tree: ServedTree): Promise<void> {
    const { trees, store, logger, zone } = this.#parts;
    const { kid, secretKey } = tree.key;
    // Whoever waits for this tree's receipt has it.
    await tree.writer.publishIfDue();
    trees.retire(tree);
    await beginDrop(store, kid);
    this.#retiredAt.delete(tree);
    await tree.writer.close();
    wipe(secretKey);
    await endDrop(store, kid);
    logger.info("tree dropped", { zone });
  }
}

const noKey = new Uint8Array(0);

function config(text: string): DiscoveryError {
  return new DiscoveryError("CONFIG", text);
}
