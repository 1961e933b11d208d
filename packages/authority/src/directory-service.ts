// The Directory service over verified artefacts, the root's or those of parts: Refer, Transfer, Watch,
// GetRecords. Everything it sends was encoded before or is kept once it has been; it holds no key and signs
// nothing.

import { DiscoveryError, parsePrefix, type Prefix, type ZoneName } from "@whither/protocol";
import {
  implementService,
  type CallContext,
  type ServerInterceptor,
  type ServiceImpl,
  type ServiceRegistration,
} from "@whither/rpc";
import {
  Directory as DirectoryDescriptor,
  encodeRecordsAnswer,
  encodeReferAnswer,
  encodeTransferChunk,
  encodeWatchAnswer,
  PartyKind,
  type GetRecordsRequest,
  type ReferRequest,
  type TransferRequest,
} from "@whither/wire";
import {
  differenceMessages,
  differenceOf,
  DirectoryHistory,
  type Directory,
  type DirectoryTrust,
  type NodeTrust,
  type SignedRecord,
  type VerifiedArtefact,
} from "@whither/zone";
import { HeadWatchers } from "./head-watchers.js";

export interface DirectoryService<T extends NodeTrust = DirectoryTrust> extends Disposable {
  /** Of this directory alone. */
  readonly service: ServiceRegistration;
  readonly handlers: DirectoryHandlers;
  /** What is served now. */
  readonly directory: Directory<T>;
  /** What led to it. */
  readonly history: DirectoryHistory;
  /** Serves another directory from the next call on; transfers under way end with the one they began. */
  replace(artefact: VerifiedArtefact<T>, options?: DirectoryServiceOptions): void;
  /** Streams of Watch that are open. */
  readonly watchers: number;
  /** Ends the streams of Watch. */
  [Symbol.dispose](): void;
}

/** The methods of one directory, as implementService takes them. */
interface DirectoryHandlers {
  readonly refer: (request: ReferRequest) => Uint8Array;
  readonly transfer: (request: TransferRequest) => AsyncIterable<Uint8Array>;
  readonly watch: (context: CallContext) => AsyncIterable<Uint8Array>;
  readonly getRecords: (request: GetRecordsRequest) => Uint8Array;
}

/** Ids of one GetRecords (directory.proto). */
const recordIdsMax = 512;
/** Encoded answers kept: of a directory with 30,000 nodes all of them, about 60 MB at the most. */
const answersKeptMax = 65_536;
/** Differences kept encoded, each to one past serial. */
const differencesKeptMax = 32;

export interface DirectoryServiceOptions {
  /** What led to the artefact. Default: at first nothing, then what was served before. */
  readonly history?: DirectoryHistory;
}

export function createDirectoryService<T extends NodeTrust = DirectoryTrust>(
  artefact: VerifiedArtefact<T>,
  options: DirectoryServiceOptions = {},
): DirectoryService<T> {
  let history = options.history ?? new DirectoryHistory();
  let served = new ServedDirectory(artefact, history);
  const watchers = new HeadWatchers();
  const handlers: DirectoryHandlers = {
    refer: (request) => served.refer(parsePrefix(request.prefix)),
    transfer: (request) => served.transfer(request),
    watch: (context) => watchers.watch(served.pushed, context),
    getRecords: (request) => served.records(request),
  };
  const zone = wireZone(artefact.directory.trust.zone);
  return {
    service: directoryRegistration((asked) => (asked === zone ? handlers : undefined)),
    handlers,
    get directory() {
      return served.directory;
    },
    get history() {
      return history;
    },
    replace: (next, given = {}) => {
      history = given.history ?? history.followedBy(served.directory, next.directory);
      served = new ServedDirectory(next, history);
      watchers.push(served.pushed);
    },
    get watchers() {
      return watchers.size;
    },
    [Symbol.dispose]: () => watchers.close(),
  };
}

/** One service for several directories: each request says which zone it is about. */
export function joinDirectories(
  served: (zone: string) => Pick<DirectoryService<NodeTrust>, "handlers"> | undefined,
  options: { readonly interceptors?: readonly ServerInterceptor[] } = {},
): ServiceRegistration {
  return directoryRegistration((zone) => served(zone)?.handlers, options);
}

/** Throws NOT_AUTHORITATIVE for a zone that is not served; the registry is the root's. */
function directoryRegistration(
  of: (zone: string) => DirectoryHandlers | undefined,
  options: { readonly interceptors?: readonly ServerInterceptor[] } = {},
): ServiceRegistration {
  const found = (zone: string): DirectoryHandlers => {
    const handlers = of(zone);
    if (handlers !== undefined) return handlers;
    throw new DiscoveryError("NOT_AUTHORITATIVE", "no directory of that zone here");
  };
  const methods = {
    refer: (request) => found(request.zone).refer(request),
    transfer: (request) => found(request.zone).transfer(request),
    watch: (request, context) => found(request.zone).watch(context),
    getRecords: (request) => found("").getRecords(request),
  } satisfies ServiceImpl<typeof DirectoryDescriptor>;
  return implementService(DirectoryDescriptor, methods, options);
}

/** The root is asked for without a name. */
function wireZone(zone: ZoneName): string {
  return zone === "." ? "" : zone;
}

class ServedDirectory<T extends NodeTrust> {
  readonly directory: Directory<T>;
  readonly #messages: readonly Uint8Array[];
  /** What watchers are told. */
  readonly pushed: Uint8Array;
  /** Root keys and head alone: the answer to whoever is current. */
  readonly #current: Uint8Array;
  readonly #history: DirectoryHistory;
  readonly #differences = new Map<number, readonly Uint8Array[] | undefined>();
  readonly #referrals = new Map<string, Uint8Array>();
  readonly #kinds = new Map<PartyKind, Uint8Array>();

  constructor({ directory, messages }: VerifiedArtefact<T>, history: DirectoryHistory) {
    this.directory = directory;
    this.#messages = messages;
    this.#history = history;
    const { voucher, headObject: head } = directory.trust;
    this.#current = encodeTransferChunk({ ...voucher, head, nodes: [], records: [] });
    this.pushed = encodeWatchAnswer({ ...voucher, head });
  }

  refer(prefix: Prefix): Uint8Array {
    const { node, cover } = this.directory.refer(prefix);
    const key = cover === undefined ? node.node.prefix : `${node.node.prefix} ${cover.node.prefix}`;
    const kept = this.#referrals.get(key);
    if (kept !== undefined) return kept;
    const { voucher, headObject: head } = this.directory.trust;
    const encoded = encodeReferAnswer({
      ...voucher,
      head,
      node: node.object,
      ...(cover === undefined ? {} : { cover: cover.object }),
    });
    if (this.#referrals.size >= answersKeptMax) this.#referrals.clear();
    this.#referrals.set(key, encoded);
    return encoded;
  }

  async *transfer(request: TransferRequest): AsyncGenerator<Uint8Array> {
    const { epoch, serial } = this.directory.head;
    const { fromEpoch, fromSerial, incremental } = request;
    const isCurrent = fromEpoch === BigInt(epoch) && fromSerial === BigInt(serial);
    const since = Number(fromSerial);
    const isKnown = incremental && fromEpoch === BigInt(epoch) && Number.isSafeInteger(since);
    if (isCurrent) yield this.#current;
    else yield* (isKnown ? this.#difference(since) : undefined) ?? this.#messages;
    await Promise.resolve();
  }

  /** Undefined when it is not known, or is too much for a difference. */
  #difference(since: number): readonly Uint8Array[] | undefined {
    if (this.#differences.has(since)) return this.#differences.get(since);
    const { epoch, nodeCount, recordCount } = this.directory.head;
    const touched = this.#history.touchedSince({ epoch, serial: since });
    const count = (touched?.prefixes.length ?? 0) + (touched?.parties.length ?? 0);
    const { voucher, headObject: head } = this.directory.trust;
    const messages =
      touched === undefined || count > (nodeCount + recordCount) / 2
        ? undefined
        : [...differenceMessages({ voucher, head }, differenceOf(touched, this.directory))];
    // Only serials that were served are kept: nobody fills this with made-up ones.
    if (touched !== undefined && this.#differences.size < differencesKeptMax) {
      this.#differences.set(since, messages);
    }
    return messages;
  }

  records({ kind, ids }: GetRecordsRequest): Uint8Array {
    const name = partyKinds[kind];
    if (name === undefined) throw new DiscoveryError("INVALID_DATA", "records: no such kind");
    if (ids.length > recordIdsMax) {
      throw new DiscoveryError("TOO_LARGE", `records: expected at most ${recordIdsMax} ids`);
    }
    const ofKind = this.directory.records().filter(({ record }) => record.party.kind === name);
    if (ids.length > 0) {
      const wanted = new Set(ids);
      return this.#encodeRecords(ofKind.filter(({ record }) => wanted.has(record.party.id)));
    }
    const kept = this.#kinds.get(kind) ?? this.#encodeRecords(ofKind);
    this.#kinds.set(kind, kept);
    return kept;
  }

  #encodeRecords(records: readonly SignedRecord[]): Uint8Array {
    const { voucher, headObject: head } = this.directory.trust;
    if (voucher.rootKeys === undefined) {
      throw new DiscoveryError("NOT_AUTHORITATIVE", "the registry is the root's");
    }
    return encodeRecordsAnswer({
      ...voucher,
      head,
      records: records.map(({ object }) => object),
    });
  }
}

const partyKinds: Partial<Record<PartyKind, SignedRecord["record"]["party"]["kind"]>> = {
  [PartyKind.DP]: "dp",
  [PartyKind.MSP]: "msp",
  [PartyKind.PROVER]: "prover",
  [PartyKind.RELAY]: "relay",
};
