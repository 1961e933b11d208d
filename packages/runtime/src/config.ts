// Configuration files: one YAML 1.2 document each, checked against a strict zod schema. Unknown keys,
// wrong units and values out of range stop the start, all named at once with file and line. No
// anchors, aliases, tags or duplicate keys: what is read is what stands there.
import { dirname, resolve } from "node:path";
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, visit } from "yaml";
import type { Document, Node } from "yaml";
import type { z } from "zod";
import { configError, formatKeyPath, formatValue, type ConfigIssue } from "./config-issues.js";
import { readFileBounded } from "./files.js";

/** A daemon's configuration has a few kilobytes. */
const configBytesMax = 1024 * 1024;
/** Issues shown at once; the rest usually follow from the first. */
const issuesMax = 20;

/** A schema, or a function that makes one for the directory that relative paths start from. */
export type ConfigSchema<T> = z.ZodType<T> | ((directory: string) => z.ZodType<T>);

export interface LoadConfigOptions<T> {
  readonly path: string;
  readonly schema: ConfigSchema<T>;
  /** Largest file accepted, in bytes; 1 MiB unless told. */
  readonly bytesMax?: number;
}

/** Reads and checks a configuration file. Throws CONFIG; see `formatConfigError`. */
export async function loadConfig<T>(options: LoadConfigOptions<T>): Promise<T> {
  const { path, schema } = options;
  const bytes = await readFileBounded(path, { bytesMax: options.bytesMax ?? configBytesMax });
  return parseYaml({ text: decodeUtf8(bytes, path), path, schema });
}

export interface ParseYamlOptions<T> {
  readonly text: string;
  /** Named in messages; relative paths in the file start from its directory. */
  readonly path: string;
  readonly schema: ConfigSchema<T>;
}

/** Checks the text of a YAML file against a schema. Throws CONFIG with every issue found. */
export function parseYaml<T>(options: ParseYamlOptions<T>): T {
  const { path, schema } = options;
  const source = parseSource(options);
  const problems = source.structure.length > 0 ? source.structure : refusedNodes(source);
  if (problems.length > 0) throw configError(problems.slice(0, issuesMax));

  const value: unknown = source.document.toJS({ maxAliasCount: 0 });
  const type = typeof schema === "function" ? schema(dirname(resolve(path))) : schema;
  const result = type.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.flatMap(flattenIssue);
  throw configError(
    issues.slice(0, issuesMax).flatMap((issue) => locate({ source, value, issue })),
  );
}

interface Source {
  readonly path: string;
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
  readonly structure: readonly ConfigIssue[];
}

function parseSource({ text, path }: { readonly text: string; readonly path: string }): Source {
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
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
    const got = "nesting too deep to read";
    throw configError([{ file: path, key: "", got, expected: "one YAML document" }]);
  }
  const structure = [...document.errors, ...document.warnings].map((error) => ({
    file: path,
    line: lines.linePos(error.pos[0]).line,
    key: "",
    got: error.message.split("\n", 1)[0] ?? error.code,
    expected: "one well-formed YAML document",
  }));
  return { path, document, lines, structure };
}

/** Anchors, aliases, tags and duplicate keys: each makes the file mean something other than it shows. */
function refusedNodes({ path: file, document, lines }: Source): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const refuse = (node: Node, got: string, expected = "the value written out"): void => {
    const line = lines.linePos(node.range?.[0] ?? 0).line;
    issues.push({ file, line, key: "", got, expected });
  };
  const refuseProperties = (node: Node): void => {
    if (!isAlias(node) && node.anchor !== undefined) refuse(node, `the anchor &${node.anchor}`);
    if (node.tag !== undefined) refuse(node, `the tag ${node.tag}`);
  };
  // `visit` calls the most specific visitor only, so each kind of node looks at its own properties.
  visit(document, {
    Alias: (_key, node) => {
      refuse(node, `the alias *${node.source}`);
    },
    Scalar: (_key, node) => refuseProperties(node),
    Seq: (_key, node) => refuseProperties(node),
    Map: (_key, map) => {
      refuseProperties(map);
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) refuse(key, `the key ${name} a second time`, "each key once");
        seen.add(name);
      }
    },
  });
  return issues;
}

type Issue = z.core.$ZodIssue;

/** A failed union is told by its branch that came furthest: the form that the author had in mind. */
function flattenIssue(issue: Issue): readonly Issue[] {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return [issue];
  const depth = (branch: readonly Issue[]): number =>
    Math.max(0, ...branch.map((inner) => inner.path.length));
  const best = issue.errors.reduce((a, b) => (depth(b) > depth(a) ? b : a));
  if (depth(best) === 0) return [issue];
  return best.flatMap((inner) => flattenIssue({ ...inner, path: [...issue.path, ...inner.path] }));
}

function locate(options: {
  readonly source: Source;
  readonly value: unknown;
  readonly issue: Issue;
}): ConfigIssue[] {
  const { source, value, issue } = options;
  const at = (path: readonly PropertyKey[], got: string, expected: string): ConfigIssue => ({
    file: source.path,
    line: lineOf(source, path),
    key: formatKeyPath(path),
    got,
    expected,
  });
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => at([...issue.path, key], "an unknown key", "a known key"));
  }
  const got = formatValue(valueAt(value, issue.path));
  if (issue.code === "custom") {
    const { expected, got: shown } = issue.params ?? {};
    return [
      at(
        issue.path,
        typeof shown === "string" ? shown : got,
        typeof expected === "string" ? expected : issue.message,
      ),
    ];
  }
  return [at(issue.path, got, describeExpected(issue))];
}

/** zod's names of types where the file's own read better. */
const typeNames: ReadonlyMap<string, string> = new Map([
  ["object", "a mapping"],
  ["record", "a mapping"],
  ["array", "a list"],
  ["int", "a whole number"],
]);

function describeExpected(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return typeNames.get(issue.expected) ?? `a ${issue.expected}`;
    case "too_small":
      return `at least ${issue.minimum}${ofWhat(issue.origin)}`;
    case "too_big":
      return `at most ${issue.maximum}${ofWhat(issue.origin)}`;
    case "invalid_value":
      return issue.values.length === 1
        ? formatValue(issue.values[0])
        : `one of ${issue.values.map(String).join(", ")}`;
    case "invalid_format":
      return `a text of the form ${issue.pattern ?? issue.format}`;
    case "invalid_union":
      return "one of the forms this key may take";
    default:
      return issue.message;
  }
}

function ofWhat(origin: string): string {
  if (origin === "string") return " characters";
  return origin === "array" || origin === "set" ? " items" : "";
}

/** Line of the deepest key of `path` that stands in the file; a missing one is told at its parent. */
function lineOf(source: Source, path: readonly PropertyKey[]): number | undefined {
  let node: unknown = source.document.contents;
  let offset = isNode(node) ? node.range?.[0] : undefined;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isScalar(item.key) && String(item.key.value) === String(part),
      );
      if (pair === undefined) break;
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof part === "number") {
      node = node.items[part];
      if (isNode(node)) offset = node.range?.[0] ?? offset;
    } else {
      break;
    }
  }
  return offset === undefined ? undefined : source.lines.linePos(offset).line;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let found: unknown = value;
  for (const part of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = new Map<PropertyKey, unknown>(Object.entries(found)).get(String(part));
  }
  return found;
}

function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const issue = { file: path, key: "", got: "bytes that are no UTF-8", expected: "UTF-8 text" };
    throw configError([issue]);
  }
}
