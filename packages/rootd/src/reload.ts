// SIGHUP: the directory, certificate, limits and log level anew, all or nothing. What does not verify, or
// is older than what is served, changes nothing, and the log says so.

import type { DirectoryService } from "@whither/authority";
import type { Clock, RootLogger } from "@whither/runtime";
import { compareMarks, markOf } from "@whither/zone";
import { loadRootdConfig, type RootdConfig } from "./config.js";
import type { Listener } from "./listener.js";
import { loadDirectory, readIdentity } from "./load-directory.js";
import type { RateLimit } from "./rate-limit.js";
import type { ServedFiles } from "./served-state.js";

const fixedKeys = [
  "listen",
  "metrics",
  "stateDirectory",
] as const satisfies readonly (keyof RootdConfig)[];

/** Reads everything again and applies it whole or not at all. Throws what loading throws. */
export async function reload(
  path: string,
  running: {
    readonly config: RootdConfig;
    readonly service: DirectoryService;
    readonly files: Pick<ServedFiles, "save">;
    readonly listener: Pick<Listener, "server">;
    readonly rateLimit: RateLimit;
    readonly clock: Clock;
    readonly logger: RootLogger;
  },
): Promise<void> {
  const { config, service, files, listener, rateLimit, clock, logger } = running;
  const served = markOf(service.directory.trust);
  try {
    const next = await loadRootdConfig(path);
    const identity = await readIdentity(next);
    const artefact = await loadDirectory({ ...next, clock, previous: served });
    const waiting = fixedKeys.filter(
      (key) => JSON.stringify(next[key]) !== JSON.stringify(config[key]),
    );
    if (waiting.length > 0) logger.warn("restart needed", { keys: waiting });
    const isNewer = compareMarks(markOf(artefact.directory.trust), served) > 0;
    const history = isNewer
      ? service.history.followedBy(service.directory, artefact.directory)
      : service.history;
    if (isNewer) await files.save(artefact, history); // persisted before it is published
    listener.server.replaceIdentity(identity);
    rateLimit.set(next.limits);
    logger.setLevel(next.logLevel);
    if (!isNewer) return;
    service.replace(artefact, { history });
    logger.info("directory replaced", { from: served.serial, serial: artefact.directory.serial });
  } catch (error) {
    logger.warn("directory kept", { serial: served.serial });
    throw error;
  }
}
