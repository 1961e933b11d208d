// Who waits for the next head of a directory: bounded, over all and for each address; whoever does not
// take what is pushed is let go. What is pushed is public and the same for all.

import { DiscoveryError } from "@whither/protocol";
import { addressPrefix, type CallContext } from "@whither/rpc";

/** Streams open at once, each of some 20 KB; a resolver holds one. */
const watchersMax = 10_000;
/** Streams of one address (IPv6: /64): a site's resolvers behind one translator. */
const watchersPerAddressMax = 32;

interface Watcher {
  readonly address: string;
  /** Pushed and not taken yet. */
  pending: Uint8Array | undefined;
  isSlow: boolean;
  wake: () => void;
}

export class HeadWatchers {
  readonly #watchers = new Set<Watcher>();
  readonly #perAddress = new Map<string, number>();
  #isClosed = false;

  get size(): number {
    return this.#watchers.size;
  }

  /** `first`, then whatever is pushed. Throws OVERLOADED when there is no room, or to one that is slow. */
  async *watch(
    first: Uint8Array,
    { address, signal, draining }: Pick<CallContext, "address" | "signal" | "draining">,
  ): AsyncGenerator<Uint8Array, void> {
    const watcher = this.#add(addressPrefix(address));
    const onAbort = (): void => watcher.wake();
    for (const end of [signal, draining]) end.addEventListener("abort", onAbort, { once: true });
    try {
      yield first;
      while (!this.#isClosed && !signal.aborted && !draining.aborted) {
        if (watcher.isSlow) throw new DiscoveryError("OVERLOADED", "this watcher reads too slowly");
        const { pending } = watcher;
        watcher.pending = undefined;
        if (pending !== undefined) yield pending;
        else await new Promise<void>((resolve) => (watcher.wake = resolve));
      }
    } finally {
      for (const end of [signal, draining]) end.removeEventListener("abort", onAbort);
      this.#remove(watcher);
    }
  }

  push(message: Uint8Array): void {
    for (const watcher of this.#watchers) {
      watcher.isSlow ||= watcher.pending !== undefined;
      watcher.pending = message;
      watcher.wake();
    }
  }

  /** Ends every stream; a client asks again elsewhere or later. */
  close(): void {
    this.#isClosed = true;
    for (const watcher of this.#watchers) watcher.wake();
  }

  #add(address: string): Watcher {
    const count = this.#perAddress.get(address) ?? 0;
    if (this.#isClosed || this.#watchers.size >= watchersMax || count >= watchersPerAddressMax) {
      throw new DiscoveryError("OVERLOADED", "no room for another watcher");
    }
    const watcher: Watcher = { address, pending: undefined, isSlow: false, wake: () => undefined };
    this.#watchers.add(watcher);
    this.#perAddress.set(address, count + 1);
    return watcher;
  }

  #remove(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    const left = (this.#perAddress.get(watcher.address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(watcher.address);
    else this.#perAddress.set(watcher.address, left);
  }
}
