// Answers of the control service as text: a table a thing, one line a row, columns by two spaces.

import type {
  ControlStatusResponse,
  Expiry,
  KeySuccession,
  MetricSample,
  ReloadedZone,
  ReloadResponse,
  ZoneState,
} from "@whither/wire";
import { formatUtc } from "../../utc.js";

export function statusText(status: ControlStatusResponse): string {
  const { daemon, version, nodeVersion, pid, startedAt, uptimeS, memoryBytes } = status;
  const mib = Math.round(Number(memoryBytes) / 1024 ** 2);
  const lines = [
    `${daemon} ${version} (Node ${nodeVersion}), pid ${pid}${status.draining ? ", draining" : ""}`,
    `up ${formatSpan(Number(uptimeS))} since ${formatUtc(Number(startedAt))}, ${mib} MiB, log ${status.logLevel}, query log ${status.queryLog ? "on" : "off"}`,
    ...reloadLines(status),
    ...zoneLines(status.zones),
    ...expiryLines(status.expiries),
  ];
  return lines.join("\n");
}

/** What was in force before the last reload, a certificate too, still is. */
function reloadLines({ reloadProblem: problem }: ControlStatusResponse): readonly string[] {
  const lines = problemLines({ problem }).map((line) => `  ${line}`);
  return lines.length === 0 ? [] : ["last reload failed, nothing has changed:", ...lines];
}

export function zoneLines(zones: readonly ZoneState[]): readonly string[] {
  const rows = zones.map((zone) =>
    zone.serving
      ? [
          zone.zone,
          zone.kind,
          `epoch ${zone.epoch}`,
          `serial ${zone.serial}`,
          `${zone.size} ${zone.kind === "directory" ? "nodes" : "slots"}`,
          `signed ${formatUtc(Number(zone.signedAt))}`,
        ]
      : [zone.zone, zone.kind, "NOT SERVING", ...problemLines(zone)],
  );
  if (rows.length === 0) return [];
  const details = zones.flatMap((zone) =>
    detailLines(zone).map((line) => `  ${zone.zone}: ${line}`),
  );
  return ["zones:", ...table(rows), ...details];
}

/** What an operator has to know of a zone that serves, a line each. */
function detailLines(zone: ZoneState): readonly string[] {
  if (!zone.serving) return [];
  const problems = problemLines(zone).map((line) => `serves, but: ${line}`);
  const vault = zone.withoutVault ? ["no vault: its VOPRF key can never be replaced"] : [];
  const { succession } = zone;
  return [...problems, ...vault, ...(succession === undefined ? [] : successionLines(succession))];
}

function successionLines(succession: KeySuccession): readonly string[] {
  const { manifestSha256, namedAt, switchAt, next, previous } = succession;
  const lines: string[] = [];
  if (next !== undefined) {
    const { kid, phase, done, total, missing } = next;
    const lost = missing === 0n ? "" : `, ${missing} slots are not in the vault`;
    const far = phase === "copying" ? ` ${done} of ${total}` : "";
    lines.push(`next VOPRF key ${kid}: ${phase}${far}${lost}`);
  }
  if (manifestSha256 !== "") {
    const named = namedAt === 0n ? "not named by the directory" : `named ${utc(namedAt)}`;
    const when = switchAt === 0n ? "" : `, in force from ${utc(switchAt)}`;
    lines.push(`next manifest ${manifestSha256.slice(0, 16)}: ${named}${when}`);
  }
  for (const { kid, dropAt } of previous) {
    lines.push(`VOPRF key ${kid} before: served until ${utc(dropAt)}, then destroy its file`);
  }
  if (succession.acceptancesToRenew) {
    lines.push("acceptances are being signed by the new zone key: no further rollover before");
  }
  return [...lines, ...problemLines(succession).map((line) => `waits: ${line}`)];
}

function utc(seconds: bigint): string {
  return formatUtc(Number(seconds));
}

function expiryLines(expiries: readonly Expiry[]): readonly string[] {
  if (expiries.length === 0) return [];
  const soonest = expiries.toSorted((a, b) => Number(a.leftS - b.leftS));
  const rows = soonest.map(({ what, subject, notAfter, leftS, state }) => [
    what,
    subject,
    leftS < 0n
      ? `ENDED ${formatSpan(-Number(leftS))} ago`
      : `${formatSpan(Number(leftS))} left${state === "soon" ? ", SOON" : ""}`,
    formatUtc(Number(notAfter)),
  ]);
  return ["ends:", ...table(rows)];
}

export function statsText(samples: readonly MetricSample[]): string {
  return samples
    .map(({ name, labels, value }) => {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
      return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
    })
    .join("\n");
}

export function reloadText({ restartNeeded, zones, error, problem }: ReloadResponse): string {
  if (error !== undefined) return ["not reloaded, nothing has changed:", problem].join("\n");
  const restart = restartNeeded.map((key) => `restart needed for ${key}`);
  return ["reloaded", ...zones.map(reloadedLine), ...restart].join("\n");
}

export function reloadedLine(zone: ReloadedZone): string {
  const problem = zone.outcome === "failed" ? `: ${problemLines(zone).join("; ")}` : "";
  return `${zone.zone} ${zone.outcome}${problem}`;
}

function problemLines({ problem }: { readonly problem: string }): readonly string[] {
  return problem.split("\n").filter((line) => line !== "");
}

export function configText(path: string, config: unknown): string {
  return `# ${path}\n${JSON.stringify(config, undefined, 2)}`;
}

/** `3d 4h`, `12m 5s`: the two largest units. */
function formatSpan(seconds: number): string {
  const parts = [
    { unit: "d", count: Math.floor(seconds / 86_400) },
    { unit: "h", count: Math.floor(seconds / 3_600) % 24 },
    { unit: "m", count: Math.floor(seconds / 60) % 60 },
    { unit: "s", count: Math.floor(seconds) % 60 },
  ];
  const first = parts.findIndex(({ count }) => count > 0);
  if (first === -1) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(({ count }) => count > 0)
    .map(({ unit, count }) => `${count}${unit}`)
    .join(" ");
}

/** Columns as wide as their widest cell; the last one as it is. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  }
  return rows.map((row) => {
    const cells = row.map((cell, n) => (n === row.length - 1 ? cell : cell.padEnd(widths[n] ?? 0)));
    return `  ${cells.join("  ")}`;
  });
}
