// The whole directory held locally (RFC 8806): fetched in the background, verified record by record and
// by digest, swapped in at once, kept on disk, used to its end with the root unreachable, never older.

import { DiscoveryError, isDiscoveryError, limits, type DirectoryHead } from "@whither/protocol";
import {
  readFileBounded,
  type Clock,
  type Logger,
  type Random,
  type Scheduled,
} from "@whither/runtime";
import { equalBytes } from "@whither/crypto/node";
import { encodeTransferChunk } from "@whither/wire";
import {
  compareMarks,
  isEarly,
  isLate,
  markOf,
  verifyArtefact,
  type Anchors,
  type Directory,
  type DirectoryTrust,
  type SignatureVerifier,
  type VerifiedArtefact,
} from "@whither/zone";
import type { DirectoryMemory } from "./directory-memory.js";
import type { DirectoryServer } from "./directory-server.js";
import type { SignalOption } from "./follower.js";
import { HeadWatch } from "./head-watch.js";
import { SingleFlight } from "./single-flight.js";
import { runSliced } from "./sliced.js";
import type { StateFile } from "./state-file.js";
import { transferDirectory } from "./transfer.js";

export type MirrorSource =
  | { readonly kind: "server"; readonly server: DirectoryServer }
  | { readonly kind: "file"; readonly path: string };

export interface MirrorOptions {
  readonly source: MirrorSource;
  readonly anchors: Anchors;
  readonly memory: DirectoryMemory;
  readonly state: StateFile | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** For the bulk of a directory: no budget, no cache. */
  readonly verifier: SignatureVerifier;
}

/** First wait after a failure, doubled up to the longest, while nothing has ever been fetched. */
const firstRetrySeconds = limits.failureTtlSecondsMin;
const longestRetrySeconds = limits.failureTtlSecondsMax;

/** Time that queries under way get before a fetch that one of them set off. */
const hurryMs = 1_000;
/** Mirrors that hear of a new head together fetch it within this, and none twice within the other. */
const pushSpreadMs = 4_000;
const pushIntervalMs = 10_000;

export class Mirror {
  readonly #options: MirrorOptions;
  readonly #flights = new SingleFlight<void>();
  readonly #closing = new AbortController();
  #directory: Directory | undefined;
  readonly #watch: HeadWatch | undefined;
  #timer: Scheduled | undefined;
  /** When the next fetch is due, by the monotonic clock: no reason for one puts it off. */
  #dueMs = Infinity;
  #fetchedMs = -Infinity;
  #failures = 0;
  #background: Promise<void> | undefined;
  #fetching: Promise<void> | undefined;

  constructor(options: MirrorOptions) {
    this.#options = options;
    const { source } = options;
    if (source.kind === "server") {
      const onPush = (payload: Uint8Array): void => this.#onPush(payload);
      this.#watch = new HeadWatch({ ...options, server: source.server, onPush });
    }
  }

  /** What is held, whether it is in its time or not. */
  get directory(): Directory | undefined {
    return this.#directory;
  }

  /** The directory, if one is held that is in its time. Throws CLOCK_SKEW if the clock went back. */
  held(): Directory | undefined {
    const directory = this.#directory;
    if (directory === undefined) return undefined;
    const nowSeconds = this.#options.clock.nowSeconds();
    if (isEarly(directory.head, nowSeconds)) {
      const behindSeconds = directory.head.notBefore - nowSeconds;
      const text = `local clock is ${behindSeconds} s behind the mirror`;
      throw new DiscoveryError("CLOCK_SKEW", text);
    }
    return isLate(directory.head, nowSeconds) ? undefined : directory;
  }

  /** Loads what the state file holds. A file that does not verify is said so and replaced later. */
  async load(): Promise<void> {
    const { state, memory, logger } = this.#options;
    if (state === undefined) return;
    try {
      const bytes = await state.read();
      if (bytes === undefined) return;
      memory.accept(state.trustOf(bytes));
      const { directory } = await this.#verify(bytes);
      this.#directory = directory;
      logger.info("mirror loaded", { serial: directory.serial });
    } catch (error) {
      logger.warn("mirror not loaded", { error });
    }
  }

  /** Fetches at once, then by the head's `refresh_s` and `retry_s`, and when the server tells of a new head. */
  start(): void {
    this.#schedule(0);
    this.#watch?.start();
  }

  /** Fetches now, or waits for the fetch under way. The last good directory stays when it fails. */
  async refresh({ signal }: SignalOption): Promise<void> {
    const start = (own: AbortSignal): Promise<void> => {
      const fetching = this.#fetch(AbortSignal.any([own, this.#closing.signal]));
      this.#fetching = fetching.catch(() => undefined); // whoever waits for it hears of it
      return fetching;
    };
    await this.#flights.run("fetch", start, { signal });
  }

  /** Something newer than the mirror was seen elsewhere: fetch it soon instead of at the next turn. */
  hurry(): void {
    this.#hurry(hurryMs);
  }

  /** The head that is held is no news; another one is a reason to ask, whatever it says. */
  #onPush(payload: Uint8Array): void {
    const held = this.#directory?.trust.headObject.payload;
    if (held === undefined || equalBytes(held, payload)) return;
    const { clock, random } = this.#options;
    const spreadMs = hurryMs + (pushSpreadMs * random.uint32()) / 2 ** 32;
    const soonestMs = this.#fetchedMs + pushIntervalMs - clock.monotonicMs();
    this.#hurry(Math.round(Math.max(spreadMs, soonestMs)));
  }

  #hurry(ms: number): void {
    const isSooner = this.#options.clock.monotonicMs() + ms < this.#dueMs;
    if (this.#directory !== undefined && isSooner) this.#schedule(ms);
  }

  async close(): Promise<void> {
    this.#closing.abort(new DiscoveryError("CANCELLED", "the directory follower is closed"));
    this.#timer?.cancel();
    await this.#watch?.close();
    await this.#background;
    // A save that has begun ends; everything else has been told to.
    await this.#fetching;
  }

  #schedule(ms: number): void {
    this.#timer?.cancel();
    if (this.#closing.signal.aborted) return;
    const { clock } = this.#options;
    this.#dueMs = clock.monotonicMs() + ms;
    this.#timer = clock.schedule(ms, () => {
      this.#dueMs = Infinity;
      this.#background = this.#refreshInBackground();
    });
  }

  async #refreshInBackground(): Promise<void> {
    try {
      await this.refresh({ signal: this.#closing.signal });
      this.#failures = 0;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#failures += 1;
      const { source } = this.#options;
      if (source.kind === "server" && !isDiscoveryError(error, "UNREACHABLE"))
        source.server.avoid();
      this.#options.logger.warn("directory refresh failed", { error, failures: this.#failures });
    }
    const head = this.#directory?.head;
    this.#schedule(this.#jittered(this.#waitSeconds(head) * 1000));
  }

  #waitSeconds(head: DirectoryHead | undefined): number {
    if (this.#failures === 0) return head?.refreshSeconds ?? limits.mirrorPollSeconds;
    if (head !== undefined) return head.retrySeconds;
    return Math.min(firstRetrySeconds * 2 ** (this.#failures - 1), longestRetrySeconds);
  }

  /** ±10 %, so that the mirrors of a root do not come all at once. */
  #jittered(ms: number): number {
    return Math.round(ms * (0.9 + (0.2 * this.#options.random.uint32()) / 2 ** 32));
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const { source, memory, state, clock, logger } = this.#options;
    this.#fetchedMs = clock.monotonicMs();
    const fetched =
      source.kind === "server"
        ? await transferDirectory({
            ...this.#options,
            server: source.server,
            held: this.#directory,
            signal,
          })
        : await this.#readFile(source.path, signal);
    if (fetched === undefined) return;
    const { directory, messages } = fetched;
    memory.accept(directory.trust);
    this.#directory = directory;
    const { serial, nodeCount, recordCount } = directory.head;
    logger.info("directory mirrored", { serial, nodes: nodeCount, records: recordCount });
    try {
      await state?.save(directory.trust, messages);
    } catch (error) {
      // The directory in memory is good; the next one will be saved again.
      logger.warn("mirror not saved", { error });
    }
  }

  /** Undefined when the file holds what is held. */
  async #readFile(path: string, signal: AbortSignal): Promise<VerifiedArtefact | undefined> {
    const bytes = await readFileBounded(path, { bytesMax: limits.directoryBytesMax });
    const read = await this.#verify(bytes, { signal });
    const held = this.#directory;
    const isHeld =
      held !== undefined && compareMarks(markOf(read.directory.trust), markOf(held.trust)) === 0;
    return isHeld ? undefined : read;
  }

  async #verify(bytes: Uint8Array, options: SignalOption = {}): Promise<VerifiedArtefact> {
    const { anchors, clock, verifier, memory } = this.#options;
    const { previous, known } = memory;
    const nowSeconds = clock.nowSeconds();
    return await runSliced(
      verifyArtefact({ bytes, anchors, nowSeconds, verifier, previous, known }),
      options,
    );
  }
}

/** The message that stands for a directory of which only root keys and head are known. */
export function headMessage({ voucher, trail, headObject: head }: DirectoryTrust): Uint8Array {
  const { rootKeys } = voucher;
  return encodeTransferChunk({ rootKeys, earlierRootKeys: trail, head, nodes: [], records: [] });
}
