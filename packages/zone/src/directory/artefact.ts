// The signed directory as a file: the messages of a Transfer one after another, each with its length as
// a protobuf varint before it. What a server sends is what lies there.

import { DiscoveryError, type SignedObject } from "@whither/protocol";
import { concatBytes } from "@whither/crypto/node";
import {
  decodeDirectoryHead,
  decodeTransferChunk,
  encodeTransferChunk,
  type HeadVoucher,
  type TransferChunk,
} from "@whither/wire";
import type { SignatureVerifier } from "../signed.js";
import type { Anchors } from "./anchors.js";
import type { DirectoryDifference } from "./difference.js";
import type { Directory, DirectoryObjects } from "./directory.js";
import {
  verifyPartTrust,
  type PartDelegation,
  type PartTrust,
  type PartVoucher,
} from "./part-trust.js";
import {
  verifyTrust,
  type DirectoryMark,
  type DirectoryTrust,
  type NodeTrust,
  type ZoneMark,
} from "./trust.js";
import { voucherOf, type RootVoucher } from "./root-ksks.js";
import { DirectoryVerifier, type PartsCheck } from "./verify.js";

/** Largest message of a Transfer, in bytes (directory.proto). */
const transferMessageBytesMax = 256 * 1024;
/** Size at which a further object begins a new message, in bytes: decoding one takes 2 ms, not 20. */
const messageBytesTarget = 32 * 1024;
/** Octets of a signed object beyond its payload and signatures, and of one signature: tags, lengths. */
const objectOverheadBytes = 16;
const signatureOverheadBytes = 88;
const varintBytesMax = 5;

/** The messages of a full Transfer: root keys (of a part: manifest) and head, then chunks of about 32 KiB (256 KiB at most). */
export function encodeTransfer(objects: DirectoryObjects<HeadVoucher>): readonly Uint8Array[] {
  return [...transferMessages(objects)];
}

/** As encodeTransfer, one message at a time: encoding a million nodes takes seconds. */
export function* transferMessages(
  objects: DirectoryObjects<HeadVoucher>,
): Generator<Uint8Array, void> {
  const { nodes, records } = objects;
  yield encodeTransferChunk({ ...objects, nodes: [], records: [] });
  for (const part of chunksOf(nodes)) yield encodeTransferChunk({ nodes: part, records: [] });
  for (const part of chunksOf(records)) yield encodeTransferChunk({ nodes: [], records: part });
}

/** The messages of a difference: root keys, head and what is gone, then what is new or changed. */
export function* differenceMessages(
  { head, voucher }: { readonly head: SignedObject; readonly voucher: HeadVoucher },
  difference: DirectoryDifference,
): Generator<Uint8Array, void> {
  const { removedPrefixes, removedRecords, nodes, records } = difference;
  const none = { nodes: [], records: [] };
  yield encodeTransferChunk({ ...voucher, head, incremental: true, ...none });
  for (const part of slices(removedPrefixes)) {
    yield encodeTransferChunk({ removedPrefixes: part, ...none });
  }
  for (const part of slices(removedRecords)) {
    yield encodeTransferChunk({ removedRecords: part, ...none });
  }
  for (const part of chunksOf(nodes)) yield encodeTransferChunk({ nodes: part, records: [] });
  for (const part of chunksOf(records)) yield encodeTransferChunk({ nodes: [], records: part });
}

/** Names of one message: of 262 octets at the most. */
const namesPerMessage = 512;

function slices<T>(names: readonly T[]): readonly (readonly T[])[] {
  const count = Math.ceil(names.length / namesPerMessage);
  return Array.from({ length: count }, (_, at) =>
    names.slice(at * namesPerMessage, (at + 1) * namesPerMessage),
  );
}

/** The bytes of an artefact file. */
export function encodeArtefact(objects: DirectoryObjects<HeadVoucher>): Uint8Array {
  return frameMessages(encodeTransfer(objects));
}

export function frameMessages(messages: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...messages.flatMap((message) => [varint(message.length), message]));
}

/** Views of the messages of an artefact file. Throws INVALID_DATA, TOO_LARGE. */
export function artefactMessages(bytes: Uint8Array): readonly Uint8Array[] {
  const messages: Uint8Array[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const { length, next } = readVarint(bytes, offset);
    if (length > transferMessageBytesMax) {
      throw new DiscoveryError("TOO_LARGE", "artefact: a message over 256 KiB");
    }
    if (next + length > bytes.length) {
      throw new DiscoveryError("INVALID_DATA", "artefact: cut off within a message");
    }
    messages.push(bytes.subarray(next, next + length));
    offset = next + length;
  }
  if (messages.length === 0) throw new DiscoveryError("INVALID_DATA", "artefact: empty");
  return messages;
}

/** Root keys and head, which the first message of the root's Transfer holds. Throws INVALID_DATA. */
export function transferHead(first: TransferChunk): RootVoucher & { readonly head: SignedObject } {
  const { rootKeys, earlierRootKeys, head } = first;
  if (rootKeys === undefined || head === undefined) {
    throw new DiscoveryError("INVALID_DATA", "transfer: begins without root keys and head");
  }
  return { ...voucherOf({ rootKeys, earlierRootKeys }), head };
}

/** The same of a part. Throws INVALID_DATA. */
function partTransferHead(first: TransferChunk): PartVoucher & { readonly head: SignedObject } {
  const { manifest, head } = first;
  if (manifest === undefined || head === undefined) {
    throw new DiscoveryError("INVALID_DATA", "transfer: begins without manifest and head");
  }
  return { manifest, head };
}

export interface VerifiedArtefact<T extends NodeTrust = DirectoryTrust> {
  readonly directory: Directory<T>;
  /** As they lie in the file: what a server sends. */
  readonly messages: readonly Uint8Array[];
}

export interface ArtefactCheck {
  readonly bytes: Uint8Array;
  readonly anchors: Anchors;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
  readonly previous?: DirectoryMark | undefined;
  /** As in TrustCheck. */
  readonly known?: DirectoryTrust | undefined;
}

/** Verifies an artefact in slices: yields after each record. Throws as verifyDirectory, INVALID_DATA. */
export function* verifyArtefact(check: ArtefactCheck): Generator<undefined, VerifiedArtefact> {
  const messages = artefactMessages(check.bytes);
  const first = firstOf(messages);
  const trust = verifyTrust({ ...check, ...transferHead(first) });
  return yield* verifyMessages(messages, { ...check, trust, first });
}

export interface PartArtefactCheck extends Omit<ArtefactCheck, "anchors" | "known" | "previous"> {
  readonly part: PartDelegation;
  readonly previous?: ZoneMark | undefined;
}

/** As verifyArtefact, of a part. Throws as verifyPartTrust and verifyDirectory, INVALID_DATA. */
export function* verifyPartArtefact(
  check: PartArtefactCheck,
): Generator<undefined, VerifiedArtefact<PartTrust>> {
  const messages = artefactMessages(check.bytes);
  const first = firstOf(messages);
  const trust = verifyPartTrust({ ...check, ...partTransferHead(first) });
  return yield* verifyMessages(messages, { ...check, trust, first });
}

function* verifyMessages<T extends NodeTrust>(
  messages: readonly Uint8Array[],
  check: PartsCheck<T> & { readonly first: TransferChunk },
): Generator<undefined, VerifiedArtefact<T>> {
  const verification = new DirectoryVerifier(check);
  yield* verification.add(check.first);
  for (const message of messages.slice(1)) yield* verification.add(readFurther(message));
  return { directory: verification.finish(), messages };
}

/** Verifies an artefact without a pause: for commands and tests. */
export function openArtefact(check: ArtefactCheck): VerifiedArtefact {
  return atOnce(verifyArtefact(check));
}

/** As openArtefact, of a part. */
export function openPartArtefact(check: PartArtefactCheck): VerifiedArtefact<PartTrust> {
  return atOnce(verifyPartArtefact(check));
}

function atOnce<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/**
 * Verifies only root keys and head of an artefact file, at the time they were signed: what was seen once
 * must not be gone below, however long ago that was. Throws as verifyTrust, INVALID_DATA.
 */
export function openArtefactTrust(check: Omit<ArtefactCheck, "nowSeconds">): DirectoryTrust {
  const first = transferHead(firstOf(artefactMessages(check.bytes)));
  const { notBefore: nowSeconds } = decodeDirectoryHead(first.head.payload);
  return verifyTrust({ ...check, ...first, nowSeconds });
}

/** As openArtefactTrust, of a part. */
export function openPartArtefactTrust(check: Omit<PartArtefactCheck, "nowSeconds">): PartTrust {
  const first = partTransferHead(firstOf(artefactMessages(check.bytes)));
  const { notBefore: nowSeconds } = decodeDirectoryHead(first.head.payload);
  return verifyPartTrust({ ...check, ...first, nowSeconds });
}

/** The signed objects of an artefact file, unverified. Throws INVALID_DATA, TOO_LARGE. */
export function decodeArtefact(bytes: Uint8Array): DirectoryObjects<HeadVoucher> {
  const [first, ...further] = artefactMessages(bytes).map(decodeTransferChunk);
  if (first === undefined) throw new DiscoveryError("INVALID_DATA", "artefact: empty");
  const chunks = [first, ...further];
  return {
    ...(first.manifest === undefined ? transferHead(first) : partTransferHead(first)),
    nodes: chunks.flatMap(({ nodes }) => nodes),
    records: chunks.flatMap(({ records }) => records),
  };
}

/** A message after the first. Throws INVALID_DATA. */
function readFurther(message: Uint8Array): TransferChunk {
  const chunk = decodeTransferChunk(message);
  checkFurther(chunk);
  return chunk;
}

/** Throws INVALID_DATA for a message after the first that brings keys or a head of its own. */
export function checkFurther(chunk: TransferChunk): void {
  const { rootKeys, earlierRootKeys, manifest, head } = chunk;
  const isKeyed = rootKeys !== undefined || earlierRootKeys !== undefined;
  if (isKeyed || manifest !== undefined || head !== undefined) {
    throw new DiscoveryError("INVALID_DATA", "transfer: root keys or a head a second time");
  }
}

function firstOf([message]: readonly Uint8Array[]): TransferChunk {
  if (message === undefined) throw new DiscoveryError("INVALID_DATA", "artefact: empty");
  return decodeTransferChunk(message);
}

function chunksOf(objects: readonly SignedObject[]): readonly (readonly SignedObject[])[] {
  const chunks: SignedObject[][] = [];
  let room = 0;
  for (const object of objects) {
    const bytes =
      object.payload.length +
      objectOverheadBytes +
      object.signatures.length * signatureOverheadBytes;
    const last = chunks.at(-1);
    if (last !== undefined && bytes <= room) {
      last.push(object);
      room -= bytes;
    } else {
      chunks.push([object]);
      room = messageBytesTarget - bytes;
    }
  }
  return chunks;
}

/** Protobuf varint of 0..2^31-1. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  return Uint8Array.from([...bytes, rest]);
}

function readVarint(
  bytes: Uint8Array,
  offset: number,
): { readonly length: number; readonly next: number } {
  let length = 0;
  for (let index = 0; index < varintBytesMax; index++) {
    const byte = bytes[offset + index];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { length, next: offset + index + 1 };
  }
  throw new DiscoveryError("INVALID_DATA", "artefact: not a length");
}
