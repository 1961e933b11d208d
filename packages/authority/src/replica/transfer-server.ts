// Serves transfers: how many at once, how fast, and what becomes of a reader that stops reading. What is sent
// is transfer-source.ts.

import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import { addressPrefix, type CallContext } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import type { TransferFrom } from "@whither/wire";
import type { Admission } from "../admission.js";
import type { HeldTree } from "../mapping/held-tree.js";
import { transferParts, type PartInit } from "./transfer-source.js";

const retryAfterSeconds = 10;

export interface TransferServerOptions {
  /** Whose bytes are counted; without it nobody's. */
  readonly admission?: Pick<Admission, "admitBytes" | "chargeBytes">;
  readonly clock: Clock;
}

interface Transfer {
  readonly tree: HeldTree;
  readonly from: TransferFrom;
}

/** Of one process. */
export class TransferServer {
  readonly #options: TransferServerOptions;
  readonly #perAddress = new Map<string, number>();
  #running = 0;

  constructor(options: TransferServerOptions) {
    this.#options = options;
  }

  /** Transfers under way. */
  get running(): number {
    return this.#running;
  }

  /** Streams a tree, which it releases. Throws OVERLOADED; DEADLINE to a reader that had stopped reading. */
  async *serve(
    { tree, from }: Transfer,
    { address, signal }: Pick<CallContext, "address" | "signal">,
  ): AsyncGenerator<PartInit> {
    const { clock } = this.#options;
    const leave = this.#enter(addressPrefix(address));
    const progress = { isOver: false };
    const end = (): void => {
      if (progress.isOver) return;
      progress.isOver = true;
      leave();
      void tree.release();
    };
    signal.addEventListener("abort", end, { once: true });
    try {
      for await (const part of transferParts(tree, from)) {
        await this.#pace(address, { bytes: sizeOf(part), signal });
        // A reader that stalls would keep superseded data on our disk: what it held is let go.
        const stall = clock.schedule(limits.transferStallMs, end);
        yield part;
        stall.cancel();
        if (progress.isOver)
          throw new DiscoveryError("DEADLINE", "the transfer was read too slowly");
      }
    } finally {
      signal.removeEventListener("abort", end);
      end();
    }
  }

  /** Slows a transfer down to the allowance of its address instead of refusing it half way. */
  async #pace(
    address: string,
    { bytes, signal }: { readonly bytes: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const { admission, clock } = this.#options;
    if (admission === undefined) return;
    for (;;) {
      try {
        admission.admitBytes(address, 0);
        admission.chargeBytes(address, bytes);
        return;
      } catch (error) {
        if (!isDiscoveryError(error, "LIMITED")) throw error;
        await clock.sleep((error.retryAfterSeconds ?? 1) * 1000, { signal });
      }
    }
  }

  #enter(address: string): () => void {
    const count = this.#perAddress.get(address) ?? 0;
    if (this.#running >= limits.transfersMax || count >= limits.transfersPerAddressMax) {
      throw new DiscoveryError("OVERLOADED", "too many transfers at once", { retryAfterSeconds });
    }
    this.#running += 1;
    this.#perAddress.set(address, count + 1);
    return () => {
      this.#running -= 1;
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    };
  }
}

/** About what a part weighs on the wire. */
function sizeOf({ part }: PartInit): number {
  switch (part?.case) {
    case "buckets":
      return (part.value.buckets ?? []).reduce(
        (sum, { entries }) => sum + (entries?.length ?? 0),
        0,
      );
    case "epoch":
      return (part.value.head?.length ?? 0) + (part.value.changes?.length ?? 0);
    case "bodies":
      return (part.value.bodies ?? []).reduce((sum, body) => sum + body.length, 0);
    default:
      return 1024;
  }
}
