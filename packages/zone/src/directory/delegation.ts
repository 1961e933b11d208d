// What the directory says about one identifier: who is authoritative, or that provably nobody is.

import type { Authority, Prefix } from "@whither/protocol";

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
