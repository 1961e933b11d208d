// The constructions that need a hash or a cipher, bound to node:crypto.
// The portable twin is `../bound.ts`.
import { createBodySealing } from "../body.js";
import { createSignatureInput } from "../signature-input.js";
import { openAead, sealAead } from "./aead.js";
import { sha512 } from "./hashes.js";

/** The bytes an Ed25519 signature of whither covers (protocol.md section 2). */
export const signatureInput = createSignatureInput(sha512);

/** nonce(12) ‖ AES-256-GCM(length(4) ‖ body ‖ zeros) padded to the smallest class that fits. */
export const { sealBody, openBody } = createBodySealing({ sealAead, openAead });
