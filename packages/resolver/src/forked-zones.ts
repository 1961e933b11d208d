// What is held as proven absent of a zone that has signed two histories (FORKED). One of them may have been made to
// hide somebody, and nobody can tell which: it is asked for again. What is there stands by its own signatures.

import { limits, type ZoneName } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { LRUCache } from "lru-cache";
import type { AnswerCache, AnswerRow } from "./answer-cache.js";
import type { Buckets } from "./buckets.js";
import type { ZoneView } from "./zone-view.js";

export interface ForkedZonesOptions {
  readonly cache: Pick<AnswerCache, "expire" | "rows">;
  readonly buckets: Pick<Buckets, "expire">;
  readonly clock: Clock;
}

/** Zones of which it is known when they were swept last. */
const zonesMax = 64;

export class ForkedZones {
  readonly #options: ForkedZonesOptions;
  readonly #sweptMs = new LRUCache<ZoneName, number>({ max: zonesMax });

  constructor(options: ForkedZonesOptions) {
    this.#options = options;
  }

  /**
   * Another head than the one that was seen. A zone that shows one with every answer does not make this go through
   * the cache each time: what it proved absent since lives as long as a failure at first, 5 s.
   */
  found(view: ZoneView): void {
    const { buckets, cache, clock } = this.#options;
    const { zone } = view;
    const nowMs = clock.monotonicMs();
    const sweptMs = this.#sweptMs.get(zone) ?? -Infinity;
    if (nowMs - sweptMs < limits.failureTtlSecondsMin * 1_000) return;
    this.#sweptMs.set(zone, nowMs);
    buckets.expire(view, { b: 0, serial: Infinity, buckets: undefined });
    for (const row of cache.rows()) if (isAbsentAt(zone, row)) cache.expire(row);
  }
}

function isAbsentAt(zone: ZoneName, { cached }: AnswerRow): boolean {
  return cached.merged.dps.some((part) => part.zone === zone && part.outcome === "absent");
}
