// One upstream fetch per key, however many wait for it (protocol.md section 8). A waiter that gives up
// leaves the others their fetch; when the last one leaves, the fetch is cancelled.

import { abortError } from "@whither/runtime";
import { asError } from "./failure.js";

interface Flight<T> {
  readonly controller: AbortController;
  readonly result: Promise<T>;
  waiters: number;
}

export class Coalescer<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /** Keys under way. */
  get size(): number {
    return this.#flights.size;
  }

  /** Joins the fetch of this key, or begins one. `fetch` gets a signal of its own. */
  run(
    key: string,
    fetch: (signal: AbortSignal) => Promise<T>,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<T> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    const flight = this.#flights.get(key) ?? this.#start(key, fetch);
    flight.waiters += 1;
    return new Promise<T>((resolve, reject) => {
      const onAbort = (): void => {
        reject(abortError(signal));
        this.#leave(key, flight);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      flight.result.then(
        (value) => {
          signal.removeEventListener("abort", onAbort);
          resolve(value);
        },
        (error: unknown) => {
          signal.removeEventListener("abort", onAbort);
          reject(asError(error));
        },
      );
    });
  }

  #start(key: string, fetch: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const result = fetch(controller.signal);
    const flight = { controller, result, waiters: 0 };
    this.#flights.set(key, flight);
    const remove = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    result.then(remove, remove);
    return flight;
  }

  #leave(key: string, flight: Flight<T>): void {
    flight.waiters -= 1;
    if (flight.waiters > 0) return;
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
    flight.controller.abort();
  }
}
