// Caches in a file from one run to the next: what an evaluation cost a DP's arithmetic, buckets and bodies as they
// were received. Sealed under the state directory's secret, since the rows say who was looked up. Nothing is
// believed for standing in the file: bodies are hashed, buckets verified up to the newest head seen, once more.

import { rename } from "node:fs/promises";
import {
  aeadKeyBytes,
  aeadNonceBytes,
  concatBytes,
  hkdf,
  openAead,
  sealAead,
  uint32Bytes,
  utf8,
  wipe,
} from "@whither/crypto/node";
import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import {
  pathExists,
  readFileBounded,
  replaceFile,
  type Logger,
  type Random,
} from "@whither/runtime";

/** What one cache makes of an entry: octets that its `restore` takes again. */
export type KeptRow = readonly Uint8Array[];

/** A cache that outlives the process. */
export interface KeptCache {
  /** Entries, those used latest first. */
  keep(): Iterable<KeptRow>;
  /** Takes an entry back. Throws INVALID_DATA for one of another form; too old or unknown ones are dropped. */
  restore(row: KeptRow): void;
}

export interface KeptCachesOptions {
  readonly path: string;
  /** 32 bytes, of the state directory. */
  readonly secret: Uint8Array;
  readonly random: Random;
  readonly logger: Logger;
}

/** Stands before everything, and is what is authenticated beside it. */
const magic = utf8("whither/cache/1\n");
const keyLabel = utf8("whither/cache-file/v1");
const fieldsMax = 8;
const headerBytes = magic.length + aeadNonceBytes;

export class KeptCaches {
  readonly #options: KeptCachesOptions;
  readonly #key: Uint8Array;

  constructor(options: KeptCachesOptions) {
    this.#options = options;
    const { secret } = options;
    this.#key = hkdf({ secret, info: keyLabel, lengthBytes: aeadKeyBytes });
  }

  /** Fills the caches, oldest first. A file that does not open is put aside; the start goes on without it. */
  async load(caches: readonly KeptCache[]): Promise<void> {
    const { path, logger } = this.#options;
    if (!(await pathExists(path))) return;
    try {
      const bytesMax = limits.keptCacheBytesMax + headerBytes + 1024;
      const plaintext = this.#open(await readFileBounded(path, { bytesMax }));
      const rows = decodeRows(plaintext);
      for (const { cache, fields } of rows.reverse()) caches[cache]?.restore(fields);
      wipe(plaintext);
      logger.info("caches loaded", { rows: rows.length });
    } catch (error) {
      if (!isDiscoveryError(error)) throw error;
      logger.warn("caches not loaded", { error });
      // Kept for whoever wants to know why, and out of the next start's way.
      await rename(path, `${path}.damaged`).catch(() => undefined);
    }
  }

  /** Writes what fits: half of the room to the first cache at most, half of the rest to the next, and so on. */
  async save(caches: readonly KeptCache[]): Promise<void> {
    const { path, random, logger } = this.#options;
    const plaintext = encodeRows(caches, limits.keptCacheBytesMax);
    const nonce12 = random.bytes(aeadNonceBytes);
    const sealed = sealAead({ key32: this.#key, nonce12, plaintext, aad: magic });
    wipe(plaintext);
    try {
      await replaceFile(path, concatBytes(magic, nonce12, sealed), { mode: 0o600 });
    } catch (error) {
      // The next run asks again; that is all.
      logger.warn("caches not saved", { error });
    }
  }

  #open(file: Uint8Array): Uint8Array {
    const isOurs = Buffer.compare(file.subarray(0, magic.length), magic) === 0;
    if (!isOurs || file.length < headerBytes) throw damaged();
    const nonce12 = file.subarray(magic.length, headerBytes);
    const sealed = file.subarray(headerBytes);
    return openAead({ key32: this.#key, nonce12, sealed, aad: magic });
  }
}

interface Row {
  /** Place of the cache in the list. */
  readonly cache: number;
  readonly fields: KeptRow;
}

/** A row is cache(1) ‖ fields(1) ‖ each field behind its length(4). */
export function encodeRows(caches: readonly KeptCache[], bytesMax: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let left = bytesMax;
  caches.forEach((cache, place) => {
    let room = place === caches.length - 1 ? left : Math.floor(left / 2);
    for (const fields of cache.keep()) {
      const bytes = 2 + fields.reduce((sum, field) => sum + 4 + field.length, 0);
      // Those used latest come first: what does not fit ends it, smaller ones behind are worth less.
      if (bytes > room) break;
      parts.push(Uint8Array.of(place, fields.length));
      for (const field of fields) parts.push(uint32Bytes(field.length), field);
      room -= bytes;
      left -= bytes;
    }
  });
  return concatBytes(...parts);
}

/** Throws INVALID_DATA. Fields are views. */
export function decodeRows(octets: Uint8Array): Row[] {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const rows: Row[] = [];
  for (let at = 0; at < octets.length;) {
    if (at + 2 > octets.length) throw damaged();
    const [cache, count] = [view.getUint8(at), view.getUint8(at + 1)];
    at += 2;
    if (count > fieldsMax) throw damaged();
    const fields: Uint8Array[] = [];
    for (let i = 0; i < count; i += 1) {
      if (at + 4 > octets.length) throw damaged();
      const end = at + 4 + view.getUint32(at);
      if (end > octets.length) throw damaged();
      fields.push(octets.subarray(at + 4, end));
      at = end;
    }
    rows.push({ cache, fields });
  }
  return rows;
}

/** The fields of a row that has just so many. Throws INVALID_DATA. */
export function fieldsOf<N extends 1 | 3 | 5>(row: KeptRow, n: N): FieldTuple<N> {
  if (row.length !== n) throw damaged();
  return row as FieldTuple<N>; // of that length
}
type FieldTuple<N> = N extends 1
  ? readonly [Uint8Array]
  : N extends 3
    ? readonly [Uint8Array, Uint8Array, Uint8Array]
    : readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];

function damaged(): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", "the file of kept caches is damaged");
}
