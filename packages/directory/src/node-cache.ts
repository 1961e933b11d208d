// Verified nodes that a walk has met, each until its TTL, its end and its parent's end (RFC 1034 section
// 4.3.3, RFC 8198: a cached sibling also proves what is absent beside it). Bounded; the oldest go first.

import { DiscoveryError, limits, parentPrefix, type Node, type Prefix } from "@whither/protocol";
import { deniesAsSibling } from "@whither/zone";

interface CachedNode {
  readonly node: Node;
  /** Unix seconds. */
  readonly expires: number;
}

export class NodeCache {
  readonly #nodesMax: number;
  readonly #nodes = new Map<Prefix, CachedNode>();
  readonly #children = new Map<Prefix, Set<Prefix>>();
  /** Highest serial seen of each prefix, kept longer than the node itself. */
  readonly #serials = new Map<Prefix, number>();
  #epoch = 0;

  constructor(nodesMax: number) {
    this.#nodesMax = nodesMax;
  }

  get(prefix: Prefix, nowSeconds: number): Node | undefined {
    const found = this.#nodes.get(prefix);
    if (found === undefined) return undefined;
    if (found.expires > nowSeconds) return found.node;
    this.delete(prefix);
    return undefined;
  }

  /** A cached child of `parent` that proves that it has no child of this label. */
  cover(parent: Prefix, label: string, nowSeconds: number): Node | undefined {
    for (const prefix of this.#children.get(parent) ?? []) {
      const node = this.get(prefix, nowSeconds);
      if (node !== undefined && deniesAsSibling(node, label)) return node;
    }
    return undefined;
  }

  /**
   * Keeps a verified node. Throws ROLLBACK for one that is older than what was seen of its prefix in
   * this epoch: a server may answer with a current head and a node from before.
   */
  put(node: Node, { epoch, nowSeconds }: { readonly epoch: number; readonly nowSeconds: number }) {
    if (epoch > this.#epoch) {
      this.clear();
      this.#epoch = epoch;
    }
    const { prefix } = node;
    if (node.serial < (this.#serials.get(prefix) ?? 0)) {
      throw new DiscoveryError("ROLLBACK", "node: older than one already seen");
    }
    const above = parentPrefix(prefix);
    const parent = above === undefined ? undefined : this.#nodes.get(above);
    const ttlSeconds = Math.min(node.ttlSeconds, limits.directoryTtlSecondsMax);
    const expires = Math.min(
      nowSeconds + ttlSeconds,
      node.notAfter,
      // A scheme is the top of a walk: what is above it is not asked for.
      parent?.expires ?? Infinity,
    );
    this.delete(prefix);
    this.#nodes.set(prefix, { node, expires });
    this.#remember(prefix, node.serial);
    if (above !== undefined) {
      const siblings = this.#children.get(above) ?? new Set();
      this.#children.set(above, siblings.add(prefix));
    }
    for (const oldest of this.#nodes.keys()) {
      if (this.#nodes.size <= this.#nodesMax) break;
      this.delete(oldest);
    }
  }

  delete(prefix: Prefix): void {
    if (!this.#nodes.delete(prefix)) return;
    const above = parentPrefix(prefix);
    const siblings = above === undefined ? undefined : this.#children.get(above);
    siblings?.delete(prefix);
    if (above !== undefined && siblings?.size === 0) this.#children.delete(above);
  }

  clear(): void {
    this.#nodes.clear();
    this.#children.clear();
    this.#serials.clear();
  }

  #remember(prefix: Prefix, serial: number): void {
    const serials = this.#serials;
    serials.delete(prefix);
    serials.set(prefix, serial);
    for (const oldest of serials.keys()) {
      if (serials.size <= this.#nodesMax * 4) return;
      serials.delete(oldest);
    }
  }
}
