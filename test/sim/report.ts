// What a run has to show: how much happened, and how long it took to be well again.

export interface SimulationReport {
  readonly seed: number;
  readonly virtualHours: number;
  readonly cpuSeconds: number;
  readonly lookups: number;
  readonly answers: Readonly<Record<string, number>>;
  readonly registrations: { readonly accepted: number; readonly inDoubt: number };
  readonly faults: Readonly<Record<string, number>>;
  readonly crashes: number;
  readonly refusedStarts: number;
  /** Seconds from the end of the last fault of a burst until everybody answers everything right. */
  readonly recoverySeconds: readonly number[];
  /** Undefined: none. */
  readonly failure: string | undefined;
  /** Hash over everything that happened: alike for two runs of a seed. */
  readonly trace: string;
}

/** Lines for people. */
export function formatReports(reports: readonly SimulationReport[], tookSeconds: number): string {
  const sum = (of: (report: SimulationReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  const recovery = reports.flatMap((report) => report.recoverySeconds).sort((a, b) => a - b);
  const median = recovery[Math.floor(recovery.length / 2)] ?? 0;
  const failed = reports.filter(({ failure }) => failure !== undefined);
  return [
    `virtual hours ${Math.round(sum((one) => one.virtualHours))} in ${Math.round(tookSeconds)} s (${Math.round(sum((one) => one.cpuSeconds))} s of CPU), seeds ${reports.length} (${reports[0]?.seed}..${reports.at(-1)?.seed})`,
    `lookups ${sum((one) => one.lookups)}: ${counted(reports.map(({ answers }) => answers))}`,
    `registrations ${sum((one) => one.registrations.accepted)} accepted, ${sum((one) => one.registrations.inDoubt)} in doubt`,
    `faults ${counted(reports.map(({ faults }) => faults))}`,
    `crashes ${sum((one) => one.crashes)}, damaged stores refused at start ${sum((one) => one.refusedStarts)}`,
    `recoveries ${recovery.length}: median ${median} s, max ${recovery.at(-1) ?? 0} s`,
    `failures ${failed.length}`,
  ].join("\n");
}

function counted(tables: readonly Readonly<Record<string, number>>[]): string {
  const total = new Map<string, number>();
  for (const table of tables) {
    for (const [name, count] of Object.entries(table)) {
      total.set(name, (total.get(name) ?? 0) + count);
    }
  }
  return [...total]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
