// The block cipher by itself (AES-256, FIPS 197) on @noble/ciphers: the portable backend. A pseudorandom order of
// things that are known anyway; equal blocks stay equal, so it hides nothing and seals nothing.
import { ecb } from "@noble/ciphers/aes.js";
import { expectLength } from "./bytes.js";

const blockBytes = 16;

/** Throws TypeError for a key of another length and for a part of a block. */
export function checkBlocks(key32: Uint8Array, blocks: Uint8Array): void {
  expectLength(key32, 32, "key");
  if (blocks.length % blockBytes !== 0) throw new TypeError("blocks: expected whole ones");
}

/** AES-256 of each 16-byte block, under a 32-byte key. */
export function permuteBlocks(key32: Uint8Array, blocks: Uint8Array): Uint8Array {
  checkBlocks(key32, blocks);
  return ecb(key32, { disablePadding: true }).encrypt(blocks);
}
