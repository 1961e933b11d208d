// What a benchmark says: one table for people, one JSON for machines.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import type { Measured, Spread } from "./measure.js";

export type Direction = "at least" | "at most";

/** A ratio to the ceiling of the same run, beside what the design wants to reach. */
export interface Ratio {
  readonly name: string;
  readonly value: number;
  readonly lowest: number;
  readonly highest: number;
  readonly target: number;
  readonly direction: Direction;
}

export interface BenchReport {
  readonly name: string;
  /** What is measured, against what. */
  readonly title: string;
  /** Processes and connections. */
  readonly layout: string;
  /** Sizes and counts that the figures depend on. */
  readonly parameters: Readonly<Record<string, string | number>>;
  readonly sides: readonly Measured[];
  readonly ratios: readonly Ratio[];
  /** Further rows, for benchmarks that do not time. */
  readonly table?: readonly Readonly<Record<string, string | number>>[];
  /** Most memory by process, MiB. */
  readonly peakMib: Readonly<Record<string, number | undefined>>;
  readonly notes: readonly string[];
}

/**
 * Ours to the ceiling as a rate (`at least`) or as a time (`at most`). The spread pairs the extremes
 * the wrong way round, so that it is no narrower than the truth.
 */
export function ratioOf(
  of: {
    readonly name: string;
    readonly ours: Measured;
    readonly ceiling: Measured;
    readonly target: number;
    readonly direction: Direction;
  },
  spread: (measured: Measured) => Spread = ({ rate }) => rate,
): Ratio {
  const { name, target, direction } = of;
  const isRate = direction === "at least";
  const [top, bottom] = isRate
    ? [spread(of.ours), spread(of.ceiling)]
    : [spread(of.ceiling), spread(of.ours)];
  return {
    name,
    value: top.median / bottom.median,
    lowest: top.min / bottom.max,
    highest: top.max / bottom.min,
    target,
    direction,
  };
}

export function isReached({ value, target, direction }: Ratio): boolean {
  return direction === "at least" ? value >= target : value <= target;
}

export function printReport(report: BenchReport): void {
  const { name, title, layout, parameters, sides, ratios, table, notes } = report;
  const lines = [`\n## ${name}: ${title}`, layout, pairs(parameters)];
  if (sides.length > 0) {
    lines.push(
      columns([
        ["", "per second (median)", "min..max", "client CPU µs", "server CPU µs"],
        ...sides.map((side) => [
          side.name,
          figure(side.rate.median),
          `${figure(side.rate.min)}..${figure(side.rate.max)}`,
          figure(side.clientCpuUs.median),
          side.serverCpuUs === undefined ? "–" : figure(side.serverCpuUs.median),
        ]),
      ]),
    );
  }
  if (table !== undefined) {
    const heads = Object.keys(table[0] ?? {});
    const rows = table.map((row) => heads.map((head) => cell(row[head])));
    lines.push(columns([heads, ...rows]));
  }
  for (const ratio of ratios) lines.push(ratioLine(ratio));
  lines.push(`peak memory: ${pairs(mib(report.peakMib))}`);
  lines.push(...notes.map((note) => `note: ${note}`));
  console.log(lines.filter((line) => line !== "").join("\n"));
}

export function ratioLine(ratio: Ratio): string {
  const { name, value, lowest, highest, target, direction } = ratio;
  const reach = `${direction === "at least" ? "≥" : "≤"} ${target}`;
  const verdict = isReached(ratio) ? "reached" : "NOT reached";
  return `${name}: ${value.toFixed(2)} (${lowest.toFixed(2)}..${highest.toFixed(2)}), reach ${reach}: ${verdict}`;
}

/** The whole run as JSON under bench-results/. Gives the file's name. */
export function writeResults(
  root: URL,
  run: { readonly quick: boolean; readonly reports: readonly BenchReport[] },
): string {
  const directory = new URL("bench-results/", root);
  mkdirSync(directory, { recursive: true });
  const at = new Date().toISOString();
  const file = new URL(`${at.replaceAll(/[:.]/g, "-")}.json`, directory);
  const { quick, reports } = run;
  const text = JSON.stringify({ at, quick, machine: machine(), commit: commit(root), reports });
  writeFileSync(file, `${text}\n`);
  return `bench-results/${file.pathname.slice(file.pathname.lastIndexOf("/") + 1)}`;
}

export function machine(): string {
  const [cpu] = cpus();
  const gib = (totalmem() / 2 ** 30).toFixed(0);
  return `${cpus().length} × ${cpu?.model.trim() ?? "unknown"}, ${gib} GiB, Node ${process.version}`;
}

export function commit(root: URL): string {
  const git = (...args: readonly string[]): string =>
    execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no") === "" ? "" : " + changes";
    return git("rev-parse", "--short", "HEAD") + changed;
  } catch {
    return "unknown";
  }
}

function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function cell(value: string | number | undefined): string {
  return typeof value === "number" ? figure(value) : (value ?? "");
}

function pairs(values: Readonly<Record<string, string | number>>): string {
  const shown = (value: string | number): string =>
    typeof value === "number" ? value.toLocaleString("en") : value;
  return Object.entries(values)
    .map(([name, value]) => `${name} ${shown(value)}`)
    .join(" · ");
}

function mib(values: BenchReport["peakMib"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value === undefined ? "unknown" : `${Math.round(value)} MiB`,
    ]),
  );
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((text, at) => {
          const width = widths?.[at] ?? 0;
          return at === 0 ? text.padEnd(width) : text.padStart(width);
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
