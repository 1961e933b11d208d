// What is wrong in a configuration file, located by file, line and key, and its form for people:
// `file:line: key: got …, expected …`, several at once.
import { DiscoveryError } from "@whither/protocol";

export interface ConfigIssue {
  readonly file: string;
  /** 1-based; undefined when the file as a whole is meant (missing, too large). */
  readonly line?: number | undefined;
  /** Dotted path of the key, `endpoints[0].port`; empty for the document. */
  readonly key: string;
  /** What stands there, shortened; empty when the key is missing. */
  readonly got: string;
  /** What may stand there: type, unit, allowed range. */
  readonly expected: string;
}

/** The `cause` of a CONFIG error that comes from a configuration file. */
export class ConfigIssuesError extends Error {
  override readonly name = "ConfigIssuesError";
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[]) {
    super(issues.map(formatConfigIssue).join("\n"));
    this.issues = issues;
  }
}

/** Makes the CONFIG error for a non-empty list of issues. */
export function configError(issues: readonly ConfigIssue[]): DiscoveryError {
  const cause = new ConfigIssuesError(issues);
  const count = issues.length === 1 ? "1 mistake" : `${issues.length} mistakes`;
  return new DiscoveryError("CONFIG", `the configuration has ${count}`, { cause });
}

/** One line an issue; for any other error its text and, one line each, its causes. */
export function formatConfigError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof ConfigIssuesError) return error.message;
  const text = error instanceof DiscoveryError ? error.text : error.message;
  if (error.cause instanceof ConfigIssuesError) return error.cause.message;
  if (error.cause === undefined) return text;
  return `${text}\n${formatConfigError(error.cause)}`;
}

export function formatConfigIssue(issue: ConfigIssue): string {
  const place = issue.line === undefined ? issue.file : `${issue.file}:${issue.line}`;
  const key = issue.key === "" ? "" : `${issue.key}: `;
  const got = issue.got === "" ? "nothing" : issue.got;
  return `${place}: ${key}got ${got}, expected ${issue.expected}`;
}

/** `endpoints[0].port` for ["endpoints", 0, "port"]. */
export function formatKeyPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? String(part) : `.${String(part)}`;
  }
  return text;
}

const shownCharactersMax = 60;

/** A value as it would stand in the file, at most 60 characters; control characters escaped. */
export function formatValue(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return "a mapping";
  const text = typeof value === "bigint" ? value.toString() : JSON.stringify(value);
  return text.length <= shownCharactersMax ? text : `${text.slice(0, shownCharactersMax - 1)}…`;
}
