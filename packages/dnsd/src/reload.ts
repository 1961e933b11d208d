// SIGHUP: log level, limits, allowed networks, and how providers are shown. The caches stay, except for replies
// that would now be others; what waits for a restart is named in the log. A file that does not check changes nothing.

import type { RootLogger } from "@whither/runtime";
import type { ClientLimits } from "./client-limits.js";
import { loadDnsdConfig, type DnsdConfig } from "./config.js";
import type { Front } from "./front.js";

const fixedKeys = [
  "stateDirectory",
  "listen",
  "metrics",
  "directory",
  "identity",
  "ownMsp",
  "cacheBytes",
] as const satisfies readonly (keyof DnsdConfig)[];

/** Reads the configuration again and applies it whole or not at all. Throws CONFIG. */
export async function reload(
  path: string,
  running: {
    readonly config: DnsdConfig;
    readonly front: Pick<Front, "show">;
    readonly limits: ClientLimits;
    readonly logger: RootLogger;
  },
): Promise<DnsdConfig> {
  const { config, front, limits, logger } = running;
  const next = await loadDnsdConfig(path);
  const waiting = fixedKeys.filter(
    (key) => JSON.stringify(next[key]) !== JSON.stringify(config[key]),
  );
  if (waiting.length > 0) logger.warn("restart needed", { keys: waiting });
  front.show(next);
  limits.set(next.limits, next.allow);
  logger.setLevel(next.logLevel);
  return next;
}
