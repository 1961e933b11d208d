// The trees that a zone serves: one a VOPRF key, each with its heads, its writer and what waits for it. One
// is current; while the key is replaced the next one is made beside it, and afterwards the previous one is
// served for 72 h more (protocol.md section 4, docs/adr 16).

import { equalBytes } from "@whither/crypto/node";
import { DiscoveryError } from "@whither/protocol";
import type { HeadNews } from "./held-tree.js";
import type { PendingChanges } from "./pending-changes.js";
import type { TreeWriter } from "./tree-writer.js";
import type { TreeKey } from "./zone-keys.js";

export interface ServedTree {
  readonly key: TreeKey;
  /** Accepted and durable, in no head yet. */
  readonly pending: PendingChanges;
  readonly writer: TreeWriter;
}

/** The tree that will be current. No reader sees it; every registration is written to it. */
export type NextTree =
  /** Slots are staged, whoever writes them (staged-slots.ts). */
  | { readonly kind: "copying"; readonly key: TreeKey }
  /** Made of what was staged; what is registered waits for its epoch. */
  | { readonly kind: "loading"; readonly key: TreeKey; readonly tree: ServedTree }
  | { readonly kind: "built"; readonly key: TreeKey; readonly tree: ServedTree };

export class ZoneTrees {
  #current: ServedTree;
  #previous: readonly ServedTree[];
  #next: NextTree | undefined;

  #onHead: (news: HeadNews) => void = () => undefined;

  constructor(current: ServedTree, previous: readonly ServedTree[] = []) {
    this.#current = current;
    this.#previous = previous;
    for (const tree of this.served) this.#listen(tree);
  }

  /** Hears of every new head that readers see. */
  onHead(listener: (news: HeadNews) => void): void {
    this.#onHead = listener;
  }

  get current(): ServedTree {
    return this.#current;
  }

  get previous(): readonly ServedTree[] {
    return this.#previous;
  }

  get next(): NextTree | undefined {
    return this.#next;
  }

  set next(next: NextTree | undefined) {
    this.#next = next;
  }

  /** Those that readers are answered from, the current one first. */
  get served(): readonly ServedTree[] {
    return [this.#current, ...this.#previous];
  }

  /** Those that publish epochs, the current one first. */
  get published(): readonly ServedTree[] {
    return this.#next?.kind === "built" ? [...this.served, this.#next.tree] : this.served;
  }

  /** Those for which a registration waits until their next epoch, the current one first. */
  get awaited(): readonly ServedTree[] {
    const next = this.#next;
    return next === undefined || next.kind === "copying"
      ? this.served
      : [...this.served, next.tree];
  }

  /** Key of the tree for which registrations are staged. */
  get staged(): TreeKey | undefined {
    return this.#next?.kind === "copying" ? this.#next.key : undefined;
  }

  /** Of every tree that a registration is written to, the current one first. */
  get keys(): readonly TreeKey[] {
    const keys = this.served.map(({ key }) => key);
    return this.#next === undefined ? keys : [...keys, this.#next.key];
  }

  /** Publishes what waits for any tree, now. */
  async publish(): Promise<void> {
    for (const { writer } of this.published) await writer.publish();
  }

  /** The next tree becomes the current one, in one turn for all readers. */
  promote(): void {
    if (this.#next?.kind !== "built") throw new TypeError("no tree to promote");
    this.#previous = [this.#current, ...this.#previous];
    this.#current = this.#next.tree;
    this.#next = undefined;
    this.#listen(this.#current);
    const { head, headBytes } = this.#current.writer.published;
    this.#onHead({ head, headBytes, changedBuckets: undefined });
  }

  /** A tree before the current one is served and written no more. */
  retire(tree: ServedTree): void {
    this.#previous = this.#previous.filter((one) => one !== tree);
  }

  #listen({ writer }: ServedTree): void {
    writer.onHead((news) => this.#onHead(news));
  }

  /** The served tree of a kid. Throws UNKNOWN_KID. */
  of(kid: Uint8Array): ServedTree {
    const tree = this.served.find(({ key }) => equalBytes(key.kid, kid));
    if (tree === undefined) throw new DiscoveryError("UNKNOWN_KID", "no tree of that kid");
    return tree;
  }
}
