// The configuration of whither-dnsd: one YAML file, every key with its default, unit and bounds. What each
// key is for is written for operators in configs/dnsd.yaml.

import { isIP } from "node:net";
import { parseMspId } from "@whither/protocol";
import {
  durationField,
  field,
  formatHostPort,
  hostPortField,
  integerField,
  loadConfig,
  logLevels,
  nameServersField,
  parseDomain,
  pathField,
  secretPathField,
  sizeField,
  textField,
  type HostPort,
  type LogLevel,
} from "@whither/runtime";
import { z } from "zod";

const mib = 1024 ** 2;

/** How a provider is shown: one NAPTR record for each. */
export interface ServiceTemplate {
  /** ENUM service field, such as `E2U+sip` (RFC 6116 section 3.4.2). */
  readonly service: string;
  /** With `{number}` (+493012345678), `{digits}`, `{msp}`. */
  readonly uri: string;
}

export interface DnsLimits {
  readonly queriesPerSecond: number;
  readonly queriesBurst: number;
  readonly lookupsPerSecond: number;
  readonly lookupsBurst: number;
  readonly lookupsInFlight: number;
  readonly tcpConnections: number;
  readonly tcpConnectionsPerClient: number;
  readonly clientsMax: number;
}

export interface DnsdConfig {
  readonly stateDirectory: string | undefined;
  readonly logLevel: LogLevel;
  readonly listen: HostPort;
  readonly metrics: HostPort | undefined;
  /** Networks beside loopback that may ask, as CIDR. */
  readonly allow: readonly Network[];
  readonly directory: {
    readonly anchorsFile: string;
    /** As `createResolver` takes it. */
    readonly source: string;
    readonly nameServers: readonly HostPort[];
  };
  readonly identity: { readonly certificateFile: string; readonly keyFile: string };
  readonly ownMsp: string | undefined;
  readonly suffix: string;
  readonly nameServer: string;
  readonly contact: string;
  readonly services: {
    readonly default: readonly ServiceTemplate[];
    readonly byMsp: ReadonlyMap<string, readonly ServiceTemplate[]>;
  };
  readonly lookupTimeoutMs: number;
  readonly cacheBytes: number;
  /** Whether zones in use tell of their new heads. */
  readonly watch: boolean;
  readonly limits: DnsLimits;
}

export interface Network {
  readonly address: string;
  readonly bits: number;
  readonly family: "ipv4" | "ipv6";
}

/** Reads and checks a configuration file. Throws CONFIG with file, line, key and allowed range. */
export function loadDnsdConfig(path: string): Promise<DnsdConfig> {
  return loadConfig({ path, schema: dnsdSchema });
}

/** The schema for a file in this directory, from which relative paths start. */
export function dnsdSchema(directory: string): z.ZodType<DnsdConfig> {
  const path = pathField(directory);
  const msp = textField("the id of an MSP, its domain in lower case", orUndefined(parseMspId));
  const template = z.strictObject({
    service: textField("an ENUM service such as E2U+sip, at most 32 characters", (text) =>
      /^E2U(\+[A-Za-z0-9][A-Za-z0-9:-]{0,30})+$/.test(text) && text.length <= 32 ? text : undefined,
    ),
    uri: textField("a URI with {number}, {digits} or {msp}, at most 120 characters", parseUri),
  });
  const templates = z.array(template).min(1).max(4);
  return z
    .strictObject({
      state_directory: path.optional(),
      log_level: z.enum(logLevels).default("info"),
      listen: hostPortField({ anyPort: true }).default({ host: "127.0.0.1", port: 5300 }),
      metrics: hostPortField({ anyPort: true }).optional(),
      allow: z
        .array(field("a network such as 192.0.2.0/24 or 2001:db8::/32", parseNetwork))
        .max(256)
        .default([]),
      directory: z
        .strictObject({
          anchors_file: path,
          server: hostPortField().optional(),
          file: path.optional(),
          dns: domainField().optional(),
          name_servers: nameServersField(),
        })
        .refine(({ server, file, dns }) => [server, file, dns].filter(isGiven).length === 1, {
          message: "expected one of server, file and dns",
          params: { expected: "one of server (host:port), file (a path) and dns (a domain)" },
        }),
      identity: z.strictObject({ certificate_file: path, key_file: secretPathField(directory) }),
      own_msp: msp.optional(),
      suffix: domainField().default("e164.arpa"),
      name_server: domainField().default("ns.whither.invalid"),
      contact: domainField().default("hostmaster.whither.invalid"),
      services: z
        .strictObject({
          default: templates.default([{ service: "E2U+sip", uri: "sip:{number}@{msp}" }]),
          msps: z
            .array(z.strictObject({ id: msp, services: templates }))
            .max(1024)
            .default([]),
        })
        .prefault({}),
      lookup_timeout: durationField({ min: 100, max: 30_000 }).default(4_000),
      watch: z.boolean().default(true),
      cache: sizeField({ min: mib, max: 1024 * mib }).default(32 * mib),
      limits: limitsSchema().prefault({}),
    })
    .transform((value): DnsdConfig => ({
      stateDirectory: value.state_directory,
      logLevel: value.log_level,
      listen: value.listen,
      metrics: value.metrics,
      allow: value.allow,
      directory: {
        anchorsFile: value.directory.anchors_file,
        source: sourceOf(value.directory),
        nameServers: value.directory.name_servers,
      },
      identity: {
        certificateFile: value.identity.certificate_file,
        keyFile: value.identity.key_file,
      },
      ownMsp: value.own_msp,
      suffix: value.suffix,
      nameServer: value.name_server,
      contact: value.contact,
      services: {
        default: value.services.default,
        byMsp: new Map(value.services.msps.map(({ id, services }) => [id, services])),
      },
      lookupTimeoutMs: value.lookup_timeout,
      cacheBytes: value.cache,
      watch: value.watch,
      limits: value.limits,
    }));
}

const isGiven = (value: unknown): boolean => value !== undefined;

function sourceOf(of: {
  readonly server?: HostPort | undefined;
  readonly file?: string | undefined;
  readonly dns?: string | undefined;
}): string {
  if (of.server !== undefined) return formatHostPort(of.server);
  return of.dns === undefined ? (of.file ?? "") : `dns:${of.dns}`;
}

function limitsSchema() {
  const count = (unit: string, fallback: number) =>
    integerField({ min: 1, max: 1_000_000_000, unit }).default(fallback);
  return z
    .strictObject({
      queries_per_second: count("queries a second and client", 1_000),
      queries_burst: count("queries", 5_000),
      lookups_per_second: count("names not in the cache, a second and client", 50),
      lookups_burst: count("names", 125),
      lookups_in_flight: integerField({ min: 1, max: 4096, unit: "lookups" }).default(256),
      tcp_connections: integerField({ min: 1, max: 10_000, unit: "connections" }).default(150),
      tcp_connections_per_client: integerField({ min: 1, max: 10_000 }).default(20),
      clients_max: integerField({ min: 16, max: 1_000_000, unit: "clients" }).default(10_000),
    })
    .transform((value): DnsLimits => ({
      queriesPerSecond: value.queries_per_second,
      queriesBurst: value.queries_burst,
      lookupsPerSecond: value.lookups_per_second,
      lookupsBurst: value.lookups_burst,
      lookupsInFlight: value.lookups_in_flight,
      tcpConnections: value.tcp_connections,
      tcpConnectionsPerClient: value.tcp_connections_per_client,
      clientsMax: value.clients_max,
    }));
}

/** What stands between the delimiters of a NAPTR regexp: `!` ends it and `\` would be a back reference. */
function parseUri(text: string): string | undefined {
  const filled = text.replaceAll(/\{(?:number|digits|msp)\}/g, "");
  const fits =
    text.length <= 120 && /^[\x21-\x7e]+$/.test(text) && /^[a-z][a-z0-9+.-]*:/.test(text);
  return fits && !/[!\\{}]/.test(filled) ? text : undefined;
}

function parseNetwork(value: unknown): Network | undefined {
  const [, address = "", length = ""] =
    typeof value === "string" ? (/^([0-9a-fA-F:.]+)\/(\d{1,3})$/.exec(value) ?? []) : [];
  const family = isIP(address);
  const bits = Number(length);
  if (family === 0 || length === "" || bits > (family === 4 ? 32 : 128)) return undefined;
  return { address, bits, family: family === 4 ? "ipv4" : "ipv6" };
}

/** Lower-case, without the trailing dot, short enough that fifteen digits fit below it. */
function domainField(): z.ZodType<string> {
  return textField("a domain in lower case, at most 200 characters", (text) =>
    parseDomain(text, 200),
  );
}

function orUndefined<T>(parse: (text: string) => T): (text: string) => T | undefined {
  return (text) => {
    try {
      return parse(text);
    } catch {
      return undefined;
    }
  };
}
