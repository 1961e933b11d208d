// The configuration of whither-rootd: one YAML file, every key with its default, unit and bounds. What
// each key is for is written for operators in configs/rootd.yaml.

import { limits } from "@whither/protocol";
import {
  hostPortField,
  integerField,
  loadConfig,
  logLevels,
  pathField,
  secondsField,
  secretPathField,
  type HostPort,
  type LogLevel,
} from "@whither/runtime";
import { z } from "zod";

export interface RootdConfig {
  readonly anchorsFile: string;
  readonly artefactFile: string;
  readonly stateDirectory: string | undefined;
  readonly logLevel: LogLevel;
  readonly listen: { readonly public: HostPort };
  readonly metrics: HostPort | undefined;
  readonly tls: { readonly certificateFile: string; readonly keyFile: string };
  readonly health: { readonly intervalSeconds: number; readonly concurrency: number };
  readonly limits: { readonly requestsPerSecond: number; readonly requestsBurst: number };
  /** Undefined: nothing is withdrawn, and no key of the directory is held. */
  readonly withdrawal:
    | {
        readonly zskKeyFile: string;
        readonly afterSeconds: number;
        readonly returnAfterSeconds: number;
        readonly sharePercent: number;
      }
    | undefined;
}

/** Reads and checks a configuration file. Throws CONFIG with file, line, key and allowed range. */
export function loadRootdConfig(path: string): Promise<RootdConfig> {
  return loadConfig({ path, schema: rootdSchema });
}

/** The schema for a file in this directory, from which relative paths start. */
export function rootdSchema(directory: string): z.ZodType<RootdConfig> {
  const path = pathField(directory);
  const limitsSchema = z.strictObject({
    requests_per_second: integerField({ min: 1, max: 1_000_000, unit: "an address" }).default(
      limits.clientRequestsPerSecond,
    ),
    requests_burst: integerField({ min: 5, max: 10_000_000, unit: "an address" }).default(
      limits.clientRequestsBurst,
    ),
  });
  const healthSchema = z.strictObject({
    interval: secondsField({ min: 1, max: 86_400 }).default(300),
    concurrency: integerField({ min: 1, max: 64, unit: "endpoints" }).default(8),
  });
  const withdrawalSchema = z.strictObject({
    zsk_key_file: secretPathField(directory),
    after: secondsField({ min: 1, max: 7 * 86_400 }).default(3_600),
    return_after: secondsField({ min: 1, max: 86_400 }).default(900),
    share_percent: integerField({ min: 1, max: 50, unit: "of all authorities" }).default(25),
  });
  return z
    .strictObject({
      anchors_file: path,
      artefact_file: path,
      state_directory: path.optional(),
      log_level: z.enum(logLevels).default("info"),
      listen: z
        .strictObject({
          public: hostPortField({ anyPort: true }).default({ host: "127.0.0.1", port: 7363 }),
        })
        .prefault({}),
      metrics: hostPortField({ anyPort: true }).optional(),
      tls: z.strictObject({ certificate_file: path, key_file: secretPathField(directory) }),
      health: healthSchema.prefault({}),
      limits: limitsSchema.prefault({}),
      withdrawal: withdrawalSchema.optional(),
    })
    .refine((value) => value.withdrawal === undefined || value.state_directory !== undefined, {
      path: ["state_directory"],
      params: {
        expected: "a directory beside withdrawal: a serial is kept before it is published",
      },
    })
    .transform((value): RootdConfig => ({
      anchorsFile: value.anchors_file,
      artefactFile: value.artefact_file,
      stateDirectory: value.state_directory,
      logLevel: value.log_level,
      listen: value.listen,
      metrics: value.metrics,
      tls: { certificateFile: value.tls.certificate_file, keyFile: value.tls.key_file },
      health: {
        intervalSeconds: value.health.interval,
        concurrency: value.health.concurrency,
      },
      limits: {
        requestsPerSecond: value.limits.requests_per_second,
        requestsBurst: value.limits.requests_burst,
      },
      withdrawal:
        value.withdrawal === undefined
          ? undefined
          : {
              zskKeyFile: value.withdrawal.zsk_key_file,
              afterSeconds: value.withdrawal.after,
              returnAfterSeconds: value.withdrawal.return_after,
              sharePercent: value.withdrawal.share_percent,
            },
    }));
}
