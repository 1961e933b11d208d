// An answer as the caller holds it. A cached one is the same small object for every hit: what it
// says at hand, its ttl counting down.

import type { Clock } from "@whither/runtime";
import type {
  Answer,
  AnswerError,
  AnswerForm,
  AnswerMapping,
  AnswerWarning,
  Completeness,
  DpPart,
  HopRecord,
  PortStep,
  ProofSummary,
  QueryStats,
} from "./answer.js";
import type { Merged } from "./merge.js";

/** What of a result this caller may use. */
export interface Selection<F extends AnswerForm> {
  readonly merged: Merged<F>;
  readonly choice: AnswerMapping<F> | undefined;
  readonly leftOut: number;
  readonly warnings: readonly AnswerWarning[];
  readonly mappings: readonly AnswerMapping<F>[];
}

export interface ProvenAnswerOptions<F extends AnswerForm> {
  readonly selection: Selection<F>;
  readonly clock: Clock;
  /** Monotonic milliseconds. */
  readonly expiresMs: number;
  readonly hops: readonly HopRecord[];
  readonly stats: QueryStats;
}

class ProvenAnswer<F extends AnswerForm> {
  readonly form: F;
  readonly status: Answer["status"];
  readonly complete: Completeness;
  readonly mappings: readonly AnswerMapping<F>[];
  readonly choice: AnswerMapping<F> | undefined;
  readonly dps: readonly DpPart[];
  readonly proof: ProofSummary;
  readonly attested: "dp" | "signatures";
  readonly privacy = "blind";
  readonly registryVersion: number;
  readonly leftOut: number;
  readonly portedTo: string;
  readonly ports: readonly PortStep[];
  readonly warnings: readonly AnswerWarning[];
  readonly errors: readonly AnswerError[];
  readonly hops: readonly HopRecord[];
  readonly stats: QueryStats;
  readonly #clock: Clock;
  readonly #expiresMs: number;

  constructor({ selection, clock, expiresMs, hops, stats }: ProvenAnswerOptions<F>) {
    const { merged, choice, leftOut, warnings, mappings } = selection;
    const { complete } = merged;
    this.form = merged.form;
    this.status =
      mappings.length > 0 ? "found" : complete.answered === complete.asked ? "none" : "incomplete";
    this.complete = complete;
    this.mappings = mappings;
    this.choice = choice;
    this.dps = merged.dps;
    this.proof = merged.proof;
    this.attested = merged.form === "compact" ? "dp" : "signatures";
    this.registryVersion = merged.registryVersion;
    this.leftOut = leftOut;
    this.portedTo = merged.ports.at(-1)?.to ?? "";
    this.ports = merged.ports;
    this.warnings = warnings;
    this.errors = merged.errors;
    this.hops = hops;
    this.stats = stats;
    this.#clock = clock;
    this.#expiresMs = expiresMs;
  }

  get ttlSeconds(): number {
    return Math.max(0, Math.ceil((this.#expiresMs - this.#clock.monotonicMs()) / 1_000));
  }

  /** The accessor too, so that JSON.stringify shows all. */
  toJSON(): object {
    return { ...Object.fromEntries(Object.entries(this)), ttlSeconds: this.ttlSeconds };
  }
}

export function makeAnswer<F extends AnswerForm>(options: ProvenAnswerOptions<F>): Answer<F> {
  // The class holds what the union says: choice and mappings exist exactly when it is found.
  return new ProvenAnswer(options) as unknown as Answer<F>;
}
