// The operator's directory with the authorities that are withdrawn held back in it, signed anew here where
// that changes something (ADR on withdrawal). What is published is kept before it is served, and so is the
// operator's own directory, which what is published was made of: neither ever goes back.

import { join } from "node:path";
import {
  createDirectoryService,
  readKeptArtefact,
  readKeptPlace,
  rootReader,
  type ArtefactReader,
  type DirectoryService,
  type LastServed,
  type ServedFiles,
} from "@whither/authority";
import { equalBytes, type Signer } from "@whither/crypto/node";
import { runSliced } from "@whither/directory";
import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { replaceFile, type Clock, type Logger } from "@whither/runtime";
import {
  compareMarks,
  DirectoryHistory,
  frameMessages,
  nodeVerifier,
  signWithdrawals,
  withdrawnZonesOf,
  type Anchors,
  type Directory,
  type DirectoryPlace,
  type DirectoryTrust,
  type VerifiedArtefact,
  type WithdrawnZones,
} from "@whither/zone";
import type { Publication, PublicationChange } from "./publication.js";

export interface WithdrawingPublication extends Publication {
  /** Publishes the same directory with these zones held back. False: nothing was to be changed. Throws as `replace`. */
  holdBack(withdrawn: WithdrawnZones): Promise<boolean>;
  /** Zones that were held back when it was opened. */
  readonly resumed: WithdrawnZones;
  /** End of the online key, Unix seconds; 0: it is in the root keys no more. */
  readonly keyNotAfter: number;
}

export interface WithdrawingPublicationOptions {
  readonly given: VerifiedArtefact;
  readonly files: ServedFiles;
  readonly stateDirectory: string;
  readonly anchors: Anchors;
  /** The online ZSK. */
  readonly signer: Signer;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Goes on with what was published and held back before; where that is lost, everything is signed anew. Throws
 * STORE, STORE_CORRUPT, and KEY_MISSING, EXPIRED, NOT_YET_VALID for an online key that may not sign.
 */
export async function openWithdrawingPublication(
  options: WithdrawingPublicationOptions,
): Promise<WithdrawingPublication> {
  const { files, stateDirectory, anchors, signer, clock, logger } = options;
  const path = join(stateDirectory, "operator.directory");
  const last = await files.read();
  const kept = await readOperators(path, { reader: rootReader(anchors), given: options.given });
  const base = newestOf(options.given, kept, last);
  const { serial } = options.given.directory;
  if (base.directory.serial !== serial) {
    logger.warn("artefact older than served", { serial, served: base.directory.serial });
  }
  const served = last.kind === "kept" ? last : undefined;
  const resumed: WithdrawnZones =
    served === undefined ? new Map() : withdrawnZonesOf(served.artefact.directory);
  const making = { base, withdrawn: resumed, anchors, signer };
  const signed = await sign({ ...making, served: served?.artefact.directory, clock });
  checkHigher(signed, last);
  if (kept === undefined || compareMarks(base.directory.head, kept.place) > 0) {
    await replaceFile(path, frameMessages(base.messages));
  }
  const { artefact, history } = await keep(files, { served, signed });
  return new Withdrawing({ ...options, path, base, artefact, history, resumed });
}

/** What a publication is made of. */
interface Making {
  readonly base: VerifiedArtefact;
  readonly withdrawn: WithdrawnZones;
  readonly anchors: Anchors;
  readonly signer: Signer;
}

class Withdrawing implements WithdrawingPublication {
  readonly service: DirectoryService;
  readonly resumed: WithdrawnZones;
  readonly #options: WithdrawingPublicationOptions & { readonly path: string };
  #made: Making;
  /** One change after the other: each is made of what the one before published. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    opened: WithdrawingPublicationOptions & {
      readonly path: string;
      readonly base: VerifiedArtefact;
      readonly artefact: VerifiedArtefact;
      readonly history: DirectoryHistory;
      readonly resumed: WithdrawnZones;
    },
  ) {
    const { base, resumed, anchors, signer, artefact, history } = opened;
    this.#options = opened;
    this.#made = { base, withdrawn: resumed, anchors, signer };
    this.resumed = resumed;
    this.service = createDirectoryService(artefact, { history });
  }

  get given(): Directory {
    return this.#made.base.directory;
  }

  get keyNotAfter(): number {
    const { base, signer } = this.#made;
    const { zsks } = base.directory.trust.rootKeys;
    const key = zsks.find(({ publicKey }) => equalBytes(publicKey, signer.publicKey));
    return key?.notAfter ?? 0;
  }

  replace(artefact: VerifiedArtefact, change: PublicationChange): Promise<void> {
    return this.#inTurn(async () => {
      const { anchors, apply, signer = this.#made.signer } = change;
      const isNewer = compareMarks(artefact.directory.head, this.given.head) > 0;
      const base = isNewer ? artefact : this.#made.base;
      await this.#publish({ ...this.#made, base, anchors, signer }, apply);
    });
  }

  holdBack(withdrawn: WithdrawnZones): Promise<boolean> {
    return this.#inTurn(() => this.#publish({ ...this.#made, withdrawn }, () => undefined));
  }

  /** False: what is served stands. */
  async #publish(making: Making, apply: () => void): Promise<boolean> {
    const { files, path, clock } = this.#options;
    const { directory: served, history } = this.service;
    const { base } = making;
    const signed = await sign({ ...making, served, clock });
    // Before what is made of it: after a crash in between, the newer one is what is gone on with.
    if (base !== this.#made.base) await replaceFile(path, frameMessages(base.messages));
    const after = signed === undefined ? history : history.followedBy(served, signed.directory);
    if (signed !== undefined) await files.save(signed, after);
    apply();
    this.#made = making;
    if (signed !== undefined) this.service.replace(signed, { history: after });
    return signed !== undefined;
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(change, change);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Undefined: what is served stands. */
function sign({
  clock,
  ...of
}: Making & {
  readonly served: Directory | undefined;
  readonly clock: Clock;
}): Promise<VerifiedArtefact | undefined> {
  const nowSeconds = clock.nowSeconds();
  return runSliced(signWithdrawals({ ...of, verifier: nodeVerifier, nowSeconds }));
}

async function keep(
  files: ServedFiles,
  of: {
    readonly served: Extract<LastServed, { readonly kind: "kept" }> | undefined;
    readonly signed: VerifiedArtefact | undefined;
  },
): Promise<{ readonly artefact: VerifiedArtefact; readonly history: DirectoryHistory }> {
  const { served, signed } = of;
  if (signed === undefined) {
    if (served === undefined) throw new TypeError("nothing to serve"); // what is unknown is signed
    return served;
  }
  const { epoch, serial } = signed.directory.head;
  const history =
    served === undefined
      ? new DirectoryHistory([], { epoch, serial })
      : served.history.followedBy(served.artefact.directory, signed.directory);
  await files.save(signed, history);
  return { artefact: signed, history };
}

interface KeptOperators {
  readonly place: DirectoryPlace;
  /** Read whole only where it is newer than what is given. */
  readonly newer: VerifiedArtefact | undefined;
}

/** The operator's directory of last time; what is damaged might have been newer than what is given. */
async function readOperators(
  path: string,
  of: { readonly reader: ArtefactReader<DirectoryTrust>; readonly given: VerifiedArtefact },
): Promise<KeptOperators | undefined> {
  const { reader, given } = of;
  try {
    const place = await readKeptPlace(path, reader);
    if (place === undefined) return undefined;
    const isNewer = compareMarks(place, given.directory.head) > 0;
    return { place, newer: isNewer ? await readKeptArtefact(path, reader) : undefined };
  } catch (cause) {
    if (!isDiscoveryError(cause)) throw cause;
    const problem = `${path}: see that the artefact file is the newest, then take this one away`;
    throw new DiscoveryError("STORE_CORRUPT", "the operator's directory as kept is damaged", {
      cause: new Error(problem, { cause }),
    });
  }
}

/** Without a directory of the operator's that was kept, what was served was the operator's own. */
function newestOf(
  given: VerifiedArtefact,
  kept: KeptOperators | undefined,
  last: LastServed,
): VerifiedArtefact {
  if (kept !== undefined) return kept.newer ?? given;
  if (last.kind !== "kept") return given;
  const isOlder = compareMarks(given.directory.head, last.artefact.directory.head) < 0;
  return isOlder ? last.artefact : given;
}

/** What was served is damaged, its serial is known: whatever follows has to be higher. */
function checkHigher(signed: VerifiedArtefact | undefined, last: LastServed): void {
  if (last.kind !== "damaged" || signed === undefined) return;
  if (compareMarks(signed.directory.head, last.head) > 0) return;
  throw new DiscoveryError("STORE_CORRUPT", "what was served last is damaged, and was newer");
}
