// What is published of the operator's directory, and the one way to another one: kept on disk, then served.
// Without withdrawals it is the operator's own; with them withdrawing-publication.ts.

import {
  createDirectoryService,
  type DirectoryService,
  type ServedFiles,
} from "@whither/authority";
import type { Signer } from "@whither/crypto/node";
import { compareMarks, type Anchors, type Directory, type VerifiedArtefact } from "@whither/zone";

export interface Publication {
  readonly service: DirectoryService;
  /** The operator's directory that is served, or that what is served was made of. */
  readonly given: Directory;
  /**
   * Serves the operator's directory, if it is newer, from now on. Throws STORE, and what signing throws; then
   * nothing has changed.
   */
  replace(artefact: VerifiedArtefact, change: PublicationChange): Promise<void>;
}

export interface PublicationChange {
  readonly anchors: Anchors;
  /** The online key, if there is to be one. */
  readonly signer: Signer | undefined;
  /** Run when what is to be served has been kept. */
  readonly apply: () => void;
}

/** Serves the operator's directory as it is, or what was served before if that is newer. Throws as ServedFiles. */
export async function openPublication(options: {
  readonly given: VerifiedArtefact;
  readonly files: ServedFiles;
}): Promise<Publication> {
  const { files } = options;
  const { artefact, history } = await files.open(options.given);
  const service = createDirectoryService(artefact, { history });
  return {
    service,
    get given() {
      return service.directory;
    },
    replace: async (next, { apply }) => {
      const { directory: served, history: before } = service;
      const isNewer = compareMarks(next.directory.head, served.head) > 0;
      const after = isNewer ? before.followedBy(served, next.directory) : before;
      if (isNewer) await files.save(next, after);
      apply();
      if (isNewer) service.replace(next, { history: after });
    },
  };
}
