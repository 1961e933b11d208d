// Makes the tree of the next VOPRF key beside the trees that are served (protocol.md section 4, "VOPRF rotation"):
// every identifier of the vault is evaluated under the key, its slot sealed for its new place and staged; then the
// tree is made of what was staged. A process that ends goes on at the cursor, which is written with what it is of.

import { DiscoveryError, type ZoneName } from "@whither/protocol";
import type { Logger, Random, VoprfEngine } from "@whither/runtime";
import { prefixRange, type Batch, type Row, type Store } from "@whither/store";
import { slotIndex, slotInput } from "@whither/zone";
import type { TreePlace } from "./mapping-zone.js";
import { evaluateOwn } from "./own-evaluation.js";
import { decodePending } from "./pending-changes.js";
import { resealSlot } from "./seal-slot.js";
import { currentContent, type SlotSubmissions } from "./slot-submissions.js";
import { stagedRow, stagedSlots } from "./staged-slots.js";
import { encodeBuild, type BuildProgress } from "./succession-rows.js";
import type { Vault, VaultRow } from "./vault.js";
import type { TreeKey } from "./zone-keys.js";
import { buildKey, pendingTablePrefix, stagedKey } from "./zone-table.js";
import type { ServedTree, ZoneTrees } from "./zone-trees.js";

/** Identifiers evaluated at a time: two batches, behind which a client's waits some 20 ms on one thread. */
const rowsPerSlice = 16;

export interface TreeBuildParts {
  readonly zone: ZoneName;
  readonly store: Store;
  readonly vault: Vault;
  readonly voprf: VoprfEngine;
  readonly random: Random;
  readonly logger: Logger;
  readonly trees: ZoneTrees;
  readonly submissions: Pick<SlotSubmissions, "underWay">;
  /** Opens the new tree's writer on what the store has of it. */
  readonly openTree: (key: TreeKey) => Promise<ServedTree>;
}

interface Slot {
  readonly row: VaultRow;
  readonly from: TreePlace;
  readonly to: TreePlace;
}

export class TreeBuild {
  readonly key: TreeKey;
  readonly #parts: TreeBuildParts;
  #progress: BuildProgress;

  private constructor(parts: TreeBuildParts, key: TreeKey, progress: BuildProgress) {
    this.#parts = parts;
    this.key = key;
    this.#progress = progress;
  }

  /** Registrations are written to the new tree from now on. */
  static async open(
    parts: TreeBuildParts,
    { key, progress }: { readonly key: TreeKey; readonly progress: BuildProgress },
  ): Promise<TreeBuild> {
    const { trees } = parts;
    if (progress.phase === "copying") {
      await stagePending(parts.store, key.kid);
      trees.next = { kind: "copying", key };
    } else {
      trees.next = { kind: "loading", key, tree: await parts.openTree(key) };
    }
    return new TreeBuild(parts, key, progress);
  }

  get progress(): BuildProgress {
    return this.#progress;
  }

  /**
   * Resolves when the tree is built: it holds the slots of the current one. May be run again after a failure, or
   * in the next process.
   */
  async run({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { store, trees, logger, zone } = this.#parts;
    const { key } = this;
    await this.#copy(signal);
    signal.throwIfAborted();
    const tree = await this.#load();
    // What waits for the tree is durable and follows with its first epoch.
    await store.commit({ puts: [], deletes: [buildKey(key.kid)] }, { sync: true });
    trees.next = { kind: "built", key, tree };
    logger.info("next tree built", { zone, slots: tree.writer.published.head.mapSize });
  }

  async #copy(signal: AbortSignal): Promise<void> {
    while (this.#progress.phase === "copying") {
      signal.throwIfAborted();
      const { cursor: after, done } = this.#progress;
      const rows: VaultRow[] = [];
      for await (const row of this.#parts.vault.rows({ after, limit: rowsPerSlice }))
        rows.push(row);
      const cursor = rows.at(-1)?.place;
      if (cursor === undefined) {
        await this.#turn({ phase: "loading", done });
        return;
      }
      await this.#stage(await this.#evaluate(rows, signal), {
        phase: "copying",
        done: done + rows.length,
        cursor,
      });
    }
  }

  /** Each slot with its place in the current tree and in the new one. */
  async #evaluate(rows: readonly VaultRow[], signal: AbortSignal): Promise<readonly Slot[]> {
    const { voprf, trees, zone } = this.#parts;
    // An audience slot moves unchanged and under the same tag; registrations of them are not taken yet.
    const isPublic = rows.every(({ tags }) => tags.every((tag) => tag.length === 0));
    if (!isPublic) throw new DiscoveryError("NOT_AVAILABLE", "an audience slot in the vault");
    const inputs = rows.map(({ csi }) => slotInput(csi));
    const placesUnder = async (key: TreeKey): Promise<readonly TreePlace[]> => {
      const { kid } = key;
      const outputs = await evaluateOwn(voprf, key, inputs, { signal });
      return outputs.map((y) => ({ kid, y, idx: slotIndex({ y, zone, kid }) }));
    };
    const from = await placesUnder(trees.current.key);
    const to = await placesUnder(this.key);
    return rows.flatMap((row, at) => {
      const [old, next] = [from[at], to[at]];
      return old === undefined || next === undefined ? [] : [{ row, from: old, to: next }];
    });
  }

  /** Stages the slots; the cursor is written with the last of them. */
  async #stage(slots: readonly Slot[], after: BuildProgress): Promise<void> {
    const { store, submissions } = this.#parts;
    for (let left = slots; ;) {
      // In one turn with the commit: what is read here is older than any registration that comes after.
      const busy = left.filter(({ row }) => submissions.underWay(row.csi) !== undefined);
      const puts = left
        .filter((slot) => !busy.includes(slot))
        .flatMap((slot) => this.#copyOf(slot));
      if (busy.length === 0) {
        await this.#turn(after, puts);
        return;
      }
      const ends = busy.flatMap(({ row }) => submissions.underWay(row.csi) ?? []);
      await store.commit({ puts, deletes: [] }, { sync: false });
      // Written to both trees, or to neither and then copied.
      await Promise.all(ends);
      left = busy;
    }
  }

  #copyOf({ from, to }: Slot): readonly Row[] {
    const { store, trees, zone, random } = this.#parts;
    // A registration since the build began has written it already, and newer.
    if (store.get(stagedKey(to.kid, to.idx)) !== undefined) return [];
    const held = currentContent(trees.of(from.kid), from.idx);
    if (held === undefined) return [];
    const content = resealSlot({ from, held, place: to, zone, random });
    return [stagedRow(to.kid, to.idx, content)];
  }

  async #turn(to: BuildProgress, puts: readonly Row[] = []): Promise<void> {
    const { store, trees } = this.#parts;
    const { key } = this;
    const batch: Batch = { puts: [...puts, [buildKey(key.kid), encodeBuild(to)]], deletes: [] };
    if (to.phase === "copying") {
      await store.commit(batch, { sync: false });
      this.#progress = to;
      return;
    }
    // Nothing is staged behind this: the tree that registrations then wait for is there before its load begins.
    const tree = await this.#parts.openTree(key);
    const committed = store.commit(batch, { sync: true });
    trees.next = { kind: "loading", key, tree };
    this.#progress = to;
    await committed;
  }

  async #load(): Promise<ServedTree> {
    const { store, trees } = this.#parts;
    const { kid } = this.key;
    if (trees.next?.kind !== "loading") throw new TypeError("a tree is loaded once");
    const { tree } = trees.next;
    // Also where the turn to this phase was not written, or the load not signed.
    const build = encodeBuild(this.#progress);
    await store.commit({ puts: [[buildKey(kid), build]], deletes: [] }, { sync: true });
    await tree.writer.settle();
    if (tree.writer.published.head.mapSize === 0) await tree.writer.load(stagedSlots(store, kid));
    return tree;
  }
}

/**
 * What waits for a tree that is still copied: its turn to be loaded was not written, and what was registered then
 * was. It is older than whatever is staged from now on.
 */
async function stagePending(store: Store, kid: Uint8Array): Promise<void> {
  for await (const [key, value] of store.iterate(prefixRange(pendingTablePrefix(kid)))) {
    const { idx, to } = decodePending(0n, value);
    const puts = to === undefined ? [] : [stagedRow(kid, idx, to)];
    const deletes = to === undefined ? [key, stagedKey(kid, idx)] : [key];
    await store.commit({ puts, deletes }, { sync: false });
  }
}
