// The configuration of whither-dpd: one YAML file, every key with its default, unit and bounds. What each
// key is for is written for operators in configs/dpd.yaml.

import {
  defaultAdmissionLimits,
  type AdmissionLimits,
  type FollowedServer,
  type ReplicationPeer,
} from "@whither/authority";
import { parsePin } from "@whither/crypto/node";
import {
  isCanonicalCsi,
  limits,
  parseDpId,
  parsePrefix,
  parseZoneName,
  zoneDp,
  type Csi,
  type DpId,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";
import {
  field,
  hostPortField,
  integerField,
  loadConfig,
  logLevels,
  pathField,
  secretPathField,
  sizeField,
  textField,
  type HostPort,
  type LogLevel,
} from "@whither/runtime";
import { z } from "zod";

const mib = 1024 ** 2;
const zonesMax = 256;

export interface ZoneConfig {
  readonly name: ZoneName;
  readonly manifestFile: string;
  readonly zoneKeyFile: string;
  readonly nextZoneKeyFile: string | undefined;
  readonly voprfKeyFile: string;
  /** Of the key that replaces it. */
  readonly nextVoprfKeyFile: string | undefined;
  readonly vaultKeyFile: string | undefined;
  /** What relayed queries are sealed to, and the key that is to replace it. */
  readonly hpkeKeyFiles: readonly string[];
  readonly epoch: number;
  readonly probe: Csi | undefined;
  readonly replication: {
    /** Own secondaries of the zone. */
    readonly peers: readonly ReplicationPeer[];
  };
  readonly storeCacheBytes: number;
  readonly bucketCacheBytes: number;
}

/** A zone of somebody that is followed and served. */
export interface ReplicaConfig {
  readonly name: ZoneName;
  readonly probe: Csi;
  /** Servers to follow; undefined: those of the directory. */
  readonly primaries: readonly FollowedServer[] | undefined;
  /** Own servers of the zone that name this one as a secondary. */
  readonly replication: readonly FollowedServer[];
  /** Of a full replica. */
  readonly voprfKeyFile: string | undefined;
  /** Of the key that replaces it. */
  readonly nextVoprfKeyFile: string | undefined;
  readonly storeCacheBytes: number;
  readonly bucketCacheBytes: number;
}

/** A part of the directory that the root, or another part, delegates to this DP. */
export interface PartConfig {
  readonly name: ZoneName;
  /** Where the part begins. */
  readonly apex: Prefix;
  readonly manifestFile: string;
  readonly artefactFile: string;
}

export interface DpdConfig {
  readonly dp: DpId;
  readonly stateDirectory: string;
  readonly logLevel: LogLevel;
  readonly listen: { readonly clients: HostPort; readonly public: HostPort };
  readonly metrics: HostPort | undefined;
  readonly tls: {
    readonly certificateFile: string;
    readonly keyFile: string;
    readonly clientCaFile: string;
  };
  readonly directory: {
    readonly anchorsFile: string;
    readonly source:
      | { readonly kind: "server"; readonly host: string; readonly port: number }
      | { readonly kind: "file"; readonly path: string };
  };
  readonly zones: readonly ZoneConfig[];
  readonly replicas: readonly ReplicaConfig[];
  readonly directories: readonly PartConfig[];
  readonly voprfThreads: number;
  readonly limits: AdmissionLimits;
}

/** Reads and checks a configuration file. Throws CONFIG with file, line, key and allowed range. */
export function loadDpdConfig(path: string): Promise<DpdConfig> {
  return loadConfig({ path, schema: dpdSchema });
}

/** The schema for a file in this directory, from which relative paths start. */
export function dpdSchema(directory: string): z.ZodType<DpdConfig> {
  const path = pathField(directory);
  const secret = secretPathField(directory);
  const zone = z
    .strictObject({
      name: textField("a zone name, name@dp_id", orUndefined(parseZoneName)),
      manifest_file: path,
      zone_key_file: secret,
      next_zone_key_file: secret.optional(),
      voprf_key_file: secret,
      next_voprf_key_file: secret.optional(),
      vault_key_file: secret.optional(),
      hpke_key_file: secret.optional(),
      next_hpke_key_file: secret.optional(),
      epoch: integerField({ min: 1, max: 2 ** 32 }).default(1),
      probe: field("a canonical identifier such as tel:+4930123456", (value) =>
        typeof value === "string" && isCanonicalCsi(value) ? value : undefined,
      ).optional(),
      replication: z
        .strictObject({
          peers: z
            .array(z.strictObject({ spki: pins() }))
            .max(limits.replicationPeersMax)
            .default([]),
        })
        .prefault({}),
      store_cache: sizeField({ min: mib, max: 64 * 1024 * mib }).default(8 * mib),
      bucket_cache: sizeField({ min: 0, max: 64 * 1024 * mib }).default(8 * mib),
    })
    .refine(
      (value) => value.next_voprf_key_file === undefined || value.vault_key_file !== undefined,
      {
        path: ["next_voprf_key_file"],
        message: "expected vault_key_file beside it",
        params: { expected: "vault_key_file beside it: the next tree is made from the vault" },
      },
    )
    .transform((value): ZoneConfig => ({
      name: value.name,
      manifestFile: value.manifest_file,
      zoneKeyFile: value.zone_key_file,
      nextZoneKeyFile: value.next_zone_key_file,
      voprfKeyFile: value.voprf_key_file,
      nextVoprfKeyFile: value.next_voprf_key_file,
      vaultKeyFile: value.vault_key_file,
      hpkeKeyFiles: [value.hpke_key_file, value.next_hpke_key_file].filter(
        (file) => file !== undefined,
      ),
      epoch: value.epoch,
      probe: value.probe,
      replication: { peers: value.replication.peers.map(({ spki }) => ({ spkiSha256: spki })) },
      storeCacheBytes: value.store_cache,
      bucketCacheBytes: value.bucket_cache,
    }));
  const directorySource = z
    .strictObject({
      anchors_file: path,
      server: hostPortField().optional(),
      file: path.optional(),
    })
    .refine((value) => (value.server === undefined) !== (value.file === undefined), {
      message: "expected either server or file",
      params: { expected: "either server (host:port) or file (a path)" },
    })
    .transform((value): DpdConfig["directory"] => ({
      anchorsFile: value.anchors_file,
      source:
        value.server === undefined
          ? { kind: "file", path: value.file ?? "" }
          : { kind: "server", ...value.server },
    }));
  return z
    .strictObject({
      dp: textField("a DP id, a lower-case host name", orUndefined(parseDpId)),
      state_directory: path,
      log_level: z.enum(logLevels).default("info"),
      listen: z.strictObject({
        clients: hostPortField({ anyPort: true }).default({ host: "127.0.0.1", port: 7354 }),
        public: hostPortField({ anyPort: true }).default({ host: "127.0.0.1", port: 7364 }),
      }),
      metrics: hostPortField({ anyPort: true }).optional(),
      tls: z.strictObject({ certificate_file: path, key_file: secret, client_ca_file: path }),
      directory: directorySource,
      zones: z.array(zone).max(zonesMax).default([]),
      replicas: z.array(replicaSchema(secret)).max(zonesMax).default([]),
      directories: z.array(partSchema(path)).max(zonesMax).default([]),
      voprf_threads: integerField({ min: 1, max: 256, unit: "threads" }).default(1),
      limits: limitsSchema().prefault({}),
    })
    .refine(
      ({ zones, replicas, directories }) => zones.length + replicas.length + directories.length > 0,
      {
        message: "expected zones, replicas or directories",
        params: { expected: "at least one zone or replica, or a part of the directory" },
      },
    )
    .superRefine((value, context) => {
      const names = [...value.zones, ...value.replicas].map(({ name }) => name);
      value.replicas.forEach(({ name }, index) => {
        if (names.indexOf(name) === value.zones.length + index) return;
        const params = { expected: "each zone once" };
        const at = {
          path: ["replicas", index, "name"],
          params,
          message: "expected each zone once",
        };
        context.addIssue({ code: "custom", ...at });
      });
      value.directories.forEach(({ name }, index) => {
        const others = [...names, ...value.directories.slice(0, index).map((one) => one.name)];
        if (zoneDp(name) === value.dp && !others.includes(name)) return;
        const expected = `each zone once, and a zone of ${value.dp}`;
        const at = {
          path: ["directories", index, "name"],
          params: { expected },
          message: `expected ${expected}`,
        };
        context.addIssue({ code: "custom", ...at });
      });
      value.zones.forEach(({ name }, index) => {
        const isOwn = zoneDp(name) === value.dp;
        const isFirst = value.zones.findIndex((other) => other.name === name) === index;
        if (isOwn && isFirst) return;
        const expected = isOwn ? "each zone once" : `a zone of ${value.dp}`;
        const params = { expected };
        const at = { path: ["zones", index, "name"], params, message: `expected ${expected}` };
        context.addIssue({ code: "custom", ...at });
      });
    })
    .transform((value): DpdConfig => ({
      dp: value.dp,
      stateDirectory: value.state_directory,
      logLevel: value.log_level,
      listen: value.listen,
      metrics: value.metrics,
      tls: {
        certificateFile: value.tls.certificate_file,
        keyFile: value.tls.key_file,
        clientCaFile: value.tls.client_ca_file,
      },
      directory: value.directory,
      zones: value.zones,
      replicas: value.replicas,
      directories: value.directories,
      voprfThreads: value.voprf_threads,
      limits: value.limits,
    }));
}

function partSchema(path: ReturnType<typeof pathField>) {
  return z
    .strictObject({
      name: textField("a zone name, name@dp_id", orUndefined(parseZoneName)),
      apex: textField("a canonical prefix such as tel:+49", orUndefined(parsePrefix)),
      manifest_file: path,
      artefact_file: path,
    })
    .transform((value): PartConfig => ({
      name: value.name,
      apex: value.apex,
      manifestFile: value.manifest_file,
      artefactFile: value.artefact_file,
    }));
}

function replicaSchema(secret: ReturnType<typeof secretPathField>) {
  const followed = (way: FollowedServer["way"]) =>
    z
      .strictObject({ server: hostPortField(), spki: pins() })
      .transform(({ server, spki }): FollowedServer => ({ ...server, spkiSha256: spki, way }));
  return z
    .strictObject({
      name: textField("a zone name, name@dp_id", orUndefined(parseZoneName)),
      probe: field("a canonical identifier such as tel:+4930123456", (value) =>
        typeof value === "string" && isCanonicalCsi(value) ? value : undefined,
      ),
      primaries: z.array(followed("public")).min(1).max(limits.endpointsMax).optional(),
      replication: z.array(followed("replication")).max(limits.endpointsMax).default([]),
      voprf_key_file: secret.optional(),
      next_voprf_key_file: secret.optional(),
      store_cache: sizeField({ min: mib, max: 64 * 1024 * mib }).default(8 * mib),
      bucket_cache: sizeField({ min: 0, max: 64 * 1024 * mib }).default(8 * mib),
    })
    .refine(
      (value) => value.next_voprf_key_file === undefined || value.voprf_key_file !== undefined,
      {
        path: ["next_voprf_key_file"],
        message: "expected voprf_key_file beside it",
        params: { expected: "voprf_key_file beside it: a full replica has the key in use too" },
      },
    )
    .transform((value): ReplicaConfig => ({
      name: value.name,
      probe: value.probe,
      primaries: value.primaries,
      replication: value.replication,
      voprfKeyFile: value.voprf_key_file,
      nextVoprfKeyFile: value.next_voprf_key_file,
      storeCacheBytes: value.store_cache,
      bucketCacheBytes: value.bucket_cache,
    }));
}

function pins() {
  return z
    .array(textField("a pin, sha256:<base64url>", orUndefined(parsePin)))
    .min(1)
    .max(limits.pinsMax);
}

function limitsSchema() {
  const count = (unit: string, fallback: number) =>
    integerField({ min: 1, max: 1_000_000_000, unit }).default(fallback);
  const defaults = defaultAdmissionLimits;
  return z
    .strictObject({
      requests_per_second: count("requests a second", defaults.requestsPerSecond),
      requests_burst: count("requests", defaults.requestsBurst),
      cpu_ms_per_second: count("milliseconds a second", defaults.cpuMsPerSecond),
      cpu_burst_ms: count("milliseconds", defaults.cpuBurstMs),
      client_contacts_per_day: count("contacts a day", defaults.clientContactsPerDay),
      client_contacts_burst: count("contacts", defaults.clientContactsBurst),
      msp_contacts_per_day: count("contacts a day", defaults.mspContactsPerDay),
      msp_contacts_burst: count("contacts", defaults.mspContactsBurst),
      // At least one answer of the largest size has to pass.
      public_bytes_per_minute: sizeField({ min: 4 * mib, max: 1024 * 1024 * mib }).default(
        defaults.publicBytesPerMinute,
      ),
      clients_max: integerField({ min: 100, max: 1_000_000, unit: "clients" }).default(
        defaults.clientsMax,
      ),
      dry_run: z.boolean().default(defaults.dryRun),
    })
    .transform((value): AdmissionLimits => ({
      requestsPerSecond: value.requests_per_second,
      requestsBurst: value.requests_burst,
      cpuMsPerSecond: value.cpu_ms_per_second,
      cpuBurstMs: value.cpu_burst_ms,
      clientContactsPerDay: value.client_contacts_per_day,
      clientContactsBurst: value.client_contacts_burst,
      mspContactsPerDay: value.msp_contacts_per_day,
      mspContactsBurst: value.msp_contacts_burst,
      publicBytesPerMinute: value.public_bytes_per_minute,
      clientsMax: value.clients_max,
      dryRun: value.dry_run,
    }));
}

function orUndefined<T>(parse: (text: string) => T): (text: string) => T | undefined {
  return (text) => {
    try {
      return parse(text);
    } catch {
      return undefined; // the field says what it expects
    }
  };
}
