// Prefixes: the names that the directory delegates (protocol.md section 1). `.` is the root; below it
// one label a level: the scheme, then the delegation labels of its identifiers. Not a DNS name.

import type { Csi, Prefix } from "./brands.js";
import type { CsiScheme } from "./csi/scheme.js";
import { DiscoveryError } from "./errors.js";

export interface PrefixSpace {
  /**
   * `.`, `tel:`, `tel:+49`, `mailto:`, `mailto:example.com`. Only the canonical text is accepted
   * (A-labels, lower case); throws INVALID_DATA.
   */
  readonly parsePrefix: (text: string) => Prefix;
  /**
   * Path from the root: `[]` for `.`, `["tel"]`, `["tel", "4", "9"]`, `["mailto", "com", "example"]`.
   * The scheme is the first label; what follows is what `csiLabels` gives for an identifier.
   */
  readonly prefixLabels: (prefix: Prefix) => readonly string[];
  /** Prefix of a scheme and labels without the scheme: `prefixOf("tel", ["4", "9"])` is `tel:+49`. */
  readonly prefixOf: (scheme: string, labels: readonly string[]) => Prefix;
  /** Every prefix that encloses the CSI, `.` first, the whole number or domain last. */
  readonly prefixesOfCsi: (csi: Csi) => readonly Prefix[];
  /** One label up; undefined for the root. */
  readonly parentPrefix: (prefix: Prefix) => Prefix | undefined;
  /** Number of labels with the scheme: 0 for `.`, 1 for `tel:`, 3 for `tel:+49`. */
  readonly prefixDepth: (prefix: Prefix) => number;
  /** Whether `prefix` equals `ancestor` or lies below it. */
  readonly isWithin: (prefix: Prefix, ancestor: Prefix) => boolean;
  /** Whether the CSI lies at or below the prefix. */
  readonly isCsiWithin: (csi: Csi, ancestor: Prefix) => boolean;
  /** Order of the directory's digest: a parent before its children, siblings by label octets. */
  readonly comparePrefixes: (a: Prefix, b: Prefix) => -1 | 0 | 1;
  /**
   * The deepest prefix that a directory may be told about this CSI (Req 14): of a host the registrable
   * domain by the public suffix list, of a number all but its last four digits.
   */
  readonly disclosureLimit: (csi: Csi) => Prefix;
}

/** Order of two labels by their octets; labels are ASCII. */
export function compareLabels(a: string, b: string): -1 | 0 | 1 {
  return a < b ? -1 : a > b ? 1 : 0;
}

type Schemes = ReadonlyMap<string, CsiScheme>;

/** Prefixes below the schemes given. Part of the registry; not called by itself. */
export function createPrefixSpace(schemes: Schemes): PrefixSpace {
  const path = (prefix: Prefix): readonly string[] => pathOf(schemes, prefix);
  const above = (labels: readonly string[], ancestor: Prefix): boolean => {
    const outer = path(ancestor);
    return outer.length <= labels.length && outer.every((label, level) => label === labels[level]);
  };
  return {
    parsePrefix: (text) => {
      if (isPrefixText(schemes, text)) return text as Prefix; // checked on this line
      throw new DiscoveryError("INVALID_DATA", "not a canonical prefix");
    },
    prefixLabels: path,
    prefixOf: (scheme, labels) => prefixOfPath(schemes, [scheme, ...labels]),
    prefixesOfCsi: (csi) => {
      const labels = pathOfCsi(schemes, csi);
      const outer = labels.map((_, level) => prefixOfPath(schemes, labels.slice(0, level)));
      return [...outer, prefixOfPath(schemes, labels)];
    },
    parentPrefix: (prefix) => {
      const labels = path(prefix);
      return labels.length === 0 ? undefined : prefixOfPath(schemes, labels.slice(0, -1));
    },
    prefixDepth: (prefix) => path(prefix).length,
    isWithin: (prefix, ancestor) => above(path(prefix), ancestor),
    isCsiWithin: (csi, ancestor) => above(pathOfCsi(schemes, csi), ancestor),
    comparePrefixes: (a, b) => comparePaths(path(a), path(b)),
    disclosureLimit: (csi) => {
      const [scheme = "", ...labels] = pathOfCsi(schemes, csi);
      const told = schemeNamed(schemes, scheme).disclosedLabels(labels);
      return prefixOfPath(schemes, [scheme, ...labels.slice(0, told)]);
    },
  };
}

function isPrefixText(schemes: Schemes, text: string): boolean {
  if (text === ".") return true;
  const colon = text.indexOf(":");
  return schemes.get(text.slice(0, colon))?.isPrefix(text.slice(colon + 1)) ?? false;
}

function pathOf(schemes: Schemes, prefix: Prefix): readonly string[] {
  if (prefix === ".") return [];
  const colon = prefix.indexOf(":");
  const scheme = prefix.slice(0, colon);
  return [scheme, ...schemeNamed(schemes, scheme).prefixLabels(prefix.slice(colon + 1))];
}

function pathOfCsi(schemes: Schemes, csi: Csi): readonly string[] {
  const colon = csi.indexOf(":");
  const scheme = csi.slice(0, colon);
  return [scheme, ...schemeNamed(schemes, scheme).labels(csi.slice(colon + 1))];
}

function prefixOfPath(schemes: Schemes, path: readonly string[]): Prefix {
  const [scheme, ...labels] = path;
  if (scheme === undefined) return "." as Prefix; // the root is a constant
  return `${scheme}:${schemeNamed(schemes, scheme).prefixText(labels)}` as Prefix; // labels of a parsed name
}

function schemeNamed(schemes: Schemes, name: string): CsiScheme {
  const scheme = schemes.get(name);
  if (scheme === undefined)
    throw new TypeError("a prefix of a scheme that this registry does not have");
  return scheme;
}

function comparePaths(a: readonly string[], b: readonly string[]): -1 | 0 | 1 {
  for (const [level, label] of a.entries()) {
    const other = b[level];
    if (other === undefined) return 1;
    const order = compareLabels(label, other);
    if (order !== 0) return order;
  }
  return a.length === b.length ? 0 : -1;
}
