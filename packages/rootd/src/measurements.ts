// What whither-rootd counts, in the Prometheus text format. Labels are methods and codes; nothing in it
// says who asked or for which prefix.

import type { DirectoryService } from "@whither/authority";
import type { ExpiryFact } from "@whither/control";
import type { DelegationHealth } from "@whither/directory";
import { errorRegistry } from "@whither/protocol";
import type { CallSample } from "@whither/rpc";
import { createMetrics, type Metrics } from "@whither/runtime";
import type { Directory } from "@whither/zone";
import { expiringThings } from "./expiries.js";
import type { Listener } from "./listener.js";
import type { Withdrawals } from "./withdrawals.js";

const durationBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];
const methodsMax = 16;

export interface Measurements {
  readonly metrics: Metrics;
  readonly onCall: (sample: CallSample) => void;
  readonly onDirectory: (directory: Directory) => void;
  /** Read when somebody looks. */
  watch(sources: {
    readonly health: Pick<DelegationHealth, "list">;
    readonly service: Pick<DirectoryService, "watchers">;
    readonly listener: Pick<Listener, "certificateNotAfter">;
    /** What ends when. */
    readonly expiries: () => readonly ExpiryFact[];
    /** Undefined: nothing is withdrawn. */
    readonly withdrawals: Pick<Withdrawals, "changes" | "count" | "isSuspended"> | undefined;
  }): void;
}

export function createMeasurements(): Measurements {
  const metrics = createMetrics();
  const calls = metrics.histogram({
    name: "whither_rootd_call_duration_seconds",
    help: "duration of finished calls",
    labels: { method: methodsMax, code: ["OK", ...Object.keys(errorRegistry)] },
    buckets: durationBuckets,
  });
  const serial = metrics.gauge({
    name: "whither_rootd_directory_serial",
    help: "serial of the directory that is served",
  });
  const end = metrics.gauge({
    name: "whither_rootd_directory_not_after_seconds",
    help: "end of the served directory, Unix time",
  });
  return {
    metrics,
    onCall: ({ method, code, durationMs }) => calls.observe({ method, code }, durationMs / 1000),
    onDirectory: ({ head }) => {
      serial.set({}, head.serial);
      end.set({}, head.notAfter);
    },
    watch({ health, service, listener, withdrawals, expiries }) {
      if (withdrawals !== undefined) watchWithdrawals(metrics, withdrawals);
      const states = ["healthy", "lame", "unknown"] as const;
      const authorities = metrics.gauge({
        name: "whither_rootd_authority_entries",
        help: "endpoints of delegated zones, by what the last probe found",
        labels: { state: states },
      });
      const watchers = metrics.gauge({
        name: "whither_rootd_watch_connections",
        help: "open streams that wait for the next head",
      });
      const certificate = metrics.gauge({
        name: "whither_rootd_certificate_not_after_seconds",
        help: "end of the TLS certificate in use, Unix time",
      });
      const ends = metrics.gauge({
        name: "whither_rootd_not_after_seconds",
        help: "Unix time at which the first of a kind is no longer valid: certificate, directory, keys, parties",
        labels: { what: expiringThings },
      });
      metrics.beforeRead(() => {
        ends.clear();
        const facts = expiries();
        for (const what of expiringThings) {
          const of = facts.filter((fact) => fact.what === what).map(({ notAfter }) => notAfter);
          if (of.length > 0) ends.set({ what }, Math.min(...of));
        }
        certificate.set({}, listener.certificateNotAfter());
        watchers.set({}, service.watchers);
        const found = health.list();
        for (const state of states) {
          authorities.set({ state }, found.filter((one) => one.state === state).length);
        }
      });
    },
  };
}

function watchWithdrawals(
  metrics: Metrics,
  withdrawals: Pick<Withdrawals, "changes" | "count" | "isSuspended">,
): void {
  const withdrawn = metrics.gauge({
    name: "whither_rootd_withdrawn_zones",
    help: "zones that resolvers are told not to ask",
  });
  const isUp = metrics.gauge({
    name: "whither_rootd_withdrawal_up",
    help: "0 while so many zones are lame that none is withdrawn",
  });
  const kinds = ["withdrawn", "returned"] as const;
  const changes = metrics.counter({
    name: "whither_rootd_withdrawals_total",
    help: "zones withdrawn, and zones taken back",
    labels: { change: kinds },
  });
  metrics.beforeRead(() => {
    withdrawn.set({}, withdrawals.count);
    isUp.set({}, withdrawals.isSuspended ? 0 : 1);
    for (const change of kinds) changes.raiseTo({ change }, withdrawals.changes[change]);
  });
}
