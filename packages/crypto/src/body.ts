// The sealed body of a slot (protocol.md section 4): nonce(12) ‖ AES-256-GCM(length(4) ‖ body ‖
// zeros), padded to a size class so that its length says nearly nothing. What is inside is not known here.
import { DiscoveryError, limits } from "@whither/protocol";
import { aeadNonceBytes, aeadTagBytes, sealBroken } from "./aead.js";
import type { Aead } from "./aead.js";
import { concatBytes, expectLength, uint32Bytes } from "./bytes.js";
import { isZero } from "./curve25519.js";

const lengthBytes = 4;

export interface SealBodyInput {
  /** 32 bytes, `ek`. */
  readonly key: Uint8Array;
  /** 12 bytes, fresh for every sealing. */
  readonly nonce: Uint8Array;
  readonly aad: Uint8Array;
  readonly body: Uint8Array;
  /** Allowed plaintext sizes, ascending; limits.bodyClassBytes unless given. */
  readonly classes?: readonly number[];
}

export interface OpenBodyInput {
  readonly key: Uint8Array;
  readonly aad: Uint8Array;
  /** nonce ‖ ciphertext ‖ tag, as sealBody made it. */
  readonly sealed: Uint8Array;
  readonly classes?: readonly number[];
}

export interface BodySealing {
  /** Throws TOO_LARGE if the body does not fit the largest class. */
  readonly sealBody: (input: SealBodyInput) => Uint8Array;
  /** Throws BOGUS if it does not open, or its size, length or padding is wrong. */
  readonly openBody: (input: OpenBodyInput) => Uint8Array;
}

/** Binds the sealing of bodies to one backend's AES-256-GCM. */
export function createBodySealing({ sealAead, openAead }: Aead): BodySealing {
  return {
    sealBody({ key, nonce, aad, body, classes = limits.bodyClassBytes }) {
      expectLength(nonce, aeadNonceBytes, "nonce");
      const size = classes.find((bytes) => bytes >= lengthBytes + body.length);
      if (size === undefined) {
        throw new DiscoveryError("TOO_LARGE", `a body of ${body.length} bytes fits no size class`);
      }
      const plaintext = new Uint8Array(size);
      plaintext.set(uint32Bytes(body.length));
      plaintext.set(body, lengthBytes);
      return concatBytes(nonce, sealAead({ key32: key, nonce12: nonce, plaintext, aad }));
    },

    openBody({ key, aad, sealed, classes = limits.bodyClassBytes }) {
      if (!classes.includes(sealed.length - aeadNonceBytes - aeadTagBytes)) {
        throw new DiscoveryError("BOGUS", "sealed body is of no size class");
      }
      const plaintext = openAead({
        key32: key,
        nonce12: sealed.subarray(0, aeadNonceBytes),
        sealed: sealed.subarray(aeadNonceBytes),
        aad,
      });
      const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length);
      const end = lengthBytes + view.getUint32(0);
      if (end > plaintext.length || !isZero(plaintext.subarray(end))) throw sealBroken();
      return plaintext.slice(lengthBytes, end);
    },
  };
}
