// Whether a body that a reader asked for and that is not there was lost by the disk: a row that is gone whole looks like
// one that nobody ever had. The tree knows which bodies belong to it; looking costs a walk through it, so not often.

import { isDiscoveryError } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { PublishedTree } from "../mapping/published-tree.js";
import { nextTurn } from "../mapping/slices.js";

/** Between two walks, whatever is asked for: strangers can ask for anything. */
const pauseMs = 10 * 60_000;
/** Hashes looked for in one walk. */
const soughtMax = 4;
const bucketsPerTurn = 64;

export class LostBodies {
  readonly #clock: Clock;
  readonly #onLost: () => void;
  #walk: Promise<void> | undefined;
  #endedMs = -Infinity;
  #isClosed = false;

  constructor(of: { readonly clock: Clock; readonly onLost: () => void }) {
    this.#clock = of.clock;
    this.#onLost = of.onLost;
  }

  /** These were asked for and are in none of the trees' stores. */
  seek(vhashes: readonly Uint8Array[], trees: readonly PublishedTree[]): void {
    const isSoon = this.#clock.monotonicMs() < this.#endedMs + pauseMs;
    if (this.#walk !== undefined || isSoon || this.#isClosed) return;
    this.#walk = this.#seek(vhashes.slice(0, soughtMax), trees).finally(() => {
      this.#walk = undefined;
      this.#endedMs = this.#clock.monotonicMs();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#walk;
  }

  async #seek(vhashes: readonly Uint8Array[], trees: readonly PublishedTree[]): Promise<void> {
    for (const tree of trees) {
      const release = tree.hold();
      try {
        const named = await this.#named(vhashes, tree);
        // Still not there: it may have come with the epoch that was taken meanwhile.
        const bodies = await tree.bodies(named);
        if (bodies.includes(undefined)) this.#onLost();
      } catch (error) {
        // What cannot be read has been noted as damage where it was read.
        if (!isDiscoveryError(error)) throw error;
      } finally {
        await release();
      }
    }
  }

  /** Those of the hashes that entries of the tree name. */
  async #named(
    vhashes: readonly Uint8Array[],
    tree: PublishedTree,
  ): Promise<readonly Uint8Array[]> {
    const found = new Set<Uint8Array>();
    for (let index = 0; index < tree.tree.bucketCount && !this.#isClosed; index += 1) {
      const entries = tree.readBucket(index);
      const bytes = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
      for (const vhash of vhashes) if (bytes.includes(Buffer.from(vhash))) found.add(vhash);
      if (index % bucketsPerTurn === 0) await nextTurn();
    }
    return [...found];
  }
}
