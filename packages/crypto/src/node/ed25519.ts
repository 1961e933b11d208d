// Ed25519 on node:crypto (OpenSSL), for the hot path. Same verdicts as the portable `ed25519.ts`:
// OpenSSL compares R byte for byte; what it does not refuse is refused here before it is asked.
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { expectLength } from "../bytes.js";
import { isCanonicalFieldElement, isCanonicalScalar, isSmallOrderEncoding } from "../curve25519.js";
import { createKeyIdOf, publicKeyBytes, secretKeyBytes, signatureBytes } from "../ed25519.js";
import type { SignatureCheck, Signer } from "../ed25519.js";
import { encodePrivateKeyDer } from "../key-identities.js";
import { fromBase64Url, toBase64Url } from "../text-encodings.js";
import { sha256 } from "./hashes.js";

/** Keys of one generation; two generations are held, so at most twice as many. A key takes ~1 KB. */
const cachedKeysPerGeneration = 4096;

let young = new Map<string, KeyObject>();
let old = new Map<string, KeyObject>();

/** 8-byte id of a 32-byte public key (protocol.md section 2). */
export const keyIdOf = createKeyIdOf(sha256);

/**
 * The key as OpenSSL wants it, or undefined for one that import refuses. Objects in use are kept:
 * a key not asked for while a whole generation fills up is dropped. A point off the curve gets an
 * object, and fails to verify.
 */
function keyObjectOf(publicKey: Uint8Array): KeyObject | undefined {
  const name = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKeyBytes).toString(
    "latin1",
  );
  let key = young.get(name);
  if (key !== undefined) return key;
  key = old.get(name);
  if (key === undefined) {
    if (!isCanonicalFieldElement(publicKey) || isSmallOrderEncoding(publicKey)) return undefined;
    // As a JWK, which reaches OpenSSL raw: its DER decoder takes ten times as long.
    const jwk = { kty: "OKP", crv: "Ed25519", x: toBase64Url(publicKey) };
    key = createPublicKey({ key: jwk, format: "jwk" });
  }
  if (young.size >= cachedKeysPerGeneration) {
    old = young;
    young = new Map();
  }
  young.set(name, key);
  return key;
}

/** Whether a signature is valid: the same verdict as the portable backend on every input. */
export function verifyEd25519({ publicKey, message, signature }: SignatureCheck): boolean {
  if (publicKey.length !== publicKeyBytes || signature.length !== signatureBytes) return false;
  if (!isCanonicalScalar(signature.subarray(32))) return false;
  // OpenSSL accepts R = identity up to 3.0 and refuses it from 3.5 on: two resolvers must not differ.
  if (isSmallOrderEncoding(signature.subarray(0, 32))) return false;
  const key = keyObjectOf(publicKey);
  return key !== undefined && verify(null, message, key, signature);
}

const privateKeyObjectOf = (secretKey: Uint8Array): KeyObject => {
  expectLength(secretKey, secretKeyBytes, "secret key");
  const der = Buffer.from(encodePrivateKeyDer(secretKey).buffer); // a view: one copy to wipe
  try {
    return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  } finally {
    der.fill(0);
  }
};

const rawPublicKey = (secret: KeyObject): Uint8Array =>
  fromBase64Url(createPublicKey(secret).export({ format: "jwk" }).x ?? "");

/** Public key of a 32-byte secret key (RFC 8032 section 5.1.5). */
export function publicKeyOf(secretKey: Uint8Array): Uint8Array {
  return rawPublicKey(privateKeyObjectOf(secretKey));
}

/** Signer over a 32-byte secret key, which OpenSSL holds from here on. */
export function createSigner(secretKey: Uint8Array): Signer {
  const secret = privateKeyObjectOf(secretKey);
  const publicKey = rawPublicKey(secret);
  return {
    publicKey,
    keyId: keyIdOf(publicKey),
    sign: (message) => Uint8Array.from(sign(null, message, secret)),
  };
}
