// SIGHUP and `whitherctl reload`: what may change while the daemon serves — zones, log level, limits, the
// certificate. Everything else is named as waiting for a restart. A configuration that does not check
// changes nothing; a zone that does not check changes nothing but itself.

import type { Admission } from "@whither/authority";
import type { ReloadReport } from "@whither/control";
import { checkCertificatePeriod } from "@whither/rpc";
import type { Clock, RootLogger } from "@whither/runtime";
import { loadDpdConfig, type DpdConfig } from "./config.js";
import { readIdentity } from "./credentials.js";
import type { DirectorySet } from "./directory-set.js";
import type { Listeners } from "./listeners.js";
import type { ZoneSet } from "./zone-set.js";

const fixedKeys = [
  "dp",
  "stateDirectory",
  "listen",
  "metrics",
  "directory",
  "replicas",
  "voprfThreads",
] as const satisfies readonly (keyof DpdConfig)[];

export interface Reloaded {
  /** The configuration in force from now on. */
  readonly config: DpdConfig;
  readonly report: ReloadReport;
}

/** Reads the configuration again and applies it. Throws CONFIG, with nothing changed. */
export async function reload(
  path: string,
  running: {
    /** The configuration in force. */
    readonly config: DpdConfig;
    readonly admission: Admission;
    readonly listeners: Pick<Listeners, "replaceIdentity">;
    readonly zones: Pick<ZoneSet, "apply">;
    readonly directories: Pick<DirectorySet, "apply" | "setLimit">;
    readonly clock: Clock;
    readonly logger: RootLogger;
  },
): Promise<Reloaded> {
  const { admission, listeners, zones, directories, clock, logger } = running;
  const next = await loadDpdConfig(path);
  const identity = await readIdentity(next);
  checkCertificatePeriod(identity.certPem, clock.nowSeconds());
  const restartNeeded = fixedKeys.filter(
    (key) => JSON.stringify(next[key]) !== JSON.stringify(running.config[key]),
  );
  if (restartNeeded.length > 0) logger.warn("restart needed", { keys: restartNeeded });
  listeners.replaceIdentity(identity);
  admission.setLimits(next.limits);
  directories.setLimit(next.limits);
  logger.setLevel(next.logLevel);
  const settled = [
    ...(await zones.apply(next.zones)),
    ...(await directories.apply(next.directories)),
  ];
  const report = { restartNeeded, zones: settled };
  const fixed = Object.fromEntries(fixedKeys.map((key) => [key, running.config[key]]));
  return { config: { ...next, ...fixed }, report };
}
