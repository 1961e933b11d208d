// What was served last, over restarts: the artefact and what led to it. So a restarted server still answers
// mirrors with differences, and never goes back to an older directory.

import { join } from "node:path";
import { DiscoveryError, limits } from "@whither/protocol";
import { runSliced } from "@whither/directory";
import { pathExists, readFileBounded, replaceFile, type Logger } from "@whither/runtime";
import {
  compareMarks,
  DirectoryHistory,
  frameMessages,
  markOf,
  nodeVerifier,
  openArtefactTrust,
  parseDirectoryHistory,
  verifyArtefact,
  type Anchors,
  type VerifiedArtefact,
} from "@whither/zone";

/** 100,000 names and their quotes (history.ts). */
const historyBytesMax = 64 * 1024 * 1024;

interface ServedState {
  readonly artefact: VerifiedArtefact;
  readonly history: DirectoryHistory;
}

export interface ServedFiles {
  /**
   * What to serve at a start: the operator's artefact, or what was served before if that is newer. Throws
   * STORE when it cannot be kept.
   */
  open(given: VerifiedArtefact, anchors: Anchors): Promise<ServedState>;
  /** To be called before the artefact is served. Throws STORE. */
  save(artefact: VerifiedArtefact, history: DirectoryHistory): Promise<void>;
}

/** Files in the state directory; without one nothing is kept. */
export function createServedFiles(options: {
  readonly stateDirectory: string | undefined;
  readonly logger: Logger;
}): ServedFiles {
  const { stateDirectory, logger } = options;
  if (stateDirectory === undefined) {
    return {
      open: (artefact) => Promise.resolve({ artefact, history: new DirectoryHistory() }),
      save: () => Promise.resolve(),
    };
  }
  const artefactPath = join(stateDirectory, "served.directory");
  const historyPath = join(stateDirectory, "served.history");
  const save: ServedFiles["save"] = async (artefact, history) => {
    await replaceFile(artefactPath, frameMessages(artefact.messages));
    // After the artefact: a history of another directory is noticed and dropped, never believed.
    await replaceFile(historyPath, history.format());
  };
  return {
    save,
    async open(given, anchors) {
      const last = await readLast({ artefactPath, historyPath, anchors, logger });
      if (last === undefined) {
        const history = new DirectoryHistory();
        await save(given, history);
        return { artefact: given, history };
      }
      const { directory } = last.artefact;
      const order = compareMarks(markOf(given.directory.trust), markOf(directory.trust));
      if (order === 0) return { artefact: given, history: last.history };
      if (order < 0) {
        const { serial } = given.directory;
        logger.warn("artefact older than served", { serial, served: directory.serial });
        return last;
      }
      const history = last.history.followedBy(directory, given.directory);
      await save(given, history);
      return { artefact: given, history };
    },
  };
}

async function readLast(files: {
  readonly artefactPath: string;
  readonly historyPath: string;
  readonly anchors: Anchors;
  readonly logger: Logger;
}): Promise<ServedState | undefined> {
  const { artefactPath, historyPath, anchors, logger } = files;
  if (!(await pathExists(artefactPath))) return undefined;
  try {
    const bytes = await readFileBounded(artefactPath, { bytesMax: limits.directoryBytesMax });
    const check = { bytes, anchors, verifier: nodeVerifier };
    // As of its own time: one that has ended still says what changed since, and which serial was reached.
    const nowSeconds = openArtefactTrust(check).head.notBefore;
    const artefact = await runSliced(verifyArtefact({ ...check, nowSeconds }));
    try {
      const text = new TextDecoder().decode(
        await readFileBounded(historyPath, { bytesMax: historyBytesMax }),
      );
      return { artefact, history: parseDirectoryHistory(text, artefact.directory) };
    } catch (error) {
      logger.warn("history not loaded", { error });
      return { artefact, history: new DirectoryHistory() };
    }
  } catch (error) {
    if (!(error instanceof DiscoveryError)) throw error;
    logger.warn("served directory not loaded", { error });
    return undefined;
  }
}
