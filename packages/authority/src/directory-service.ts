// The Directory service over a verified artefact: Refer, Transfer, GetRecords. Everything it sends was
// encoded before or is kept once it has been; it holds no key and signs nothing.

import { DiscoveryError, parsePrefix, type Prefix } from "@whither/protocol";
import { implementService, type ServiceRegistration } from "@whither/rpc";
import {
  Directory as DirectoryDescriptor,
  encodeRecordsAnswer,
  encodeReferAnswer,
  encodeTransferChunk,
  PartyKind,
  type GetRecordsRequest,
  type TransferRequest,
} from "@whither/wire";
import type { Directory, SignedRecord, VerifiedArtefact } from "@whither/zone";

export interface DirectoryService {
  readonly service: ServiceRegistration;
  /** What is served now. */
  readonly directory: Directory;
  /** Serves another directory from the next call on; transfers under way end with the one they began. */
  replace(artefact: VerifiedArtefact): void;
}

/** Ids of one GetRecords (directory.proto). */
const recordIdsMax = 512;
/** Encoded answers kept: of a directory with 30,000 nodes all of them, about 60 MB at the most. */
const answersKeptMax = 65_536;

export function createDirectoryService(artefact: VerifiedArtefact): DirectoryService {
  let served = new ServedDirectory(artefact);
  const service = implementService(DirectoryDescriptor, {
    refer: (request) => served.refer(parsePrefix(request.prefix)),
    transfer: (request) => served.transfer(request),
    getRecords: (request) => served.records(request),
  });
  return {
    service,
    get directory() {
      return served.directory;
    },
    replace: (next) => {
      served = new ServedDirectory(next);
    },
  };
}

class ServedDirectory {
  readonly directory: Directory;
  readonly #messages: readonly Uint8Array[];
  /** Root keys and head alone: the answer to whoever is current. */
  readonly #current: Uint8Array;
  readonly #referrals = new Map<string, Uint8Array>();
  readonly #kinds = new Map<PartyKind, Uint8Array>();

  constructor({ directory, messages }: VerifiedArtefact) {
    this.directory = directory;
    this.#messages = messages;
    const { rootKeysObject: rootKeys, headObject: head } = directory.trust;
    this.#current = encodeTransferChunk({ rootKeys, head, nodes: [], records: [] });
  }

  refer(prefix: Prefix): Uint8Array {
    const { node, cover } = this.directory.refer(prefix);
    const key = cover === undefined ? node.node.prefix : `${node.node.prefix} ${cover.node.prefix}`;
    const kept = this.#referrals.get(key);
    if (kept !== undefined) return kept;
    const { rootKeysObject: rootKeys, headObject: head } = this.directory.trust;
    const encoded = encodeReferAnswer({
      rootKeys,
      head,
      node: node.object,
      ...(cover === undefined ? {} : { cover: cover.object }),
    });
    if (this.#referrals.size >= answersKeptMax) this.#referrals.clear();
    this.#referrals.set(key, encoded);
    return encoded;
  }

  async *transfer({ fromEpoch, fromSerial }: TransferRequest): AsyncGenerator<Uint8Array> {
    const { epoch, serial } = this.directory.head;
    const isCurrent = fromEpoch === BigInt(epoch) && fromSerial === BigInt(serial);
    yield* isCurrent ? [this.#current] : this.#messages;
    await Promise.resolve();
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
    const { rootKeysObject: rootKeys, headObject: head } = this.directory.trust;
    return encodeRecordsAnswer({ rootKeys, head, records: records.map(({ object }) => object) });
  }
}

const partyKinds: Partial<Record<PartyKind, SignedRecord["record"]["party"]["kind"]>> = {
  [PartyKind.DP]: "dp",
  [PartyKind.MSP]: "msp",
  [PartyKind.PROVER]: "prover",
  [PartyKind.RELAY]: "relay",
};
