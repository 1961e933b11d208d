// What a mapping zone in service does: accepts changes durably, publishes them epoch by epoch under one
// signed head, evaluates blinded elements and answers from the last signed epoch (protocol.md section 4).
// The rules of a registration are the registrar's; this is where its outcome is written.

import type { Signer } from "@whither/crypto";
import type { Csi, Head, Manifest, SignedObject, ZoneName } from "@whither/protocol";
import type { Clock, EvaluatedWork, Logger, Random, VoprfEngine } from "@whither/runtime";
import type { Store } from "@whither/store";
import type { LoadedSlot } from "./load-slots.js";
import type { HeadNews, HeldTree } from "./held-tree.js";
import type { BucketQuery } from "./published-tree.js";
import type { Removal } from "./removal-rows.js";
import type { DirectoryNames, SuccessionStatus } from "./succession-status.js";
import type { Vault } from "./vault.js";
import type { ZoneSecrets } from "./zone-keys.js";
import type { Receipt } from "./zone-table.js";

export interface MappingZoneOptions {
  /** Holds this zone and nothing else; stays the caller's to close. */
  readonly store: Store;
  readonly zone: ZoneName;
  readonly manifest: SignedObject;
  readonly keys: ZoneSecrets;
  /** Which identifiers have slots; without it the VOPRF key can never be replaced. */
  readonly vault?: Vault | undefined;
  readonly voprf: VoprfEngine;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Logger;
  /** Number of the zone's history, 1 unless told; raised by hand after its store was lost or restored. */
  readonly epoch?: number;
  /** The newest head that the zone is known to have published: a store that ends before it is refused. */
  readonly published?: PublishedMark | undefined;
  /** Memory for encoded bucket answers in bytes, 8 MiB unless told; 0: none. */
  readonly bucketCacheBytes?: number;
  /**
   * Whether a manifest other than the one in force waits until `directoryNames` has named it for the node's TTL and
   * 1 h. False unless told: then it is used as soon as the zone can go on under it.
   */
  readonly followsDirectory?: boolean;
}

/** Manifest and keys as an operator configures them. */
export type ConfiguredKeys = Pick<MappingZoneOptions, "keys" | "manifest">;

/** A head that readers have seen, by its place; noted outside the store, which cannot know that it lost its end. */
export interface PublishedMark {
  /** 4 bytes. */
  readonly kid: Uint8Array;
  readonly epoch: number;
  readonly serial: number;
}

/** Where a CSI's public slot lies in one tree. */
export interface TreePlace {
  /** 4 bytes. */
  readonly kid: Uint8Array;
  /** 64 bytes, VOPRF output; secret. */
  readonly y: Uint8Array;
  /** 16 bytes. */
  readonly idx: Uint8Array;
}

/** A slot as a registration finds it: published, or waiting for the next epoch. Its place is the current tree's. */
export interface SlotLookup extends TreePlace {
  readonly csi: Csi;
  /** Its places in the zone's other trees. */
  readonly others: readonly TreePlace[];
  /** Hash of the present body; undefined: no slot. */
  readonly vhash: Uint8Array | undefined;
  /** Encoded SlotBody; undefined: no slot. */
  readonly plaintext: Uint8Array | undefined;
}

/** What a registration writes. */
export interface SlotSubmission {
  /** The slot as it was when the decision was made. */
  readonly slot: SlotLookup;
  /** Undefined removes the slot. */
  readonly content:
    | {
        /** Encoded SlotBody. */
        readonly plaintext: Uint8Array;
        readonly registryVersion: number;
        /** 8 bytes. */
        readonly bits: Uint8Array;
      }
    | undefined;
  /** The offer's nonce, 48 bytes that begin with its expiry; spent with this. */
  readonly nonceD: Uint8Array;
  /** 32 bytes; `status` finds the registration by it. */
  readonly statementSha256: Uint8Array;
  readonly acceptedAt: number;
}

export type RegistrationStatus =
  | { readonly kind: "unknown" }
  | { readonly kind: "pending" }
  | { readonly kind: "published"; readonly serial: number };

/** A slot without a name. */
export interface ListedSlot {
  /** 16 bytes. */
  readonly idx: Uint8Array;
  /** Pending: a change of it, its removal too, is in no head yet. */
  readonly state: "active" | "pending";
  /** Serial of the head that first held its present state; 0 while it is pending. */
  readonly since: number;
}

export interface SlotRange {
  /** Only places behind this one, 16 bytes. */
  readonly after?: Uint8Array | undefined;
  /** Slots at most, 1..limits.listedSlotsMax. */
  readonly limit: number;
}

/** What is held of one identifier. */
export interface HeldRegistration {
  readonly slot: SlotLookup;
  readonly state: "none" | "active" | "pending";
  /** As of a listed slot; 0, too, where there is none. */
  readonly since: number;
  /** What became of the statement that stands. */
  readonly receipt: Receipt | undefined;
  /** Whether the vault knows the identifier; undefined: the zone has no vault. */
  readonly isInVault: boolean | undefined;
  /** The operator's last act on it. */
  readonly removal: Removal | undefined;
}

/** What the operator of a zone may see and do of what is registered in it. Never on the query path. */
export interface ZoneRegistrations {
  /** Slots of the current tree in the order of their places, those that wait for the next epoch too. */
  list(range: SlotRange): AsyncIterable<ListedSlot>;
  /** Throws STORE_CORRUPT. */
  find(csi: Csi, options?: SignalOption): Promise<HeldRegistration>;
  /**
   * Ends a registration: it is in no head from the next epoch on. The holder may register again. False: nothing
   * is registered. Throws INVALID_DATA for a reason of no or too many octets, CONFLICT_WRITE, OVERLOADED.
   */
  invalidate(csi: Csi, reason: string, options?: SignalOption): Promise<boolean>;
  /**
   * As invalidate, and resolves when the head without it is published: then its bodies, its row in the vault and the
   * receipt of its statement are deleted, and what is left is an opaque place until the VOPRF key is replaced.
   */
  erase(csi: Csi, options?: SignalOption): Promise<boolean>;
}

/** What anybody may read of a zone: alike at its primary and at a replica. */
export interface ReadableZone {
  readonly zone: ZoneName;

  // A zone holds a tree for each VOPRF key it serves; an absent or empty kid stands for the current one.

  /** The last signed head of a tree. Throws UNKNOWN_KID. */
  head(kid?: Uint8Array): Head;
  /** Encoded GetHeadResponse. Throws UNKNOWN_KID. */
  headResponse(kid?: Uint8Array): Uint8Array;
  /** Encoded GetManifestResponse. Throws NOT_AUTHORITATIVE for another hash. */
  manifestResponse(manifestSha256: Uint8Array): Uint8Array;
  /** Encoded BucketResponse. Throws UNKNOWN_KID, DEPTH_CHANGED, INVALID_DATA. */
  bucketResponse(query: BucketQuery): Uint8Array;
  /** Encoded BodiesResponse. Throws UNKNOWN_BODY for the whole if one is unknown. */
  bodiesResponse(vhashes: readonly Uint8Array[]): Promise<Uint8Array>;
  /** Evaluates 1..512 blinded elements under one proof. Throws UNKNOWN_KID, INVALID_ELEMENT. */
  evaluate(batch: BlindedRequest, options?: SignalOption): Promise<EvaluatedWork>;
  /** The last signed epoch of a tree, for a transfer. Throws UNKNOWN_KID. */
  holdTree(kid?: Uint8Array): HeldTree;
  /** Hears of every new head from now on; returns the way to stop. */
  onHead(listener: (news: HeadNews) => void): () => void;
}

/** A zone in service, made by `openMappingZone`. */
export interface MappingZone extends ReadableZone, AsyncDisposable {
  /** The one in force; it changes when the zone goes on to its successor. */
  readonly manifest: Manifest;
  /** 32 bytes. */
  readonly manifestSha256: Uint8Array;
  /** The zone key that signs under it. */
  readonly signer: Signer;
  /** How far a change of manifest or VOPRF key has come. */
  readonly succession: SuccessionStatus;

  /** The public slot of a CSI, with what waits for the next epoch. For registrations only. */
  lookupForRegistration(csi: Csi, options?: SignalOption): Promise<SlotLookup>;
  /** Whether an offer's nonce has been used. */
  isSpent(nonceD: Uint8Array): boolean;
  /**
   * Accepts a registration: resolves once it will survive anything but the loss of the disk. It is in
   * the head of the next epoch. Throws REPLAYED for a spent nonce, CONFLICT_WRITE when the slot has
   * changed since it was looked up, OVERLOADED. With two trees it is written to both.
   */
  submit(submission: SlotSubmission): Promise<void>;
  /** What became of a statement. */
  status(statementSha256: Uint8Array): RegistrationStatus;
  /** For the zone's operator: what is registered, and its end. */
  readonly registrations: ZoneRegistrations;

  /**
   * Goes on to this manifest and these keys, without a pause, when it can. Throws CONFIG, with nothing changed, where
   * they do not fit one another or what is served.
   */
  useKeys(configured: ConfiguredKeys): Promise<void>;
  /** What the directory says of the zone; a successor waits for it. */
  directoryNames(names: DirectoryNames): Promise<void>;
  /**
   * Goes on to the manifest configured without waiting for the directory to name it: readers who cannot know it
   * refuse the zone until they do. For a key that is compromised. Throws NOT_AVAILABLE where nothing is to be
   * switched to, or not yet.
   */
  switchNow(): Promise<void>;
  /** Takes every step that is due on the way to the next keys, long ones included. `start` does so by itself. */
  advanceKeys(): Promise<void>;

  /** Publishes now: what waits, or a fresh head. */
  runEpoch(): Promise<void>;
  /** Fills an empty zone in one epoch. Throws CONFIG if it has slots. */
  loadEntries(slots: Iterable<LoadedSlot> | AsyncIterable<LoadedSlot>): Promise<void>;
  /** Publishes by itself from now on, within `epoch_s` of a change and every 10 min otherwise. */
  start(): void;
  /** Waits for the epoch under way. The store and the engine are the caller's to close. */
  close(): Promise<void>;
}

export interface BlindedRequest {
  /** 4 bytes. */
  readonly kid: Uint8Array;
  /** 32-byte elements as received. */
  readonly blinded: readonly Uint8Array[];
}

export interface SignalOption {
  readonly signal?: AbortSignal | undefined;
}
