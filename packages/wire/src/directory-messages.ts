// Answers of the Directory service as signed objects: what a server keeps encoded and a client decodes
// before it verifies anything (protocol.md section 3). Bounds of lists are the reader's.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { parsePrefix, type Party, type Prefix, type SignedObject } from "@whither/protocol";
import { invalid } from "./fields.js";
import {
  GetRecordsResponseSchema,
  PartyKind,
  ReferResponseSchema,
  TransferResponseSchema,
  DirectoryWatchResponseSchema,
  type GetRecordsResponse,
  type ReferResponse,
  type TransferResponse,
} from "./gen/whither/v1/directory_pb.js";
import { parseMessage, signedObjectFromWire, signedObjectToWire } from "./signed-object.js";

/** What vouches for a directory's head: the root's key set, or the manifest of a part. */
export type HeadVoucher =
  | {
      readonly rootKeys: SignedObject;
      /** Sets by which the KSKs changed, for readers of older anchors. */
      readonly earlierRootKeys?: readonly SignedObject[] | undefined;
      readonly manifest?: undefined;
    }
  | {
      readonly manifest: SignedObject;
      readonly rootKeys?: undefined;
      readonly earlierRootKeys?: undefined;
    };

/** One message of a Transfer and of an artefact file. */
export interface TransferChunk {
  /** In the first message: one of the two, root keys with earlier sets. */
  readonly rootKeys?: SignedObject | undefined;
  readonly earlierRootKeys?: readonly SignedObject[] | undefined;
  readonly manifest?: SignedObject | undefined;
  readonly head?: SignedObject;
  /** What follows is a difference to what the asker holds. In the first message. */
  readonly incremental?: boolean;
  readonly nodes: readonly SignedObject[];
  readonly records: readonly SignedObject[];
  /** Of a difference: what is not there any more. */
  readonly removedPrefixes?: readonly Prefix[];
  readonly removedRecords?: readonly PartyName[];
}

/** A party as its record is found: bounded, otherwise as the server sent it. */
export interface PartyName {
  readonly kind: Party["kind"];
  readonly id: string;
}

export type ReferAnswer = HeadVoucher & {
  readonly head: SignedObject;
  readonly node: SignedObject;
  /** The sibling that proves that the asked label is absent, where one is needed. */
  readonly cover?: SignedObject;
};

export interface RecordsAnswer {
  readonly rootKeys: SignedObject;
  readonly earlierRootKeys?: readonly SignedObject[] | undefined;
  readonly head: SignedObject;
  readonly records: readonly SignedObject[];
}

export function encodeTransferChunk(chunk: TransferChunk): Uint8Array {
  const { head, nodes, records, removedPrefixes = [], removedRecords = [] } = chunk;
  return toBinary(
    TransferResponseSchema,
    create(TransferResponseSchema, {
      ...voucherToWire(chunk),
      ...(head === undefined ? {} : { head: signedObjectToWire(head) }),
      nodes: nodes.map(signedObjectToWire),
      records: records.map(signedObjectToWire),
      incremental: chunk.incremental ?? false,
      removedPrefixes: [...removedPrefixes],
      removedRecords: removedRecords.map(({ kind, id }) => ({ kind: wireKinds[kind], id })),
    }),
  );
}

/** Throws INVALID_DATA. */
export function transferChunkFromWire(message: TransferResponse): TransferChunk {
  return {
    ...(message.rootKeys === undefined ? {} : { rootKeys: signedObjectFromWire(message.rootKeys) }),
    ...earlierFromWire(message),
    ...(message.manifest === undefined ? {} : { manifest: signedObjectFromWire(message.manifest) }),
    ...(message.head === undefined ? {} : { head: signedObjectFromWire(message.head) }),
    ...(message.incremental ? { incremental: true } : {}),
    nodes: message.nodes.map(signedObjectFromWire),
    records: message.records.map(signedObjectFromWire),
    ...(message.removedPrefixes.length === 0
      ? {}
      : { removedPrefixes: message.removedPrefixes.map(parsePrefix) }),
    ...(message.removedRecords.length === 0
      ? {}
      : { removedRecords: message.removedRecords.map(partyNameFromWire) }),
  };
}

const wireKinds: Readonly<Record<Party["kind"], PartyKind>> = {
  dp: PartyKind.DP,
  msp: PartyKind.MSP,
  prover: PartyKind.PROVER,
  relay: PartyKind.RELAY,
};
const partyKinds = new Map(
  (["dp", "msp", "prover", "relay"] as const).map((kind) => [wireKinds[kind], kind]),
);
/** Longest id of a party, in characters: a host name. */
const partyIdCharsMax = 255;

function partyNameFromWire(name: { readonly kind: PartyKind; readonly id: string }): PartyName {
  const context = { record: "transfer" };
  const kind = partyKinds.get(name.kind);
  if (kind === undefined) throw invalid(context, "removed_records", "a kind of party");
  if (name.id.length > partyIdCharsMax) throw invalid(context, "removed_records", "an id");
  return { kind, id: name.id };
}

/** Throws INVALID_DATA. */
export function decodeTransferChunk(bytes: Uint8Array): TransferChunk {
  return transferChunkFromWire(parseMessage(() => fromBinary(TransferResponseSchema, bytes)));
}

export function encodeReferAnswer(answer: ReferAnswer): Uint8Array {
  const { head, node, cover } = answer;
  return toBinary(
    ReferResponseSchema,
    create(ReferResponseSchema, {
      ...voucherToWire(answer),
      head: signedObjectToWire(head),
      node: signedObjectToWire(node),
      ...(cover === undefined ? {} : { cover: signedObjectToWire(cover) }),
    }),
  );
}

/** Throws INVALID_DATA. */
export function decodeReferAnswer(bytes: Uint8Array): ReferAnswer {
  return referAnswerFromWire(parseMessage(() => fromBinary(ReferResponseSchema, bytes)));
}

/** Throws INVALID_DATA. */
export function decodeRecordsAnswer(bytes: Uint8Array): RecordsAnswer {
  return recordsAnswerFromWire(parseMessage(() => fromBinary(GetRecordsResponseSchema, bytes)));
}

function referAnswerFromWire(message: ReferResponse): ReferAnswer {
  return {
    ...voucherFromWire(message),
    head: signedObjectFromWire(message.head),
    node: signedObjectFromWire(message.node),
    ...(message.cover === undefined ? {} : { cover: signedObjectFromWire(message.cover) }),
  };
}

export function encodeRecordsAnswer(answer: RecordsAnswer): Uint8Array {
  const { head, records } = answer;
  return toBinary(
    GetRecordsResponseSchema,
    create(GetRecordsResponseSchema, {
      ...voucherToWire(answer),
      head: signedObjectToWire(head),
      records: records.map(signedObjectToWire),
    }),
  );
}

function recordsAnswerFromWire(message: GetRecordsResponse): RecordsAnswer {
  return {
    rootKeys: signedObjectFromWire(message.rootKeys),
    ...earlierFromWire(message),
    head: signedObjectFromWire(message.head),
    records: message.records.map(signedObjectFromWire),
  };
}

/** Exactly one of the two: with both, two readers might believe different ones. */
function voucherFromWire(
  message: Pick<ReferResponse, "earlierRootKeys" | "manifest" | "rootKeys">,
): HeadVoucher {
  const { rootKeys, earlierRootKeys, manifest } = message;
  if (manifest === undefined) {
    return { rootKeys: signedObjectFromWire(rootKeys), ...earlierFromWire(message) };
  }
  if (rootKeys === undefined && earlierRootKeys.length === 0) {
    return { manifest: signedObjectFromWire(manifest) };
  }
  throw invalid({ record: "referral" }, "manifest", "either root_keys or manifest");
}

function earlierFromWire({ earlierRootKeys }: Pick<ReferResponse, "earlierRootKeys">) {
  return earlierRootKeys.length === 0
    ? {}
    : { earlierRootKeys: earlierRootKeys.map(signedObjectFromWire) };
}

function voucherToWire(voucher: Pick<TransferChunk, "earlierRootKeys" | "manifest" | "rootKeys">) {
  const { rootKeys, earlierRootKeys = [], manifest } = voucher;
  return {
    ...(rootKeys === undefined ? {} : { rootKeys: signedObjectToWire(rootKeys) }),
    earlierRootKeys: earlierRootKeys.map(signedObjectToWire),
    ...(manifest === undefined ? {} : { manifest: signedObjectToWire(manifest) }),
  };
}

/** What watchers are sent. */
export function encodeWatchAnswer(answer: HeadVoucher & Pick<ReferAnswer, "head">): Uint8Array {
  return toBinary(
    DirectoryWatchResponseSchema,
    create(DirectoryWatchResponseSchema, {
      ...voucherToWire(answer),
      head: signedObjectToWire(answer.head),
    }),
  );
}
