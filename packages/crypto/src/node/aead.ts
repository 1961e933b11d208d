// AES-256-GCM on node:crypto. Same names, signatures, bytes and errors as the portable `aead.ts`.
import { createCipheriv, createDecipheriv } from "node:crypto";
import { aeadTagBytes, checkAeadLengths, sealBroken } from "../aead.js";
import type { OpenInput, SealInput } from "../aead.js";

const options = { authTagLength: aeadTagBytes };

/** Ciphertext ‖ tag(16) under a 32-byte key and a 12-byte nonce. */
export function sealAead({ key32, nonce12, plaintext, aad }: SealInput): Uint8Array {
  checkAeadLengths({ key32, nonce12 });
  const cipher = createCipheriv("aes-256-gcm", key32, nonce12, options);
  cipher.setAAD(aad);
  const sealed = new Uint8Array(plaintext.length + aeadTagBytes);
  sealed.set(cipher.update(plaintext)); // GCM is a stream: `final` has nothing left to give
  cipher.final();
  sealed.set(cipher.getAuthTag(), plaintext.length);
  return sealed;
}

/** Plaintext of ciphertext ‖ tag(16). Throws BOGUS if key, nonce, aad or any byte is another. */
export function openAead({ key32, nonce12, sealed, aad }: OpenInput): Uint8Array {
  checkAeadLengths({ key32, nonce12 });
  const length = sealed.length - aeadTagBytes;
  if (length < 0) throw sealBroken();
  const decipher = createDecipheriv("aes-256-gcm", key32, nonce12, options);
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(length));
  const plaintext = decipher.update(sealed.subarray(0, length));
  try {
    decipher.final(); // throws unless the tag matches; nothing is returned before
  } catch (cause) {
    throw sealBroken(cause);
  }
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length);
}
