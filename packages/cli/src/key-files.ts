// Reading and writing key files for whitherctl: PEM PKCS#8 for Ed25519 and X25519, one line for a VOPRF scalar.

import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import {
  createSigner,
  decodeHpkeKeyPem,
  decodePrivateKeyPem,
  decodeVoprfKey,
  hpkePublicKeyOf,
  portableVoprf,
  type Signer,
} from "@whither/crypto";
import { readSecretFile } from "@whither/runtime";

const text = new TextDecoder();

/** An offline signer (noble) of a PEM key file that only its owner can read. */
export async function readSigner(path: string): Promise<Signer> {
  const pem = text.decode(await readSecretFile(path));
  return createSigner(withPath(path, () => decodePrivateKeyPem(pem)));
}

/** Public key of a VOPRF key file. */
export async function readVoprfPublicKey(path: string): Promise<Uint8Array> {
  const line = text.decode(await readSecretFile(path));
  return portableVoprf.publicKeyOf(withPath(path, () => decodeVoprfKey(line)));
}

/** Public key of an X25519 key file. */
export async function readHpkePublicKey(path: string): Promise<Uint8Array> {
  const pem = text.decode(await readSecretFile(path));
  return hpkePublicKeyOf(withPath(path, () => decodeHpkeKeyPem(pem)));
}

/** Whether a key file holds an Ed25519 key, an X25519 key or a VOPRF scalar. */
export async function keyFileKind(path: string): Promise<"ed25519" | "hpke" | "voprf"> {
  const content = text.decode(await readSecretFile(path));
  if (!content.includes("PRIVATE KEY")) return "voprf";
  try {
    decodeHpkeKeyPem(content);
    return "hpke";
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    return "ed25519"; // or nothing that is known: then its reader says so
  }
}

function withPath<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new DiscoveryError("CONFIG", `${path}: expected a private key file`, { cause });
  }
}
