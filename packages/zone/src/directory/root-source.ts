// `root.zone.yaml`, or the same of a part that was delegated on: prefixes and who serves them. Text in, typed entries out, each with its line. Who
// the zones belong to is `registry.yaml`'s to say (registry-source.ts).

import {
  isDiscoveryError,
  isTelRange,
  isWithin,
  limits,
  parsePrefix,
  prefixesOfRange,
  type Federation,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";
import { z } from "zod";
import { directoryZoneField, prefixField, zoneNameField } from "./source-fields.js";
import { rootPlace } from "./trust.js";
import { formatValue, parseYamlSource, sourceError, type SourceIssue } from "./yaml-source.js";

/** What an entry says about its prefixes. */
export type EntryContent =
  | { readonly kind: "mappings" | "directory"; readonly zones: readonly ZoneName[] }
  | { readonly kind: "unassigned" }
  | { readonly kind: "parent" };

export interface RootEntry {
  /** As it stands in the file: a prefix or a range. */
  readonly key: string;
  readonly line: number;
  /** One, or the minimal set of a range. */
  readonly prefixes: readonly Prefix[];
  readonly content: EntryContent;
  readonly name?: string;
  /** Registered identifiers that the operator of a domain expects. */
  readonly expectedCsis?: number;
  readonly relayOnly: boolean;
  readonly ttlSeconds: number;
}

export interface RootSource {
  readonly file: string;
  /** `.`, or the zone of a part. */
  readonly zone: ZoneName;
  /** `.`, or where the part begins. */
  readonly apex: Prefix;
  readonly ttlSeconds: number;
  /** not_after - not_before of every record. */
  readonly lifetimeSeconds: number;
  readonly refreshSeconds: number;
  readonly retrySeconds: number;
  readonly expireSeconds: number;
  readonly federationDefault: Federation;
  readonly entries: readonly RootEntry[];
}

const ttl = z.int().min(60).max(limits.directoryTtlSecondsMax);
const seconds = z.int().min(1).max(limits.nodeLifetimeSeconds);
const zones = z.array(zoneNameField).min(1).max(limits.authoritiesMax);

const entrySchema = z
  .strictObject({
    zones: zones.optional(),
    directory: zones.optional(),
    unassigned: z.literal(true).optional(),
    parent: z.literal(true).optional(),
    name: z.string().max(255).optional(),
    expected_csis: z.int().min(0).optional(),
    relay_only: z.boolean().optional(),
    ttl_s: ttl.optional(),
  })
  .superRefine((entry, context) => {
    const kinds = [entry.zones, entry.directory, entry.unassigned, entry.parent];
    if (kinds.filter((kind) => kind !== undefined).length === 1) return;
    const message = "expected exactly one of zones, directory, unassigned, parent";
    context.addIssue({ code: "custom", message });
  });

const schema = z.strictObject({
  zone: directoryZoneField,
  apex: prefixField.optional(),
  ttl_s: ttl,
  lifetime_s: z.int().min(3_600).max(limits.nodeLifetimeSeconds),
  refresh_s: seconds,
  retry_s: seconds,
  expire_s: seconds,
  federation_default: z.enum(["local", "preferred", "list", "all"]),
  prefixes: z.record(z.string(), entrySchema),
});

/** Reads `root.zone.yaml`. Throws CONFIG whose cause names file, line and key of every mistake. */
export function parseRootSource(source: {
  readonly text: string;
  readonly file: string;
}): RootSource {
  const yaml = parseYamlSource({ ...source, schema });
  const { value } = yaml;
  const { zone, apex = value.zone === "." ? rootPlace.apex : undefined } = value;
  if (apex === undefined || (apex === ".") !== (zone === ".")) {
    const text = "expected an apex below the root for a part, and none for the zone .";
    throw sourceError([{ file: source.file, line: yaml.lineOf(["zone"]), key: "apex", text }]);
  }
  const issues: SourceIssue[] = [];
  const entries = Object.entries(value.prefixes).flatMap(([key, entry]): readonly RootEntry[] => {
    const line = yaml.lineOf(["prefixes", key]);
    const prefixes = prefixesOfKey(key, apex);
    if (typeof prefixes === "string") {
      const text = `expected ${prefixes}, got ${formatValue(key)}`;
      issues.push({ file: source.file, line, key: `prefixes.${key}`, text });
      return [];
    }
    return [
      {
        key,
        line,
        prefixes,
        content: contentOf(entry),
        relayOnly: entry.relay_only ?? false,
        ttlSeconds: entry.ttl_s ?? value.ttl_s,
        ...(entry.name === undefined ? {} : { name: entry.name }),
        ...(entry.expected_csis === undefined ? {} : { expectedCsis: entry.expected_csis }),
      },
    ];
  });
  if (issues.length > 0) throw sourceError(issues);
  return {
    file: source.file,
    zone,
    apex,
    ttlSeconds: value.ttl_s,
    lifetimeSeconds: value.lifetime_s,
    refreshSeconds: value.refresh_s,
    retrySeconds: value.retry_s,
    expireSeconds: value.expire_s,
    federationDefault: value.federation_default,
    entries,
  };
}

/** The prefixes of a key, or what was expected of it. */
function prefixesOfKey(key: string, apex: Prefix): readonly Prefix[] | string {
  if (key === ".") return "a prefix below the root, whose node is made by itself";
  try {
    const prefixes = isTelRange(key) ? prefixesOfRange(key) : [parsePrefix(key)];
    const isWhole = prefixes.every((prefix) => isWithin(prefix, apex));
    return isWhole ? prefixes : `a prefix at or below the apex ${apex}`;
  } catch (error) {
    if (!isDiscoveryError(error, "INVALID_DATA")) throw error;
    return isTelRange(key)
      ? error.text
      : "a canonical prefix such as tel:+49 or mailto:example.org";
  }
}

function contentOf(entry: z.infer<typeof entrySchema>): EntryContent {
  if (entry.zones !== undefined) return { kind: "mappings", zones: entry.zones };
  if (entry.directory !== undefined) return { kind: "directory", zones: entry.directory };
  return { kind: entry.unassigned === true ? "unassigned" : "parent" };
}
