// The newest directory that has been seen, from whatever source: nothing older is ever accepted again.

import { DiscoveryError } from "@whither/protocol";
import { equalBytes } from "@whither/crypto/node";
import { compareMarks, markOf, type DirectoryMark, type DirectoryTrust } from "@whither/zone";

export class DirectoryMemory {
  #trust: DirectoryTrust | undefined;
  #mark: DirectoryMark | undefined;

  /** To verify the next answer against. */
  get previous(): DirectoryMark | undefined {
    return this.#mark;
  }
  /** Verified already: the same bytes need no second verification. */
  get known(): DirectoryTrust | undefined {
    return this.#trust;
  }

  /**
   * Takes a verified head. True if it is newer than all before. Throws ROLLBACK or FORKED: two answers
   * may have been verified against the same memory at the same time.
   */
  accept(trust: DirectoryTrust): boolean {
    const mark = markOf(trust);
    const order = this.#mark === undefined ? 1 : compareMarks(mark, this.#mark);
    if (order < 0) throw new DiscoveryError("ROLLBACK", "directory: older than one already seen");
    if (this.#mark !== undefined && mark.rootKeysVersion < this.#mark.rootKeysVersion) {
      throw new DiscoveryError("ROLLBACK", "root-keys: older than the version already seen");
    }
    if (order === 0 && !equalBytes(mark.digest, this.#mark?.digest ?? mark.digest)) {
      throw new DiscoveryError("FORKED", "directory: two digests with one serial");
    }
    this.#trust = trust;
    this.#mark = mark;
    return order > 0;
  }
}
