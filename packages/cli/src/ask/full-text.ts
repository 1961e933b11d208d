// The full output of one identifier: dig's sections in dig's order (header, errors, answer, provenance,
// proof, statistics), with a verdict in words under the header.

import type { Answer, AnswerError, AnswerMapping, HopRecord, QueryStats } from "@whither/resolver";
import { formatDay, formatUtc } from "../utc.js";
import { printable } from "./printable.js";
import type { Section } from "./query-arguments.js";
import { statusOf, type Report } from "./report.js";
import type { Colors } from "./style.js";
import { hopLine } from "./trace-text.js";
import { verdictOf } from "./verdict.js";

export interface FullTextOptions {
  readonly version: string;
  readonly sections: ReadonlySet<Section>;
  /** Each check by name after the proof. */
  readonly validate: boolean;
  /** Hops before the header; not where they were printed as they happened. */
  readonly trace: boolean;
  readonly colors: Colors;
}

/** Lines joined, a final newline, blocks apart by an empty line. */
export function formatFull(report: Report, options: FullTextOptions): string {
  const { sections, colors } = options;
  const answer = report.outcome.kind === "answer" ? report.outcome.answer : undefined;
  const blocks: (readonly string[])[] = [];
  if (options.trace) blocks.push(hopsOf(report).map((hop) => hopLine(hop)));
  if (sections.has("comments")) {
    blocks.push(headerLines(report, options));
    blocks.push(errorLines(report), warningLines(answer));
  }
  if (answer !== undefined) {
    if (sections.has("answer")) blocks.push(answerLines(report.csi ?? "", answer));
    if (sections.has("provenance")) blocks.push(provenanceLines(answer));
    if (sections.has("proof")) blocks.push(proofLines(answer));
    if (options.validate) blocks.push(validationLines(answer));
  }
  if (sections.has("stats")) blocks.push(statisticsLines(report));
  const titled = sections.has("comments");
  return blocks
    .map((block) => (titled ? block : block.filter((line) => !line.startsWith(";; "))))
    .filter((block) => block.length > 0)
    .map((block) => `${block.map((line) => paint(line, colors)).join("\n")}\n`)
    .join(titled ? "\n" : "");
}

function paint(line: string, colors: Colors): string {
  return line.startsWith(";; ") ? colors.dim(line) : line;
}

function headerLines(report: Report, options: FullTextOptions): readonly string[] {
  const { colors, version } = options;
  const verdict = verdictOf(report.outcome);
  const paintVerdict = { good: colors.green, plain: colors.bold, bad: colors.red }[verdict.tone];
  const name = report.csi ?? printable(report.input);
  const answer = report.outcome.kind === "answer" ? report.outcome.answer : undefined;
  return [
    `; <<>> whither ${version} <<>> ${name}`,
    `;; ->>HEADER<<- status: ${statusOf(report)}${answer === undefined ? "" : headerFields(answer)}`,
    ...(answer?.dps ?? []).map(({ dp, zone, serial, csi }) => {
      const about = csi === undefined ? "" : `, asked about ${csi}`;
      return `;; DP: ${dp}, zone: ${zone}, serial: ${serial ?? "none"}${about}`;
    }),
    paintVerdict(`; ${verdict.text}`),
  ];
}

function headerFields(answer: Answer): string {
  const flags = [
    answer.proof.verified ? "verified" : "unvalidated",
    answer.form,
    answer.privacy,
    ...(answer.attested === "dp" ? ["attested-by-dp"] : []),
  ];
  const { answered, asked } = answer.complete;
  return `, flags: ${flags.join(" ")}; mappings: ${answer.mappings.length}, DPs: ${answered} of ${asked}, ttl: ${answer.ttlSeconds}`;
}

export function errorsOf({ outcome, input }: Report): readonly AnswerError[] {
  if (outcome.kind !== "invalid") return outcome.answer.errors;
  const { code, number, text } = outcome.error;
  return input === "" ? [] : [{ code, number, text, upstream: "" }];
}

export function hopsOf({ outcome }: Report): readonly HopRecord[] {
  return outcome.kind === "invalid" ? [] : outcome.answer.hops;
}

export function statsOf({ outcome }: Report): QueryStats {
  if (outcome.kind === "invalid") return { rpcs: 0, bytesIn: 0, bytesOut: 0 };
  return outcome.answer.stats;
}

function errorLines(report: Report): readonly string[] {
  const errors = errorsOf(report);
  if (errors.length === 0) return [];
  return [
    ";; ERRORS:",
    ...errors.map(({ code, number, text, upstream }) => {
      const from = upstream === "" ? "" : ` ${printable(upstream)}:`;
      return `; ${code} (${number}):${from} ${printable(text)}`;
    }),
  ];
}

function warningLines(answer: Answer | undefined): readonly string[] {
  if (answer === undefined) return [];
  const lines = answer.warnings.map(
    ({ code, text, upstream }) => `; ${code}: ${printable(upstream)}: ${printable(text)}`,
  );
  for (const { zone, to, outcome } of answer.ports) {
    lines.push(`; PORTED: ${printable(zone)}: the holder moved to ${printable(to)}: ${outcome}`);
  }
  if (answer.leftOut > 0)
    lines.push(`; left out: ${answer.leftOut} (by +msp or the holder's wish)`);
  return lines.length === 0 ? [] : [";; WARNINGS:", ...lines];
}

function answerLines(csi: string, answer: Answer): readonly string[] {
  if (answer.mappings.length === 0) return [];
  const choice = answer.choice?.msp;
  const rows = answer.mappings.map((mapping) => [
    csi,
    String(answer.ttlSeconds),
    ...mappingFields(mapping),
    ...(mapping.msp === choice ? ["; choice"] : []),
  ]);
  return [";; ANSWER:", ...alignColumns(rows)];
}

function mappingFields(mapping: AnswerMapping): readonly string[] {
  const url = mapping.directoryUrl === "" ? "-" : printable(mapping.directoryUrl);
  if (!("preference" in mapping)) return [mapping.msp, url];
  const { msp, preference, tags, level, establishedAt, notAfter } = mapping;
  return [
    String(preference),
    msp,
    tags.length === 0 ? "-" : tags.map(quoted).join(","),
    `level ${level}`,
    `since ${formatDay(establishedAt)}`,
    `until ${formatDay(notAfter)}`,
    url,
  ];
}

/** Quotes and backslashes as in a zone file; everything else has been made visible. */
function quoted(tag: string): string {
  return `"${printable(tag.replace(/["\\]/g, "\\$&"))}"`;
}

function provenanceLines(answer: Answer): readonly string[] {
  if (answer.dps.length === 0) return [];
  const rows = answer.dps.map(({ dp, zone, outcome, serial, kid }) => [
    `; ${dp}`,
    zone,
    outcome,
    `serial ${serial ?? "none"}`,
    `kid ${kid ?? "none"}`,
  ]);
  return [";; PROVENANCE:", ...alignColumns(rows)];
}

function proofLines({ proof, attested, mappings }: Answer): readonly string[] {
  const { kind, verified, zone, serial, kid } = proof;
  const key = kid === "" ? "" : `, kid ${kid}`;
  const word = verified ? "verified" : "NOT verified";
  const lines = [";; PROOF:", `; ${kind} in zone ${zone}, serial ${serial}${key}: ${word}`];
  if (mappings.length === 0) return lines;
  const about =
    attested === "dp"
      ? "the MSPs are the DP's word: ask +verbose before routing on them"
      : verified
        ? "every mapping is signed by its holder, MSP, prover and DP"
        : "the mappings are shown as they came (+cd)";
  return [...lines, `; ${about}`];
}

/** What was checked on the way, in order, with the verdict of each step. */
function validationLines(answer: Answer): readonly string[] {
  const steps = answer.hops.map(
    ({ prefix, verdict, learnt }) => `; ${verdict}: ${prefix}: ${printable(learnt)}`,
  );
  return [";; VALIDATION:", ...steps];
}

function statisticsLines(report: Report): readonly string[] {
  const { rpcs, bytesIn, bytesOut } = statsOf(report);
  const { rttMs, atSeconds } = report;
  const took = rttMs === undefined ? "" : `Query time: ${Math.round(rttMs)} ms, `;
  return [
    ";; STATISTICS:",
    `; ${took}RPCs: ${rpcs}, bytes in: ${bytesIn}, bytes out: ${bytesOut}`,
    `; WHEN: ${formatUtc(atSeconds)}`,
  ];
}

/** Columns of equal width, two spaces apart, nothing behind the last. */
function alignColumns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0))).join("  "),
  );
}
