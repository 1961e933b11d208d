// Asks and prints as it goes: one identifier in full, several a line each, in the order they were given.

import type { Clock } from "@whither/runtime";
import { formatFailure } from "../failure-text.js";
import { createProgress } from "../progress.js";
import type { Terminal } from "../terminal.js";
import { cliVersion } from "../version.js";
import type { AskedResolver } from "../whither-run.js";
import { formatFull } from "./full-text.js";
import { readInputs, type Input } from "./inputs.js";
import { formatJson, formatYaml } from "./json-text.js";
import { formatLine, formatShort } from "./line-text.js";
import { lookUpAll, lookUpOne, type LookupParts } from "./lookup.js";
import type { Query } from "./query-arguments.js";
import { ExitTally, exitStatuses, type Report } from "./report.js";
import { colorsFor } from "./style.js";
import { hopLine } from "./trace-text.js";

export interface AskParts {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly resolver: AskedResolver;
}

/** Resolves to the exit status. */
export async function askAndPrint(query: Query, parts: AskParts): Promise<number> {
  const { terminal } = parts;
  const several = query.file !== undefined || query.identifiers.length > 1;
  const tally = new ExitTally();
  const progress = createProgress({ ...parts, what: "asked" });
  const print = printerFor(query, { terminal, several });
  for await (const report of several ? askSeveral(query, parts) : askOne(query, parts)) {
    tally.add(report);
    progress.clear();
    print(report);
    if (query.file !== undefined) progress.tick();
    if (terminal.signal.aborted) break;
  }
  progress.clear();
  if (terminal.signal.aborted) return exitStatuses.interrupted;
  return tally.status({ several });
}

async function* askOne(query: Query, parts: AskParts): AsyncGenerator<Report, void> {
  for await (const input of readInputs(query, parts.terminal)) {
    if (input.kind === "csi") yield await lookUpOne(input, lookupParts(query, parts));
  }
}

function askSeveral(query: Query, parts: AskParts): AsyncGenerator<Report, void> {
  const inputs: AsyncIterable<Input> = readInputs(query, parts.terminal);
  return lookUpAll(inputs, lookupParts(query, parts));
}

function lookupParts(query: Query, { terminal, clock, resolver }: AskParts): LookupParts {
  // Each hop as it happens: where it hangs is what a trace is for.
  const onHop =
    query.trace && query.format === "text"
      ? (hop: Parameters<typeof hopLine>[0]) => void terminal.stdout.write(`${hopLine(hop)}\n`)
      : undefined;
  return { resolver, clock, query, signal: terminal.signal, onHop };
}

function printerFor(
  query: Query,
  { terminal, several }: { readonly terminal: Terminal; readonly several: boolean },
): (report: Report) => void {
  const { sections } = query;
  const write = (text: string): void => void terminal.stdout.write(text);
  if (query.format === "json") return (report) => write(`${formatJson(report)}\n`);
  if (query.format === "yaml") return (report) => write(formatYaml(report));
  if (query.format === "short") {
    return (report) => {
      write(formatShort(report, { several }));
      if (!several) explainFailure(report, terminal);
    };
  }
  const isFull = !several || query.form === "verbose" || query.sectionsNamed || query.validate;
  if (!isFull && !query.trace) {
    return (report) => write(formatLine(report, { comments: sections.has("comments") }));
  }
  const options = {
    version: cliVersion(),
    sections,
    validate: query.validate,
    // One identifier's hops have been printed as they happened.
    trace: query.trace && several,
    colors: colorsFor(terminal),
  };
  let isFirst = true;
  return (report) => {
    const text = formatFull(report, options);
    if (text !== "") write(`${isFirst && !query.trace ? "" : "\n"}${text}`);
    isFirst = false;
    if (!sections.has("comments")) explainFailure(report, terminal);
  };
}

/** Where the output has no room for it, a failure is told on stderr: silence would look like "nobody". */
function explainFailure({ outcome }: Report, terminal: Terminal): void {
  if (outcome.kind === "answer") return;
  const error = outcome.kind === "failed" ? outcome.answer.error : outcome.error;
  terminal.stderr.write(formatFailure(error));
}
