// The configuration of whither-dpd: one YAML file, every key with its default, unit and bounds. What each
// key is for is written for operators in configs/dpd.yaml.

import type { AdmissionLimits } from "@whither/authority";
import { parseDpId, zoneDp, type DpId } from "@whither/protocol";
import {
  hostPortField,
  integerField,
  loadConfig,
  logLevels,
  pathField,
  secretPathField,
  textField,
  type HostPort,
  type LogLevel,
} from "@whither/runtime";
import { z } from "zod";
import { limitsSchema } from "./config-limits.js";
import {
  orUndefined,
  partSchema,
  replicaSchema,
  zoneSchema,
  type PartConfig,
  type ReplicaConfig,
  type ZoneConfig,
} from "./config-zones.js";

const zonesMax = 256;

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
  const fields = { path, secret };
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
      zones: z.array(zoneSchema(fields)).max(zonesMax).default([]),
      replicas: z.array(replicaSchema(fields)).max(zonesMax).default([]),
      directories: z.array(partSchema(fields)).max(zonesMax).default([]),
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
