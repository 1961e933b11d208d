// What the directory says about one identifier: who is authoritative, or that provably nobody is.

import { DiscoveryError, type Authority, type Node, type Prefix } from "@whither/protocol";

export interface Delegation {
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
  /** Serial of the directory when the answering node was signed. */
  readonly serial: number;
  /** Whether any authority is too small to hide in: ask only through a relay. */
  readonly relayOnly: boolean;
  /** Existing prefixes that enclose the identifier, outermost first. */
  readonly path: readonly Prefix[];
}

/**
 * The delegation that a path of existing nodes amounts to, outermost first, beginning at the root or at
 * a scheme. Throws BOGUS when no node on it says anything of its own.
 */
export function delegationOf(path: readonly Node[]): Delegation {
  const answering = path.findLast((node) => node.disposition !== "parent");
  if (answering === undefined || answering.disposition === "parent") {
    throw new DiscoveryError("BOGUS", "no node on the path says who is authoritative");
  }
  return {
    prefix: answering.prefix,
    disposition: answering.disposition,
    authorities: answering.authorities,
    ttlSeconds: Math.min(...path.map((node) => node.ttlSeconds)),
    notBefore: Math.max(...path.map((node) => node.notBefore)),
    notAfter: Math.min(...path.map((node) => node.notAfter)),
    serial: answering.serial,
    relayOnly: answering.authorities.some((authority) => authority.relayOnly),
    path: path.map((node) => node.prefix),
  };
}
