// From a file to a directory that may be served: the root's by the anchors, a part's by its manifest. Whoever
// serves holds no key of it; what does not verify is not served.

import { runSliced } from "@whither/directory";
import { DiscoveryError, limits } from "@whither/protocol";
import { readFileBounded, type Clock } from "@whither/runtime";
import {
  nodeVerifier,
  openArtefactTrust,
  openPartArtefactTrust,
  verifyArtefact,
  verifyPartArtefact,
  type Anchors,
  type DirectoryMark,
  type DirectoryTrust,
  type NodeTrust,
  type PartDelegation,
  type PartTrust,
  type VerifiedArtefact,
  type ZoneMark,
} from "@whither/zone";

/** How the bytes of one directory zone are verified. */
export interface ArtefactReader<T extends NodeTrust, M extends ZoneMark = ZoneMark> {
  /** Whole, in slices. Throws as verifyArtefact. */
  verify(check: {
    readonly bytes: Uint8Array;
    readonly nowSeconds: number;
    /** What is served now: an older directory is refused. */
    readonly previous?: M | undefined;
  }): Generator<undefined, VerifiedArtefact<T>>;
  /** Keys and head alone, as of their own time. */
  trustOf(bytes: Uint8Array): T;
}

export function rootReader(anchors: Anchors): ArtefactReader<DirectoryTrust, DirectoryMark> {
  const verifier = nodeVerifier;
  return {
    verify: (check) => verifyArtefact({ ...check, anchors, verifier }),
    trustOf: (bytes) => openArtefactTrust({ bytes, anchors, verifier }),
  };
}

export function partReader(part: PartDelegation): ArtefactReader<PartTrust> {
  const verifier = nodeVerifier;
  return {
    verify: (check) => verifyPartArtefact({ ...check, part, verifier }),
    trustOf: (bytes) => openPartArtefactTrust({ bytes, part, verifier }),
  };
}

/** Reads and verifies a file. Throws CONFIG, and what verification finds with the path in its cause. */
export async function loadArtefact<T extends NodeTrust, M extends ZoneMark>(options: {
  readonly path: string;
  readonly reader: ArtefactReader<T, M>;
  readonly clock: Clock;
  readonly previous?: M | undefined;
}): Promise<VerifiedArtefact<T>> {
  const { path, reader, clock, previous } = options;
  const bytes = await readFileBounded(path, { bytesMax: limits.directoryBytesMax });
  try {
    const nowSeconds = clock.nowSeconds();
    return await runSliced(reader.verify({ bytes, nowSeconds, previous }));
  } catch (error) {
    throw inFile(path, error);
  }
}

/** The same failure with the path in its cause, for the operator alone. */
export function inFile(path: string, error: unknown): Error {
  if (!(error instanceof DiscoveryError)) {
    return error instanceof Error ? error : new TypeError("not an error", { cause: error });
  }
  return new DiscoveryError(error.code, error.text, { cause: new Error(`in ${path}`) });
}
