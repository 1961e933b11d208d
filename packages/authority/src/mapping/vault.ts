// The vault of a zone: which identifiers have slots, for the day when every slot is evaluated under another
// VOPRF key (protocol.md section 4). Sealed row by row, found by HMAC; in a store of its own. Registration is all
// that touches it: nothing that answers a query can reach this file (.dependency-cruiser.cjs).

import {
  aeadNonceBytes,
  concatBytes,
  hkdf,
  hmacSha256,
  lp,
  openAead,
  sealAead,
  utf8,
} from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  parseCsi,
  type Csi,
  type ZoneName,
} from "@whither/protocol";
import type { Random } from "@whither/runtime";
import { composeKey, prefixRange, type Row, type Store } from "@whither/store";

/** What registration needs of the vault; a row is there before the slot is. */
export interface Vault {
  /**
   * Before a slot is written or removed: the identifier is in the vault, marked as not settled. Resolves once
   * that survives a crash. A slot that stays what it was, present with its row, costs no write.
   */
  begin(csi: Csi, change: { readonly removes: boolean }): Promise<void>;
  /** After it: the row stays or goes with the slot. A crash before this leaves the mark to `unsettled`. */
  settle(csi: Csi, slot: { readonly present: boolean }): Promise<void>;
  /** Identifiers whose change was under way when a process ended. Throws STORE_CORRUPT. */
  unsettled(): AsyncIterable<Csi>;
  /** Whether it is known; for its own person's questions. */
  holds(csi: Csi): boolean;
  /** Every identifier once, in the order of their hidden places, from after one on. Throws STORE_CORRUPT. */
  rows(range?: {
    readonly after?: Uint8Array | undefined;
    readonly limit?: number;
  }): AsyncIterable<VaultRow>;
}

export interface VaultRow {
  /** Where the row lies, 32 bytes; says nothing without the key. */
  readonly place: Uint8Array;
  readonly csi: Csi;
  /** Of the slots: empty for the public one, 32 bytes for one of an audience. */
  readonly tags: readonly Uint8Array[];
}

export interface VaultOptions {
  /** Holds this vault and nothing else; stays the caller's to close. */
  readonly store: Store;
  readonly zone: ZoneName;
  /** 32 bytes. Whoever has it and the store can read every identifier of the zone. */
  readonly key: Uint8Array;
  readonly random: Random;
}

const vaultKeyBytes = 32;

const tables = { key: 1, row: 2, mark: 3 } as const;
const keyRow = Uint8Array.of(tables.key);
const rowPrefix = Uint8Array.of(tables.row);
const markPrefix = Uint8Array.of(tables.mark);
const present = Uint8Array.of(1);
const publicTag = new Uint8Array(0);
const keyText = utf8("whither/vault/v1");

/** Opens a vault. Throws CONFIG when it was written under another key, STORE_CORRUPT. */
export async function openVault(options: VaultOptions): Promise<Vault> {
  const { store } = options;
  const seal = sealerOf(options);
  await proveKey(store, seal);
  const csiOf = (key: Uint8Array): VaultRow | undefined => {
    const row = store.get(composeKey(tables.row, key.subarray(1)));
    return row === undefined ? undefined : openRow(seal, { place: key.slice(1), row });
  };
  const begin: Vault["begin"] = async (csi, { removes }) => {
    const place = seal.place(csi);
    const rowKey = composeKey(tables.row, place);
    const isHeld = store.get(rowKey) !== undefined;
    if (isHeld && !removes) return;
    const puts: Row[] = [[composeKey(tables.mark, place), present]];
    if (!isHeld) puts.push([rowKey, seal.seal(place, encodeRow(csi, [publicTag]))]);
    await store.commit({ puts, deletes: [] }, { sync: true });
  };
  const settle: Vault["settle"] = async (csi, slot) => {
    const place = seal.place(csi);
    const mark = composeKey(tables.mark, place);
    if (slot.present && store.get(mark) === undefined) return;
    const deletes = slot.present ? [mark] : [mark, composeKey(tables.row, place)];
    // Not synced: the mark that comes back with a crash says what to look at again.
    await store.commit({ puts: [], deletes }, { sync: false });
  };
  return {
    begin,
    settle,
    holds: (csi) => store.get(composeKey(tables.row, seal.place(csi))) !== undefined,
    async *unsettled() {
      for await (const [key] of store.iterate(prefixRange(markPrefix))) {
        const row = csiOf(key);
        if (row !== undefined) yield row.csi;
      }
    },
    async *rows({ after, limit } = {}) {
      const range = {
        ...prefixRange(rowPrefix),
        // The first key behind a place is the place and a zero.
        ...(after === undefined ? {} : { gte: composeKey(tables.row, after, Uint8Array.of(0)) }),
        ...(limit === undefined ? {} : { limit }),
      };
      for await (const [key, row] of store.iterate(range)) {
        yield openRow(seal, { place: key.slice(1), row });
      }
    },
  };
}

interface Sealer {
  /** Where a CSI's row lies; says nothing to who has not the key. */
  place(csi: Csi): Uint8Array;
  seal(place: Uint8Array, plaintext: Uint8Array): Uint8Array;
  open(place: Uint8Array, sealed: Uint8Array): Uint8Array;
}

/** Rows under a key of the zone, each bound to its place: none can be put in another's. */
function sealerOf({ zone, key, random }: VaultOptions): Sealer {
  if (key.length !== vaultKeyBytes) throw new TypeError("vault: expected a key of 32 bytes");
  const derive = (label: string): Uint8Array =>
    hkdf({ secret: key, info: concatBytes(utf8(label), lp(zone)), lengthBytes: 32 });
  const sealKey = derive("whither/vault-row/v1");
  const placeKey = derive("whither/vault-place/v1");
  return {
    place: (csi) => hmacSha256(placeKey, lp(csi)),
    seal(place, plaintext) {
      const nonce12 = random.bytes(aeadNonceBytes);
      const aad = concatBytes(lp(zone), lp(place));
      return concatBytes(nonce12, sealAead({ key32: sealKey, nonce12, plaintext, aad }));
    },
    open(place, sealed) {
      const nonce12 = sealed.subarray(0, aeadNonceBytes);
      const rest = sealed.subarray(aeadNonceBytes);
      if (nonce12.length !== aeadNonceBytes) throw damaged();
      const aad = concatBytes(lp(zone), lp(place));
      try {
        return openAead({ key32: sealKey, nonce12, sealed: rest, aad });
      } catch (cause) {
        throw damaged(cause);
      }
    },
  };
}

/** The first row says which key the others are under: a foreign key must not begin a second vault in one store. */
async function proveKey(store: Store, seal: Sealer): Promise<void> {
  const proof = store.get(keyRow);
  if (proof === undefined) {
    for await (const _ of store.iterate({ limit: 1 })) throw damaged();
    const puts: Row[] = [[keyRow, seal.seal(keyRow, keyText)]];
    await store.commit({ puts, deletes: [] }, { sync: true });
    return;
  }
  try {
    seal.open(keyRow, proof);
  } catch (cause) {
    if (!isDiscoveryError(cause)) throw cause;
    throw new DiscoveryError("CONFIG", "the vault was written under another key", { cause });
  }
}

/** lp(CSI) ‖ lp(tag) … */
function encodeRow(csi: Csi, tags: readonly Uint8Array[]): Uint8Array {
  return concatBytes(lp(csi), ...tags.map((tag) => lp(tag)));
}

function openRow(
  seal: Sealer,
  { place, row }: { readonly place: Uint8Array; readonly row: Uint8Array },
): VaultRow {
  const bytes = seal.open(place, row);
  const parts: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let offset = 0; offset < bytes.length;) {
    if (offset + 2 > bytes.length) throw damaged();
    const end = offset + 2 + view.getUint16(offset);
    if (end > bytes.length) throw damaged();
    parts.push(bytes.slice(offset + 2, end));
    offset = end;
  }
  const [csi, ...tags] = parts;
  if (csi === undefined || tags.length === 0) throw damaged();
  return { place, csi: parseCsi(new TextDecoder().decode(csi)), tags };
}

function damaged(cause?: unknown): DiscoveryError {
  return new DiscoveryError("STORE_CORRUPT", "a row of the vault is damaged", { cause });
}
