// Where a mapping zone's rows lie in its store, and the rows that only this package reads. One store
// holds one zone. No CSI, and no hash of one, is in any row: slots lie under VOPRF outputs.

import { composeKey, readU64, u32Bytes, u64Bytes } from "@whither/store";
import { DiscoveryError } from "@whither/protocol";

const tables = {
  state: 1,
  head: 2,
  bucket: 3,
  body: 4,
  pending: 5,
  journal: 6,
  receipt: 7,
  receiptTime: 8,
  nonce: 9,
  staged: 10,
  removed: 11,
} as const;

// Each VOPRF key has a tree of its own: heads, buckets, bodies, journal and what waits lie under its kid, so
// that a tree is built beside the served one and dropped without touching it (docs/adr 16).

/** The manifest under which the last head of a tree was signed, as an encoded signed object. */
export const manifestKey = (kid: Uint8Array): Uint8Array =>
  composeKey(tables.state, Uint8Array.of(1), kid);
/** Present while slots are loaded in bulk: what lies in the tree's body table is then of no head. */
export const loadingKey = (kid: Uint8Array): Uint8Array =>
  composeKey(tables.state, Uint8Array.of(2), kid);

/** Epoch(8) that the zone is in at least; a restored zone has it. Concerns every tree. */
export const leastEpochKey: Uint8Array = composeKey(tables.state, Uint8Array.of(3));

/** The manifest that the zone is under, an encoded signed object; the heads of all trees follow it. */
export const inForceKey = composeKey(tables.state, Uint8Array.of(9));
/** The manifest before it: served for as long as the directory may name it too. */
export const predecessorKey = composeKey(tables.state, Uint8Array.of(4));
/** Since when the directory has named a successor (succession-rows.ts). */
export const namedKey = composeKey(tables.state, Uint8Array.of(5));
/** Key id(8) that signs acceptances and, while they are renewed for it, the place(32) in the vault that is done. */
export const acceptancesKey = composeKey(tables.state, Uint8Array.of(10));
/** Present while the tree of a kid is made from the vault: how far that has come (succession-rows.ts). */
export const buildKey = (kid: Uint8Array): Uint8Array =>
  composeKey(tables.state, Uint8Array.of(6), kid);
export const buildPrefix = composeKey(tables.state, Uint8Array.of(6));
/** When the tree stopped being the current one, u64 Unix seconds. */
export const retiredKey = (kid: Uint8Array): Uint8Array =>
  composeKey(tables.state, Uint8Array.of(7), kid);
/** Present while the rows of a tree are deleted, last of all its heads. */
export const droppingKey = (kid: Uint8Array): Uint8Array =>
  composeKey(tables.state, Uint8Array.of(8), kid);
export const droppingPrefix = composeKey(tables.state, Uint8Array.of(8));

/** A slot on its way into a tree that is being made: no head speaks for it yet. */
export const stagedKey = (kid: Uint8Array, idx: Uint8Array): Uint8Array =>
  composeKey(tables.staged, kid, idx);
export const stagedPrefix = (kid: Uint8Array): Uint8Array => composeKey(tables.staged, kid);

/** Payload of a head whose epoch is stored and whose signature is not. */
export const unsignedHeadKey = (kid: Uint8Array): Uint8Array =>
  composeKey(tables.head, kid, Uint8Array.of(0));
/** The last signed head, an encoded signed object. */
export const signedHeadKey = (kid: Uint8Array): Uint8Array =>
  composeKey(tables.head, kid, Uint8Array.of(1));

export interface BucketRow {
  readonly kid: Uint8Array;
  readonly b: number;
  readonly index: number;
}

// The depth is part of the key: while the tree changes its depth the buckets of both depths lie
// side by side, and a head decides which of them count.
export function bucketKey({ kid, b, index }: BucketRow): Uint8Array {
  return composeKey(tables.bucket, kid, Uint8Array.of(b), u32Bytes(index));
}

/** That the operator ended the registration of a place; goes with the tree (removal-rows.ts). */
export const removedKey = (kid: Uint8Array, idx: Uint8Array): Uint8Array =>
  composeKey(tables.removed, kid, idx);
export const removedPrefix = (kid: Uint8Array): Uint8Array => composeKey(tables.removed, kid);

export const headTablePrefix = Uint8Array.of(tables.head);
export const bucketTablePrefix = (kid: Uint8Array): Uint8Array => composeKey(tables.bucket, kid);
export const bodyTablePrefix = (kid: Uint8Array): Uint8Array => composeKey(tables.body, kid);
export const pendingTablePrefix = (kid: Uint8Array): Uint8Array => composeKey(tables.pending, kid);
export const journalPrefix = (kid: Uint8Array): Uint8Array => composeKey(tables.journal, kid);
export const receiptTimePrefix = Uint8Array.of(tables.receiptTime);
export const noncePrefix = Uint8Array.of(tables.nonce);

/** Reads back a bucket's key. */
export function parseBucketKey(key: Uint8Array): BucketRow {
  if (key.length !== 10) throw new DiscoveryError("STORE_CORRUPT", "a bucket has a wrong key");
  const index = new DataView(key.buffer, key.byteOffset).getUint32(6);
  return { kid: key.subarray(1, 5), b: key[5] ?? 0, index };
}

/** A body lies with the tree that names it: an audience slot's, alike in two trees, lies there twice. */
export const bodyKey = (kid: Uint8Array, vhash: Uint8Array): Uint8Array =>
  composeKey(tables.body, kid, vhash);
export const pendingKey = (kid: Uint8Array, sequence: bigint): Uint8Array =>
  composeKey(tables.pending, kid, u64Bytes(sequence));
export const receiptKey = (statementSha256: Uint8Array): Uint8Array =>
  composeKey(tables.receipt, statementSha256);
/** Receipts by the time they were given, so that old ones can be dropped. */
export const receiptTimeKey = (acceptedAt: number, statementSha256: Uint8Array): Uint8Array =>
  composeKey(tables.receiptTime, u64Bytes(BigInt(acceptedAt)), statementSha256);
/** Spent nonces begin with their expiry, so that their order is that of time. */
export const nonceKey = (nonce: Uint8Array): Uint8Array => composeKey(tables.nonce, nonce);
/** First key of a time table at or after a time. */
export const timeKey = (prefix: Uint8Array, seconds: number): Uint8Array =>
  composeKey(prefix[0] ?? 0, u64Bytes(BigInt(Math.max(0, seconds))));

/** The value of rows that only exist. */
export const present = Uint8Array.of(1);

/** What became of a statement that the zone accepted. */
export interface Receipt {
  readonly acceptedAt: number;
  /** Serial of the head that first held it; undefined while it waits. */
  readonly serial: number | undefined;
}

export function encodeReceipt({ acceptedAt, serial }: Receipt): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set(u64Bytes(BigInt(acceptedAt)));
  bytes.set(u64Bytes(BigInt(serial ?? 0)), 8);
  return bytes;
}

export function decodeReceipt(bytes: Uint8Array): Receipt {
  if (bytes.length !== 16) throw new DiscoveryError("STORE_CORRUPT", "a receipt has a wrong size");
  const serial = Number(readU64(bytes, 8));
  return { acceptedAt: Number(readU64(bytes, 0)), serial: serial === 0 ? undefined : serial };
}
