// From the two sources to the directory's tree: every prefix a node, every intermediate prefix too, one
// label a level, siblings linked in label byte order (protocol.md section 3). Signing is in sign.ts.

import {
  comparePrefixes,
  compareLabels,
  parentPrefix,
  prefixDepth,
  prefixLabels,
  type Authority,
  type Federation,
  type Node,
  type Party,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";
import { sha256 } from "@whither/crypto/node";
import { compareParties } from "./record-order.js";
import type { RegistrySource, ZoneSource } from "./registry-source.js";
import type { RootEntry, RootSource } from "./root-source.js";
import { formatValue, sourceError, type SourceIssue } from "./yaml-source.js";

/** A node before it is signed. */
export type NodeDraft = Omit<Node, "notBefore" | "notAfter" | "serial">;

export interface CompiledDirectory {
  /** Parent before child, siblings by label octets; the root first. */
  readonly nodes: readonly NodeDraft[];
  /** By kind, then id octets. */
  readonly parties: readonly Party[];
  readonly lifetimeSeconds: number;
  readonly refreshSeconds: number;
  readonly retrySeconds: number;
  readonly expireSeconds: number;
  readonly federationDefault: Federation;
}

/** Payloads of the manifests by the path that `registry.yaml` gives. */
export type ManifestPayloads = ReadonlyMap<string, Uint8Array>;

/**
 * Compiles the sources. Throws CONFIG naming file, line and key for a zone or manifest that is not
 * there, a prefix given twice, and a child below a prefix whose directory is someone else's.
 */
export function compileDirectory(sources: {
  readonly root: RootSource;
  readonly registry: RegistrySource;
  readonly manifests: ManifestPayloads;
}): CompiledDirectory {
  const { root, registry, manifests } = sources;
  const issues: SourceIssue[] = [];
  const authorityOf = authorities({ registry, manifests, issues });
  const entries = entriesByPrefix(root, issues);
  const { apex } = root;
  const prefixes = withAncestors([...entries.keys()], apex);
  const links = linkSiblings(prefixes);
  const nodes = prefixes.map((prefix): NodeDraft => {
    const entry = entries.get(prefix);
    return {
      prefix,
      ...dispositionOf(prefix, { entry, apex }),
      firstChild: links.firstChild.get(prefix) ?? "",
      nextSibling: links.nextSibling.get(prefix) ?? "",
      authorities:
        entry === undefined ? [] : entryAuthorities({ entry, root, authorityOf, issues }),
      ttlSeconds: entry?.ttlSeconds ?? root.ttlSeconds,
    };
  });
  for (const node of nodes) checkCut({ node, entry: entries.get(node.prefix), root, issues });
  checkApex({ entry: entries.get(apex), root, issues });
  if (issues.length > 0) throw sourceError(issues);
  const { dps, msps, provers, relays } = registry;
  const parties = [...dps.map(({ record }) => record), ...msps, ...provers, ...relays];
  return {
    nodes,
    // Who takes part is the root's to say; the registry of a part's source only names its zones.
    parties: root.zone === "." ? parties.toSorted(compareParties) : [],
    lifetimeSeconds: root.lifetimeSeconds,
    refreshSeconds: root.refreshSeconds,
    retrySeconds: root.retrySeconds,
    expireSeconds: root.expireSeconds,
    federationDefault: root.federationDefault,
  };
}

type AuthorityOf = (zone: ZoneName) => Omit<Authority, "kind" | "relayOnly"> | undefined;

function authorities(sources: {
  readonly registry: RegistrySource;
  readonly manifests: ManifestPayloads;
  readonly issues: SourceIssue[];
}): AuthorityOf {
  const { registry, manifests, issues } = sources;
  const zones = new Map(
    registry.dps.flatMap(({ record, zones }) =>
      zones.map((zone) => [
        zone.name,
        {
          zone: zone.name,
          dpId: record.id,
          manifestSha256: manifestHashes({ zone, file: registry.file, manifests, issues }),
          endpoints: [...record.endpoints, ...zone.replicas],
        },
      ]),
    ),
  );
  return (zone) => zones.get(zone);
}

function manifestHashes(source: {
  readonly zone: ZoneSource;
  readonly file: string;
  readonly manifests: ManifestPayloads;
  readonly issues: SourceIssue[];
}): readonly Uint8Array[] {
  const { zone, file, manifests, issues } = source;
  if (zone.manifests.kind === "hashes") return zone.manifests.sha256;
  return zone.manifests.paths.flatMap((path) => {
    const payload = manifests.get(path);
    if (payload !== undefined) return [sha256(payload)];
    const text = `expected a readable manifest file, got ${formatValue(path)}`;
    issues.push({ file, line: zone.line, key: `zones.${zone.name}.manifest`, text });
    return [];
  });
}

function entriesByPrefix(root: RootSource, issues: SourceIssue[]): Map<Prefix, RootEntry> {
  const entries = new Map<Prefix, RootEntry>();
  for (const entry of root.entries) {
    for (const prefix of entry.prefixes) {
      const other = entries.get(prefix);
      if (other === undefined) {
        entries.set(prefix, entry);
        continue;
      }
      const text = `expected each prefix once, got ${prefix} also by line ${other.line}`;
      issues.push({ file: root.file, line: entry.line, key: `prefixes.${entry.key}`, text });
    }
  }
  return entries;
}

/** The prefixes and everything above them up to the apex, in digest order. */
function withAncestors(prefixes: readonly Prefix[], apex: Prefix): readonly Prefix[] {
  const all = new Set<Prefix>([apex]);
  for (const prefix of prefixes) {
    let above: Prefix | undefined = prefix;
    while (above !== undefined && !all.has(above)) {
      all.add(above);
      above = parentPrefix(above);
    }
  }
  return [...all].toSorted(comparePrefixes);
}

/** `prefixes` in digest order, so that children of one node come in label order. */
function linkSiblings(prefixes: readonly Prefix[]): {
  readonly firstChild: ReadonlyMap<Prefix, string>;
  readonly nextSibling: ReadonlyMap<Prefix, string>;
} {
  const firstChild = new Map<Prefix, string>();
  const nextSibling = new Map<Prefix, string>();
  const lastChild = new Map<Prefix, Prefix>();
  for (const prefix of prefixes) {
    const parent = parentPrefix(prefix);
    if (parent === undefined || prefix === prefixes[0]) continue; // the apex is nobody's child here
    const label = lastLabel(prefix);
    const previous = lastChild.get(parent);
    if (previous === undefined) firstChild.set(parent, label);
    else if (compareLabels(lastLabel(previous), label) < 0) nextSibling.set(previous, label);
    lastChild.set(parent, prefix);
  }
  return { firstChild, nextSibling };
}

function lastLabel(prefix: Prefix): string {
  return prefixLabels(prefix).at(-1) ?? "";
}

function dispositionOf(
  prefix: Prefix,
  { entry, apex }: { readonly entry: RootEntry | undefined; readonly apex: Prefix },
): Pick<NodeDraft, "disposition"> {
  switch (entry?.content.kind) {
    case "mappings":
    case "directory":
      return { disposition: "delegated" };
    case "unassigned":
      return { disposition: "unassigned" };
    case "parent":
    case undefined:
      // Above a scheme there is only the root, which serves nobody: a walk may begin at the scheme.
      // Nor is anything above the apex of a part: what stands there leads to the part.
      return {
        disposition: prefixDepth(prefix) <= 1 || prefix === apex ? "unassigned" : "parent",
      };
  }
}

function entryAuthorities(source: {
  readonly entry: RootEntry;
  readonly root: RootSource;
  readonly authorityOf: AuthorityOf;
  readonly issues: SourceIssue[];
}): readonly Authority[] {
  const { entry, root, authorityOf, issues } = source;
  const { content } = entry;
  if (content.kind === "unassigned" || content.kind === "parent") return [];
  if (content.kind === "directory" && content.zones.length > 1) {
    const text = "expected one zone: two directories of one prefix might disagree";
    issues.push({ file: root.file, line: entry.line, key: `prefixes.${entry.key}`, text });
  }
  if (content.zones.includes(root.zone)) {
    const text = `expected another zone than this directory's own, got ${root.zone}`;
    issues.push({ file: root.file, line: entry.line, key: `prefixes.${entry.key}`, text });
  }
  if (new Set(content.zones).size !== content.zones.length) {
    const text = "expected different zones";
    issues.push({ file: root.file, line: entry.line, key: `prefixes.${entry.key}`, text });
  }
  return content.zones.flatMap((zone, index) => {
    const authority = authorityOf(zone);
    if (authority !== undefined) {
      return [{ ...authority, kind: content.kind, relayOnly: entry.relayOnly }];
    }
    const list = content.kind === "mappings" ? "zones" : "directory";
    const key = `prefixes.${entry.key}.${list}[${index}]`;
    const text = `expected a zone of the registry, got ${formatValue(zone)}`;
    issues.push({ file: root.file, line: entry.line, key, text });
    return [];
  });
}

/** An apex that led on, or back to what stands above it, would answer nothing. */
function checkApex(source: {
  readonly entry: RootEntry | undefined;
  readonly root: RootSource;
  readonly issues: SourceIssue[];
}): void {
  const { entry, root, issues } = source;
  const kind = entry?.content.kind;
  if (entry === undefined || (kind !== "directory" && kind !== "parent")) return;
  const text = "expected zones or unassigned at the apex";
  issues.push({ file: root.file, line: entry.line, key: `prefixes.${entry.key}`, text });
}

/** Below a prefix whose directory is delegated on, that directory alone says what there is. */
function checkCut(source: {
  readonly node: NodeDraft;
  readonly entry: RootEntry | undefined;
  readonly root: RootSource;
  readonly issues: SourceIssue[];
}): void {
  const { node, entry, root, issues } = source;
  if (entry?.content.kind !== "directory" || node.firstChild === "") return;
  const text = `expected nothing below a delegated directory, got the label ${node.firstChild}`;
  issues.push({ file: root.file, line: entry.line, key: `prefixes.${entry.key}`, text });
}
