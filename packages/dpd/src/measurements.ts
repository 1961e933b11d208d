// What whither-dpd counts, in the Prometheus text format. Labels are methods, codes and zone names, all
// bounded; nothing in it says who asked or for whom.

import type { Admission, ProvidedZone } from "@whither/authority";
import { errorRegistry } from "@whither/protocol";
import type { CallSample } from "@whither/rpc";
import { createMetrics, type Metrics } from "@whither/runtime";
import { expiringThings, type Expiry } from "./expiries.js";

const durationBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const methodsMax = 16;

export interface Measurements {
  readonly metrics: Metrics;
  readonly onCall: (sample: CallSample) => void;
  /** Gauges are read from these when somebody looks. */
  watch(sources: {
    readonly zones: readonly ProvidedZone[];
    readonly admission: Pick<Admission, "refusals">;
    /** What ends when. */
    readonly expiries: () => readonly Expiry[];
  }): void;
}

export function createMeasurements(): Measurements {
  const metrics = createMetrics();
  const calls = metrics.histogram({
    name: "whither_dpd_call_duration_seconds",
    help: "duration of finished calls",
    labels: { method: methodsMax, code: ["OK", ...Object.keys(errorRegistry)] },
    buckets: durationBuckets,
  });
  let read = (): void => undefined;
  return {
    metrics: {
      ...metrics,
      text: () => {
        read();
        return metrics.text();
      },
    },
    onCall: ({ method, code, durationMs }): void =>
      calls.observe({ method, code }, durationMs / 1000),
    watch({ zones, admission, expiries }) {
      const labels = { zone: zones.map(({ zone }) => zone.zone) };
      const slots = metrics.gauge({
        name: "whither_dpd_zone_slots",
        help: "slots under the last signed head",
        labels,
      });
      const serials = metrics.gauge({
        name: "whither_dpd_zone_head_serial",
        help: "serial of the last signed head",
        labels,
      });
      const refusals = metrics.gauge({
        name: "whither_dpd_refusals_total",
        help: "requests refused because a limit was used up, since the start",
        labels: { limit: ["requests", "contacts", "cpu", "bytes"] },
      });
      const ends = metrics.gauge({
        name: "whither_dpd_not_after_seconds",
        help: "Unix time after which a key, the certificate or the directory is no longer valid",
        labels: { what: expiringThings, zone: ["", ...labels.zone] },
      });
      read = () => {
        for (const { what, zone, notAfter } of expiries()) ends.set({ what, zone }, notAfter);
        for (const { zone } of zones) {
          const { mapSize, serial } = zone.head();
          slots.set({ zone: zone.zone }, mapSize);
          serials.set({ zone: zone.zone }, serial);
        }
        for (const [limit, count] of Object.entries(admission.refusals())) {
          refusals.set({ limit }, count);
        }
      };
    },
  };
}
