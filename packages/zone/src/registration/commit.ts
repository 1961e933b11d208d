// The commitment that stands for a CSI in everything signed about it (protocol.md section 6):
// SHA-256(lp(opening) ‖ lp(CSI)). Who holds the 32-byte opening can check it; nobody else can guess the CSI.

import { DiscoveryError, type Csi } from "@whither/protocol";
import { equalBytes, lp, sha256 } from "@whither/crypto/node";

/** Bytes of the random value that opens a commitment. */
export const openingBytes = 32;

/** 32-byte commitment to a CSI. Throws BAD_OPENING unless the opening has 32 bytes. */
export function csiCommit(of: { readonly csi: Csi; readonly opening: Uint8Array }): Uint8Array {
  if (of.opening.length !== openingBytes) {
    throw new DiscoveryError("BAD_OPENING", `opening: expected ${openingBytes} bytes`);
  }
  return sha256(lp(of.opening), lp(of.csi));
}

/** Throws BAD_OPENING unless `commit` is the commitment to this CSI under this opening. */
export function verifyCommit(check: {
  readonly commit: Uint8Array;
  readonly csi: Csi;
  readonly opening: Uint8Array;
}): void {
  if (!equalBytes(check.commit, csiCommit(check))) {
    throw new DiscoveryError("BAD_OPENING", "opening does not open the commitment");
  }
}
