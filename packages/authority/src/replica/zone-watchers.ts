// Who waits for the next head of a zone: bounded, over all and for each address; all are told the same, and whoever
// does not take it is let go. A push is a hint that there is something to fetch.

import { create } from "@bufbuild/protobuf";
import { DiscoveryError, limits } from "@whither/protocol";
import { addressPrefix, encodeMessage, type CallContext } from "@whither/rpc";
import type { Clock, Scheduled } from "@whither/runtime";
import { decodeSignedObject, signedObjectToWire, ZoneWatchResponseSchema } from "@whither/wire";
import type { HeadNews } from "../mapping/held-tree.js";
import type { ReadableZone } from "../mapping/mapping-zone.js";

/** Messages that may wait for one reader: eight epochs. */
const waitingMax = 8;

interface Watcher {
  readonly waiting: Uint8Array[];
  isSlow: boolean;
  wake: () => void;
}

const keepAlive = encodeMessage(ZoneWatchResponseSchema, create(ZoneWatchResponseSchema));

/** Of one process; a zone is listened to while somebody watches it. */
export class ZoneWatchers {
  readonly #clock: Clock;
  readonly #byZone = new Map<string, Set<Watcher>>();
  readonly #stops = new Map<string, () => void>();
  readonly #perAddress = new Map<string, number>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#count;
  }

  /** The current head, then each new one. Throws OVERLOADED when there is no room, or to one that is slow. */
  async *watch(
    zone: ReadableZone,
    { address, signal, draining }: Pick<CallContext, "address" | "signal" | "draining">,
  ): AsyncGenerator<Uint8Array> {
    const watcher: Watcher = {
      waiting: [firstMessage(zone)],
      isSlow: false,
      wake: () => undefined,
    };
    const leave = this.#enter(zone, { watcher, address: addressPrefix(address) });
    const onAbort = (): void => watcher.wake();
    for (const end of [signal, draining]) end.addEventListener("abort", onAbort, { once: true });
    try {
      while (!signal.aborted && !draining.aborted) {
        if (watcher.isSlow) throw new DiscoveryError("OVERLOADED", "this watcher reads too slowly");
        const message = watcher.waiting.shift();
        if (message !== undefined) yield message;
        else await this.#wait(watcher);
      }
    } finally {
      for (const end of [signal, draining]) end.removeEventListener("abort", onAbort);
      leave();
    }
  }

  /** Pushes a zone's present head to its watchers, as if it were new. Returns how many there are. */
  notify(zone: ReadableZone): number {
    this.#push(zone.zone, firstMessage(zone));
    return this.#byZone.get(zone.zone)?.size ?? 0;
  }

  /** Until something waits, or a keep-alive is due. */
  async #wait(watcher: Watcher): Promise<void> {
    let timer: Scheduled | undefined;
    await new Promise<void>((resolve) => {
      watcher.wake = resolve;
      timer = this.#clock.schedule(limits.watchKeepAliveSeconds * 1000, () => {
        watcher.waiting.push(keepAlive);
        resolve();
      });
    });
    timer?.cancel();
  }

  #push(zone: string, message: Uint8Array): void {
    for (const watcher of this.#byZone.get(zone) ?? []) {
      // Nothing more is kept for one that does not read; its stream ends when it reads again or is cut.
      if (watcher.waiting.length >= waitingMax) watcher.isSlow = true;
      else watcher.waiting.push(message);
      watcher.wake();
    }
  }

  #enter(
    zone: ReadableZone,
    { watcher, address }: { readonly watcher: Watcher; readonly address: string },
  ): () => void {
    const count = this.#perAddress.get(address) ?? 0;
    if (this.#count >= limits.watchersMax || count >= limits.watchersPerAddressMax) {
      throw new DiscoveryError("OVERLOADED", "no room for another watcher");
    }
    const watchers = this.#byZone.get(zone.zone) ?? new Set();
    if (watchers.size === 0) {
      this.#stops.set(
        zone.zone,
        zone.onHead((news) => this.#push(zone.zone, encodeNews(news))),
      );
      this.#byZone.set(zone.zone, watchers);
    }
    watchers.add(watcher);
    this.#count += 1;
    this.#perAddress.set(address, count + 1);
    return () => {
      watchers.delete(watcher);
      this.#count -= 1;
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
      if (watchers.size > 0) return;
      this.#stops.get(zone.zone)?.();
      this.#stops.delete(zone.zone);
      this.#byZone.delete(zone.zone);
    };
  }
}

function firstMessage(zone: ReadableZone): Uint8Array {
  const tree = zone.holdTree(new Uint8Array());
  void tree.release();
  return encodeNews({ head: tree.head, headBytes: tree.headBytes, changedBuckets: undefined });
}

function encodeNews({ headBytes, changedBuckets }: HeadNews): Uint8Array {
  return encodeMessage(
    ZoneWatchResponseSchema,
    create(ZoneWatchResponseSchema, {
      head: signedObjectToWire(decodeSignedObject(headBytes)),
      changedBuckets: [...(changedBuckets ?? [])],
      allChanged: changedBuckets === undefined,
    }),
  );
}
