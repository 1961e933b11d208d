// What stays of a registration that the operator ended: an opaque place, when, and for an invalidation why. It goes
// with the tree, that is at the next rotation of the VOPRF key (protocol.md section 6, "Erasure").

import { DiscoveryError } from "@whither/protocol";
import { readU64, u64Bytes } from "@whither/store";

type RemovalKind = "erased" | "invalidated";

export interface Removal {
  readonly kind: RemovalKind;
  /** Unix seconds. */
  readonly at: number;
  /** The operator's words; "" for an erasure, which leaves nothing that could be about somebody. */
  readonly reason: string;
}

/** UTF-8 octets of a reason. */
export const removalReasonBytesMax = 256;

const kinds: readonly RemovalKind[] = ["erased", "invalidated"];
const headBytes = 9;

/** kind(1) ‖ at(8) ‖ reason. */
export function encodeRemoval({ kind, at, reason }: Removal): Uint8Array {
  const text = new TextEncoder().encode(reason);
  const bytes = new Uint8Array(headBytes + text.length);
  bytes[0] = kinds.indexOf(kind);
  bytes.set(u64Bytes(BigInt(at)), 1);
  bytes.set(text, headBytes);
  return bytes;
}

/** Throws STORE_CORRUPT. */
export function decodeRemoval(row: Uint8Array): Removal {
  const kind = kinds[row[0] ?? kinds.length];
  if (kind === undefined || row.length < headBytes) {
    throw new DiscoveryError("STORE_CORRUPT", "a removal has a wrong form");
  }
  const reason = new TextDecoder().decode(row.subarray(headBytes));
  return { kind, at: Number(readU64(row, 1)), reason };
}
