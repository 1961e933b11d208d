// `zone check`: what a compiled directory says that its operator may not have meant, before it is signed
// (protocol.md section 3). Pure decisions over sources; mistakes that do not even compile are compile.ts's.

import {
  isPublicSuffix,
  isWithin,
  parentPrefix,
  prefixDepth,
  prefixLabels,
  registrableDomain,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";
import { checkParties } from "./check-parties.js";
import type { Finding, ZoneCheck } from "./finding.js";
import type { RootEntry, RootSource } from "./root-source.js";

/** Numbers or registered identifiers that a zone of its own must have to hide in (protocol.md section 3). */
const numbersMin = 10_000;
const registeredCsisMin = 1_000;
/** A directory that changes by more than this share, and by more than ten nodes, is unusual. */
const sizeDeltaShare = 0.2;
const sizeDeltaNodes = 10;

/** All findings, in the order of the rules. Nothing is thrown for what is wrong with the zone. */
export function checkDirectory(check: ZoneCheck): readonly Finding[] {
  return [
    ...overlaps(check.root),
    ...idle(check.root),
    ...orphans(check),
    ...cycles(check.root),
    ...kinds(check),
    ...publicSuffixes(check.root),
    ...undisclosed(check.root),
    ...smallZones(check.root),
    ...checkParties(check),
    ...sizes(check),
  ];
}

/** A range that reaches into another entry's prefixes: one of the two is a typing error. */
function overlaps(root: RootSource): readonly Finding[] {
  const owner = new Map<Prefix, RootEntry>();
  for (const entry of root.entries) for (const prefix of entry.prefixes) owner.set(prefix, entry);
  return root.entries.flatMap((entry) => {
    if (entry.prefixes.length < 2) return [];
    const others = new Set<RootEntry>();
    for (const prefix of entry.prefixes) {
      for (const above of ancestors(prefix)) {
        const other = owner.get(above);
        if (other !== undefined && other !== entry && other.prefixes.length > 1) others.add(other);
      }
    }
    return [...others].map((other) =>
      at(
        { root, entry, rule: "overlap", severity: "error" },
        `overlaps the range ${other.key} of line ${other.line}`,
      ),
    );
  });
}

/** An entry that only says "as above" where nothing stands below it says nothing. */
function idle(root: RootSource): readonly Finding[] {
  return root.entries.flatMap((entry) => {
    if (entry.content.kind !== "parent") return [];
    const hasBelow = root.entries.some(
      (other) =>
        other !== entry &&
        other.prefixes.some((one) => entry.prefixes.some((prefix) => isWithin(one, prefix))),
    );
    const place = { root, entry, rule: "orphan", severity: "warning" } as const;
    return hasBelow ? [] : [at(place, "nothing stands below it")];
  });
}

/** Zones that no prefix names, and DPs without any. */
function orphans({ root, registry }: ZoneCheck): readonly Finding[] {
  const used = new Set(root.entries.flatMap((entry) => zonesOf(entry)));
  return registry.dps.flatMap(({ record, zones }): readonly Finding[] => {
    const unused = zones.filter(({ name }) => !used.has(name));
    const place = { severity: "warning", rule: "orphan", file: registry.file } as const;
    if (zones.length === 0) {
      const line = registry.lineOf("dp", record.id);
      return [{ ...place, line, subject: record.id, text: "the DP serves no zone" }];
    }
    return unused.map(({ name, line }) => ({
      ...place,
      line,
      subject: name,
      text: "no prefix is delegated to this zone",
    }));
  });
}

/** A directory that serves a prefix and is handed, from there, a prefix around or beside it again. */
function cycles(root: RootSource): readonly Finding[] {
  const serving = new Map<ZoneName, RootEntry>();
  return root.entries.flatMap((entry) => {
    if (entry.content.kind !== "directory") return [];
    return entry.content.zones.flatMap((zone): readonly Finding[] => {
      const other = serving.get(zone);
      serving.set(zone, entry);
      if (other === undefined) return [];
      const text = `${zone} is the directory of ${other.key} too (line ${other.line})`;
      return [at({ root, entry, rule: "cycle", severity: "error" }, text)];
    });
  });
}

/** By its manifest a zone holds mappings or is a directory; clients refuse one for the other. */
function kinds({ root, manifests }: ZoneCheck): readonly Finding[] {
  return root.entries.flatMap((entry) =>
    zonesOf(entry).flatMap((zone): readonly Finding[] => {
      const manifest = manifests.get(zone);
      if (manifest === undefined) return [];
      const kind = manifest.voprfKeys.length === 0 ? "directory" : "mappings";
      if (kind === entry.content.kind) return [];
      const text = `the manifest of ${zone} is one for ${kind}`;
      return [at({ root, entry, rule: "manifest", severity: "error" }, text)];
    }),
  );
}

/** A name under which strangers register names is nobody's to serve. */
function publicSuffixes(root: RootSource): readonly Finding[] {
  return root.entries.flatMap((entry) =>
    entry.prefixes.flatMap((prefix): readonly Finding[] => {
      const host = hostOf(prefix);
      if (host === undefined || zonesOf(entry).length === 0 || !isPublicSuffix(host)) return [];
      return [
        at({ root, entry, rule: "public-suffix", severity: "error" }, `${host} is a public suffix`),
      ];
    }),
  );
}

/** Below a registrable domain a walking resolver never asks, except through a relay. */
function undisclosed(root: RootSource): readonly Finding[] {
  return root.entries.flatMap((entry) =>
    entry.prefixes.flatMap((prefix): readonly Finding[] => {
      const host = hostOf(prefix);
      const domain = host === undefined ? undefined : registrableDomain(host);
      if (domain === undefined || domain === host || entry.relayOnly) return [];
      const text = `lies below ${domain}: no resolver may ask so deep without a relay`;
      return [at({ root, entry, rule: "undisclosed", severity: "error" }, text)];
    }),
  );
}

/** A zone of few people tells who is asked about. Counted per zone: in a shared one they hide together. */
function smallZones(root: RootSource): readonly Finding[] {
  const sizes = new Map<ZoneName, { numbers: number; csis: number; isShared: boolean }>();
  const entriesOf = root.entries.filter((entry) => entry.content.kind === "mappings");
  for (const entry of entriesOf) {
    for (const zone of zonesOf(entry)) {
      const size = sizes.get(zone) ?? { numbers: 0, csis: 0, isShared: false };
      const depths = entry.prefixes.map(prefixDepth);
      sizes.set(zone, {
        numbers: size.numbers + entry.prefixes.reduce((sum, one) => sum + possibleNumbers(one), 0),
        csis: size.csis + (entry.expectedCsis ?? 0),
        // A whole scheme is shared by everybody without a zone of their own.
        isShared: size.isShared || depths.some((depth) => depth === 1),
      });
    }
  }
  return entriesOf.flatMap((entry) => {
    if (entry.relayOnly) return [];
    return zonesOf(entry).flatMap((zone): readonly Finding[] => {
      const size = sizes.get(zone);
      if (size === undefined || size.isShared) return [];
      if (size.numbers >= numbersMin || size.csis >= registeredCsisMin) return [];
      const text = `${zone} covers ${size.numbers} numbers and ${size.csis} expected_csis: share a zone or mark it relay_only`;
      return [at({ root, entry, rule: "small-zone", severity: "error" }, text)];
    });
  });
}

/** Digits of the numbers of closed plans; elsewhere, what most countries use at the most. */
const planDigits: Readonly<Record<string, number>> = { "1": 11, "7": 11 };
const commonDigits = 12;

function possibleNumbers(prefix: Prefix): number {
  const [scheme, first = "", ...rest] = prefixLabels(prefix);
  if (scheme !== "tel") return 0;
  const digits = planDigits[first] ?? commonDigits;
  return 10 ** Math.max(0, digits - rest.length - (first === "" ? 0 : 1));
}

/** A directory that suddenly lost or gained much of itself. */
function sizes({ root, compiled, previous }: ZoneCheck): readonly Finding[] {
  if (previous === undefined) return [];
  const before = new Set(previous.nodes().map(({ node }) => node.prefix));
  const after = new Set(compiled.nodes.map((node) => node.prefix));
  const removed = [...before].filter((prefix) => !after.has(prefix)).length;
  const added = [...after].filter((prefix) => !before.has(prefix)).length;
  return (["removed", "added"] as const).flatMap((change): readonly Finding[] => {
    const count = change === "removed" ? removed : added;
    if (count <= sizeDeltaNodes || count <= before.size * sizeDeltaShare) return [];
    const text = `${count} nodes ${change}, of ${before.size} in serial ${previous.serial}`;
    const place = { file: root.file, line: 1, subject: "." };
    return [{ severity: "warning", rule: "size", ...place, text }];
  });
}

interface FindingPlace extends Pick<Finding, "rule" | "severity"> {
  readonly root: RootSource;
  readonly entry: RootEntry;
}

function at({ root, entry, rule, severity }: FindingPlace, text: string): Finding {
  return { severity, rule, file: root.file, line: entry.line, subject: entry.key, text };
}

function zonesOf({ content }: RootEntry): readonly ZoneName[] {
  return content.kind === "mappings" || content.kind === "directory" ? content.zones : [];
}

/** Prefixes above, nearest first, without the root. */
function ancestors(prefix: Prefix): readonly Prefix[] {
  const found: Prefix[] = [];
  for (let above = parentPrefix(prefix); above !== undefined && above !== ".";) {
    found.push(above);
    above = parentPrefix(above);
  }
  return found;
}

/** The host of a `mailto:` or `acct:` prefix; undefined for numbers and for a whole scheme. */
function hostOf(prefix: Prefix): string | undefined {
  const [scheme = "", ...labels] = prefixLabels(prefix);
  return scheme === "tel" || labels.length === 0 ? undefined : labels.toReversed().join(".");
}
