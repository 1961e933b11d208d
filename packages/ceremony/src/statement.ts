// The holder's statement for one public slot: what stood there, what is added, what is dropped, in which
// order (protocol.md section 6, requirement 7). Dropping is by not naming, so the holder remembers what stands.

import {
  limits,
  roles,
  type Csi,
  type MspId,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import { encodeStatement } from "@whither/wire";
import { equalBytes, type Signer } from "@whither/crypto/node";
import { payloadSha256, signObject, type VerifiedSlot } from "@whither/zone";
import type { Countersigned } from "./holder.js";

/** One mapping that a statement of the holder names. */
export interface HolderItem {
  readonly mappingSha256: Uint8Array;
  readonly csiCommit: Uint8Array;
  readonly mspId: MspId;
  /** Of the mapping, Unix seconds. */
  readonly notAfter: number;
  /** Unique in the slot, lower is better. */
  readonly preference: number;
  readonly tags: readonly string[];
}

/** What the holder remembers of its public slot in a zone. */
export interface HolderSlot {
  readonly seq: number;
  readonly items: readonly HolderItem[];
  readonly exclusive: boolean;
  readonly sameAppOnly: boolean;
  /** Identifier or zone that the holder moved to; "": none. */
  readonly portedTo: string;
}

/** The slot as a verified look-up shows it: for a holder that has lost its memory. */
export function holderSlotOf(slot: VerifiedSlot): HolderSlot {
  const { seq, exclusive, sameAppOnly, portedTo } = slot.statement;
  const items = slot.mappings.map(({ mapping, ...item }) => ({
    mappingSha256: item.mappingSha256,
    csiCommit: mapping.csiCommit,
    mspId: item.mspId,
    notAfter: item.notAfter,
    preference: item.preference,
    tags: item.tags,
  }));
  return { seq, items, exclusive, sameAppOnly, portedTo };
}

export interface StatementWish {
  readonly holder: Signer;
  readonly zone: ZoneName;
  /** 48 bytes of the DP's offer. */
  readonly nonceD: Uint8Array;
  readonly nowSeconds: number;
  /** What stands in the slot; absent: nothing. */
  readonly previous?: HolderSlot;
  /** The mapping to add. It takes the place of an earlier one of the same MSP. */
  readonly added?: {
    readonly mapping: Countersigned;
    /** Default: after all others. Those at and behind it move one down. */
    readonly preference?: number;
    readonly tags?: readonly string[];
  };
  /** Edits what stands: the new list may reorder, retag and leave out. Default: all that have not expired. */
  readonly keep?: (items: readonly HolderItem[]) => readonly HolderItem[];
  readonly exclusive?: boolean;
  readonly sameAppOnly?: boolean;
  /**
   * Identifier of the same holder, or zone that the directory names for this one, which readers shall go to.
   * "" takes it back. In the named zone itself it is left out. What stands here is the proof that the holder says so.
   */
  readonly portedTo?: Csi | ZoneName | "";
}

export interface ComposedStatement {
  readonly object: SignedObject;
  readonly sha256: Uint8Array;
  /** What to remember once the DP has accepted it. */
  readonly slot: HolderSlot;
}

/**
 * Composes and signs the next statement. `seq` is the time in seconds, or one more than the last if that is
 * higher, so that a holder without memory is not stale. Throws TypeError for two equal preferences.
 */
export function composeStatement(wish: StatementWish): ComposedStatement {
  const { holder, zone, nonceD, nowSeconds, previous } = wish;
  const items = composeItems(wish);
  const seq = Math.max(nowSeconds, (previous?.seq ?? 0) + 1);
  const exclusive = wish.exclusive ?? previous?.exclusive ?? false;
  const sameAppOnly = wish.sameAppOnly ?? previous?.sameAppOnly ?? false;
  const destination = wish.portedTo ?? previous?.portedTo ?? "";
  const portedTo = items.length === 0 || destination === zone ? "" : destination;
  // A removal is bound to its identifier by the commitments of what it removes.
  const named = items.length > 0 ? items : (previous?.items ?? []);
  const ends = items.map((item) => item.notAfter);
  const payload = encodeStatement({
    zone,
    tag: new Uint8Array(),
    csiCommits: distinct(named.map((item) => item.csiCommit)),
    holderPublicKey: holder.publicKey,
    seq,
    nonceD,
    items: items.map(({ mappingSha256, preference, tags }) => ({
      mappingSha256,
      preference,
      tags,
    })),
    exclusive,
    sameAppOnly,
    portedTo,
    notBefore: nowSeconds,
    notAfter: Math.max(...ends, nowSeconds + (items.length > 0 ? 1 : limits.offerSeconds)),
  });
  const object = signObject({
    type: "statement",
    role: roles.holder,
    zone,
    payload,
    signer: holder,
  });
  const slot = { seq, items, exclusive, sameAppOnly, portedTo };
  return { object, sha256: payloadSha256(object), slot };
}

function composeItems(wish: StatementWish): readonly HolderItem[] {
  const { previous, added, nowSeconds } = wish;
  const standing = (previous?.items ?? []).filter((item) => item.notAfter > nowSeconds);
  const kept = wish.keep?.(standing) ?? standing;
  if (new Set(kept.map((item) => item.preference)).size !== kept.length) {
    throw new TypeError("two items of one preference");
  }
  if (added === undefined) return inOrder(kept);
  const { record, mappingSha256 } = added.mapping;
  const others = kept.filter((item) => item.mspId !== record.mspId);
  const last = Math.max(0, ...others.map((item) => item.preference));
  const preference = added.preference ?? last + 1;
  const taken = others.some((item) => item.preference === preference);
  const moved = others.map((item) =>
    taken && item.preference >= preference ? { ...item, preference: item.preference + 1 } : item,
  );
  const item: HolderItem = {
    mappingSha256,
    csiCommit: record.csiCommit,
    mspId: record.mspId,
    notAfter: record.notAfter,
    preference,
    tags: added.tags ?? [],
  };
  return inOrder([...moved, item]);
}

function inOrder(items: readonly HolderItem[]): readonly HolderItem[] {
  return items.toSorted((a, b) => a.preference - b.preference);
}

function distinct(all: readonly Uint8Array[]): readonly Uint8Array[] {
  return all.filter((bytes, i) => all.findIndex((other) => equalBytes(other, bytes)) === i);
}
