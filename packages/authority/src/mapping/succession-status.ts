// What a zone is told on the way from one manifest to the next, and what its operator sees of it.

import type { DiscoveryError } from "@whither/protocol";

/** What the directory says of a zone. */
export interface DirectoryNames {
  /** Manifests that it names, 32 bytes each. */
  readonly manifestSha256: readonly Uint8Array[];
  /** Of the node that names them: so long may others go by an older one. */
  readonly ttlSeconds: number;
}

export interface SuccessionStatus {
  /** A manifest that is configured and not yet in force. */
  readonly successor:
    | {
        readonly sha256: Uint8Array;
        /** Since when the directory has named it, as far as was seen; undefined: it does not. */
        readonly namedAt: number | undefined;
        /** From when on it may be used; undefined: not before the directory names it. */
        readonly switchAt: number | undefined;
      }
    | undefined;
  /** The tree of the next VOPRF key. */
  readonly next:
    | {
        readonly kid: Uint8Array;
        readonly phase: "copying" | "loading" | "built";
        /** Identifiers evaluated under it, of so many slots. */
        readonly done: number;
        readonly total: number;
        /** Slots that the vault does not know; 0 unless something is wrong. */
        readonly missing: number;
      }
    | undefined;
  /** Trees before the current one that are still served, and when each is dropped. */
  readonly previous: readonly { readonly kid: Uint8Array; readonly dropAt: number }[];
  /** Whether the acceptances in all slots are by the zone key that signs now (docs/adr 12). */
  readonly acceptances: "renewed" | "to renew";
  /** Why the change does not go on. */
  readonly problem: DiscoveryError | undefined;
}
