// The follower's file: an artefact that is verified again at load, replaced atomically, and never by an
// older one, also when several processes share it. Without a mirror it holds root keys and head alone.

import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import { lockFile, pathExists, readFileBounded, replaceFile } from "@whither/runtime";
import { decodeTransferChunk, encodeTransferChunk } from "@whither/wire";
import {
  compareMarks,
  frameMessages,
  markOf,
  openArtefactTrust,
  type Anchors,
  type DirectoryTrust,
  type SignatureVerifier,
} from "@whither/zone";

export interface StateFileOptions {
  readonly path: string;
  readonly anchors: Anchors;
  readonly verifier: SignatureVerifier;
}

export class StateFile {
  readonly #options: StateFileOptions;

  constructor(options: StateFileOptions) {
    this.#options = options;
  }

  /** The file's bytes, undefined if there is none. Throws CONFIG when it cannot be read. */
  async read(): Promise<Uint8Array | undefined> {
    const { path } = this.#options;
    if (!(await pathExists(path))) return undefined;
    return await readFileBounded(path, { bytesMax: limits.directoryBytesMax });
  }

  /** What was seen last, however long ago. Throws as openArtefactTrust. */
  trustOf(bytes: Uint8Array): DirectoryTrust {
    return openArtefactTrust({ ...this.#options, bytes });
  }

  /**
   * Replaces the file unless it holds something newer already. Throws STORE, or STORE_LOCKED while
   * another process replaces it.
   */
  async save(trust: DirectoryTrust, messages: readonly Uint8Array[]): Promise<void> {
    const { path } = this.#options;
    const lock = await lockFile(path);
    try {
      if (await this.#holdsNewer(trust)) return;
      await replaceFile(path, frameMessages(withTrail(messages, trust)), { mode: 0o600 });
    } finally {
      await lock.close();
    }
  }

  async #holdsNewer(trust: DirectoryTrust): Promise<boolean> {
    try {
      const bytes = await this.read();
      if (bytes === undefined) return false;
      return compareMarks(markOf(this.trustOf(bytes)), markOf(trust)) > 0;
    } catch (error) {
      // A file that does not verify protects nothing.
      if (error instanceof DiscoveryError && !isDiscoveryError(error, "STORE")) return false;
      throw error;
    }
  }
}

/**
 * With the earlier root key sets that were verified, not those that a server sent: one that left some out could make
 * the anchors lead nowhere after a restart, and all that was seen forgotten.
 */
function withTrail(
  [first, ...others]: readonly Uint8Array[],
  { trail }: DirectoryTrust,
): readonly Uint8Array[] {
  if (first === undefined) return [];
  const chunk = { ...decodeTransferChunk(first), earlierRootKeys: trail };
  return [encodeTransferChunk(chunk), ...others];
}
