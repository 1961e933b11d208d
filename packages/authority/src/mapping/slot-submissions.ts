// Registrations of a zone as far as its trees are concerned: finds a slot with what waits for the next epoch,
// and writes a change durably into every tree. The rules of a registration are the registrar's.

import { equalBytes } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Csi,
  type ZoneName,
} from "@whither/protocol";
import type { Logger, Random, VoprfEngine } from "@whither/runtime";
import type { Batch, Expectation, Row, Store } from "@whither/store";
import { openPublicSlot, slotIndex, slotInput, unmaskMspBits } from "@whither/zone";
import type {
  RegistrationStatus,
  SignalOption,
  SlotLookup,
  SlotSubmission,
  TreePlace,
} from "./mapping-zone.js";
import { evaluateOwn } from "./own-evaluation.js";
import { encodePending, type PendingChange, type SlotContent } from "./pending-changes.js";
import { sealSlot } from "./seal-slot.js";
import { stagedRow } from "./staged-slots.js";
import type { Vault } from "./vault.js";
import {
  bodyKey,
  decodeReceipt,
  encodeReceipt,
  nonceKey,
  pendingKey,
  present,
  receiptKey,
  receiptTimeKey,
  stagedKey,
} from "./zone-table.js";
import type { ServedTree, ZoneTrees } from "./zone-trees.js";

const nonceDBytes = 48;
const hashBytes = 32;
/** Of what no registration has asked for: nobody looks for its receipt. */
const noHash = new Uint8Array(hashBytes);

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

/** A registration as every tree takes it. */
interface SlotWrites {
  readonly changes: readonly TreeChange[];
  /** For the tree that is being made. */
  readonly staged: Pick<Batch, "deletes" | "puts">;
}

export class SlotSubmissions {
  readonly #options: SlotSubmissionsOptions;
  /** Identifiers whose change is on its way to the disk, and when it ends. */
  readonly #submitting = new Map<Csi, Promise<unknown>>();
  #nextSequence: bigint;

  constructor(options: SlotSubmissionsOptions) {
    this.#options = options;
    this.#nextSequence = options.nextSequence;
  }

  /** Resolves when the change of a slot that is on its way has ended, well or not; undefined: there is none. */
  underWay(csi: Csi): Promise<unknown> | undefined {
    return this.#submitting.get(csi);
  }

  async lookup(csi: Csi, options: SignalOption): Promise<SlotLookup> {
    const { trees, zone } = this.#options;
    const input = slotInput(csi);
    const places: TreePlace[] = [];
    for (const key of trees.keys) {
      const [y] = await evaluateOwn(this.#options.voprf, key, [input], options);
      if (y === undefined) throw new TypeError("an evaluation without output");
      places.push({ kid: key.kid, y, idx: slotIndex({ y, zone, kid: key.kid }) });
    }
    const [first, ...others] = places;
    if (first === undefined) throw new TypeError("a zone without a tree");
    const { kid, y, idx } = first;
    const content = currentContent(trees.of(kid), idx);
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
    const before = this.#treeOf(slot.kid);
    const isMeanwhile =
      this.#submitting.has(slot.csi) || !isSameHash(currentHash(before, slot.idx), slot.vhash);
    if (isMeanwhile) throw changedMeanwhile();
    await this.#whileSubmitting(slot.csi, this.#write(submission));
  }

  /**
   * Ends a registration in every tree and takes it out of the vault, with rows of the caller's in the same commit.
   * Resolves to the slot as it was; undefined where there is none. Throws CONFLICT_WRITE when a registration comes
   * between, OVERLOADED.
   */
  async remove(
    of: {
      readonly csi: Csi;
      readonly atSeconds: number;
      readonly rows: (slot: SlotLookup) => readonly Row[];
    },
    options: SignalOption,
  ): Promise<SlotLookup | undefined> {
    const { csi, atSeconds, rows } = of;
    await this.underWay(csi);
    const slot = await this.lookup(csi, options);
    if (slot.vhash === undefined) return undefined;
    // In one turn with the mark that a change is under way, as for a registration.
    const held = currentHash(this.#treeOf(slot.kid), slot.idx);
    if (this.#submitting.has(csi) || !isSameHash(held, slot.vhash)) throw changedMeanwhile();
    this.#requireRoom(undefined);
    const work = this.#writeRemoval({ slot, atSeconds, rows: rows(slot) });
    await this.#whileSubmitting(csi, work);
    return slot;
  }

  async #writeRemoval(of: {
    readonly slot: SlotLookup;
    readonly atSeconds: number;
    readonly rows: readonly Row[];
  }): Promise<void> {
    const { slot, atSeconds: acceptedAt, rows } = of;
    const { vault } = this.#options;
    await vault?.begin(slot.csi, { removes: true });
    let isRemoved = false;
    try {
      const content = undefined;
      const writes = this.#writesOf({ slot, content, statementSha256: noHash, acceptedAt }, false);
      await this.#commitAnew(writes, rows);
      isRemoved = true;
    } finally {
      await this.#settle(slot.csi, { present: !isRemoved });
    }
  }

  async #whileSubmitting(csi: Csi, work: Promise<void>): Promise<void> {
    this.#submitting.set(
      csi,
      work.catch(() => undefined),
    );
    try {
      await work;
    } finally {
      this.#submitting.delete(csi);
    }
  }

  /**
   * Writes a slot anew in every tree, its content made of the present one; false where there is nothing to change.
   * Throws CONFLICT_WRITE when a registration comes between, OVERLOADED.
   */
  async restate(
    of: { readonly csi: Csi; readonly atSeconds: number },
    change: (plaintext: Uint8Array) => Uint8Array | undefined,
    options: SignalOption,
  ): Promise<boolean> {
    const { csi, atSeconds } = of;
    await this.underWay(csi);
    const slot = await this.lookup(csi, options);
    const plaintext = slot.plaintext === undefined ? undefined : change(slot.plaintext);
    if (plaintext === undefined) return false;
    // In one turn with the commit, as for a registration.
    const held = currentContent(this.#treeOf(slot.kid), slot.idx);
    if (held === undefined || this.#submitting.has(csi) || !isSameHash(held.vhash, slot.vhash)) {
      throw changedMeanwhile();
    }
    const { vhash, masked } = held;
    const content = { plaintext, ...unmaskMspBits({ secret: slot.y, vhash, masked }) };
    this.#requireRoom(content);
    const writes = this.#writesOf(
      { slot, content, statementSha256: noHash, acceptedAt: atSeconds },
      false,
    );
    await this.#whileSubmitting(csi, this.#commitAnew(writes));
    return true;
  }

  async #commitAnew({ changes, staged }: SlotWrites, more: readonly Row[] = []): Promise<void> {
    await this.#options.store.commit(
      {
        puts: [...changes.map(pendingRow), ...staged.puts, ...more],
        deletes: staged.deletes,
        expect: changes.flatMap(noForeignBody),
      },
      { sync: true },
    );
    for (const { tree, change } of changes) tree.pending.add(change);
  }

  async #write(submission: SlotSubmission): Promise<void> {
    const { slot, content } = submission;
    this.#requireRoom(content);
    // First the vault: a slot that it does not know would be lost at the next rotation.
    await this.#options.vault?.begin(slot.csi, { removes: content === undefined });
    let writes: SlotWrites;
    try {
      // In one turn with the commit: trees come and go between two turns.
      writes = this.#writesOf(submission);
    } catch (error) {
      await this.#settle(slot.csi, { present: slot.vhash !== undefined });
      throw error;
    }
    await this.#commit(submission, writes);
    for (const { tree, change } of writes.changes) tree.pending.add(change);
    await this.#settle(slot.csi, { present: content !== undefined });
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

  /** Throws OVERLOADED, before anything is written. */
  #requireRoom(content: SlotSubmission["content"]): void {
    const bytes = content === undefined ? 0 : sealedBytes(content.plaintext.length);
    for (const { pending, writer } of this.#options.trees.awaited) {
      pending.requireRoom(bytes, writer.under.manifest.epochSeconds);
    }
  }

  /** The slot's new state in every tree, sealed for each. Throws CONFLICT_WRITE. */
  #writesOf(submission: Omit<SlotSubmission, "nonceD">, hasReceipt = true): SlotWrites {
    const { slot, statementSha256, acceptedAt, content } = submission;
    const { trees } = this.#options;
    const places: readonly TreePlace[] = [slot, ...slot.others];
    const placeIn = (kid: Uint8Array): TreePlace => {
      const place = places.find((one) => equalBytes(one.kid, kid));
      // The trees changed since the slot was looked up: the registration is looked at again.
      if (place === undefined) throw keysChanged();
      return place;
    };
    const seal = (place: TreePlace): SlotContent | undefined =>
      content === undefined ? undefined : this.#seal(place, content);
    const changes = trees.awaited.map((tree, position): TreeChange => {
      const place = placeIn(tree.key.kid);
      const sequence = this.#nextSequence;
      this.#nextSequence += 1n;
      const base = { sequence, acceptedAt, statementSha256, idx: place.idx };
      return {
        tree,
        change: { ...base, givesReceipt: hasReceipt && position === 0, to: seal(place) },
      };
    });
    if (trees.staged === undefined) return { changes, staged: { puts: [], deletes: [] } };
    const place = placeIn(trees.staged.kid);
    const to = seal(place);
    const { kid, idx } = place;
    const staged =
      to === undefined
        ? { puts: [], deletes: [stagedKey(kid, idx)] }
        : { puts: [stagedRow(kid, idx, to)], deletes: [] };
    return { changes, staged };
  }

  #seal(place: TreePlace, content: NonNullable<SlotSubmission["content"]>): SlotContent {
    const { zone, random } = this.#options;
    return sealSlot({ zone, place, content, random });
  }

  /** The tree of a place that was looked up. Throws CONFLICT_WRITE if it has been dropped since. */
  #treeOf(kid: Uint8Array): ServedTree {
    const tree = this.#options.trees.served.find(({ key }) => equalBytes(key.kid, kid));
    if (tree === undefined) throw keysChanged();
    return tree;
  }

  async #commit(
    { nonceD, statementSha256, acceptedAt }: SlotSubmission,
    { changes, staged }: SlotWrites,
  ): Promise<void> {
    const nonce = nonceKey(nonceD);
    const receipt = encodeReceipt({ acceptedAt, serial: undefined });
    try {
      await this.#options.store.commit(
        {
          puts: [
            ...changes.map(pendingRow),
            ...staged.puts,
            [nonce, present],
            [receiptKey(statementSha256), receipt],
            [receiptTimeKey(acceptedAt, statementSha256), present],
          ],
          deletes: staged.deletes,
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

/** Length of a body: length field and plaintext in a size class, nonce and tag. */
function sealedBytes(plaintextLength: number): number {
  const size = limits.bodyClassBytes.find((one) => one >= plaintextLength + 4) ?? Infinity;
  return 12 + size + 16;
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
export function currentContent(
  { pending, writer }: ServedTree,
  idx: Uint8Array,
): SlotContent | undefined {
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

function changedMeanwhile(): DiscoveryError {
  return new DiscoveryError("CONFLICT_WRITE", "the slot changed meanwhile");
}

function keysChanged(): DiscoveryError {
  return new DiscoveryError("CONFLICT_WRITE", "the zone's keys changed meanwhile");
}

function replayed(): DiscoveryError {
  return new DiscoveryError("REPLAYED", "this nonce was used before");
}
