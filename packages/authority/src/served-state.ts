// What was served last of a directory zone, over restarts: the artefact and what led to it. So a restarted
// server still answers mirrors with differences, and never goes back to an older directory.

import { join } from "node:path";
import { DiscoveryError, limits } from "@whither/protocol";
import { runSliced } from "@whither/directory";
import { pathExists, readFileBounded, replaceFile, type Logger } from "@whither/runtime";
import {
  compareMarks,
  DirectoryHistory,
  frameMessages,
  parseDirectoryHistory,
  type DirectoryTrust,
  type NodeTrust,
  type VerifiedArtefact,
} from "@whither/zone";
import type { ArtefactReader } from "./directory-artefacts.js";

/** 100,000 names and their quotes (history.ts). */
const historyBytesMax = 64 * 1024 * 1024;

interface ServedState<T extends NodeTrust> {
  readonly artefact: VerifiedArtefact<T>;
  readonly history: DirectoryHistory;
}

export interface ServedFiles<T extends NodeTrust = DirectoryTrust> {
  /**
   * What to serve at a start: the operator's artefact, or what was served before if that is newer. Throws
   * STORE when it cannot be kept.
   */
  open(given: VerifiedArtefact<T>): Promise<ServedState<T>>;
  /** To be called before the artefact is served. Throws STORE. */
  save(artefact: VerifiedArtefact<T>, history: DirectoryHistory): Promise<void>;
}

/** Files in the state directory; without one nothing is kept. */
export function createServedFiles<T extends NodeTrust>(options: {
  readonly stateDirectory: string | undefined;
  readonly reader: Pick<ArtefactReader<T>, "trustOf" | "verify">;
  readonly logger: Logger;
}): ServedFiles<T> {
  const { stateDirectory, reader, logger } = options;
  if (stateDirectory === undefined) {
    return {
      open: (artefact) => Promise.resolve({ artefact, history: new DirectoryHistory() }),
      save: () => Promise.resolve(),
    };
  }
  const artefactPath = join(stateDirectory, "served.directory");
  const historyPath = join(stateDirectory, "served.history");
  const save: ServedFiles<T>["save"] = async (artefact, history) => {
    await replaceFile(artefactPath, frameMessages(artefact.messages));
    // After the artefact: a history of another directory is noticed and dropped, never believed.
    await replaceFile(historyPath, history.format());
  };
  return {
    save,
    async open(given) {
      const last = await readLast({ artefactPath, historyPath, reader, logger });
      if (last === undefined) {
        const history = new DirectoryHistory();
        await save(given, history);
        return { artefact: given, history };
      }
      const { directory } = last.artefact;
      const order = compareMarks(given.directory.head, directory.head);
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

async function readLast<T extends NodeTrust>(files: {
  readonly artefactPath: string;
  readonly historyPath: string;
  readonly reader: Pick<ArtefactReader<T>, "trustOf" | "verify">;
  readonly logger: Logger;
}): Promise<ServedState<T> | undefined> {
  const { artefactPath, historyPath, reader, logger } = files;
  if (!(await pathExists(artefactPath))) return undefined;
  try {
    const bytes = await readFileBounded(artefactPath, { bytesMax: limits.directoryBytesMax });
    // As of its own time: one that has ended still says what changed since, and which serial was reached.
    const nowSeconds = reader.trustOf(bytes).head.notBefore;
    const artefact = await runSliced(reader.verify({ bytes, nowSeconds }));
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
