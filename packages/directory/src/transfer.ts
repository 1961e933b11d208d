// Fetching a directory: what changed since the one that is held, or the whole. Verified record by record
// and by digest before anybody sees it; a difference that does not fit is followed by the whole, once.

import { DiscoveryError, limits } from "@whither/protocol";
import type { Clock, Logger } from "@whither/runtime";
import { encodeTransferChunk, type TransferChunk } from "@whither/wire";
import {
  checkFurther,
  compareMarks,
  DifferenceVerifier,
  DirectoryVerifier,
  markOf,
  transferHead,
  transferMessages,
  verifyTrust,
  type Anchors,
  type Directory,
  type DirectoryTrust,
  type SignatureVerifier,
  type VerifiedArtefact,
} from "@whither/zone";
import type { DirectoryMemory } from "./directory-memory.js";
import { namingUpstream, namingUpstreamLater, type DirectoryServer } from "./directory-server.js";
import { runSliced } from "./sliced.js";

export interface TransferOptions {
  readonly server: DirectoryServer;
  readonly held: Directory | undefined;
  readonly anchors: Anchors;
  readonly memory: DirectoryMemory;
  readonly clock: Clock;
  readonly verifier: SignatureVerifier;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Codes that say that the server cannot be heard, not that what it says does not fit. */
const unheard: readonly string[] = ["UNREACHABLE", "NETWORK", "CANCELLED", "DEADLINE", "LIMITED"];

/** Undefined when the server has nothing newer than what is held. Throws as `delegation`. */
export async function transferDirectory(
  options: TransferOptions,
): Promise<VerifiedArtefact | undefined> {
  const { held, logger } = options;
  if (held === undefined) return await fetchOnce(options);
  const misfit = new Misfit();
  try {
    return await fetchOnce({ ...options, misfit });
  } catch (error) {
    if (!misfit.isSo) throw error;
    logger.warn("directory difference does not fit", { serial: held.serial, error });
  }
  return await fetchOnce({ ...options, held: undefined });
}

/** Whether it was the application of a difference that failed. */
class Misfit {
  isSo = false;
}

async function fetchOnce(
  options: TransferOptions & { readonly misfit?: Misfit },
): Promise<VerifiedArtefact | undefined> {
  const { server, held, signal, misfit } = options;
  const mark = held === undefined ? undefined : markOf(held.trust);
  let receipt: Receipt | undefined;
  let bytes = 0;
  for await (const chunk of server.transfer(mark, { signal })) {
    if (receipt === undefined) {
      const trust = namingUpstream(server.name, () => openTrust(chunk, options));
      if (mark !== undefined && compareMarks(markOf(trust), mark) === 0) return undefined;
      receipt = openReceipt({ trust, isDifference: chunk.incremental === true, options });
    } else {
      namingUpstream(server.name, () => checkFurther(chunk));
    }
    bytes += encodeTransferChunk(chunk).length;
    if (bytes > limits.directoryBytesMax) {
      throw new DiscoveryError("TOO_LARGE", "transfer: over the size of a directory", {
        upstream: server.name,
      });
    }
    await fitting(receipt, { work: runSliced(receipt.add(chunk), { signal }), server, misfit });
  }
  if (receipt === undefined) {
    throw new DiscoveryError("INVALID_DATA", "transfer: empty", { upstream: server.name });
  }
  return await fitting(receipt, { work: runSliced(receipt.finish(), { signal }), server, misfit });
}

/** The work's outcome; its failure names the server, and is noted if a difference was at fault. */
async function fitting<T>(
  { isDifference }: Receipt,
  at: {
    readonly work: Promise<T>;
    readonly server: DirectoryServer;
    readonly misfit?: Misfit | undefined;
  },
): Promise<T> {
  try {
    return await namingUpstreamLater(at.server.name, at.work);
  } catch (error) {
    const isUnheard = !(error instanceof DiscoveryError) || unheard.includes(error.code);
    if (at.misfit !== undefined && isDifference && !isUnheard) at.misfit.isSo = true;
    throw error;
  }
}

function openTrust(chunk: TransferChunk, options: TransferOptions): DirectoryTrust {
  const { anchors, memory, clock, verifier } = options;
  const { previous, known } = memory;
  const nowSeconds = clock.nowSeconds();
  return verifyTrust({ ...transferHead(chunk), anchors, nowSeconds, verifier, previous, known });
}

/** What has come so far, of a whole or of a difference. */
interface Receipt {
  readonly isDifference: boolean;
  add(chunk: TransferChunk): Generator<undefined, void>;
  finish(): Generator<undefined, VerifiedArtefact>;
}

function openReceipt(of: {
  readonly trust: DirectoryTrust;
  readonly isDifference: boolean;
  readonly options: TransferOptions;
}): Receipt {
  const { trust, isDifference, options } = of;
  const { server, held, clock, verifier } = options;
  const check = { trust, nowSeconds: clock.nowSeconds(), verifier };
  if (!isDifference) return receiptOfWhole(new DirectoryVerifier(check));
  if (held === undefined) {
    throw new DiscoveryError("INVALID_DATA", "transfer: a difference nobody asked for", {
      upstream: server.name,
    });
  }
  const difference = new DifferenceVerifier({ ...check, held });
  return {
    isDifference,
    add: (chunk) => difference.add(chunk),
    *finish() {
      const directory = yield* difference.finish();
      const messages: Uint8Array[] = [];
      for (const message of transferMessages(directory.objects())) {
        messages.push(message);
        yield;
      }
      return { directory, messages };
    },
  };
}

function receiptOfWhole(whole: DirectoryVerifier): Receipt {
  const messages: Uint8Array[] = [];
  return {
    isDifference: false,
    *add(chunk) {
      const { nodes, records } = chunk;
      if (messages.length > 0 && nodes.length + records.length === 0) {
        throw new DiscoveryError("INVALID_DATA", "transfer: an empty message");
      }
      messages.push(encodeTransferChunk(chunk));
      yield* whole.add(chunk);
    },
    *finish() {
      yield;
      return { directory: whole.finish(), messages };
    },
  };
}
