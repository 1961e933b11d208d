// What the directory says about one identifier: who is authoritative, or that provably nobody is.

import {
  DiscoveryError,
  type Authority,
  type Node,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";

/** A node and the directory zone that it stands in. */
export interface PlacedNode {
  readonly zone: ZoneName;
  readonly node: Node;
}

export interface Delegation {
  /** Directory zone of the node that answers: `.`, or the part that was delegated to last. */
  readonly zone: ZoneName;
  /** Prefix of the node that answers: the deepest on the path that is not PARENT. */
  readonly prefix: Prefix;
  readonly disposition: "delegated" | "unassigned";
  /** 1..8 when delegated, none when unassigned. */
  readonly authorities: readonly Authority[];
  /** Seconds this may be kept: the shortest of the nodes on the path, 60..86,400. */
  readonly ttlSeconds: number;
  /** Latest start of validity of the nodes on the path, Unix seconds. */
  readonly notBefore: number;
  /** Earliest end of validity of the nodes on the path, Unix seconds. */
  readonly notAfter: number;
  /** Serial of that zone when the answering node was signed. */
  readonly serial: number;
  /** Whether any authority is too small to hide in: ask only through a relay. */
  readonly relayOnly: boolean;
  /** Existing prefixes that enclose the identifier, outermost first. */
  readonly path: readonly Prefix[];
}

/**
 * The delegation that a path of existing nodes amounts to, outermost first, beginning at the root or at
 * a scheme and going on through the parts that were delegated to. Throws BOGUS when no node on it says
 * anything of its own.
 */
export function delegationOf(steps: readonly PlacedNode[]): Delegation {
  const last = steps.findLast(({ node }) => node.disposition !== "parent");
  const answering = last?.node;
  if (last === undefined || answering === undefined || answering.disposition === "parent") {
    throw new DiscoveryError("BOGUS", "no node on the path says who is authoritative");
  }
  const path = steps.map(({ node }) => node);
  const prefixes = path.map(({ prefix }) => prefix);
  return {
    zone: last.zone,
    prefix: answering.prefix,
    disposition: answering.disposition,
    authorities: answering.authorities,
    ttlSeconds: Math.min(...path.map((node) => node.ttlSeconds)),
    notBefore: Math.max(...path.map((node) => node.notBefore)),
    notAfter: Math.min(...path.map((node) => node.notAfter)),
    serial: answering.serial,
    relayOnly: answering.authorities.some((authority) => authority.relayOnly),
    // The apex of a part stands in two directories.
    path: prefixes.filter((prefix, at) => prefix !== prefixes[at - 1]),
  };
}
