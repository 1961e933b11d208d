// The trees that a zone serves: one a VOPRF key, each with its heads, its writer and what waits for it. One
// is current; during a rotation a second is served beside it (protocol.md section 4, docs/adr 16).

import { equalBytes } from "@whither/crypto/node";
import { DiscoveryError } from "@whither/protocol";
import type { PendingChanges } from "./pending-changes.js";
import type { TreeWriter } from "./tree-writer.js";
import type { TreeKey } from "./zone-keys.js";

export interface ServedTree {
  readonly key: TreeKey;
  /** Accepted and durable, in no head yet. */
  readonly pending: PendingChanges;
  readonly writer: TreeWriter;
}

export class ZoneTrees {
  readonly current: ServedTree;
  readonly #others: readonly ServedTree[];

  constructor(current: ServedTree, others: readonly ServedTree[] = []) {
    this.current = current;
    this.#others = others;
  }

  /** Those that readers are answered from, the current one first. */
  get served(): readonly ServedTree[] {
    return [this.current, ...this.#others];
  }

  /** Those that registrations are written to, the current one first. */
  get written(): readonly ServedTree[] {
    return this.served;
  }

  /** The served tree of a kid. Throws UNKNOWN_KID. */
  of(kid: Uint8Array): ServedTree {
    const tree = this.served.find(({ key }) => equalBytes(key.kid, kid));
    if (tree === undefined) throw new DiscoveryError("UNKNOWN_KID", "no tree of that kid");
    return tree;
  }
}
