// AES-256 block by block on node:crypto. Same name, signature, bytes and errors as the portable `blocks.ts`.
import { createCipheriv } from "node:crypto";
import { checkBlocks } from "../blocks.js";

/** AES-256 of each 16-byte block, under a 32-byte key. */
export function permuteBlocks(key32: Uint8Array, blocks: Uint8Array): Uint8Array {
  checkBlocks(key32, blocks);
  const cipher = createCipheriv("aes-256-ecb", key32, null).setAutoPadding(false);
  const permuted = cipher.update(blocks);
  return new Uint8Array(permuted.buffer, permuted.byteOffset, permuted.length);
}
