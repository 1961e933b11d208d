// The words of `whither [@server] CSI … [+option …]`, in any order, as dig takes them. Pure: text in, a
// query or a UsageError out. What a word means never depends on where it stands.

import { DiscoveryError, limits, parseMspId } from "@whither/protocol";
import { parseDurationMs } from "@whither/runtime";
import { UsageError } from "../usage.js";

/** Parts of the full output that can be switched on and off. */
const sections = ["comments", "answer", "provenance", "proof", "stats"] as const;
export type Section = (typeof sections)[number];

export interface Query {
  /** As typed. */
  readonly identifiers: readonly string[];
  /** File of identifiers, `-` for stdin. */
  readonly file: string | undefined;
  /** Where the directory is asked instead of where the configuration says. */
  readonly server: string | undefined;
  readonly config: string | undefined;
  readonly region: string | undefined;
  readonly format: "text" | "short" | "json" | "yaml";
  /** Undefined: verbose for one identifier, compact for several. */
  readonly form: "verbose" | "compact" | undefined;
  readonly trace: boolean;
  readonly validate: boolean;
  readonly mirror: boolean;
  readonly checkingDisabled: boolean;
  readonly sections: ReadonlySet<Section>;
  /** Whether any section was named: then several identifiers are shown in full as well. */
  readonly sectionsNamed: boolean;
  readonly msps: readonly string[] | undefined;
  /** Countries in which the DPs' servers must lie. */
  readonly jurisdiction: readonly string[] | undefined;
  readonly timeoutMs: number;
  readonly tries: number;
  readonly hops: number | undefined;
}

const triesDefault = 2;
const timeoutMs = { min: 50, max: 60_000 } as const;

/** Query parameters of later versions; `+no…` of them is what happens anyway. */
const unavailable: ReadonlySet<string> = new Set(["federation", "dp", "audience", "policy"]);

type Draft = { -readonly [K in keyof Query]: Query[K] } & { sections: Set<Section> };

type Flag = (draft: Draft, on: boolean) => void;
const flags: Readonly<Record<string, Flag>> = {
  short: (draft, on) => (draft.format = on ? "short" : "text"),
  json: (draft, on) => (draft.format = on ? "json" : "text"),
  yaml: (draft, on) => (draft.format = on ? "yaml" : "text"),
  trace: (draft, on) => (draft.trace = on),
  validate: (draft, on) => {
    draft.validate = on;
    draft.checkingDisabled = !on;
  },
  cd: (draft, on) => (draft.checkingDisabled = on),
  compact: (draft, on) => (draft.form = on ? "compact" : "verbose"),
  verbose: (draft, on) => (draft.form = on ? "verbose" : "compact"),
  mirror: (draft, on) => (draft.mirror = on),
  all: (draft, on) => {
    draft.sections = new Set(on ? sections : []);
    draft.sectionsNamed = true;
  },
  ...Object.fromEntries(sections.map((section) => [section, sectionFlag(section)])),
};

function sectionFlag(section: Section): Flag {
  return (draft, on) => {
    if (on) draft.sections.add(section);
    else draft.sections.delete(section);
    draft.sectionsNamed = true;
  };
}

type Value = (draft: Draft, value: string) => void;
const values: Readonly<Record<string, Value>> = {
  msp: (draft, value) => (draft.msps = parseMsps(value)),
  jurisdiction: (draft, value) => (draft.jurisdiction = parseCountries(value)),
  timeout: (draft, value) => (draft.timeoutMs = parseTimeout(value)),
  tries: (draft, value) => (draft.tries = parseCount(value, { name: "tries", min: 1, max: 10 })),
  hops: (draft, value) => (draft.hops = parseCount(value, { name: "hops", min: 0, max: 4 })),
  region: (draft, value) => (draft.region = parseRegion(value)),
  config: (draft, value) => (draft.config = once(value, { name: "config", old: draft.config })),
  file: (draft, value) => (draft.file = once(value, { name: "file", old: draft.file })),
  privacy: (_draft, value) => {
    if (value === "relayed") throw notAvailable("privacy=relayed");
    if (value !== "blind") throw wrong("privacy", "blind or relayed", value);
  },
};

/** Names that `--help` has to say. */
export const optionNames: readonly string[] = [...Object.keys(flags), ...Object.keys(values)];

/** What completion offers after `+`: flags, their negations, and options that take a value. */
export const queryWords: readonly string[] = [
  ...Object.keys(flags).flatMap((name) => [name, `no${name}`]),
  ...Object.keys(values).map((name) => `${name}=`),
];

/** Throws UsageError for what is no query, and NOT_AVAILABLE for options of later versions. */
export function parseWords(args: readonly string[]): Query {
  const draft: Draft = {
    identifiers: [],
    file: undefined,
    server: undefined,
    config: undefined,
    region: undefined,
    format: "text",
    form: undefined,
    trace: false,
    validate: false,
    mirror: true,
    checkingDisabled: false,
    sections: new Set(sections),
    sectionsNamed: false,
    msps: undefined,
    jurisdiction: undefined,
    timeoutMs: limits.queryTimeoutMs,
    tries: triesDefault,
    hops: undefined,
  };
  const identifiers: string[] = [];
  const words = args[Symbol.iterator]();
  for (const word of words) {
    if (word === "--") identifiers.push(...words);
    else if (/^\+[a-z]/i.test(word)) applyOption(draft, { word, name: word.slice(1) });
    else if (word.startsWith("--")) applyOption(draft, { word, name: word.slice(2), words });
    else if (word === "-f") applyOption(draft, { word, name: "file", words });
    else if (word.startsWith("-")) throw wrong("option", "a known one", word);
    else if (word.startsWith("@")) draft.server = parseServer(word.slice(1), draft.server);
    else identifiers.push(word);
  }
  if (identifiers.length === 0 && draft.file === undefined) {
    throw new UsageError("identifier: expected at least one, got none", "whither --help shows how");
  }
  return { ...draft, identifiers };
}

/** `name`, `noname`, `name=value`; after `--` the value may be the next word. */
function applyOption(
  draft: Draft,
  option: {
    readonly word: string;
    readonly name: string;
    readonly words?: Iterator<string>;
  },
): void {
  const [, name = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(option.name) ?? [];
  const negated = /^no-?(.+)$/.exec(name)?.[1];
  const base = name in flags || name in values || negated === undefined ? name : negated;
  const on = base === name;
  if (unavailable.has(base)) {
    if (!on) return;
    throw notAvailable(base);
  }
  const flag = Object.hasOwn(flags, base) ? flags[base] : undefined;
  if (flag !== undefined) {
    if (value !== undefined) throw wrong(base, "no value", value);
    flag(draft, on);
    return;
  }
  const takeValue = Object.hasOwn(values, base) ? values[base] : undefined;
  if (takeValue === undefined || !on) throw wrong("option", "a known one", option.word);
  const given = value ?? nextWord(option.words);
  if (given === undefined || given === "") throw wrong(base, `a value (+${base}=…)`, "nothing");
  takeValue(draft, given);
}

function nextWord(words: Iterator<string> | undefined): string | undefined {
  const next = words?.next();
  return next?.done === false ? next.value : undefined;
}

function parseServer(text: string, old: string | undefined): string {
  if (text === "") throw wrong("server", "@host:port", "@");
  return once(text, { name: "server", old });
}

function parseMsps(text: string): readonly string[] {
  const ids = text.split(",");
  for (const id of ids) {
    try {
      parseMspId(id);
    } catch {
      throw wrong("msp", "domains separated by commas", text);
    }
  }
  return [...new Set(ids)];
}

const countriesMax = 64;

function parseCountries(text: string): readonly string[] {
  const countries = [...new Set(text.toUpperCase().split(","))];
  if (countries.length > countriesMax || !countries.every((one) => /^[A-Z]{2}$/.test(one))) {
    throw wrong("jurisdiction", "country codes such as DE,FR", text);
  }
  return countries;
}

/** `2s`, `500ms`, or seconds as a bare number, as dig takes them. */
function parseTimeout(text: string): number {
  const ms = /^\d{1,5}$/.test(text) ? Number(text) * 1000 : parseDurationMs(text);
  if (ms === undefined || ms < timeoutMs.min || ms > timeoutMs.max) {
    throw wrong("timeout", "50ms..60s", text);
  }
  return ms;
}

function parseCount(
  text: string,
  range: { readonly name: string; readonly min: number; readonly max: number },
): number {
  const count = Number(text);
  if (!/^\d{1,5}$/.test(text) || count < range.min || count > range.max) {
    throw wrong(range.name, `${range.min}..${range.max}`, text);
  }
  return count;
}

function parseRegion(text: string): string {
  if (!/^[a-z]{2}$/i.test(text)) throw wrong("region", "a country code such as DE", text);
  return text.toUpperCase();
}

function once(
  text: string,
  { name, old }: { readonly name: string; readonly old: string | undefined },
): string {
  if (old !== undefined && old !== text) throw wrong(name, "it once", `${old} and ${text}`);
  return text;
}

function wrong(what: string, expected: string, got: string): UsageError {
  return new UsageError(
    `${what}: expected ${expected}, got ${got}`,
    "whither --help lists options",
  );
}

function notAvailable(name: string): DiscoveryError {
  return new DiscoveryError("NOT_AVAILABLE", `+${name}: not available in this version`);
}
