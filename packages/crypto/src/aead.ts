// AES-256-GCM (NIST SP 800-38D) on @noble/ciphers: the portable backend. The nonce is the caller's
// and is not part of the output. A nonce must never serve twice under one key.
import { gcm } from "@noble/ciphers/aes.js";
import { DiscoveryError } from "@whither/protocol";
import { expectLength } from "./bytes.js";

export const aeadKeyBytes = 32;
export const aeadNonceBytes = 12;
export const aeadTagBytes = 16;

export interface SealInput {
  readonly key32: Uint8Array;
  readonly nonce12: Uint8Array;
  readonly plaintext: Uint8Array;
  readonly aad: Uint8Array;
}

export interface OpenInput {
  readonly key32: Uint8Array;
  readonly nonce12: Uint8Array;
  /** Ciphertext followed by the 16-byte tag. */
  readonly sealed: Uint8Array;
  readonly aad: Uint8Array;
}

/** One backend's AES-256-GCM. */
export interface Aead {
  /** Ciphertext ‖ tag(16). */
  readonly sealAead: (input: SealInput) => Uint8Array;
  /** Plaintext; throws BOGUS if the tag does not match. */
  readonly openAead: (input: OpenInput) => Uint8Array;
}

/** Throws TypeError for a key or nonce of another length. */
export function checkAeadLengths({ key32, nonce12 }: Pick<SealInput, "key32" | "nonce12">): void {
  expectLength(key32, aeadKeyBytes, "key");
  expectLength(nonce12, aeadNonceBytes, "nonce");
}

/** The one failure of opening; says nothing about why. */
export function sealBroken(cause?: unknown): DiscoveryError {
  return new DiscoveryError("BOGUS", "sealed data does not open", { cause });
}

/** Ciphertext ‖ tag(16) under a 32-byte key and a 12-byte nonce. */
export function sealAead({ key32, nonce12, plaintext, aad }: SealInput): Uint8Array {
  checkAeadLengths({ key32, nonce12 });
  return gcm(key32, nonce12, aad).encrypt(plaintext);
}

/** Plaintext of ciphertext ‖ tag(16). Throws BOGUS if key, nonce, aad or any byte is another. */
export function openAead({ key32, nonce12, sealed, aad }: OpenInput): Uint8Array {
  checkAeadLengths({ key32, nonce12 });
  if (sealed.length < aeadTagBytes) throw sealBroken();
  try {
    return gcm(key32, nonce12, aad).decrypt(sealed);
  } catch (cause) {
    throw sealBroken(cause);
  }
}
