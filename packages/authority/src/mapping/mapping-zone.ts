// A mapping zone in service: accepts changes durably, publishes them epoch by epoch under one signed
// head, evaluates blinded elements and answers from the last signed epoch (protocol.md section 4). The
// rules of a registration are the registrar's; this is where its outcome is written.

import { equalBytes } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  type Csi,
  type Head,
  type Manifest,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import {
  silentLogger,
  type Clock,
  type EvaluatedWork,
  type Logger,
  type Random,
  type VoprfEngine,
} from "@whither/runtime";
import { openJournal, type Store } from "@whither/store";
import { maskMspBits, openPublicSlot, sealPublicSlot, slotIndex, slotInput } from "@whither/zone";
import type { LoadedSlot } from "./load-slots.js";
import {
  encodePending,
  idxText,
  type PendingChange,
  type PendingChanges,
  type SlotContent,
} from "./pending-changes.js";
import type { BucketQuery } from "./published-zone.js";
import { encodeObjectResponse } from "./raw-messages.js";
import { makeZoneKeys, type ZoneKeys, type ZoneSecrets } from "./zone-keys.js";
import { readStoredZone } from "./zone-start.js";
import {
  bodyKey,
  decodeReceipt,
  encodeReceipt,
  journalPrefix,
  nonceKey,
  pendingKey,
  present,
  receiptKey,
  receiptTimeKey,
} from "./zone-table.js";
import { ZoneWriter } from "./zone-writer.js";

const nonceDBytes = 48;

export interface MappingZoneOptions {
  /** Holds this zone and nothing else; stays the caller's to close. */
  readonly store: Store;
  readonly zone: ZoneName;
  readonly manifest: SignedObject;
  readonly keys: ZoneSecrets;
  readonly voprf: VoprfEngine;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Logger;
  /** Number of the zone's history, 1 unless told; raised by hand after its store was lost or restored. */
  readonly epoch?: number;
}

/** A slot as a registration finds it: published, or waiting for the next epoch. */
export interface SlotLookup {
  /** 64 bytes, VOPRF output; secret. */
  readonly y: Uint8Array;
  /** 16 bytes. */
  readonly idx: Uint8Array;
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

/** Opens a zone on its store. Throws CONFIG where keys and manifest do not fit, STORE_CORRUPT. */
export async function openMappingZone(options: MappingZoneOptions): Promise<MappingZone> {
  const { store, zone, clock, logger = silentLogger, epoch = 1 } = options;
  const nowSeconds = clock.nowSeconds();
  const { manifest, keys: secrets } = options;
  const keys = makeZoneKeys({ zone, manifest, secrets, nowSeconds });
  const journal = await openJournal({ store, prefix: journalPrefix });
  const stored = await readStoredZone({ store, zone, kid: keys.kid, clock });
  const { pending, nextSequence } = stored;
  const writer = await ZoneWriter.open(
    { store, journal, keys, clock, logger, epoch, pending },
    stored,
  );
  return new MappingZone({ options, keys, writer, pending, nextSequence });
}

interface MappingZoneParts {
  readonly options: MappingZoneOptions;
  readonly keys: ZoneKeys;
  readonly writer: ZoneWriter;
  readonly pending: PendingChanges;
  readonly nextSequence: bigint;
}

/** Made by `openMappingZone`. */
export class MappingZone implements AsyncDisposable {
  readonly zone: ZoneName;
  readonly manifest: Manifest;
  /** 32 bytes. */
  readonly manifestSha256: Uint8Array;
  readonly #options: MappingZoneOptions;
  readonly #keys: ZoneKeys;
  readonly #writer: ZoneWriter;
  readonly #pending: PendingChanges;
  readonly #manifestResponse: Uint8Array;
  /** Slots whose change is on its way to the disk. */
  readonly #submitting = new Set<string>();
  #nextSequence: bigint;

  constructor(parts: MappingZoneParts) {
    this.zone = parts.keys.zone;
    this.manifest = parts.keys.manifest;
    this.manifestSha256 = parts.keys.manifestSha256;
    this.#options = parts.options;
    this.#keys = parts.keys;
    this.#writer = parts.writer;
    this.#pending = parts.pending;
    this.#nextSequence = parts.nextSequence;
    this.#manifestResponse = encodeObjectResponse(parts.keys.manifestBytes);
  }

  /** The last signed head. */
  head(): Head {
    return this.#writer.published.head;
  }

  /** Encoded GetHeadResponse. */
  headResponse(): Uint8Array {
    return this.#writer.published.headResponse;
  }

  /** Encoded GetManifestResponse. Throws NOT_AUTHORITATIVE for another hash. */
  manifestResponse(manifestSha256: Uint8Array): Uint8Array {
    if (!equalBytes(manifestSha256, this.manifestSha256)) {
      throw new DiscoveryError("NOT_AUTHORITATIVE", "no manifest of this zone has that hash");
    }
    return this.#manifestResponse;
  }

  /** Encoded BucketResponse. Throws UNKNOWN_KID, DEPTH_CHANGED, INVALID_DATA. */
  bucketResponse(query: BucketQuery): Uint8Array {
    return this.#writer.published.bucketResponse(query);
  }

  /** Encoded BodiesResponse. Throws UNKNOWN_BODY for the whole if one is unknown. */
  bodiesResponse(vhashes: readonly Uint8Array[]): Promise<Uint8Array> {
    return this.#writer.published.bodiesResponse(vhashes);
  }

  /** Evaluates 1..512 blinded elements under one proof. Throws UNKNOWN_KID, INVALID_ELEMENT. */
  async evaluate(
    batch: { readonly kid: Uint8Array; readonly blinded: readonly Uint8Array[] },
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<EvaluatedWork> {
    if (!equalBytes(batch.kid, this.#keys.kid)) {
      throw new DiscoveryError("UNKNOWN_KID", "no voprf key of that kid");
    }
    const { voprfPublicKey: publicKey, voprfSecretKey: secretKey } = this.#keys;
    const { blinded } = batch;
    return await this.#options.voprf.evaluate({ secretKey, publicKey, blinded }, options);
  }

  /** The public slot of a CSI, with what waits for the next epoch. For registrations only. */
  async lookupForRegistration(
    csi: Csi,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<SlotLookup> {
    const { zone } = this;
    const { kid } = this.#keys;
    const y = await this.#evaluateInput(slotInput(csi), options);
    const idx = slotIndex({ y, zone, kid });
    const current = this.#currentSlot(idx);
    if (current === undefined) return { y, idx, vhash: undefined, plaintext: undefined };
    const { vhash, body } = current;
    return { y, idx, vhash, plaintext: openPublicSlot({ y, zone, kid, idx, body }) };
  }

  /** Whether an offer's nonce has been used. */
  isSpent(nonceD: Uint8Array): boolean {
    return this.#options.store.get(nonceKey(nonceD)) !== undefined;
  }

  /**
   * Accepts a registration: resolves once it will survive anything but the loss of the disk. It is in
   * the head of the next epoch. Throws REPLAYED for a spent nonce, CONFLICT_WRITE when the slot has changed
   * since it was looked up, OVERLOADED.
   */
  async submit(submission: SlotSubmission): Promise<void> {
    const { slot, nonceD, statementSha256, acceptedAt } = submission;
    if (nonceD.length !== nonceDBytes) throw new TypeError("submit: expected a 48-byte nonce");
    if (statementSha256.length !== 32) throw new TypeError("submit: expected a 32-byte hash");
    if (this.isSpent(nonceD)) throw replayed();
    const key = idxText(slot.idx);
    if (this.#submitting.has(key) || !isSameHash(this.#currentHash(slot.idx), slot.vhash)) {
      throw new DiscoveryError("CONFLICT_WRITE", "the slot changed meanwhile");
    }
    const to = this.#seal(submission);
    this.#pending.requireRoom(to?.body.length ?? 0, this.manifest.epochSeconds);
    const sequence = this.#nextSequence;
    this.#nextSequence += 1n;
    const change: PendingChange = { sequence, acceptedAt, statementSha256, idx: slot.idx, to };
    this.#submitting.add(key);
    try {
      await this.#commitPending(change, nonceD);
      this.#pending.add(change);
    } finally {
      this.#submitting.delete(key);
    }
  }

  /** What became of a statement. */
  status(statementSha256: Uint8Array): RegistrationStatus {
    const row = this.#options.store.get(receiptKey(statementSha256));
    if (row === undefined) return { kind: "unknown" };
    const { serial } = decodeReceipt(row);
    // A receipt may be a moment ahead of the head's signature.
    if (serial === undefined || serial > this.head().serial) return { kind: "pending" };
    return { kind: "published", serial };
  }

  /** Publishes now: what waits, or a fresh head. */
  runEpoch(): Promise<void> {
    return this.#writer.publish();
  }

  /** Fills an empty zone in one epoch. Throws CONFIG if it has slots. */
  loadEntries(slots: Iterable<LoadedSlot> | AsyncIterable<LoadedSlot>): Promise<void> {
    return this.#writer.load(slots);
  }

  /** Publishes by itself from now on, within `epoch_s` of a change and every 10 min otherwise. */
  start(): void {
    this.#writer.start();
  }

  /** Waits for the epoch under way. The store and the engine are the caller's to close. */
  close(): Promise<void> {
    return this.#writer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** VOPRF output of an input in clear, off this thread; the proof is checked like a client would. */
  async #evaluateInput(
    input: Uint8Array,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Uint8Array> {
    const { voprf } = this.#options;
    const { voprfPublicKey: publicKey, voprfSecretKey: secretKey } = this.#keys;
    const inputs = [input];
    const { blinds, blinded } = await voprf.blind(inputs, options);
    const work = await voprf.evaluate({ secretKey, publicKey, blinded }, options);
    const { evaluated, proof } = work;
    const finalize = { publicKey, inputs, blinds, blinded, evaluated, proof };
    const [y] = await voprf.finalize(finalize, options);
    if (y === undefined) throw new DiscoveryError("INTERNAL", "the engine gave no output");
    return y;
  }

  #currentHash(idx: Uint8Array): Uint8Array | undefined {
    const waiting = this.#pending.latest(idx);
    return waiting === undefined ? this.#writer.published.find(idx)?.vhash : waiting.to?.vhash;
  }

  #currentSlot(idx: Uint8Array): Pick<SlotContent, "vhash" | "body"> | undefined {
    const waiting = this.#pending.latest(idx);
    if (waiting !== undefined) return waiting.to;
    const vhash = this.#writer.published.find(idx)?.vhash;
    if (vhash === undefined) return undefined;
    const body = this.#writer.published.body(vhash);
    if (body === undefined) throw new DiscoveryError("STORE_CORRUPT", "a slot's body is missing");
    return { vhash, body };
  }

  #seal({ slot, content }: SlotSubmission): SlotContent | undefined {
    if (content === undefined) return undefined;
    const { zone } = this;
    const { y, idx } = slot;
    const { plaintext, registryVersion, bits } = content;
    const nonce = this.#options.random.bytes(12);
    const { body, vhash } = sealPublicSlot({ y, zone, kid: this.#keys.kid, idx, plaintext, nonce });
    return { body, vhash, masked: maskMspBits({ secret: y, vhash, registryVersion, bits }) };
  }

  async #commitPending(change: PendingChange, nonceD: Uint8Array): Promise<void> {
    const { sequence, statementSha256, acceptedAt, to } = change;
    const nonce = nonceKey(nonceD);
    const receipt = encodeReceipt({ acceptedAt, serial: undefined });
    // Bodies are found by hash alone: another slot's must not become this one's to remove.
    const foreignBody = to === undefined ? [] : [{ key: bodyKey(to.vhash), value: undefined }];
    try {
      await this.#options.store.commit(
        {
          puts: [
            [pendingKey(sequence), encodePending(change)],
            [nonce, present],
            [receiptKey(statementSha256), receipt],
            [receiptTimeKey(acceptedAt, statementSha256), present],
          ],
          deletes: [],
          expect: [{ key: nonce, value: undefined }, ...foreignBody],
        },
        { sync: true },
      );
    } catch (error) {
      if (isDiscoveryError(error, "CONFLICT_WRITE") && this.isSpent(nonceD)) throw replayed();
      throw error;
    }
  }
}

function isSameHash(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return equalBytes(a, b);
}

function replayed(): DiscoveryError {
  return new DiscoveryError("REPLAYED", "this nonce was used before");
}
