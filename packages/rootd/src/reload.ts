// SIGHUP: the directory, certificate, limits and log level anew, all or nothing. What does not verify, or
// is older than what is served, changes nothing, and the log says so.

import type { RateLimit } from "@whither/authority";
import type { ReloadReport } from "@whither/control";
import { checkCertificatePeriod } from "@whither/rpc";
import type { Clock, RootLogger } from "@whither/runtime";
import { compareMarks, markOf } from "@whither/zone";
import { loadRootdConfig, type RootdConfig } from "./config.js";
import type { Listener } from "./listener.js";
import { loadDirectory, readAnchors, readIdentity, readOnlineKey } from "./load-directory.js";
import type { Publication } from "./publication.js";

const fixedKeys = [
  "health",
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
    readonly publication: Publication;
    readonly listener: Pick<Listener, "replaceIdentity">;
    readonly rateLimit: RateLimit;
    readonly clock: Clock;
    readonly logger: RootLogger;
  },
): Promise<Reloaded> {
  const { config, publication, listener, rateLimit, clock, logger } = running;
  const { given, service } = publication;
  try {
    const next = await loadRootdConfig(path);
    const identity = await readIdentity(next);
    checkCertificatePeriod(identity.certPem, clock.nowSeconds());
    const anchors = await readAnchors(next.anchorsFile);
    const { withdrawal } = next;
    const signer = withdrawal && (await readOnlineKey(withdrawal.zskKeyFile));
    const artefact = await loadDirectory({ ...next, clock, previous: markOf(given.trust) });
    // Its values change at once; whether there are withdrawals at all is decided at a start.
    const isSwitched = (withdrawal === undefined) !== (config.withdrawal === undefined);
    const fixed = isSwitched ? ([...fixedKeys, "withdrawal"] as const) : fixedKeys;
    const restartNeeded = fixed.filter(
      (key) => JSON.stringify(next[key]) !== JSON.stringify(config[key]),
    );
    if (restartNeeded.length > 0) logger.warn("restart needed", { keys: restartNeeded });
    const apply = (): void => {
      listener.replaceIdentity(identity);
      rateLimit.set(next.limits);
      logger.setLevel(next.logLevel);
    };
    const from = service.directory.serial;
    await publication.replace(artefact, { anchors, signer, apply });
    const { serial } = service.directory;
    const isNewer = compareMarks(artefact.directory.head, given.head) > 0;
    if (serial !== from) logger.info("directory replaced", { from, serial });
    const unchanged = Object.fromEntries(fixed.map((key) => [key, config[key]]));
    const outcome = isNewer ? "replaced" : "kept";
    return {
      config: { ...next, ...unchanged },
      report: { restartNeeded, zones: [{ zone: ".", outcome }] },
    };
  } catch (error) {
    logger.warn("directory kept", { serial: service.directory.serial });
    throw error;
  }
}
