// A verified directory in memory: look-ups over its nodes and records. How it became verified is in
// verify.ts; nothing here checks a signature.

import {
  compareLabels,
  parentPrefix,
  prefixesOfCsi,
  prefixLabels,
  type Csi,
  type DirectoryHead,
  type Node,
  type Prefix,
  type RegistryRecord,
  type RootKeys,
  type SignedObject,
} from "@whither/protocol";
import { createRegistry, type Registry } from "../registry.js";
import { delegationOf, type Delegation } from "./delegation.js";
import type { DirectoryTrust } from "./trust.js";

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
export interface DirectoryObjects {
  readonly rootKeys: SignedObject;
  readonly head: SignedObject;
  readonly nodes: readonly SignedObject[];
  readonly records: readonly SignedObject[];
}

export interface Directory {
  readonly head: DirectoryHead;
  readonly rootKeys: RootKeys;
  readonly trust: DirectoryTrust;
  readonly registry: Registry;
  readonly serial: number;
  refer(prefix: Prefix): Referral;
  /** Longest match. */
  delegation(csi: Csi): Delegation;
  /** Nodes that enclose the identifier, the root first. */
  path(csi: Csi): readonly Node[];
  node(prefix: Prefix): SignedNode | undefined;
  /** In digest order. */
  nodes(): readonly SignedNode[];
  records(): readonly SignedRecord[];
  objects(): DirectoryObjects;
}

/** Indexes verified nodes and records, both in digest order. */
export function createDirectory(parts: {
  readonly trust: DirectoryTrust;
  readonly nodes: readonly SignedNode[];
  readonly records: readonly SignedRecord[];
}): Directory {
  const { trust, nodes, records } = parts;
  const byPrefix = new Map<Prefix, SignedNode>(nodes.map((one) => [one.node.prefix, one]));
  const children = childrenOf(nodes);
  const parties = records.map(({ record }) => record.party);
  const path = (csi: Csi): readonly Node[] => {
    const found: Node[] = [];
    for (const prefix of prefixesOfCsi(csi)) {
      const one = byPrefix.get(prefix);
      if (one === undefined) break;
      found.push(one.node);
    }
    return found;
  };
  return {
    head: trust.head,
    rootKeys: trust.rootKeys,
    trust,
    registry: createRegistry(parties, trust.head.registryVersion),
    serial: trust.head.serial,
    refer(prefix) {
      let below = prefix;
      for (;;) {
        const node = byPrefix.get(below);
        if (node !== undefined) return referralOf({ asked: prefix, node, children });
        const above = parentPrefix(below);
        if (above === undefined) throw new TypeError("a verified directory has a root");
        below = above;
      }
    },
    delegation: (csi) => delegationOf(path(csi)),
    path,
    node: (prefix) => byPrefix.get(prefix),
    nodes: () => nodes,
    records: () => records,
    objects: () => ({
      rootKeys: trust.rootKeysObject,
      head: trust.headObject,
      nodes: nodes.map(({ object }) => object),
      records: records.map(({ object }) => object),
    }),
  };
}

interface Child {
  readonly label: string;
  readonly child: SignedNode;
}
type Children = ReadonlyMap<Prefix, readonly Child[]>;

/** In label order, because nodes come in digest order. */
function childrenOf(nodes: readonly SignedNode[]): Children {
  const children = new Map<Prefix, Child[]>();
  for (const child of nodes) {
    const parent = parentPrefix(child.node.prefix);
    if (parent === undefined) continue;
    const one = { label: prefixLabels(child.node.prefix).at(-1) ?? "", child };
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [one]);
    else siblings.push(one);
  }
  return children;
}

function referralOf(found: {
  readonly asked: Prefix;
  readonly node: SignedNode;
  readonly children: Children;
}): Referral {
  const { asked, node, children } = found;
  const label = prefixLabels(asked)[prefixLabels(node.node.prefix).length];
  if (label === undefined) return { node };
  const cover = lastBelow(children.get(node.node.prefix) ?? [], label);
  return cover === undefined ? { node } : { node, cover };
}

/** The last child whose label comes before the given one; by bisection. */
function lastBelow(siblings: readonly Child[], label: string): SignedNode | undefined {
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
