// One lookup for all who ask the same while it is under way (protocol.md section 8): a name that many want at once
// costs one, and everybody gets the reply under his own id. Who joins is bounded, for each name, each client and in
// all; a lookup itself is bounded by whoever starts it.

import { limits } from "@whither/protocol";
import type { StoredReply } from "./response.js";

/** Queries of one client that wait for one name, its users behind one address: half of the places, so that others find some. */
const waitersPerClientMax = limits.waitersPerKeyMax / 2;
/** Queries that wait for any name. A packet and a closure each: some megabytes. */
const waitersMax = 4_096;

interface Flight {
  readonly result: Promise<StoredReply>;
  readonly clients: Map<string, number>;
  waiters: number;
}

export class LookupFlights {
  readonly #flights = new Map<string, Flight>();
  #lookups = 0;
  #waiters = 0;

  /** Lookups under way. */
  get size(): number {
    return this.#lookups;
  }

  /** Queries that wait for them. */
  get waiters(): number {
    return this.#waiters;
  }

  /** The reply that a lookup under way will bring; `full` where no more may wait; undefined: there is none. */
  join(key: string, client: string): Promise<StoredReply> | "full" | undefined {
    const flight = this.#flights.get(key);
    if (flight === undefined) return undefined;
    const own = flight.clients.get(client) ?? 0;
    const isFull =
      flight.waiters >= limits.waitersPerKeyMax ||
      own >= waitersPerClientMax ||
      this.#waiters >= waitersMax;
    return isFull ? "full" : this.#wait(flight, client);
  }

  /** Begins a lookup that others may join. `lookUp` never rejects. */
  start(key: string, client: string, lookUp: () => Promise<StoredReply>): Promise<StoredReply> {
    this.#lookups += 1;
    const flight: Flight = { result: lookUp(), clients: new Map(), waiters: 0 };
    this.#flights.set(key, flight);
    const waiting = this.#wait(flight, client);
    void flight.result.then(() => {
      this.#lookups -= 1;
      this.#waiters -= flight.waiters;
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    return waiting;
  }

  /** Nobody joins what is under way: it would be shown as things were. */
  forget(): void {
    this.#flights.clear();
  }

  #wait(flight: Flight, client: string): Promise<StoredReply> {
    flight.clients.set(client, (flight.clients.get(client) ?? 0) + 1);
    flight.waiters += 1;
    this.#waiters += 1;
    return flight.result;
  }
}
