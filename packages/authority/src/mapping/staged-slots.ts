// Slots on their way into a tree that is being made from the vault: sealed for it, and under no head yet. A
// registration of that time writes its slot here too, in the commit that accepts it, so that the last one counts.

import { equalBytes, sha256 } from "@whither/crypto/node";
import { DiscoveryError, limits } from "@whither/protocol";
import { prefixRange, type Row, type Store } from "@whither/store";
import { idxBytes } from "@whither/zone";
import type { LoadedSlot } from "./load-slots.js";
import type { SlotContent } from "./pending-changes.js";
import { stagedKey, stagedPrefix } from "./zone-table.js";

const hashBytes = 32;
const bodyOffset = limits.maskedBytes + hashBytes;
const keyBytes = 1 + 4 + idxBytes;

/** masked(12) ‖ vhash(32) ‖ body. */
export function stagedRow(kid: Uint8Array, idx: Uint8Array, content: SlotContent): Row {
  const { masked, vhash, body } = content;
  const bytes = new Uint8Array(bodyOffset + body.length);
  bytes.set(masked);
  bytes.set(vhash, limits.maskedBytes);
  bytes.set(body, bodyOffset);
  return [stagedKey(kid, idx), bytes];
}

/** What has been staged, for the load of the tree. Throws STORE_CORRUPT. */
export async function* stagedSlots(store: Store, kid: Uint8Array): AsyncGenerator<LoadedSlot> {
  for await (const [key, value] of store.iterate(prefixRange(stagedPrefix(kid)))) {
    if (key.length !== keyBytes || value.length <= bodyOffset) {
      throw new DiscoveryError("STORE_CORRUPT", "a staged slot has a wrong size");
    }
    const body = value.slice(bodyOffset);
    if (!equalBytes(sha256(body), value.subarray(limits.maskedBytes, bodyOffset))) {
      throw new DiscoveryError("STORE_CORRUPT", "a staged slot is damaged");
    }
    yield {
      idx: key.slice(keyBytes - idxBytes),
      masked: value.slice(0, limits.maskedBytes),
      body,
    };
  }
}
