// Texts and files in which keys travel (protocol.md section 11): public keys, pins, Ed25519 private
// keys as PEM PKCS#8 (RFC 8410), VOPRF and vault keys as one line of base64. File modes are the caller's.
import { DiscoveryError } from "@whither/protocol";
import { concatBytes, equalBytes, expectLength } from "./bytes.js";
import { isCanonicalScalar, isZero } from "./curve25519.js";
import { importPublicKey } from "./ed25519.js";
import { fromBase64, fromBase64Url, fromHex, toBase64, toBase64Url } from "./text-encodings.js";

const publicKeyPrefix = "ed25519:";
const pinPrefix = "sha256:";
const vaultKeyPrefix = "vault:";
const pemHeader = "-----BEGIN PRIVATE KEY-----";
const pemFooter = "-----END PRIVATE KEY-----";

// RFC 8410 section 7: version 0, id-Ed25519, an OCTET STRING in an OCTET STRING, then 32 key bytes.
const pkcs8Prefix = fromHex("302e020100300506032b657004220420");
const secretBytes = 32;

function parsePrefixed(text: string, prefix: string): Uint8Array {
  if (!text.startsWith(prefix)) throw new DiscoveryError("INVALID_DATA", `expected "${prefix}"`);
  const bytes = fromBase64Url(text.slice(prefix.length));
  if (bytes.length !== 32) {
    throw new DiscoveryError("INVALID_DATA", `expected 32 bytes after "${prefix}"`);
  }
  return bytes;
}

/** `ed25519:<base64url>` of a 32-byte public key. */
export function formatPublicKey(publicKey: Uint8Array): string {
  expectLength(publicKey, 32, "public key");
  return publicKeyPrefix + toBase64Url(publicKey);
}

/** 32 validated bytes of `ed25519:<base64url>`. Throws INVALID_DATA, as importPublicKey does. */
export function parsePublicKey(text: string): Uint8Array {
  return importPublicKey(parsePrefixed(text, publicKeyPrefix));
}

/** `sha256:<base64url>` of a 32-byte SHA-256 of a certificate's SubjectPublicKeyInfo. */
export function formatPin(pin: Uint8Array): string {
  expectLength(pin, 32, "pin");
  return pinPrefix + toBase64Url(pin);
}

/** 32 bytes of `sha256:<base64url>`. Throws INVALID_DATA. */
export function parsePin(text: string): Uint8Array {
  return parsePrefixed(text, pinPrefix);
}

/** DER of PKCS#8 version 0 (48 bytes) of a 32-byte Ed25519 secret key. */
export function encodePrivateKeyDer(secretKey: Uint8Array): Uint8Array {
  expectLength(secretKey, secretBytes, "secret key");
  return concatBytes(pkcs8Prefix, secretKey);
}

/** PEM PKCS#8 of a 32-byte Ed25519 secret key, as `openssl genpkey` writes it, newline included. */
export function encodePrivateKeyPem(secretKey: Uint8Array): string {
  return `${pemHeader}\n${toBase64(encodePrivateKeyDer(secretKey))}\n${pemFooter}\n`;
}

/** The 32-byte secret key of a PEM file that holds one Ed25519 key. Throws INVALID_DATA. */
export function decodePrivateKeyPem(pem: string): Uint8Array {
  const text = pem.trim();
  if (!text.startsWith(pemHeader) || !text.endsWith(pemFooter)) {
    throw new DiscoveryError("INVALID_DATA", "expected one pem block of a private key");
  }
  const body = text.slice(pemHeader.length, -pemFooter.length).replace(/[\r\n]/g, "");
  const der = fromBase64(body);
  const prefix = der.subarray(0, pkcs8Prefix.length);
  if (der.length !== pkcs8Prefix.length + secretBytes || !equalBytes(prefix, pkcs8Prefix)) {
    throw new DiscoveryError("INVALID_DATA", "expected an ed25519 key in pkcs#8 version 0");
  }
  return der.slice(pkcs8Prefix.length);
}

/** One line of base64 of a 32-byte VOPRF secret scalar, newline included. */
export function encodeVoprfKey(secretKey: Uint8Array): string {
  checkVoprfScalar(secretKey);
  return `${toBase64(secretKey)}\n`;
}

/** The 32-byte VOPRF secret scalar of one line of base64. Throws INVALID_DATA. */
export function decodeVoprfKey(line: string): Uint8Array {
  const scalar = fromBase64(line.replace(/\r?\n$/, ""));
  checkVoprfScalar(scalar);
  return scalar;
}

function checkVoprfScalar(scalar: Uint8Array): void {
  if (!isCanonicalScalar(scalar) || isZero(scalar)) {
    throw new DiscoveryError("INVALID_DATA", "voprf key: expected a canonical non-zero scalar");
  }
}

/** One line with a 32-byte vault key, newline included; it begins so that no VOPRF scalar is taken for one. */
export function encodeVaultKey(key: Uint8Array): string {
  expectLength(key, secretBytes, "vault key");
  return `${vaultKeyPrefix}${toBase64(key)}\n`;
}

/** The 32-byte vault key of one line. Throws INVALID_DATA. */
export function decodeVaultKey(line: string): Uint8Array {
  const isVaultKey = line.startsWith(vaultKeyPrefix);
  const key = isVaultKey
    ? fromBase64(line.slice(vaultKeyPrefix.length).replace(/\r?\n$/, ""))
    : undefined;
  if (key?.length === secretBytes) return key;
  throw new DiscoveryError("INVALID_DATA", `vault key: expected "${vaultKeyPrefix}" and 32 octets`);
}
