// The source of a small root directory, as `whitherctl zone sign` reads it.

export interface RootZoneTimes {
  readonly ttlSeconds?: number;
  readonly refreshSeconds?: number;
  readonly retrySeconds?: number;
}

/** YAML of a root with these prefixes, each with its node as a YAML flow mapping. */
export function rootZoneYaml(
  prefixes: Readonly<Record<string, string>>,
  { ttlSeconds = 86_400, refreshSeconds = 900, retrySeconds = 300 }: RootZoneTimes = {},
): string {
  const nodes = Object.entries(prefixes).map(([prefix, node]) => `  "${prefix}": ${node}\n`);
  return `zone: "."
ttl_s: ${ttlSeconds}
lifetime_s: 604800
refresh_s: ${refreshSeconds}
retry_s: ${retrySeconds}
expire_s: 604800
federation_default: local
prefixes:
${nodes.join("")}`;
}
