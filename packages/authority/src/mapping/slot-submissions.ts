// Registrations of a zone as far as its trees are concerned: finds a slot with what waits for the next epoch,
// and writes a change durably into every tree. The rules of a registration are the registrar's.

import { equalBytes } from "@whither/crypto/node";
import { DiscoveryError, isDiscoveryError, type Csi, type ZoneName } from "@whither/protocol";
import type { Logger, Random, VoprfEngine } from "@whither/runtime";
import type { Expectation, Row, Store } from "@whither/store";
import { maskMspBits, openPublicSlot, sealPublicSlot, slotIndex, slotInput } from "@whither/zone";
import type {
  RegistrationStatus,
  SignalOption,
  SlotLookup,
  SlotSubmission,
  TreePlace,
} from "./mapping-zone.js";
import { encodePending, idxText, type PendingChange, type SlotContent } from "./pending-changes.js";
import type { Vault } from "./vault.js";
import type { TreeKey } from "./zone-keys.js";
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
import type { ServedTree, ZoneTrees } from "./zone-trees.js";

const nonceDBytes = 48;
const hashBytes = 32;

export interface SlotSubmissionsOptions {
  readonly zone: ZoneName;
  readonly store: Store;
  readonly trees: ZoneTrees;
  readonly voprf: VoprfEngine;
  readonly random: Random;
  readonly vault: Vault | undefined;
  readonly logger: Logger;
  readonly nextSequence: bigint;
}

/** One change of one tree, not yet in the store. */
interface TreeChange {
  readonly tree: ServedTree;
  readonly change: PendingChange;
}

export class SlotSubmissions {
  readonly #options: SlotSubmissionsOptions;
  /** Slots whose change is on its way to the disk, by their place in the current tree. */
  readonly #submitting = new Set<string>();
  #nextSequence: bigint;

  constructor(options: SlotSubmissionsOptions) {
    this.#options = options;
    this.#nextSequence = options.nextSequence;
  }

  async lookup(csi: Csi, options: SignalOption): Promise<SlotLookup> {
    const { trees, zone } = this.#options;
    const input = slotInput(csi);
    const places: TreePlace[] = [];
    for (const { key } of trees.written) {
      const y = await this.#evaluate(key, input, options);
      places.push({ kid: key.kid, y, idx: slotIndex({ y, zone, kid: key.kid }) });
    }
    const [first, ...others] = places;
    if (first === undefined) throw new TypeError("a zone without a tree");
    const { kid, y, idx } = first;
    const content = currentContent(trees.current, idx);
    if (content === undefined) {
      return { csi, kid, y, idx, others, vhash: undefined, plaintext: undefined };
    }
    const { vhash, body } = content;
    const plaintext = openPublicSlot({ y, zone, kid, idx, body });
    return { csi, kid, y, idx, others, vhash, plaintext };
  }

  isSpent(nonceD: Uint8Array): boolean {
    return this.#options.store.get(nonceKey(nonceD)) !== undefined;
  }

  async submit(submission: SlotSubmission): Promise<void> {
    const { slot, nonceD, statementSha256 } = submission;
    if (nonceD.length !== nonceDBytes) throw new TypeError("submit: expected a 48-byte nonce");
    if (statementSha256.length !== hashBytes)
      throw new TypeError("submit: expected a 32-byte hash");
    if (this.isSpent(nonceD)) throw replayed();
    const key = idxText(slot.idx);
    const { trees } = this.#options;
    const standing = currentHash(trees.of(slot.kid), slot.idx);
    if (this.#submitting.has(key) || !isSameHash(standing, slot.vhash)) {
      throw new DiscoveryError("CONFLICT_WRITE", "the slot changed meanwhile");
    }
    const changes = this.#changesOf(submission);
    this.#submitting.add(key);
    try {
      // First the vault: a slot that it does not know would be lost at the next rotation.
      await this.#options.vault?.begin(slot.csi, { removes: submission.content === undefined });
      await this.#commit(submission, changes);
      for (const { tree, change } of changes) tree.pending.add(change);
      await this.#settle(slot.csi, { present: submission.content !== undefined });
    } finally {
      this.#submitting.delete(key);
    }
  }

  /** Looks again at what a process that ended had begun: a row without a slot goes. */
  async sweepVault(): Promise<void> {
    for await (const csi of this.#options.vault?.unsettled() ?? []) {
      const { vhash } = await this.lookup(csi, {});
      await this.#options.vault?.settle(csi, { present: vhash !== undefined });
    }
  }

  /** The change is durable, whatever becomes of this: what is not settled now is at the next start. */
  async #settle(csi: Csi, slot: { readonly present: boolean }): Promise<void> {
    try {
      await this.#options.vault?.settle(csi, slot);
    } catch (error) {
      this.#options.logger.warn("vault not settled", { zone: this.#options.zone, error });
    }
  }

  status(statementSha256: Uint8Array): RegistrationStatus {
    const { store, trees } = this.#options;
    const row = store.get(receiptKey(statementSha256));
    if (row === undefined) return { kind: "unknown" };
    const { serial } = decodeReceipt(row);
    // Published is what every reader finds, whichever kid he asks under. A receipt may be a moment ahead
    // of the head's signature; what it is of waits until then.
    const waits = trees.served.some(({ pending }) => pending.waits(statementSha256));
    if (serial === undefined || waits) return { kind: "pending" };
    return { kind: "published", serial };
  }

  /** VOPRF output of an input in clear, off this thread; the proof is checked like a client would. */
  async #evaluate(key: TreeKey, input: Uint8Array, options: SignalOption): Promise<Uint8Array> {
    const { voprf } = this.#options;
    const { publicKey, secretKey } = key;
    const inputs = [input];
    const { blinds, blinded } = await voprf.blind(inputs, options);
    const work = await voprf.evaluate({ secretKey, publicKey, blinded }, options);
    const { evaluated, proof } = work;
    const finalize = { publicKey, inputs, blinds, blinded, evaluated, proof };
    const [y] = await voprf.finalize(finalize, options);
    if (y === undefined) throw new DiscoveryError("INTERNAL", "the engine gave no output");
    return y;
  }

  /** The slot's new state in every tree, sealed for each. Throws OVERLOADED, CONFLICT_WRITE. */
  #changesOf(submission: SlotSubmission): readonly TreeChange[] {
    const { slot, statementSha256, acceptedAt, content } = submission;
    const { trees } = this.#options;
    const places: readonly TreePlace[] = [slot, ...slot.others];
    return trees.written.map((tree, position) => {
      const place = places.find(({ kid }) => equalBytes(kid, tree.key.kid));
      // The trees changed since the slot was looked up: the registration is looked at again.
      if (place === undefined) {
        throw new DiscoveryError("CONFLICT_WRITE", "the zone's keys changed meanwhile");
      }
      const to = content === undefined ? undefined : this.#seal(place, content);
      const { manifest } = tree.writer.under;
      tree.pending.requireRoom(to?.body.length ?? 0, manifest.epochSeconds);
      const sequence = this.#nextSequence;
      this.#nextSequence += 1n;
      const givesReceipt = position === 0;
      const { idx } = place;
      return { tree, change: { sequence, acceptedAt, statementSha256, givesReceipt, idx, to } };
    });
  }

  #seal(
    { kid, y, idx }: TreePlace,
    { plaintext, registryVersion, bits }: NonNullable<SlotSubmission["content"]>,
  ): SlotContent {
    const { zone, random } = this.#options;
    const nonce = random.bytes(12);
    const { body, vhash } = sealPublicSlot({ y, zone, kid, idx, plaintext, nonce });
    return { body, vhash, masked: maskMspBits({ secret: y, vhash, registryVersion, bits }) };
  }

  async #commit(
    { nonceD, statementSha256, acceptedAt }: SlotSubmission,
    changes: readonly TreeChange[],
  ): Promise<void> {
    const nonce = nonceKey(nonceD);
    const receipt = encodeReceipt({ acceptedAt, serial: undefined });
    try {
      await this.#options.store.commit(
        {
          puts: [
            ...changes.map(pendingRow),
            [nonce, present],
            [receiptKey(statementSha256), receipt],
            [receiptTimeKey(acceptedAt, statementSha256), present],
          ],
          deletes: [],
          expect: [{ key: nonce, value: undefined }, ...changes.flatMap(noForeignBody)],
        },
        { sync: true },
      );
    } catch (error) {
      if (isDiscoveryError(error, "CONFLICT_WRITE") && this.isSpent(nonceD)) throw replayed();
      throw error;
    }
  }
}

function pendingRow({ tree, change }: TreeChange): Row {
  return [pendingKey(tree.key.kid, change.sequence), encodePending(change)];
}

/** Bodies are found by hash alone: another slot's must not become this one's to remove. */
function noForeignBody({ tree, change: { to } }: TreeChange): readonly Expectation[] {
  return to === undefined ? [] : [{ key: bodyKey(tree.key.kid, to.vhash), value: undefined }];
}

function currentHash({ pending, writer }: ServedTree, idx: Uint8Array): Uint8Array | undefined {
  const waiting = pending.latest(idx);
  return waiting === undefined ? writer.published.find(idx)?.vhash : waiting.to?.vhash;
}

/** A slot as the next head of the tree will hold it. Throws STORE_CORRUPT. */
function currentContent({ pending, writer }: ServedTree, idx: Uint8Array): SlotContent | undefined {
  const waiting = pending.latest(idx);
  if (waiting !== undefined) return waiting.to;
  const entry = writer.published.find(idx);
  if (entry === undefined) return undefined;
  const body = writer.published.body(entry.vhash);
  if (body === undefined) throw new DiscoveryError("STORE_CORRUPT", "a slot's body is missing");
  return { vhash: entry.vhash, masked: entry.masked, body };
}

function isSameHash(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return equalBytes(a, b);
}

function replayed(): DiscoveryError {
  return new DiscoveryError("REPLAYED", "this nonce was used before");
}
