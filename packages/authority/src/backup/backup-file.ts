// The bytes of a backup file: rows of a zone's store and of its vault, as they lie, in key order, and at the end
// their number and a digest over all of it. Made and read piece by piece, whatever its size. What the rows mean,
// and whether they fit together, is restore-zone.ts.
//
//   "whither/backup/v1\n" ‖ lp(zone) ‖ made_at(8)
//   (part(1): 1 store, 2 vault ‖ key length(2) ‖ key ‖ value length(4) ‖ value) …
//   0 ‖ number of rows(8) ‖ SHA-256 of everything before(32), and nothing after

import { createHash } from "node:crypto";
import { concatBytes, equalBytes, lp, utf8 } from "@whither/crypto/node";
import { DiscoveryError, limits, parseZoneName, type ZoneName } from "@whither/protocol";
import { readU32, readU64, u32Bytes, u64Bytes, type Row } from "@whither/store";

/** Longest message of the stream `Control.Backup`, in bytes. */
const partBytesMax = 256 * 1024;
/** A key: table, kid, time and hash are the longest. A value: the journal row of the fullest epoch has 2.5 MB. */
const keyBytesMax = 256;
const valueBytesMax = 8 * 1024 * 1024;

const digestBytes = 32;

const magic = utf8("whither/backup/v1\n");
const parts = { end: 0, store: 1, vault: 2 } as const;

/** Which of a zone's two stores a row is of. */
export type BackupPart = "store" | "vault";

export interface BackupHeader {
  readonly zone: ZoneName;
  /** Unix seconds. */
  readonly madeAt: number;
}

export interface BackupRow {
  readonly part: BackupPart;
  readonly row: Row;
}

/** The file in pieces of at most 256 KiB. */
export async function* writeBackup(
  { zone, madeAt }: BackupHeader,
  rows: AsyncIterable<BackupRow>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digest = createHash("sha256");
  let waiting: Uint8Array[] = [magic, lp(zone), u64Bytes(BigInt(madeAt))];
  let waitingBytes = waiting.reduce((sum, { length }) => sum + length, 0);
  let count = 0n;
  const take = function* (): Generator<Uint8Array> {
    const bytes = concatBytes(...waiting);
    waiting = [];
    waitingBytes = 0;
    digest.update(bytes);
    for (let at = 0; at < bytes.length; at += partBytesMax) {
      yield bytes.subarray(at, at + partBytesMax);
    }
  };
  for await (const { part, row } of rows) {
    const encoded = encodeRow(part, row);
    if (waitingBytes + encoded.length > partBytesMax) yield* take();
    waiting.push(encoded);
    waitingBytes += encoded.length;
    count += 1n;
  }
  waiting.push(Uint8Array.of(parts.end), u64Bytes(count));
  yield* take();
  yield new Uint8Array(digest.digest());
}

function encodeRow(part: BackupPart, [key, value]: Row): Uint8Array {
  if (key.length > keyBytesMax || value.length > valueBytesMax) {
    throw new DiscoveryError("STORE_CORRUPT", "a row is larger than any that is written");
  }
  const bytes = new Uint8Array(7 + key.length + value.length);
  bytes[0] = parts[part];
  bytes[1] = key.length >> 8;
  bytes[2] = key.length & 0xff;
  bytes.set(key, 3);
  bytes.set(u32Bytes(value.length), 3 + key.length);
  bytes.set(value, 7 + key.length);
  return bytes;
}

/**
 * Passes the bytes of a backup on and throws STORE_CORRUPT at their end, unless they are whole: for whoever keeps a
 * file that comes over a stream.
 */
export async function* passBackup(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digest = createHash("sha256");
  // The digest comes last: as many bytes are always held back from the hash.
  let tail: Uint8Array = new Uint8Array();
  for await (const part of source) {
    yield part;
    const bytes = concatBytes(tail, part);
    const end = Math.max(0, bytes.length - digestBytes);
    digest.update(bytes.subarray(0, end));
    tail = bytes.slice(end);
  }
  if (!equalBytes(digest.digest(), tail)) throw damaged("its digest is another");
}

/** A backup under way of being read: nothing of it counts before its rows have come to their end. */
export interface OpenBackup {
  readonly header: BackupHeader;
  /** Throws STORE_CORRUPT where the file ends early, was changed or goes on after its end. */
  readonly rows: () => AsyncGenerator<BackupRow, void, undefined>;
}

/** Reads the beginning of a backup. Throws STORE_CORRUPT. */
export async function readBackup(source: AsyncIterable<Uint8Array>): Promise<OpenBackup> {
  const bytes = new ByteSource(source);
  if (!equalBytes(await bytes.take(magic.length), magic)) throw damaged("it is no backup");
  const zoneLength = u16(await bytes.take(2));
  if (zoneLength > limits.zoneNameBytesMax) throw damaged("its zone has no name");
  const zone = zoneOf(await bytes.take(zoneLength));
  const madeAt = Number(readU64(await bytes.take(8), 0));
  return { header: { zone, madeAt }, rows: () => readRows(bytes) };
}

async function* readRows(bytes: ByteSource): AsyncGenerator<BackupRow, void, undefined> {
  let count = 0n;
  for (;;) {
    const [kind] = await bytes.take(1);
    if (kind === parts.end) break;
    if (kind !== parts.store && kind !== parts.vault) throw damaged("a row is of no store");
    const keyLength = u16(await bytes.take(2));
    if (keyLength === 0 || keyLength > keyBytesMax) throw damaged("a key has a wrong size");
    const key = await bytes.take(keyLength);
    const valueLength = readU32(await bytes.take(4), 0);
    if (valueLength > valueBytesMax) throw damaged("a value has a wrong size");
    const value = await bytes.take(valueLength);
    count += 1n;
    yield { part: kind === parts.store ? "store" : "vault", row: [key, value] };
  }
  if (readU64(await bytes.take(8), 0) !== count) throw damaged("rows are missing");
  const digest = bytes.digest();
  if (!equalBytes(await bytes.take(digestBytes), digest)) throw damaged("its digest is another");
  if (!(await bytes.isAtEnd())) throw damaged("it goes on after its end");
}

/** Takes exact lengths from chunks of any, and hashes what was taken. */
class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #digest = createHash("sha256");
  #chunk: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** `length` is bounded by the caller. The bytes are the caller's. */
  async take(length: number): Promise<Uint8Array> {
    const taken = new Uint8Array(length);
    for (let at = 0; at < length;) {
      if (this.#chunk.length === 0 && !(await this.#more())) throw damaged("it ends early");
      const piece = this.#chunk.subarray(0, length - at);
      taken.set(piece, at);
      at += piece.length;
      this.#chunk = this.#chunk.subarray(piece.length);
    }
    this.#digest.update(taken);
    return taken;
  }

  /** Of everything taken so far. */
  digest(): Uint8Array {
    return new Uint8Array(this.#digest.copy().digest());
  }

  async isAtEnd(): Promise<boolean> {
    return this.#chunk.length === 0 && !(await this.#more());
  }

  async #more(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return false;
      this.#chunk = next.value;
    }
    return true;
  }
}

function u16(bytes: Uint8Array): number {
  return ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
}

function zoneOf(bytes: Uint8Array): ZoneName {
  try {
    return parseZoneName(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new DiscoveryError("STORE_CORRUPT", "backup: its zone has no name", { cause });
  }
}

function damaged(what: string): DiscoveryError {
  return new DiscoveryError("STORE_CORRUPT", `backup: ${what}`);
}
