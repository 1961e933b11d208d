// Delegation health as a table for people: one line an endpoint of a zone.

import type { AuthorityHealth } from "./delegation-health.js";

const titles = [
  "PREFIX",
  "ZONE",
  "ENDPOINT",
  "STATE",
  "SINCE",
  "LAST ERROR",
  "HEAD AGE",
  "WITHDRAWN",
] as const;

/** Lines of equal columns, titles first. Without an ending newline. */
export function formatHealthTable(health: readonly AuthorityHealth[]): string {
  const rows = [titles, ...health.map(rowOf)];
  const widths = titles.map((_, at) => Math.max(...rows.map((row) => (row[at] ?? "").length)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function rowOf(one: AuthorityHealth): readonly string[] {
  const { prefix, prefixes, zone, endpoint, state, sinceSeconds, lastError } = one;
  const { headAgeSeconds, withdrawnAt } = one;
  return [
    prefixes === 1 ? prefix : `${prefix} +${prefixes - 1}`,
    zone,
    endpoint,
    state,
    sinceSeconds === 0 ? "-" : formatTime(sinceSeconds),
    lastError ?? "-",
    headAgeSeconds === undefined ? "-" : `${headAgeSeconds} s`,
    withdrawnAt === undefined ? "-" : formatTime(withdrawnAt),
  ];
}

/** RFC 3339, UTC. */
function formatTime(seconds: number): string {
  // eslint-disable-next-line no-restricted-globals -- conversion of a given instant, not a reading
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}
