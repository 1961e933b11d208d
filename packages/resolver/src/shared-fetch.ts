// One fetch for all queries that want the same. Who begins it pays for it; who joins neither pays nor hears that
// the other's budget ran out: it begins one of its own then. So no query spends more, or less, for another's sake.

import { isDiscoveryError } from "@whither/protocol";
import { furtherErrors } from "@whither/rpc";
import type { Coalescer } from "./coalescer.js";
import { tracingFailure, type ZoneQuery } from "./query.js";

export interface SharedFetch<T> {
  readonly flights: Coalescer<T>;
  readonly key: string;
  /** What a server learns from it, for the trace. */
  readonly told: string;
  /** Charges the query that begins it for everything beyond its first RPC. */
  readonly fetch: (signal: AbortSignal) => Promise<T>;
}

export interface Shared<T> {
  readonly value: T;
  /** Whether this query began it. */
  readonly isOwn: boolean;
}

/** Throws what `fetch` throws. */
export function sharedFetch<T>(query: ZoneQuery, shared: SharedFetch<T>): Promise<Shared<T>> {
  return tracingFailure(query, shared.told, fetchOrJoin(query, shared));
}

async function fetchOrJoin<T>(
  query: ZoneQuery,
  { flights, key, fetch }: SharedFetch<T>,
): Promise<Shared<T>> {
  for (;;) {
    const own = { began: false };
    const begin = async (signal: AbortSignal): Promise<T> => {
      own.began = true;
      query.spend("rpc");
      return await fetch(signal);
    };
    try {
      const value = await flights.run(key, begin, query);
      return { value, isOwn: own.began };
    } catch (error) {
      if (own.began || !ranOutOfBudget(error)) throw error;
      // Each turn ends one flight; whoever is first to ask again pays for the next one itself.
    }
  }
}

/** Whether a budget ended it, or ended it sooner than its servers would have. */
function ranOutOfBudget(error: unknown): boolean {
  if (!isDiscoveryError(error)) return false;
  return [error, ...furtherErrors(error)].some(({ code }) => code === "BUDGET");
}
