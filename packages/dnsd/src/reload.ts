// SIGHUP: client certificate, log level, limits, allowed networks, and how providers are shown. The caches stay, except
// for replies that would now be others; what waits for a restart is named in the log. A file that does not check changes nothing.

import type { ReloadReport } from "@whither/control";
import type { Resolver } from "@whither/resolver";
import type { RootLogger } from "@whither/runtime";
import type { ClientLimits } from "./client-limits.js";
import { loadDnsdConfig, type DnsdConfig } from "./config.js";
import type { Front } from "./front.js";

const fixedKeys = [
  "stateDirectory",
  "listen",
  "metrics",
  "directory",
  "ownMsp",
  "cacheBytes",
  "watch",
] as const satisfies readonly (keyof DnsdConfig)[];

export interface Reloaded {
  /** The configuration in force from now on. */
  readonly config: DnsdConfig;
  readonly report: ReloadReport;
}

/** Reads the configuration again and applies it whole or not at all. Throws CONFIG. */
export async function reload(
  path: string,
  running: {
    readonly config: DnsdConfig;
    readonly front: Pick<Front, "show">;
    readonly limits: ClientLimits;
    readonly resolver: Pick<Resolver, "replaceIdentity">;
    readonly logger: RootLogger;
  },
): Promise<Reloaded> {
  const { config, front, limits, resolver, logger } = running;
  const next = await loadDnsdConfig(path);
  const { certificateFile: cert, keyFile: key } = next.identity;
  // First of all: the last that can fail.
  await resolver.replaceIdentity({ cert, key });
  const restartNeeded = fixedKeys.filter(
    (key) => JSON.stringify(next[key]) !== JSON.stringify(config[key]),
  );
  if (restartNeeded.length > 0) logger.warn("restart needed", { keys: restartNeeded });
  front.show(next);
  limits.set(next.limits, next.allow);
  logger.setLevel(next.logLevel);
  const fixed = Object.fromEntries(fixedKeys.map((key) => [key, config[key]]));
  return { config: { ...next, ...fixed }, report: { restartNeeded, zones: [] } };
}
