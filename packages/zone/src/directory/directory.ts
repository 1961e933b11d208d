// A verified directory in memory: look-ups over its nodes and records. How it became verified is in
// verify.ts; nothing here checks a signature.

import {
  compareLabels,
  csiLabels,
  csiScheme,
  DiscoveryError,
  isCsiWithin,
  parentPrefix,
  prefixDepth,
  prefixLabels,
  prefixOf,
  type Csi,
  type DirectoryHead,
  type Node,
  type Prefix,
  type RegistryRecord,
  type SignedObject,
} from "@whither/protocol";
import type { HeadVoucher } from "@whither/wire";
import { createRegistry, type Registry } from "../registry.js";
import { delegationOf, type Delegation } from "./delegation.js";
import type { RootVoucher } from "./root-ksks.js";
import type { DirectoryTrust, NodeTrust } from "./trust.js";

/** A verified node and the bytes that were verified. */
export interface SignedNode {
  readonly node: Node;
  readonly object: SignedObject;
}

export interface SignedRecord {
  readonly record: RegistryRecord;
  readonly object: SignedObject;
}

/** The closest enclosing node of an asked prefix, and what proves that it is the closest. */
export interface Referral {
  readonly node: SignedNode;
  /** The sibling around the absent label; undefined when the node is the asked one or proves it alone. */
  readonly cover?: SignedNode;
}

/** A directory as signed: what travels and what lies in a file. */
export type DirectoryObjects<V extends HeadVoucher = RootVoucher> = V & {
  readonly head: SignedObject;
  readonly nodes: readonly SignedObject[];
  /** Of the root; a part has none. */
  readonly records: readonly SignedObject[];
};

/** The root, or a part of it that was delegated on. */
export interface Directory<T extends NodeTrust = DirectoryTrust> {
  readonly head: DirectoryHead;
  readonly trust: T;
  /** Of a part: empty. */
  readonly registry: Registry;
  readonly serial: number;
  /** Throws NOT_AUTHORITATIVE for a prefix outside a part. */
  refer(prefix: Prefix): Referral;
  /** Longest match; below a part that is delegated on, the delegation to that part. */
  delegation(csi: Csi): Delegation;
  /** Nodes that enclose the identifier, the apex first. */
  path(csi: Csi): readonly Node[];
  node(prefix: Prefix): SignedNode | undefined;
  /** In digest order. */
  nodes(): readonly SignedNode[];
  records(): readonly SignedRecord[];
  objects(): DirectoryObjects<T["voucher"]>;
}

/** Nodes by prefix and by parent; filled in digest order, one at a time, so that no step takes long. */
export class NodeIndex {
  readonly #nodes: SignedNode[] = [];
  readonly #byPrefix = new Map<Prefix, SignedNode>();
  readonly #children = new Map<Prefix, Child[]>();

  get size(): number {
    return this.#nodes.length;
  }

  /** In digest order. */
  get nodes(): readonly SignedNode[] {
    return this.#nodes;
  }

  add(one: SignedNode): void {
    const { prefix } = one.node;
    this.#nodes.push(one);
    this.#byPrefix.set(prefix, one);
    const parent = parentPrefix(prefix);
    if (parent === undefined) return;
    const child = { label: prefixLabels(prefix).at(-1) ?? "", child: one };
    const siblings = this.#children.get(parent);
    if (siblings === undefined) this.#children.set(parent, [child]);
    else siblings.push(child);
  }

  get(prefix: Prefix): SignedNode | undefined {
    return this.#byPrefix.get(prefix);
  }

  /** Existing nodes from the apex down that enclose the identifier; none if that lies elsewhere. */
  path(csi: Csi, apex: Prefix): readonly Node[] {
    if (!isCsiWithin(csi, apex)) return [];
    const found: Node[] = [];
    const scheme = csiScheme(csi);
    const labels = csiLabels(csi);
    // A prefix is written out only where its parent has children: most of a number's have none.
    for (let depth = prefixDepth(apex); depth <= labels.length + 1; depth++) {
      const prefix = depth === 0 ? apex : prefixOf(scheme, labels.slice(0, depth - 1));
      const one = this.#byPrefix.get(prefix);
      if (one === undefined) break;
      found.push(one.node);
      if (!this.#children.has(prefix)) break;
    }
    return found;
  }

  /** The last child of `parent` whose label comes before the given one; by bisection. */
  lastChildBelow(parent: Prefix, label: string): SignedNode | undefined {
    const siblings = this.#children.get(parent) ?? [];
    let low = 0;
    let high = siblings.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = siblings[middle];
      if (at !== undefined && compareLabels(at.label, label) < 0) low = middle + 1;
      else high = middle;
    }
    return siblings[low - 1]?.child;
  }
}

interface Child {
  readonly label: string;
  readonly child: SignedNode;
}

/** A directory of verified nodes and records, both in digest order. */
export function createDirectory<T extends NodeTrust>(parts: {
  readonly trust: T;
  readonly index: NodeIndex;
  readonly records: readonly SignedRecord[];
}): Directory<T> {
  const { trust, index, records } = parts;
  const parties = records.map(({ record }) => record.party);
  // The deepest node names its whole path, and nothing in a directory changes.
  const delegations = new Map<Node, Delegation>();
  const delegationAt = (path: readonly Node[]): Delegation => {
    const deepest = path.at(-1);
    const known = deepest === undefined ? undefined : delegations.get(deepest);
    if (known !== undefined) return known;
    const delegation = delegationOf(path.map((node) => ({ zone: trust.zone, node })));
    if (deepest !== undefined) delegations.set(deepest, delegation);
    return delegation;
  };
  return {
    head: trust.head,
    trust,
    registry: createRegistry(parties, trust.head.registryVersion),
    serial: trust.head.serial,
    refer(prefix) {
      let below: Prefix | undefined = prefix;
      while (below !== undefined) {
        const node = index.get(below);
        if (node !== undefined) return referralOf(index, { asked: prefix, node });
        below = parentPrefix(below);
      }
      throw new DiscoveryError("NOT_AUTHORITATIVE", "the prefix does not lie in this directory");
    },
    delegation: (csi) => delegationAt(index.path(csi, trust.apex)),
    path: (csi) => index.path(csi, trust.apex),
    node: (prefix) => index.get(prefix),
    nodes: () => index.nodes,
    records: () => records,
    objects: () => ({
      ...(trust.voucher as T["voucher"]), // the spread would forget which of the two
      head: trust.headObject,
      nodes: index.nodes.map(({ object }) => object),
      records: records.map(({ object }) => object),
    }),
  };
}

function referralOf(
  index: NodeIndex,
  { asked, node }: { readonly asked: Prefix; readonly node: SignedNode },
): Referral {
  const { prefix } = node.node;
  const label = prefixLabels(asked)[prefixLabels(prefix).length];
  const cover = label === undefined ? undefined : index.lastChildBelow(prefix, label);
  return cover === undefined ? { node } : { node, cover };
}
