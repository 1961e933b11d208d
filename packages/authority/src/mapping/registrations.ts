// What the operator of a zone may see and do of what is registered in it: a list that tells nobody's identifier, one
// identifier's slot, and its end by the operator's hand (protocol.md section 6, "Invalidate", "Erasure"). Never on the
// query path: dpd offers it on the control socket alone.

import { DiscoveryError, isDiscoveryError, type Csi } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { Store } from "@whither/store";
import { payloadSha256 } from "@whither/zone";
import { decodeSlotBody } from "@whither/wire";
import type {
  HeldRegistration,
  ListedSlot,
  SignalOption,
  SlotLookup,
  SlotRange,
  ZoneRegistrations,
} from "./mapping-zone.js";
import {
  decodeRemoval,
  encodeRemoval,
  removalReasonBytesMax,
  type Removal,
} from "./removal-rows.js";
import { listSlots } from "./slot-list.js";
import type { SlotSubmissions } from "./slot-submissions.js";
import type { Vault } from "./vault.js";
import { decodeReceipt, receiptKey, receiptTimeKey, removedKey } from "./zone-table.js";
import type { ZoneTrees } from "./zone-trees.js";

/** A registration may come between look and removal; it then is what is removed. */
const attemptsMax = 3;

interface OperatorRegistrationsParts {
  readonly store: Store;
  readonly trees: ZoneTrees;
  readonly submissions: Pick<SlotSubmissions, "lookup" | "remove">;
  readonly vault: Vault | undefined;
  readonly clock: Clock;
}

/** Behind the interface `ZoneRegistrations`, whose comments say what each method promises. */
export class OperatorRegistrations implements ZoneRegistrations {
  readonly #parts: OperatorRegistrationsParts;

  constructor(parts: OperatorRegistrationsParts) {
    this.#parts = parts;
  }

  list(range: SlotRange): AsyncIterable<ListedSlot> {
    return listSlots(this.#parts.trees.current, range);
  }

  async find(csi: Csi, options: SignalOption = {}): Promise<HeldRegistration> {
    const { store, trees, submissions, vault } = this.#parts;
    const slot = await submissions.lookup(csi, options);
    const { pending, writer } = trees.of(slot.kid);
    const isWaiting = pending.latest(slot.idx) !== undefined;
    const since = isWaiting ? 0 : (writer.published.find(slot.idx)?.since ?? 0);
    const statement = statementOf(slot);
    const receipt = statement === undefined ? undefined : store.get(receiptKey(statement));
    const removal = store.get(removedKey(slot.kid, slot.idx));
    const held = isWaiting ? "pending" : "active";
    return {
      slot,
      state: slot.vhash === undefined && !isWaiting ? "none" : held,
      since,
      receipt: receipt === undefined ? undefined : decodeReceipt(receipt),
      isInVault: vault?.holds(csi),
      removal: removal === undefined ? undefined : decodeRemoval(removal),
    };
  }

  async invalidate(csi: Csi, reason: string, options: SignalOption = {}): Promise<boolean> {
    const bytes = new TextEncoder().encode(reason).length;
    if (bytes === 0 || bytes > removalReasonBytesMax) {
      const text = `reason: expected 1..${removalReasonBytesMax} octets, got ${bytes}`;
      throw new DiscoveryError("INVALID_DATA", text);
    }
    return (await this.#remove(csi, { kind: "invalidated", reason }, options)) !== undefined;
  }

  async erase(csi: Csi, options: SignalOption = {}): Promise<boolean> {
    const slot = await this.#remove(csi, { kind: "erased", reason: "" }, options);
    if (slot === undefined) return false;
    await this.#parts.trees.publish();
    await this.#forgetReceipt(statementOf(slot));
    return true;
  }

  async #remove(
    csi: Csi,
    removal: Omit<Removal, "at">,
    options: SignalOption,
  ): Promise<SlotLookup | undefined> {
    const { submissions, clock } = this.#parts;
    const atSeconds = clock.nowSeconds();
    const value = encodeRemoval({ ...removal, at: atSeconds });
    const rows = ({ kid, idx, others }: SlotLookup) =>
      [{ kid, idx }, ...others].map((at) => [removedKey(at.kid, at.idx), value] as const);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await submissions.remove({ csi, atSeconds, rows }, options);
      } catch (error) {
        if (attempt >= attemptsMax || !isDiscoveryError(error, "CONFLICT_WRITE")) throw error;
      }
    }
  }

  async #forgetReceipt(statementSha256: Uint8Array | undefined): Promise<void> {
    const { store } = this.#parts;
    const row = statementSha256 === undefined ? undefined : store.get(receiptKey(statementSha256));
    if (statementSha256 === undefined || row === undefined) return;
    const { acceptedAt } = decodeReceipt(row);
    const deletes = [receiptKey(statementSha256), receiptTimeKey(acceptedAt, statementSha256)];
    await store.commit({ puts: [], deletes }, { sync: true });
  }
}

function statementOf({ plaintext }: SlotLookup): Uint8Array | undefined {
  return plaintext === undefined ? undefined : payloadSha256(decodeSlotBody(plaintext).statement);
}
