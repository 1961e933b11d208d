// One piece of work per key at a time: who asks while it runs waits for the same result. The work ends
// when nobody waits any more, not when the one who began it leaves. Waiters are this process's own, as many
// as a batch has contacts; a server bounds them before they come here.

import { DiscoveryError } from "@whither/protocol";
import { abortError } from "@whither/runtime";
import type { SignalOption } from "./follower.js";

interface Flight<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
  isOver: boolean;
}

export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /** Joins the work under `key` or starts it. Throws CANCELLED, DEADLINE. */
  async run(
    key: string,
    start: (signal: AbortSignal) => Promise<T>,
    { signal }: SignalOption = {},
  ): Promise<T> {
    if (signal?.aborted === true) throw abortError(signal);
    const flight = this.#flights.get(key) ?? this.#begin(key, start);
    flight.waiting += 1;
    try {
      return await until(flight.result, signal);
    } finally {
      flight.waiting -= 1;
      if (flight.waiting === 0 && !flight.isOver) this.#leave(key, flight);
    }
  }

  #begin(key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const flight: Flight<T> = {
      result: start(controller.signal),
      controller,
      waiting: 0,
      isOver: false,
    };
    const done = (): void => {
      flight.isOver = true;
      this.#forget(key, flight);
    };
    flight.result.then(done, done);
    this.#flights.set(key, flight);
    return flight;
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }

  #leave(key: string, flight: Flight<T>): void {
    this.#forget(key, flight);
    flight.controller.abort(new DiscoveryError("CANCELLED", "nobody waits any more"));
  }
}

async function until<T>(result: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await result;
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(abortError(signal));
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([result, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
