// P-256 key pairs of TLS certificates, for the small CA and for certificate requests.

import { webcrypto } from "node:crypto";
import { x509 } from "./x509-library.js";

export const p256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export async function generateKeyPair(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(p256, true, ["sign", "verify"]);
}

/** PEM PKCS#8, for a file that only its owner may read. */
export async function privateKeyPem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const der = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return x509.PemConverter.encode(der, "PRIVATE KEY") + "\n";
}
