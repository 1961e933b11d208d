// One query on its way: who may stop it, what it may cost, and the record of what was told to whom.
// Created per lookup and passed down; holds no protocol logic.

import { isDiscoveryError, type Csi, type Prefix, type ZoneName } from "@whither/protocol";
import type { AnswerForm, HopPath, HopRecord, QueryStats } from "./answer.js";
import type { Spend, WorkKind } from "./budget.js";
import type { Server } from "./peers.js";

/** One contact at one zone. */
export interface ZoneQuery {
  readonly csi: Csi;
  readonly form: AnswerForm;
  readonly signal: AbortSignal;
  readonly trace: Trace;
  /** A batch waits where a server limits it; a single lookup fails. */
  readonly patient: boolean;
  readonly checkingDisabled: boolean;
  /** Asks for buckets anew; what is secret or immutable is not fetched twice all the same. */
  readonly refresh: boolean;
  /** Where servers must lie, as a word in the keys of shared fetches: "" for anywhere. */
  readonly realm: string;
  /** Prefetching: a bucket in the last part of its lifetime counts as old. */
  readonly early: boolean;
  readonly zone: ZoneName;
  readonly prefix: Prefix;
  /** `not_before` of the delegation, Unix seconds. */
  readonly namedAt: number;
  readonly spend: Spend;
}

/** Hops in the order they ended, and the sums. */
export class Trace {
  readonly #hops: HopRecord[] = [];
  readonly #onHop: ((hop: HopRecord) => void) | undefined;
  #rpcs = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(onHop?: (hop: HopRecord) => void) {
    this.#onHop = onHop;
  }

  hop(hop: HopRecord): void {
    this.#hops.push(hop);
    this.#onHop?.(hop);
  }

  rpc({ bytesIn, bytesOut }: { readonly bytesIn: number; readonly bytesOut: number }): void {
    this.#rpcs += 1;
    this.#bytesIn += bytesIn;
    this.#bytesOut += bytesOut;
  }

  /** What another query did so far, for whoever waited for that one. */
  adopt(other: Trace): void {
    for (const hop of other.hops) this.hop(hop);
    this.#rpcs += other.#rpcs;
    this.#bytesIn += other.#bytesIn;
    this.#bytesOut += other.#bytesOut;
  }

  /** Work that the directory did for this query. */
  directory(kind: WorkKind, n: number): void {
    if (kind === "rpc") this.#rpcs += n;
    else if (kind === "bytes") this.#bytesIn += n;
  }

  get hops(): readonly HopRecord[] {
    return [...this.#hops]; // a later hop of work left behind must not appear in an answer given out
  }

  get stats(): QueryStats {
    return { rpcs: this.#rpcs, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut };
  }
}

/** The fields of a hop that say who heard the question. */
export function heardBy(
  { key, operator = "" }: Server,
  as: "identified" | "anonymous",
): { readonly from: string; readonly path: HopPath; readonly operator?: string } {
  if (operator === "") return { from: key, path: as === "identified" ? as : "direct" };
  return { from: key, path: as === "identified" ? as : "replica", operator };
}

/** For `askServers`: a further RPC of this query; false when its budget holds none. */
export function moreRpcs(query: Pick<ZoneQuery, "spend">): () => boolean {
  const pay = mayPay(query);
  return () => pay("rpc", 1);
}

/** Spends what the budget holds; false where it does not hold so much. */
export function mayPay({
  spend,
}: Pick<ZoneQuery, "spend">): (kind: WorkKind, n: number) => boolean {
  return (kind, n) => {
    try {
      spend(kind, n);
      return true;
    } catch (error) {
      if (isDiscoveryError(error, "BUDGET")) return false;
      throw error;
    }
  };
}

/** The step's result; its failure is a hop too, with what the server was told all the same. */
export async function tracingFailure<T>(
  query: ZoneQuery,
  told: string,
  step: Promise<T>,
): Promise<T> {
  try {
    return await step;
  } catch (error) {
    if (isDiscoveryError(error)) {
      query.trace.hop({
        prefix: query.prefix,
        from: error.upstream ?? query.zone,
        told,
        learnt: error.text,
        serial: undefined,
        verdict: error.code,
        rttMs: 0,
      });
    }
    throw error;
  }
}
