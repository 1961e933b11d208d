// The rows of a vault in 256 parts by the hash of their keys, and a digest of each: by these a secondary is told what it
// lacks. Rows are sealed; nothing here knows what is in them.

import { createHash } from "node:crypto";
import { sha256 } from "@whither/crypto/node";
import { u32Bytes, type ReadOptions, type Row, type Store } from "@whither/store";
import { nextTurn } from "../mapping/slices.js";

const vaultParts = 256;
const digestBytes = 32;
const rowsPerTurn = 512;

/** Number of a key's part. */
export function partOf(key: Uint8Array): number {
  return sha256(key)[0] ?? 0;
}

/** 256 × 32 octets (replication.proto, ReplicationVaultRequest). */
export async function digestsOf(store: Store, options: ReadOptions = {}): Promise<Uint8Array> {
  const hashes = Array.from({ length: vaultParts }, () => createHash("sha256"));
  for await (const [key, value] of inTurns(store.iterate(options))) {
    const hash = hashes[partOf(key)];
    for (const bytes of [key, value]) hash?.update(u32Bytes(bytes.length)).update(bytes);
  }
  return Buffer.concat(hashes.map((hash) => hash.digest()));
}

/** Numbers of the parts whose digests are not the same, ascending. */
export function differingParts(own: Uint8Array, other: Uint8Array): readonly number[] {
  return Array.from({ length: vaultParts }, (_, part) => part).filter((part) => {
    const at = part * digestBytes;
    const end = at + digestBytes;
    return Buffer.compare(own.subarray(at, end), other.subarray(at, end)) !== 0;
  });
}

/** Lets others have a turn now and then: a vault may hold millions of rows. */
export async function* inTurns(rows: AsyncIterable<Row>): AsyncGenerator<Row> {
  let seen = 0;
  for await (const row of rows) {
    yield row;
    seen += 1;
    if (seen % rowsPerTurn === 0) await nextTurn();
  }
}
