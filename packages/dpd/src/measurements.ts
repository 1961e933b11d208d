// What whither-dpd counts, in the Prometheus text format. Labels are methods, codes and zone names, all
// bounded; nothing in it says who asked or for whom.

import type { Admission } from "@whither/authority";
import { errorRegistry } from "@whither/protocol";
import type { CallSample } from "@whither/rpc";
import { createMetrics, type Metrics } from "@whither/runtime";
import { expiringThings, type Expiry } from "./expiries.js";
import type { ZoneSet } from "./zone-set.js";
import { zoneUps } from "./zone-ups.js";

const durationBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
/** Names told apart: the services on both ports have some twenty methods. */
const methodsMax = 32;
/** Names of zones seen since the start; those of one configuration at least. */
const zoneNamesMax = 512;

export interface Measurements {
  readonly metrics: Metrics;
  readonly onCall: (sample: CallSample) => void;
  /** Gauges are read from these when somebody looks. */
  watch(sources: {
    readonly zones: Pick<ZoneSet, "conditions">;
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
  const ofZones = zoneGauges(metrics);
  const notAfters = metrics.gauge({
    name: "whither_dpd_not_after_seconds",
    help: "Unix time after which a key, the certificate or the directory is no longer valid",
    labels: { what: expiringThings, zone: zoneNamesMax },
  });
  const refusals = metrics.counter({
    name: "whither_dpd_refusals_total",
    help: "requests refused because a limit was used up, since the start",
    labels: { limit: ["requests", "contacts", "cpu", "bytes"] },
  });
  return {
    metrics,
    onCall: ({ method, code, durationMs }): void =>
      calls.observe({ method, code }, durationMs / 1000),
    watch({ zones, admission, expiries }) {
      metrics.beforeRead(() => {
        notAfters.clear();
        for (const { what, zone, notAfter } of expiries()) notAfters.set({ what, zone }, notAfter);
        ofZones.show(zones.conditions());
        for (const [limit, count] of Object.entries(admission.refusals())) {
          refusals.raiseTo({ limit }, count);
        }
      });
    },
  };
}

/** One gauge a figure, each by zone. */
function zoneGauges(metrics: Metrics): { show(zones: ReturnType<ZoneSet["conditions"]>): void } {
  const gauge = (name: string, help: string) =>
    metrics.gauge({ name: `whither_dpd_zone_${name}`, help, labels: { zone: zoneNamesMax } });
  const gauges = {
    up: gauge("up", "1: the zone serves, 0: it does not and is tried again"),
    slots: gauge("slots", "slots under the last signed head"),
    serial: gauge("head_serial", "serial of the last signed head"),
    ends: gauge("head_not_after_seconds", "end of the last signed head, Unix time"),
    nextDone: gauge(
      "next_tree_done_slots",
      "identifiers evaluated under the next VOPRF key, while its tree is made",
    ),
    switches: gauge(
      "switch_at_seconds",
      "Unix time from which the manifest configured is used; 0: the directory does not name it",
    ),
    drops: gauge(
      "previous_tree_end_seconds",
      "Unix time at which the tree of the previous VOPRF key is dropped",
    ),
    goesOn: gauge(
      "succession_up",
      "0: a change of manifest or VOPRF key does not go on, or its files are refused",
    ),
    store: gauge("store_up", "0: the disk takes no writes, and the zone no registrations"),
  };
  return {
    show(zones) {
      // A zone that is not configured any more is not shown any more.
      for (const one of Object.values(gauges)) one.clear();
      for (const [zone, condition] of zones) {
        gauges.up.set({ zone }, condition.kind === "serving" ? 1 : 0);
        if (condition.kind !== "serving") continue;
        const { mapSize, serial, notAfter } = condition.provided.zone.head();
        gauges.slots.set({ zone }, mapSize);
        gauges.serial.set({ zone }, serial);
        gauges.ends.set({ zone }, notAfter);
        const { successor, next, previous, problem } = condition.provided.zone.succession;
        if (next !== undefined) gauges.nextDone.set({ zone }, next.done);
        if (successor !== undefined) gauges.switches.set({ zone }, successor.switchAt ?? 0);
        const [last] = previous;
        if (last !== undefined) gauges.drops.set({ zone }, last.dropAt);
        const ups = zoneUps([problem, condition.problem]);
        gauges.goesOn.set({ zone }, ups.succession);
        gauges.store.set({ zone }, ups.store);
      }
    },
  };
}
