// The parts of a mapping zone put to work: the writer that publishes, the changes that wait, the engine
// that evaluates. What each method promises is written at the interface, in mapping-zone.ts.

import { equalBytes } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  type Csi,
  type Head,
  type Manifest,
  type ZoneName,
} from "@whither/protocol";
import type { EvaluatedWork } from "@whither/runtime";
import { maskMspBits, openPublicSlot, sealPublicSlot, slotIndex, slotInput } from "@whither/zone";
import type { LoadedSlot } from "./load-slots.js";
import type {
  BlindedRequest,
  MappingZone,
  MappingZoneOptions,
  RegistrationStatus,
  SignalOption,
  SlotLookup,
  SlotSubmission,
} from "./mapping-zone.js";
import {
  encodePending,
  idxText,
  type PendingChange,
  type PendingChanges,
  type SlotContent,
} from "./pending-changes.js";
import type { BucketQuery } from "./published-zone.js";
import { encodeObjectResponse } from "./raw-messages.js";
import type { ZoneKeys } from "./zone-keys.js";
import {
  bodyKey,
  decodeReceipt,
  encodeReceipt,
  nonceKey,
  pendingKey,
  present,
  receiptKey,
  receiptTimeKey,
} from "./zone-table.js";
import type { ZoneWriter } from "./zone-writer.js";

const nonceDBytes = 48;
const hashBytes = 32;

export interface ServedZoneParts {
  readonly options: MappingZoneOptions;
  readonly keys: ZoneKeys;
  readonly writer: ZoneWriter;
  readonly pending: PendingChanges;
  readonly nextSequence: bigint;
}

/** The zone behind the interface `MappingZone`, whose comments say what each method promises. */
export class ServedZone implements MappingZone {
  readonly zone: ZoneName;
  readonly manifest: Manifest;
  readonly manifestSha256: Uint8Array;
  readonly #options: MappingZoneOptions;
  readonly #keys: ZoneKeys;
  readonly #writer: ZoneWriter;
  readonly #pending: PendingChanges;
  readonly #manifestResponse: Uint8Array;
  /** Slots whose change is on its way to the disk. */
  readonly #submitting = new Set<string>();
  #nextSequence: bigint;

  constructor(parts: ServedZoneParts) {
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

  head(): Head {
    return this.#writer.published.head;
  }

  headResponse(): Uint8Array {
    return this.#writer.published.headResponse;
  }

  manifestResponse(manifestSha256: Uint8Array): Uint8Array {
    if (!equalBytes(manifestSha256, this.manifestSha256)) {
      throw new DiscoveryError("NOT_AUTHORITATIVE", "no manifest of this zone has that hash");
    }
    return this.#manifestResponse;
  }

  bucketResponse(query: BucketQuery): Uint8Array {
    return this.#writer.published.bucketResponse(query);
  }

  bodiesResponse(vhashes: readonly Uint8Array[]): Promise<Uint8Array> {
    return this.#writer.published.bodiesResponse(vhashes);
  }

  async evaluate(batch: BlindedRequest, options: SignalOption = {}): Promise<EvaluatedWork> {
    if (!equalBytes(batch.kid, this.#keys.kid)) {
      throw new DiscoveryError("UNKNOWN_KID", "no voprf key of that kid");
    }
    const { voprfPublicKey: publicKey, voprfSecretKey: secretKey } = this.#keys;
    const { blinded } = batch;
    return await this.#options.voprf.evaluate({ secretKey, publicKey, blinded }, options);
  }

  async lookupForRegistration(csi: Csi, options: SignalOption = {}): Promise<SlotLookup> {
    const { zone } = this;
    const { kid } = this.#keys;
    const y = await this.#evaluateInput(slotInput(csi), options);
    const idx = slotIndex({ y, zone, kid });
    const current = this.#currentSlot(idx);
    if (current === undefined) return { y, idx, vhash: undefined, plaintext: undefined };
    const { vhash, body } = current;
    return { y, idx, vhash, plaintext: openPublicSlot({ y, zone, kid, idx, body }) };
  }

  isSpent(nonceD: Uint8Array): boolean {
    return this.#options.store.get(nonceKey(nonceD)) !== undefined;
  }

  async submit(submission: SlotSubmission): Promise<void> {
    const { slot, nonceD, statementSha256, acceptedAt } = submission;
    if (nonceD.length !== nonceDBytes) throw new TypeError("submit: expected a 48-byte nonce");
    if (statementSha256.length !== hashBytes)
      throw new TypeError("submit: expected a 32-byte hash");
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

  status(statementSha256: Uint8Array): RegistrationStatus {
    const row = this.#options.store.get(receiptKey(statementSha256));
    if (row === undefined) return { kind: "unknown" };
    const { serial } = decodeReceipt(row);
    // A receipt may be a moment ahead of the head's signature.
    if (serial === undefined || serial > this.head().serial) return { kind: "pending" };
    return { kind: "published", serial };
  }

  runEpoch(): Promise<void> {
    return this.#writer.publish();
  }

  loadEntries(slots: Iterable<LoadedSlot> | AsyncIterable<LoadedSlot>): Promise<void> {
    return this.#writer.load(slots);
  }

  start(): void {
    this.#writer.start();
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** VOPRF output of an input in clear, off this thread; the proof is checked like a client would. */
  async #evaluateInput(input: Uint8Array, options: SignalOption): Promise<Uint8Array> {
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
