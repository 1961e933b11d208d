// From the two files that rootd serves from to a verified directory: the anchors say whom to believe, the
// artefact is believed only then. Of the directory's keys rootd holds none, or one to withdraw with.

import { inFile, loadArtefact, rootReader } from "@whither/authority";
import { createSigner, decodePrivateKeyPem, type Signer } from "@whither/crypto/node";
import { DiscoveryError } from "@whither/protocol";
import { tlsIdentityFromFiles, type TlsIdentity } from "@whither/rpc";
import { readFileBounded, readSecretFile, type Clock } from "@whither/runtime";
import {
  parseAnchors,
  type Anchors,
  type DirectoryMark,
  type VerifiedArtefact,
} from "@whither/zone";
import type { RootdConfig } from "./config.js";

const anchorsBytesMax = 1024 * 1024;

/**
 * Reads and verifies both files. Throws CONFIG for a file that is missing or unfit, and whatever
 * verification finds, each with the path in its cause.
 */
export async function loadDirectory(options: {
  readonly anchorsFile: string;
  readonly artefactFile: string;
  readonly clock: Clock;
  /** What is served now: an older directory is refused. */
  readonly previous?: DirectoryMark | undefined;
}): Promise<VerifiedArtefact> {
  const { artefactFile: path, clock, previous } = options;
  const reader = rootReader(await readAnchors(options.anchorsFile));
  return await loadArtefact({ path, reader, clock, previous });
}

/** Whom to believe. Throws CONFIG. */
export async function readAnchors(path: string): Promise<Anchors> {
  const text = await readFileBounded(path, { bytesMax: anchorsBytesMax });
  return within(path, () => parseAnchors(new TextDecoder().decode(text)));
}

/** The server's certificate and key. Throws CONFIG. */
export function readIdentity({ tls }: Pick<RootdConfig, "tls">): Promise<TlsIdentity> {
  return tlsIdentityFromFiles({ certPath: tls.certificateFile, keyPath: tls.keyFile });
}

/** The key that withdrawals are signed with, from a file that only its owner may read. Throws CONFIG. */
export async function readOnlineKey(path: string): Promise<Signer> {
  const pem = new TextDecoder().decode(await readSecretFile(path));
  try {
    return createSigner(decodePrivateKeyPem(pem));
  } catch (cause) {
    throw new DiscoveryError("CONFIG", "the online key's file holds no private key", {
      cause: new Error(path, { cause }),
    });
  }
}

function within<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw inFile(path, error);
  }
}
