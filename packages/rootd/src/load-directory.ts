// From the two files that rootd serves from to a verified directory: the anchors say whom to believe, the
// artefact is believed only then. rootd holds no key of the directory.

import { DiscoveryError, limits } from "@whither/protocol";
import { runSliced } from "@whither/directory";
import { tlsIdentityFromFiles, type TlsIdentity } from "@whither/rpc";
import { readFileBounded, type Clock } from "@whither/runtime";
import {
  nodeVerifier,
  parseAnchors,
  verifyArtefact,
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
  const { clock, previous } = options;
  const anchors = await readAnchors(options.anchorsFile);
  const bytes = await readFileBounded(options.artefactFile, { bytesMax: limits.directoryBytesMax });
  const nowSeconds = clock.nowSeconds();
  const work = verifyArtefact({ bytes, anchors, nowSeconds, verifier: nodeVerifier, previous });
  try {
    return await runSliced(work);
  } catch (error) {
    throw named(options.artefactFile, error);
  }
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

function within<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw named(path, error);
  }
}

/** The same failure with the path in its cause, for the operator alone. */
function named(path: string, error: unknown): Error {
  if (!(error instanceof DiscoveryError)) {
    return error instanceof Error ? error : new TypeError("not an error", { cause: error });
  }
  return new DiscoveryError(error.code, error.text, { cause: new Error(`in ${path}`) });
}
