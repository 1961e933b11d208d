// What whither-dnsd counts, in the Prometheus text format. Labels are transports and RCODEs; nothing in it says
// who asked or for whom.

import type { CacheStats, Resolver } from "@whither/resolver";
import { createMetrics, type Metrics } from "@whither/runtime";
import type { ClientLimits, Transport } from "./client-limits.js";
import type { Front, QuerySample } from "./front.js";
import { rcodes } from "./wire.js";

const durationBuckets = [0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5];
const rcodeNames = new Map<number, string>(
  Object.entries(rcodes).map(([name, number]) => [number, name.toUpperCase()]),
);

/** As dig spells it. */
export const rcodeName = (rcode: number): string => rcodeNames.get(rcode) ?? "SERVFAIL";

export interface Measurements {
  readonly metrics: Metrics;
  readonly onQuery: (sample: QuerySample) => void;
  /** Gauges are read from these when somebody looks. */
  watch(sources: {
    readonly front: {
      readonly cache: Pick<Front["cache"], "stats">;
      readonly failures: Pick<Front["failures"], "size">;
      readonly inFlight: number;
      readonly waiters: number;
    };
    readonly limits: Pick<ClientLimits, "refusals">;
    readonly resolver: Pick<Resolver, "cache" | "identityNotAfter">;
    readonly tcpConnections: () => number;
  }): void;
}

export function createMeasurements(): Measurements {
  const metrics = createMetrics();
  const labels = { transport: ["udp", "tcp"], rcode: [...rcodeNames.values()] } as const;
  const queries = metrics.counter({
    name: "whither_dnsd_queries_total",
    help: "queries answered since the start, by where the answer came from",
    labels: { ...labels, from: ["cache", "lookup", "front"] },
  });
  const lookups = metrics.histogram({
    name: "whither_dnsd_lookup_duration_seconds",
    help: "duration of queries that needed a lookup",
    labels,
    buckets: durationBuckets,
  });
  // Counted here and handed over when somebody looks: a label set costs more than a cached answer.
  const counts = new Map<QuerySample["from"], Record<Transport, number[]>>();
  for (const from of ["cache", "lookup", "front"] as const) {
    counts.set(from, { udp: [], tcp: [] });
  }
  metrics.beforeRead(() => {
    for (const [from, byTransport] of counts) {
      for (const transport of ["udp", "tcp"] as const) {
        byTransport[transport].forEach((count, rcode) => {
          queries.raiseTo({ from, transport, rcode: rcodeName(rcode) }, count);
        });
      }
    }
  });
  return {
    metrics,
    onQuery: ({ transport, rcode, from, durationMs }) => {
      const byRcode = counts.get(from)?.[transport] ?? [];
      byRcode[rcode] = (byRcode[rcode] ?? 0) + 1;
      if (durationMs !== undefined) {
        lookups.observe({ transport, rcode: rcodeName(rcode) }, durationMs / 1_000);
      }
    },
    watch({ front, limits, resolver, tcpConnections }) {
      const gauge = (name: string, help: string) => metrics.gauge({ name, help });
      const replies = gauge("whither_dnsd_cache_entries", "replies in the cache");
      const bytes = gauge("whither_dnsd_cache_bytes", "octets of the cache");
      const inFlight = gauge("whither_dnsd_lookup_entries", "lookups under way");
      const waiters = gauge("whither_dnsd_waiting_entries", "queries that wait for lookups");
      const failures = gauge(
        "whither_dnsd_failure_entries",
        "names whose last lookup failed and that are not tried again at once",
      );
      const connections = gauge("whither_dnsd_tcp_connections", "open TCP connections");
      const certificate = gauge(
        "whither_dnsd_certificate_not_after_seconds",
        "end of the client certificate in use, Unix time",
      );
      const held = resolverGauges(metrics);
      const refusals = metrics.counter({
        name: "whither_dnsd_refusals_total",
        help: "queries refused or dropped since the start, by what was used up",
        labels: { limit: ["address", "queries", "lookups"] },
      });
      metrics.beforeRead(() => {
        const stats = front.cache.stats();
        replies.set({}, stats.replies);
        bytes.set({}, stats.bytes);
        inFlight.set({}, front.inFlight);
        waiters.set({}, front.waiters);
        failures.set({}, front.failures.size);
        connections.set({}, tcpConnections());
        held(resolver.cache.stats());
        certificate.set({}, resolver.identityNotAfter() ?? 0);
        for (const [limit, count] of Object.entries(limits.refusals())) {
          refusals.raiseTo({ limit }, count);
        }
      });
    },
  };
}

const resolverCaches = [
  "answers",
  "failures",
  "evaluations",
  "buckets",
  "bodies",
  "views",
  "verdicts",
] as const satisfies readonly (keyof CacheStats["caches"])[];

function resolverGauges(metrics: Metrics): (stats: CacheStats) => void {
  const labels = { cache: resolverCaches };
  const entries = metrics.gauge({
    name: "whither_dnsd_resolver_cache_entries",
    help: "entries in the resolver's caches",
    labels,
  });
  const bytes = metrics.gauge({
    name: "whither_dnsd_resolver_cache_bytes",
    help: "octets of the resolver's caches, as accounted",
    labels,
  });
  return ({ caches }) => {
    for (const cache of resolverCaches) {
      entries.set({ cache }, caches[cache].entries);
      bytes.set({ cache }, caches[cache].bytes);
    }
  };
}
