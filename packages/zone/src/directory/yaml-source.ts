// YAML 1.2 sources of the directory, checked by a strict schema: every mistake is named with file, line
// and key. No anchors, aliases, tags or duplicate keys: what is read is what stands there.

import { DiscoveryError } from "@whither/protocol";
import { isMap, isNode, isScalar, LineCounter, parseDocument, visit } from "yaml";
import type { Document, Node, Scalar, YAMLMap, YAMLSeq } from "yaml";
import type { z } from "zod";

/** A mistake in a source file. */
export interface SourceIssue {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** Dotted path of the key, empty for the document. */
  readonly key: string;
  /** What was expected, and what came. */
  readonly text: string;
}

/** The `cause` of a CONFIG error that comes from a source file. */
export class SourceError extends Error {
  override readonly name = "SourceError";
  readonly issues: readonly SourceIssue[];

  constructor(issues: readonly SourceIssue[]) {
    super(issues.map(formatSourceIssue).join("\n"));
    this.issues = issues;
  }
}

/** `root.zone.yaml:12: prefixes.tel:+49.zones[0]: expected …, got …` */
export function formatSourceIssue({ file, line, key, text }: SourceIssue): string {
  return `${file}:${line}: ${key === "" ? "" : `${key}: `}${text}`;
}

/** Issues shown at once; the rest usually follow from the first. */
const issuesMax = 20;

/** CONFIG with up to twenty of the issues, each on a line of its cause. */
export function sourceError(issues: readonly SourceIssue[]): DiscoveryError {
  const [first] = issues;
  const count = issues.length === 1 ? "1 mistake" : `${issues.length} mistakes`;
  const text = `the directory source has ${count}, first at line ${first?.line ?? 1}`;
  return new DiscoveryError("CONFIG", text, { cause: new SourceError(issues.slice(0, issuesMax)) });
}

/** A checked source and the way from a key's path to its line. */
export interface YamlSource<T> {
  readonly file: string;
  readonly value: T;
  lineOf(path: readonly PropertyKey[]): number;
}

/** Throws CONFIG with a SourceError as its cause. `file` stands in messages. */
export function parseYamlSource<T>(source: {
  readonly text: string;
  readonly file: string;
  readonly schema: z.ZodType<T>;
}): YamlSource<T> {
  const { text, file, schema } = source;
  const lines = new LineCounter();
  const document = parseText({ text, file, lines });
  const mistakes = [
    ...[...document.errors, ...document.warnings].map((error) => ({
      file,
      line: lines.linePos(error.pos[0]).line,
      key: "",
      text: error.message.split("\n", 1)[0] ?? error.code,
    })),
    ...refusedNodes({ document, lines, file }),
  ];
  if (mistakes.length > 0) throw sourceError(mistakes);
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  const lineOf = (path: readonly PropertyKey[]): number => lineOfPath(document, { lines, path });
  const parsed = schema.safeParse(value);
  if (parsed.success) return { file, value: parsed.data, lineOf };
  const issues = parsed.error.issues.flatMap((issue) => issuesOf(issue, { file, lineOf, value }));
  throw sourceError(issues);
}

function parseText(source: {
  readonly text: string;
  readonly file: string;
  readonly lines: LineCounter;
}): Document.Parsed {
  try {
    return parseDocument(source.text, {
      lineCounter: source.lines,
      prettyErrors: false,
      strict: true,
      // The parser's own check takes quadratic time; refusedNodes has a linear one.
      uniqueKeys: false,
      stringKeys: true,
      schema: "core",
      version: "1.2",
    });
  } catch (error) {
    // The parser recurses: a file of nothing but brackets exhausts the stack.
    if (!(error instanceof RangeError)) throw error;
    throw sourceError([{ file: source.file, line: 1, key: "", text: "nested too deep to read" }]);
  }
}

function refusedNodes(source: {
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
  readonly file: string;
}): readonly SourceIssue[] {
  const { document, lines, file } = source;
  const issues: SourceIssue[] = [];
  const refuse = (node: Node, text: string): void => {
    issues.push({ file, line: lines.linePos(node.range?.[0] ?? 0).line, key: "", text });
  };
  const refuseMarks = (node: Scalar | YAMLMap | YAMLSeq): void => {
    if (node.anchor !== undefined) refuse(node, `expected no anchor, got &${node.anchor}`);
    if (node.tag !== undefined) refuse(node, `expected no tag, got ${node.tag}`);
  };
  visit(document, {
    Alias: (_key, node) => {
      refuse(node, `expected the value written out, got the alias *${node.source}`);
    },
    Value: (_key, node) => {
      refuseMarks(node);
    },
    // The more specific visitor is the only one called for a mapping.
    Map: (_key, map) => {
      refuseMarks(map);
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) refuse(key, `expected each key once, got ${name} a second time`);
        seen.add(name);
      }
    },
  });
  return issues;
}

/** Line of the deepest part of the path that exists: of its key in a mapping, of its value in a list. */
function lineOfPath(
  document: Document.Parsed,
  { lines, path }: { readonly lines: LineCounter; readonly path: readonly PropertyKey[] },
): number {
  let offset = document.contents?.range[0] ?? 0;
  for (let depth = 1; depth <= path.length; depth++) {
    const parent: unknown =
      depth === 1 ? document.contents : document.getIn(path.slice(0, depth - 1), true);
    const name = path[depth - 1];
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => isScalar(key) && key.value === name)
      : undefined;
    const node: unknown = pair?.key ?? document.getIn(path.slice(0, depth), true);
    if (!isNode(node)) break;
    offset = node.range?.[0] ?? offset;
  }
  return lines.linePos(offset).line;
}

type Issue = z.core.$ZodIssue;

function issuesOf(
  issue: Issue,
  source: {
    readonly file: string;
    readonly lineOf: (path: readonly PropertyKey[]) => number;
    readonly value: unknown;
  },
): readonly SourceIssue[] {
  const { file, lineOf, value } = source;
  const at = (path: readonly PropertyKey[], text: string): SourceIssue => ({
    file,
    line: lineOf(path),
    key: formatKeyPath(path),
    text,
  });
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => at([...issue.path, key], "expected a known key"));
  }
  if (issue.code === "custom") return [at(issue.path, issue.message)];
  const got = formatValue(valueAt(value, issue.path));
  return [at(issue.path, `expected ${describeExpected(issue)}, got ${got}`)];
}

function describeExpected(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.expected === "int" ? "a whole number" : `a value of type ${issue.expected}`;
    case "too_small":
      return `at least ${issue.minimum}${issue.origin === "array" ? " elements" : ""}`;
    case "too_big":
      return `at most ${issue.maximum}${issue.origin === "array" ? " elements" : ""}`;
    case "invalid_value":
      return `one of ${issue.values.map(String).join(", ")}`;
    default:
      return issue.message;
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, part) =>
      typeof inner === "object" && inner !== null
        ? (inner as Readonly<Record<PropertyKey, unknown>>)[part] // plain YAML data, looked into
        : undefined,
    value,
  );
}

/** `dps[0].endpoints[1].port` */
export function formatKeyPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? String(part) : `${text}.${String(part)}`;
  }, "");
}

const shownMax = 60;

export function formatValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "a mapping";
  const text = JSON.stringify(value);
  return text.length <= shownMax ? text : `${text.slice(0, shownMax - 1)}…`;
}
