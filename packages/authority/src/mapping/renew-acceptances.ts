// After a change of the zone key every acceptance in the zone's slots is signed anew, with its old time (docs/adr 12):
// then the manifest after this one can leave the old key out, and no slot fails for it. Background work with an owner;
// a process that ends goes on where it was.

import { equalBytes, type Signer } from "@whither/crypto/node";
import { DiscoveryError, roles, type SignedObject, type ZoneName } from "@whither/protocol";
import type { Clock, Logger, Scheduled } from "@whither/runtime";
import type { Store } from "@whither/store";
import { decodeSlotBody, encodeSlotBody } from "@whither/wire";
import { signObject } from "@whither/zone";
import type { SlotSubmissions } from "./slot-submissions.js";
import type { Vault } from "./vault.js";
import { acceptancesKey } from "./zone-table.js";

/** A registration that was decided under the key before is written by then: no call lasts longer. */
const settleMs = 60_000;
/** Between two attempts at what could not be written now. */
const retryMs = 5_000;
const keyIdBytes = 8;

export interface AcceptanceRenewalParts {
  readonly zone: ZoneName;
  readonly store: Store;
  /** Without one no slot can be found; the old key then has to stay in the manifest. */
  readonly vault: Vault | undefined;
  readonly submissions: Pick<SlotSubmissions, "restate">;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class AcceptanceRenewal {
  readonly #parts: AcceptanceRenewalParts;
  readonly #stop = new AbortController();
  #signer: Signer | undefined;
  #isStarted = false;
  #timer: Scheduled | undefined;
  #running: Promise<void> | undefined;

  constructor(parts: AcceptanceRenewalParts) {
    this.#parts = parts;
  }

  /** Whether every acceptance is signed by the key that signs now. */
  get isDone(): boolean {
    return this.#signer === undefined || this.#place(this.#signer) === "done";
  }

  /** Acceptances are to be by this key from now on. */
  async want(signer: Signer): Promise<void> {
    const { store, vault, zone, logger } = this.#parts;
    this.#signer = signer;
    if (store.get(acceptancesKey) === undefined) await this.#write(signer.keyId);
    if (this.#place(signer) === "done") return;
    if (vault === undefined) logger.warn("acceptances not renewed: no vault", { zone });
    else if (this.#isStarted) this.#schedule(settleMs);
  }

  /** Works by itself from now on. */
  start(): void {
    this.#isStarted = true;
    if (!this.isDone && this.#parts.vault !== undefined) this.#schedule(settleMs);
  }

  /** Does what there is to do now. */
  async run(): Promise<void> {
    const { vault } = this.#parts;
    const signer = this.#signer;
    if (signer === undefined || vault === undefined || this.#stop.signal.aborted) return;
    this.#running ??= this.#renew(signer, vault).finally(() => (this.#running = undefined));
    await this.#running;
  }

  async close(): Promise<void> {
    this.#stop.abort(new DiscoveryError("CANCELLED", "the zone is closed"));
    this.#timer?.cancel();
    await this.#running?.catch(() => undefined);
  }

  #schedule(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.clock.schedule(ms, () => void this.#attempt());
  }

  async #attempt(): Promise<void> {
    const { zone, logger } = this.#parts;
    try {
      await this.run();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      logger.warn("acceptances not renewed", { zone, error });
      this.#schedule(retryMs);
    }
  }

  /** Where in the vault the renewal for this key stands; undefined: at its beginning. */
  #place(signer: Signer): Uint8Array | "done" | undefined {
    const row = this.#parts.store.get(acceptancesKey);
    if (row === undefined || !equalBytes(row.subarray(0, keyIdBytes), signer.keyId))
      return undefined;
    return row.length === keyIdBytes ? "done" : row.slice(keyIdBytes);
  }

  async #renew(signer: Signer, vault: Vault): Promise<void> {
    const { submissions, clock, zone, logger } = this.#parts;
    const { signal } = this.#stop;
    const from = this.#place(signer);
    if (from === "done") return;
    let count = 0;
    const range = from === undefined ? {} : { after: from };
    for await (const { csi, place } of vault.rows(range)) {
      signal.throwIfAborted();
      const renewed = await submissions.restate(
        { csi, atSeconds: clock.nowSeconds() },
        (plaintext) => renewAcceptances(plaintext, { zone, signer }),
        { signal },
      );
      if (renewed) count += 1;
      // Another key may have become the zone's meanwhile: its renewal begins anew.
      if (this.#signer !== signer) return;
      await this.#write(signer.keyId, place);
    }
    await this.#write(signer.keyId);
    logger.info("acceptances renewed", { zone, slots: count });
  }

  async #write(keyId: Uint8Array, place?: Uint8Array): Promise<void> {
    const row = new Uint8Array(keyIdBytes + (place?.length ?? 0));
    row.set(keyId);
    if (place !== undefined) row.set(place, keyIdBytes);
    // A cursor that is lost costs work, never an acceptance: the slots before it are durable.
    await this.#parts.store.commit(
      { puts: [[acceptancesKey, row]], deletes: [] },
      { sync: place === undefined },
    );
  }
}

/** The slot with its acceptances by this key; undefined if they all are. Their payloads stay as they are. */
export function renewAcceptances(
  plaintext: Uint8Array,
  { zone, signer }: { readonly zone: ZoneName; readonly signer: Signer },
): Uint8Array | undefined {
  const body = decodeSlotBody(plaintext);
  const isOwn = ({ signatures }: SignedObject): boolean =>
    signatures.some(({ keyId }) => equalBytes(keyId, signer.keyId));
  if (body.mappings.every(({ acceptance }) => isOwn(acceptance))) return undefined;
  const place = { type: "acceptance", role: roles.dp, zone, signer } as const;
  return encodeSlotBody({
    ...body,
    mappings: body.mappings.map((one) =>
      isOwn(one.acceptance)
        ? one
        : { ...one, acceptance: signObject({ ...place, payload: one.acceptance.payload }) },
    ),
  });
}
