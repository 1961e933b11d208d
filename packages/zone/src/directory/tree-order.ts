// The shape of the tree in digest order: each node says which one comes next, so that nothing can be
// left out, added, moved or repeated (protocol.md section 3, longest match).

import {
  compareLabels,
  DiscoveryError,
  prefixLabels,
  type Node,
  type Prefix,
} from "@whither/protocol";

interface Level {
  readonly label: string;
  readonly nextSibling: string;
}

/** Takes nodes in digest order and refuses the first that is not the one announced. */
export class TreeOrder {
  /** Where the tree begins. */
  readonly #apex: readonly string[];
  /** From below the apex to the node that came last. */
  #path: Level[] = [];
  /** Labels of the node that has to come now; undefined when nothing may. */
  #expected: readonly string[] | undefined;

  constructor(apex: Prefix) {
    this.#apex = prefixLabels(apex);
    this.#expected = this.#apex;
  }

  /** Throws BOGUS. */
  next(node: Node): void {
    const labels = prefixLabels(node.prefix);
    if (this.#expected === undefined || !isSame(labels, this.#expected)) {
      throw new DiscoveryError("BOGUS", "directory: a node missing, moved or added");
    }
    const depth = labels.length - this.#apex.length;
    const label = labels.at(-1);
    if (depth > 0 && label !== undefined) {
      if (node.nextSibling !== "" && compareLabels(label, node.nextSibling) >= 0) {
        throw new DiscoveryError("BOGUS", "directory: siblings out of order");
      }
      this.#path = [...this.#path.slice(0, depth - 1), { label, nextSibling: node.nextSibling }];
    } else if (node.nextSibling !== "") {
      throw new DiscoveryError("BOGUS", "directory: the apex has no sibling");
    }
    this.#expected = node.firstChild === "" ? this.#after() : [...labels, node.firstChild];
  }

  /** Throws BOGUS when a node that was announced has not come. */
  finish(): void {
    if (this.#expected !== undefined) {
      throw new DiscoveryError("BOGUS", "directory: a node is missing at the end");
    }
  }

  /** The next sibling of the last node or of the nearest one above that has one. */
  #after(): readonly string[] | undefined {
    const depth = this.#path.findLastIndex(({ nextSibling }) => nextSibling !== "");
    const at = this.#path[depth];
    if (at === undefined) return undefined;
    const above = this.#path.slice(0, depth).map(({ label }) => label);
    return [...this.#apex, ...above, at.nextSibling];
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((label, level) => label === b[level]);
}
