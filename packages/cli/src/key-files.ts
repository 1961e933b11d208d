// Reading and writing key files for whitherctl: PEM PKCS#8 for Ed25519, one line for a VOPRF scalar.

import { DiscoveryError } from "@whither/protocol";
import {
  createSigner,
  decodePrivateKeyPem,
  decodeVoprfKey,
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

/** Whether a key file holds an Ed25519 key or a VOPRF scalar. */
export async function keyFileKind(path: string): Promise<"ed25519" | "voprf"> {
  return text.decode(await readSecretFile(path)).includes("PRIVATE KEY") ? "ed25519" : "voprf";
}

function withPath<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new DiscoveryError("CONFIG", `${path}: expected a private key file`, { cause });
  }
}
