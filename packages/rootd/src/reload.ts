// SIGHUP: the directory, certificate, limits and log level anew, all or nothing. What does not verify, or
// is older than what is served, changes nothing, and the log says so.

import type { DirectoryService, RateLimit, ServedFiles } from "@whither/authority";
import type { ReloadReport } from "@whither/control";
import { checkCertificatePeriod } from "@whither/rpc";
import type { Clock, RootLogger } from "@whither/runtime";
import { compareMarks, markOf } from "@whither/zone";
import { loadRootdConfig, type RootdConfig } from "./config.js";
import type { Listener } from "./listener.js";
import { loadDirectory, readIdentity } from "./load-directory.js";

const fixedKeys = [
  "listen",
  "metrics",
  "stateDirectory",
] as const satisfies readonly (keyof RootdConfig)[];

export interface Reloaded {
  /** The configuration in force from now on. */
  readonly config: RootdConfig;
  readonly report: ReloadReport;
}

/** Reads everything again and applies it whole or not at all. Throws what loading throws. */
export async function reload(
  path: string,
  running: {
    readonly config: RootdConfig;
    readonly service: DirectoryService;
    readonly files: Pick<ServedFiles, "save">;
    readonly listener: Pick<Listener, "replaceIdentity">;
    readonly rateLimit: RateLimit;
    readonly clock: Clock;
    readonly logger: RootLogger;
  },
): Promise<Reloaded> {
  const { config, service, files, listener, rateLimit, clock, logger } = running;
  const served = markOf(service.directory.trust);
  try {
    const next = await loadRootdConfig(path);
    const identity = await readIdentity(next);
    checkCertificatePeriod(identity.certPem, clock.nowSeconds());
    const artefact = await loadDirectory({ ...next, clock, previous: served });
    const restartNeeded = fixedKeys.filter(
      (key) => JSON.stringify(next[key]) !== JSON.stringify(config[key]),
    );
    if (restartNeeded.length > 0) logger.warn("restart needed", { keys: restartNeeded });
    const isNewer = compareMarks(markOf(artefact.directory.trust), served) > 0;
    const history = isNewer
      ? service.history.followedBy(service.directory, artefact.directory)
      : service.history;
    if (isNewer) await files.save(artefact, history); // persisted before it is published
    listener.replaceIdentity(identity);
    rateLimit.set(next.limits);
    logger.setLevel(next.logLevel);
    if (isNewer) {
      service.replace(artefact, { history });
      logger.info("directory replaced", { from: served.serial, serial: artefact.directory.serial });
    }
    const fixed = Object.fromEntries(fixedKeys.map((key) => [key, config[key]]));
    const outcome = isNewer ? "replaced" : "kept";
    return {
      config: { ...next, ...fixed },
      report: { restartNeeded, zones: [{ zone: ".", outcome }] },
    };
  } catch (error) {
    logger.warn("directory kept", { serial: served.serial });
    throw error;
  }
}
