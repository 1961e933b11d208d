// Changes that are accepted and durable but in no head yet. They lie over the published zone, so that a
// second registration of one slot before the epoch sees the first. Row format and bounds.

import { equalBytes, sha256 } from "@whither/crypto/node";
import { DiscoveryError, limits } from "@whither/protocol";
import { changesPerEpochMax, idxBytes, type SlotChange } from "@whither/zone";
import { readU64, u64Bytes } from "@whither/store";

/** Changes that may wait; four epochs' worth. */
const changesMax = 4 * changesPerEpochMax;
/** Bytes of the bodies that may wait: they are held in memory. */
const bodyBytesMax = 64 * 1024 * 1024;

const hashBytes = 32;
const maskedOffset = 8 + hashBytes + idxBytes + 1;
const bodyOffset = maskedOffset + limits.maskedBytes + hashBytes;

/** New content of a slot. */
export interface SlotContent {
  /** 12 bytes. */
  readonly masked: Uint8Array;
  /** 32 bytes, SHA-256 of the body. */
  readonly vhash: Uint8Array;
  readonly body: Uint8Array;
}

export interface PendingChange {
  /** Order of acceptance. */
  readonly sequence: bigint;
  readonly acceptedAt: number;
  /** 32 bytes; finds the receipt. */
  readonly statementSha256: Uint8Array;
  /** Whether the head that takes it gives the statement its receipt: one tree's does, if there are two. */
  readonly givesReceipt: boolean;
  readonly idx: Uint8Array;
  /** Undefined removes the slot. */
  readonly to: SlotContent | undefined;
}

/** Key of a Map over idx or another byte string of fixed length. */
export function idxText(idx: Uint8Array): string {
  return Buffer.from(idx.buffer, idx.byteOffset, idx.length).toString("latin1");
}

const hasContent = 1;
const withoutReceipt = 2;
const withChecksum = 4;
const checksumBytes = 8;

/**
 * acceptedAt(8) ‖ statement hash(32) ‖ idx(16) ‖ flags(1) ‖ masked(12) ‖ vhash(32) ‖ body ‖ checksum(8). No head speaks
 * for it yet, so it speaks for itself: the checksum is of all before it.
 */
export function encodePending(change: Omit<PendingChange, "sequence">): Uint8Array {
  const { acceptedAt, statementSha256, givesReceipt, idx, to } = change;
  const end = to === undefined ? maskedOffset : bodyOffset + to.body.length;
  const bytes = new Uint8Array(end + checksumBytes);
  bytes.set(u64Bytes(BigInt(acceptedAt)));
  bytes.set(statementSha256, 8);
  bytes.set(idx, 8 + hashBytes);
  const flags = (to === undefined ? 0 : hasContent) | (givesReceipt ? 0 : withoutReceipt);
  bytes[maskedOffset - 1] = flags | withChecksum;
  if (to !== undefined) {
    bytes.set(to.masked, maskedOffset);
    bytes.set(to.vhash, maskedOffset + limits.maskedBytes);
    bytes.set(to.body, bodyOffset);
  }
  bytes.set(checksumOf(bytes.subarray(0, end)), end);
  return bytes;
}

/** Throws STORE_CORRUPT. */
export function decodePending(sequence: bigint, row: Uint8Array): PendingChange {
  const bytes = checkedRow(row);
  const flags = bytes[maskedOffset - 1] ?? Infinity;
  const isPut = (flags & hasContent) !== 0;
  const fits = isPut ? bytes.length > bodyOffset : bytes.length === maskedOffset;
  if (!fits || flags > (hasContent | withoutReceipt | withChecksum))
    throw new DiscoveryError("STORE_CORRUPT", "a pending change has a wrong size");
  const head = {
    sequence,
    acceptedAt: Number(readU64(bytes, 0)),
    statementSha256: bytes.slice(8, 8 + hashBytes),
    givesReceipt: (flags & withoutReceipt) === 0,
    idx: bytes.slice(8 + hashBytes, maskedOffset - 1),
  };
  if (!isPut) return { ...head, to: undefined };
  const masked = bytes.slice(maskedOffset, maskedOffset + limits.maskedBytes);
  const vhash = bytes.slice(maskedOffset + limits.maskedBytes, bodyOffset);
  const body = bytes.slice(bodyOffset);
  if (!equalBytes(sha256(body), vhash)) {
    throw new DiscoveryError("STORE_CORRUPT", "a pending change is damaged");
  }
  return { ...head, to: { masked, vhash, body } };
}

/** Without its checksum; a row of an earlier version has none. */
function checkedRow(row: Uint8Array): Uint8Array {
  if (((row[maskedOffset - 1] ?? 0) & withChecksum) === 0) return row;
  const end = row.length - checksumBytes;
  if (end < maskedOffset || !equalBytes(checksumOf(row.subarray(0, end)), row.subarray(end))) {
    throw new DiscoveryError("STORE_CORRUPT", "a pending change is damaged");
  }
  return row.subarray(0, end);
}

function checksumOf(bytes: Uint8Array): Uint8Array {
  return sha256(bytes).subarray(0, checksumBytes);
}

/** What one epoch takes: every pending change up to a point, and the last one of each slot. */
export interface PendingCut {
  readonly taken: readonly PendingChange[];
  /** In idx order. */
  readonly changes: readonly SlotChange[];
  /** By vhash as Map key text: bodies of the slots' new contents. */
  readonly bodies: ReadonlyMap<string, Uint8Array>;
}

/** The cut of an epoch without changes. */
export const noCut: PendingCut = { taken: [], changes: [], bodies: new Map() };

/** The changes that wait, in the order they were accepted. */
export class PendingChanges {
  readonly #inOrder = new Map<bigint, PendingChange>();
  readonly #latest = new Map<string, PendingChange>();
  readonly #statements = new Map<string, number>();
  #bodyBytes = 0;

  get size(): number {
    return this.#inOrder.size;
  }

  /** Throws OVERLOADED when no more can wait. */
  requireRoom(bodyLength: number, retryAfterSeconds: number): void {
    if (this.size < changesMax && this.#bodyBytes + bodyLength <= bodyBytesMax) return;
    const text = "too many registrations wait for the next epoch";
    throw new DiscoveryError("OVERLOADED", text, { retryAfterSeconds });
  }

  /** Adds a durable change. */
  add(change: PendingChange): void {
    this.#inOrder.set(change.sequence, change);
    this.#latest.set(idxText(change.idx), change);
    this.#bodyBytes += change.to?.body.length ?? 0;
    const statement = idxText(change.statementSha256);
    this.#statements.set(statement, (this.#statements.get(statement) ?? 0) + 1);
  }

  /** Whether a change of this statement waits. */
  waits(statementSha256: Uint8Array): boolean {
    return this.#statements.has(idxText(statementSha256));
  }

  /** The newest change of a slot. */
  latest(idx: Uint8Array): PendingChange | undefined {
    return this.#latest.get(idxText(idx));
  }

  /** In the order they were accepted. */
  all(): Iterable<PendingChange> {
    return this.#inOrder.values();
  }

  /** The newest change of each slot that has one. */
  latestChanges(): Iterable<PendingChange> {
    return this.#latest.values();
  }

  /** The oldest changes, as many as one epoch may take. They stay until `remove`. */
  cut(): PendingCut {
    const taken: PendingChange[] = [];
    const bySlot = new Map<string, PendingChange>();
    for (const change of this.#inOrder.values()) {
      const key = idxText(change.idx);
      if (!bySlot.has(key) && bySlot.size >= changesPerEpochMax) break;
      taken.push(change);
      bySlot.set(key, change);
    }
    const last = [...bySlot.values()].sort((a, b) => Buffer.compare(a.idx, b.idx));
    return {
      taken,
      changes: last.map(({ idx, to }) => ({ idx, to })),
      bodies: new Map(last.flatMap(({ to }) => (to ? [[idxText(to.vhash), to.body]] : []))),
    };
  }

  /** Forgets changes that are in a published head. */
  remove(changes: readonly PendingChange[]): void {
    for (const change of changes) {
      if (!this.#inOrder.delete(change.sequence)) continue;
      this.#bodyBytes -= change.to?.body.length ?? 0;
      const key = idxText(change.idx);
      if (this.#latest.get(key) === change) this.#latest.delete(key);
      const statement = idxText(change.statementSha256);
      const left = (this.#statements.get(statement) ?? 0) - 1;
      if (left > 0) this.#statements.set(statement, left);
      else this.#statements.delete(statement);
    }
  }
}
