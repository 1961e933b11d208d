// The tree of the next VOPRF key as background work with an owner: begun, made in one process or several, tried
// again when it fails, given up when nobody wants it any more. How a tree is made is tree-build.ts.

import { equalBytes, wipe } from "@whither/crypto/node";
import { DiscoveryError } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { Row } from "@whither/store";
import { beginDrop, deletePrefix, endDrop } from "./drop-tree.js";
import { encodeBuild, type BuildProgress } from "./succession-rows.js";
import { TreeBuild, type TreeBuildParts } from "./tree-build.js";
import type { Vault } from "./vault.js";
import type { TreeKey } from "./zone-keys.js";
import { buildKey, stagedPrefix } from "./zone-table.js";

/** Between two attempts. */
const retryMs = 60_000;

export interface NextTreeParts extends Omit<TreeBuildParts, "vault"> {
  readonly clock: Clock;
  /** Without one no tree can be made. */
  readonly vault: Vault | undefined;
}

export class NextTreeWork {
  readonly #parts: NextTreeParts;
  #build: TreeBuild | undefined;
  #running: Promise<void> | undefined;
  #problem: DiscoveryError | undefined;
  /** Epochs are published by themselves. */
  #isStarted = false;
  readonly #stop = new AbortController();
  #stopBuild = new AbortController();

  constructor(parts: NextTreeParts) {
    this.#parts = parts;
  }

  /** Identifiers of the vault that are done; undefined: no tree is being made. */
  get done(): number | undefined {
    return this.#build?.progress.done;
  }

  /** Why the last attempt failed. */
  get problem(): DiscoveryError | undefined {
    return this.#problem;
  }

  /** From now on a tree of this key is wanted, or none. Throws CONFIG, with nothing changed. */
  async want(key: TreeKey | undefined): Promise<void> {
    const { trees, store, logger, zone, vault } = this.#parts;
    if (key !== undefined && vault === undefined) throw vaultMissing();
    const { next } = trees;
    const isThere = next !== undefined && isSameKey(next.key, key);
    if (isThere && !equalBytes(next.key.kid, key?.kid ?? noBytes)) {
      throw new DiscoveryError("CONFIG", "the manifest names another kid than the next tree's");
    }
    if (isThere) return;
    if (next !== undefined) await this.#abandon();
    if (key === undefined) return;
    const progress = { phase: "copying", done: 0, cursor: undefined } as const;
    const puts: Row[] = [[buildKey(key.kid), encodeBuild(progress)]];
    await store.commit({ puts, deletes: [] }, { sync: true });
    await this.resume(key, progress);
    logger.info("next tree begun", { zone });
  }

  /** Goes on with a tree that was begun. */
  async resume(key: TreeKey, progress: BuildProgress): Promise<void> {
    const { vault } = this.#parts;
    if (vault === undefined) throw vaultMissing();
    this.#build = await TreeBuild.open({ ...this.#parts, vault }, { key, progress });
    if (this.#isStarted) this.run();
  }

  start(): void {
    this.#isStarted = true;
    this.run();
  }

  /** Makes the tree, if there is one to make. */
  run(): void {
    const build = this.#build;
    if (build === undefined || this.#running !== undefined || this.#stop.signal.aborted) return;
    this.#running = this.#run(build);
  }

  /** Resolves when the attempt under way has ended, well or not. */
  async ended(): Promise<void> {
    await this.#running;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Never rejects. */
  async #run(build: TreeBuild): Promise<void> {
    const { clock, logger, zone, store, trees } = this.#parts;
    const signal = AbortSignal.any([this.#stop.signal, this.#stopBuild.signal]);
    try {
      await build.run({ signal });
      this.#build = undefined;
      this.#problem = undefined;
      if (this.#isStarted && trees.next?.kind === "built") trees.next.tree.writer.start();
      await deletePrefix(store, stagedPrefix(build.key.kid));
    } catch (error) {
      if (signal.aborted) return;
      logger.error("next tree failed", { zone, error });
      // What was staged of a tree that is built is left for the next start to delete.
      if (this.#build === undefined) return;
      if (error instanceof DiscoveryError) this.#problem = error;
      if (this.#isStarted) clock.schedule(retryMs, () => this.run());
    } finally {
      this.#running = undefined;
    }
  }

  /** Nobody has seen it. */
  async #abandon(): Promise<void> {
    const { trees, store, logger, zone } = this.#parts;
    this.#stopBuild.abort();
    await this.#running;
    this.#stopBuild = new AbortController();
    this.#build = undefined;
    this.#problem = undefined;
    const { next } = trees;
    if (next === undefined) return;
    trees.next = undefined;
    if (next.kind !== "copying") await next.tree.writer.close();
    await beginDrop(store, next.key.kid);
    await endDrop(store, next.key.kid);
    wipe(next.key.secretKey);
    logger.warn("next tree abandoned", { zone });
  }
}

const noBytes = new Uint8Array(0);

function isSameKey(a: TreeKey, b: TreeKey | undefined): boolean {
  return b !== undefined && equalBytes(a.publicKey, b.publicKey);
}

function vaultMissing(): DiscoveryError {
  return new DiscoveryError("CONFIG", "without a vault the voprf key cannot be replaced");
}
