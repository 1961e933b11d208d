// The coalescer against a model: random callers join, leave and get results, in any order.

import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError } from "@whither/protocol";
import { Coalescer } from "./coalescer.js";

type Step =
  | { readonly do: "join"; readonly key: string; readonly caller: number }
  | { readonly do: "leave"; readonly caller: number }
  | { readonly do: "end"; readonly key: string; readonly well: boolean };

const key = fc.constantFrom("a", "b", "c");
const caller = fc.nat(9);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("join" as const), key, caller }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("leave" as const), caller }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("end" as const), key, well: fc.boolean() }) },
);

interface Flight {
  readonly number: number;
  readonly signal: AbortSignal;
  readonly waiters: Set<number>;
  end(well: boolean): void;
}

interface Waiter {
  readonly controller: AbortController;
  readonly key: string;
  /** Filled once; a second time is the failure that the property looks for. */
  readonly outcomes: string[];
  expected: string | undefined;
}

/** Runs the steps on both; the model's flights are what must be under way. */
class Model {
  readonly coalescer = new Coalescer<string>();
  readonly flights = new Map<string, Flight>();
  readonly present = new Map<number, Waiter>();
  readonly all: Waiter[] = [];
  #started = 0;

  async run(step: Step): Promise<void> {
    if (step.do === "join") this.#join(step.caller, step.key);
    else if (step.do === "leave") this.#leave(step.caller);
    else this.#end(step.key, step.well);
    await new Promise<void>((done) => setImmediate(done));
  }

  #join(caller: number, key: string): void {
    if (this.present.has(caller)) return;
    const before = this.#started;
    const controller = new AbortController();
    const waiter: Waiter = { controller, key, outcomes: [], expected: undefined };
    const waiting = this.coalescer.run(key, (signal) => this.#fetch(key, signal), controller);
    waiting.then(
      (value) => waiter.outcomes.push(value),
      (error: unknown) => waiter.outcomes.push(error instanceof DiscoveryError ? error.text : "?"),
    );
    this.present.set(caller, waiter);
    this.all.push(waiter);
    const flight = this.flights.get(key)!; // made by #fetch, or there before
    // One upstream fetch per key: only who found none under way began one.
    expect(this.#started - before).to.equal(flight.waiters.size === 0 ? 1 : 0);
    flight.waiters.add(caller);
  }

  #fetch(key: string, signal: AbortSignal): Promise<string> {
    expect(this.flights.has(key), "a second fetch of one key").to.equal(false);
    this.#started += 1;
    const number = this.#started;
    return new Promise((resolve, reject) => {
      const end = (well: boolean): void => {
        if (well) resolve(`result ${number}`);
        else reject(new DiscoveryError("BOGUS", `failure ${number}`));
      };
      this.flights.set(key, { number, signal, waiters: new Set(), end });
    });
  }

  #leave(caller: number): void {
    const waiter = this.present.get(caller);
    if (waiter === undefined) return;
    this.present.delete(caller);
    waiter.expected = "the caller gave up";
    const flight = this.flights.get(waiter.key)!; // it waits, so one is under way
    flight.waiters.delete(caller);
    if (flight.waiters.size === 0) this.flights.delete(waiter.key);
    waiter.controller.abort();
    // Cancelled with the last who leaves, and not before.
    expect(flight.signal.aborted).to.equal(flight.waiters.size === 0);
  }

  #end(key: string, well: boolean): void {
    const flight = this.flights.get(key);
    if (flight === undefined) return;
    this.flights.delete(key);
    for (const caller of flight.waiters) {
      const waiter = this.present.get(caller)!; // of this flight
      waiter.expected = `${well ? "result" : "failure"} ${flight.number}`;
      this.present.delete(caller);
    }
    flight.end(well);
  }
}

describe("coalescer, any order of joins, leaves and results", () => {
  it("fetches once per key, settles each waiter once and with its own flight's outcome", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const model = new Model();
        for (const one of steps) {
          await model.run(one);
          expect(model.coalescer.size).to.equal(model.flights.size);
          for (const { outcomes, expected } of model.all) {
            expect(outcomes).to.deep.equal(expected === undefined ? [] : [expected]);
          }
          for (const { signal } of model.flights.values()) expect(signal.aborted).to.equal(false);
        }
      }),
      { numRuns: 300 },
    );
  });
});
