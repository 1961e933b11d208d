// What was served last of a directory zone, over restarts: the artefact and what led to it. So a restarted
// server still answers mirrors with differences, and never goes back to an older directory.

import { join } from "node:path";
import { DiscoveryError, limits } from "@whither/protocol";
import { runSliced } from "@whither/directory";
import { pathExists, readFileBounded, replaceFile, type Logger } from "@whither/runtime";
import {
  compareMarks,
  directoryHistoryHead,
  DirectoryHistory,
  frameMessages,
  parseDirectoryHistory,
  type DirectoryPlace,
  type DirectoryTrust,
  type NodeTrust,
  type VerifiedArtefact,
} from "@whither/zone";
import type { ArtefactReader } from "./directory-artefacts.js";

/** 100,000 names and their quotes (history.ts). */
const historyBytesMax = 64 * 1024 * 1024;

export interface ServedState<T extends NodeTrust = DirectoryTrust> {
  readonly artefact: VerifiedArtefact<T>;
  readonly history: DirectoryHistory;
}

/** What was served last, as far as the files tell. */
export type LastServed<T extends NodeTrust = DirectoryTrust> =
  | ({ readonly kind: "kept" } & ServedState<T>)
  | { readonly kind: "none" }
  /** The artefact cannot be read or believed any more; how far it had come stands beside it. */
  | { readonly kind: "damaged"; readonly head: DirectoryPlace };

export interface ServedFiles<T extends NodeTrust = DirectoryTrust> {
  /**
   * What to serve at a start: the operator's artefact, or what was served before if that is newer. Throws
   * STORE when it cannot be kept, STORE_CORRUPT when what was served before was newer and is damaged.
   */
  open(given: VerifiedArtefact<T>): Promise<ServedState<T>>;
  /** What was served before this start. Throws STORE_CORRUPT when not even its serial is known. */
  read(): Promise<LastServed<T>>;
  /** To be called before the artefact is served. Throws STORE. */
  save(artefact: VerifiedArtefact<T>, history: DirectoryHistory): Promise<void>;
}

interface ServedFilesOptions<T extends NodeTrust> {
  readonly stateDirectory: string | undefined;
  readonly reader: Pick<ArtefactReader<T>, "trustOf" | "verify">;
  readonly logger: Logger;
}

/** Files in the state directory; without one nothing is kept. */
export function createServedFiles<T extends NodeTrust>(
  options: ServedFilesOptions<T>,
): ServedFiles<T> {
  const { stateDirectory, logger } = options;
  if (stateDirectory === undefined) {
    return {
      open: (artefact) => Promise.resolve({ artefact, history: new DirectoryHistory() }),
      read: () => Promise.resolve({ kind: "none" }),
      save: () => Promise.resolve(),
    };
  }
  const artefactPath = join(stateDirectory, "served.directory");
  const historyPath = join(stateDirectory, "served.history");
  const read = (): Promise<LastServed<T>> => readLast({ ...options, artefactPath, historyPath });
  const save: ServedFiles<T>["save"] = async (artefact, history) => {
    await replaceFile(artefactPath, frameMessages(artefact.messages));
    // After the artefact: a history of another directory is noticed and dropped, never believed.
    await replaceFile(historyPath, history.format());
  };
  return {
    read,
    save,
    async open(given) {
      const last = await read();
      const { head, serial } = given.directory;
      if (last.kind !== "kept") {
        // Readers never go back: what they have seen would be refused to them until it is reached again.
        if (last.kind === "damaged" && compareMarks(head, last.head) < 0) {
          throw corrupt(artefactPath, `it had come to serial ${last.head.serial}`);
        }
        const history = new DirectoryHistory([], { epoch: head.epoch, serial });
        await save(given, history);
        return { artefact: given, history };
      }
      const { directory } = last.artefact;
      const order = compareMarks(head, directory.head);
      if (order === 0) return { artefact: given, history: last.history };
      if (order < 0) {
        logger.warn("artefact older than served", { serial, served: directory.serial });
        return last;
      }
      const history = last.history.followedBy(directory, given.directory);
      await save(given, history);
      return { artefact: given, history };
    },
  };
}

/**
 * An artefact that was kept here, verified as of its own time: one that has ended still says which serial was
 * reached, and what changed since. Undefined: there is none. Throws what reading and verification throw.
 */
export async function readKeptArtefact<T extends NodeTrust>(
  path: string,
  reader: Pick<ArtefactReader<T>, "trustOf" | "verify">,
): Promise<VerifiedArtefact<T> | undefined> {
  if (!(await pathExists(path))) return undefined;
  const bytes = await readFileBounded(path, { bytesMax: limits.directoryBytesMax });
  const nowSeconds = reader.trustOf(bytes).head.notBefore;
  return await runSliced(reader.verify({ bytes, nowSeconds }));
}

/** How far that artefact had come, its keys and head verified alone. */
export async function readKeptPlace(
  path: string,
  reader: Pick<ArtefactReader<NodeTrust>, "trustOf">,
): Promise<DirectoryPlace | undefined> {
  if (!(await pathExists(path))) return undefined;
  const bytes = await readFileBounded(path, { bytesMax: limits.directoryBytesMax });
  const { epoch, serial } = reader.trustOf(bytes).head;
  return { epoch, serial };
}

async function readLast<T extends NodeTrust>(
  files: ServedFilesOptions<T> & { readonly artefactPath: string; readonly historyPath: string },
): Promise<LastServed<T>> {
  const { artefactPath, historyPath, reader, logger } = files;
  const historyText = async (): Promise<string> =>
    new TextDecoder().decode(await readFileBounded(historyPath, { bytesMax: historyBytesMax }));
  try {
    const artefact = await readKeptArtefact(artefactPath, reader);
    if (artefact === undefined) return { kind: "none" };
    try {
      const history = parseDirectoryHistory(await historyText(), artefact.directory);
      return { kind: "kept", artefact, history };
    } catch (error) {
      logger.warn("history not loaded", { error });
      return { kind: "kept", artefact, history: new DirectoryHistory() };
    }
  } catch (error) {
    if (!(error instanceof DiscoveryError)) throw error;
    logger.warn("served directory not loaded", { error });
    try {
      return { kind: "damaged", head: directoryHistoryHead(await historyText()) };
    } catch (cause) {
      throw corrupt(artefactPath, "nor is served.history, which knows its serial", cause);
    }
  }
}

function corrupt(path: string, more: string, cause?: unknown): DiscoveryError {
  const problem =
    `${path} is not what was served last, and ${more}: sign anew with a higher serial or epoch, ` +
    "then take the file away";
  return new DiscoveryError("STORE_CORRUPT", "the directory served last is damaged", {
    cause: new Error(problem, cause === undefined ? {} : { cause }),
  });
}
