// SIGHUP: what may change while the daemon serves — log level, limits, the certificate. Everything else
// is named in the log as waiting for a restart; a file that does not check changes nothing.

import type { Admission } from "@whither/authority";
import type { RootLogger } from "@whither/runtime";
import { loadDpdConfig, type DpdConfig } from "./config.js";
import { readIdentity } from "./credentials.js";
import type { Listeners } from "./listeners.js";

const fixedKeys = [
  "dp",
  "stateDirectory",
  "listen",
  "metrics",
  "directory",
  "zones",
  "replicas",
  "voprfThreads",
] as const satisfies readonly (keyof DpdConfig)[];

/** Reads the configuration again and applies it whole or not at all. Throws CONFIG. */
export async function reload(
  path: string,
  running: {
    readonly config: DpdConfig;
    readonly admission: Admission;
    readonly listeners: Listeners;
    readonly logger: RootLogger;
  },
): Promise<void> {
  const { admission, listeners, logger } = running;
  const next = await loadDpdConfig(path);
  const identity = await readIdentity(next);
  const waiting = fixedKeys.filter(
    (key) => JSON.stringify(next[key]) !== JSON.stringify(running.config[key]),
  );
  if (waiting.length > 0) logger.warn("restart needed", { keys: waiting });
  listeners.replaceIdentity(identity);
  admission.setLimits(next.limits);
  logger.setLevel(next.logLevel);
}
