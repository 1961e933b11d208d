// Opens the mapping zones of a process: each its own store under `zones/<name>/store`, one engine for all.

import { join } from "node:path";
import { openMappingZone, type ProvidedZone } from "@whither/authority";
import type { Clock, Logger, Random, Scope, VoprfEngine } from "@whither/runtime";
import { openLevelStore } from "@whither/store";
import type { ZoneCredentials } from "./credentials.js";

export interface OpenZonesOptions {
  readonly stateDirectory: string;
  readonly zones: readonly ZoneCredentials[];
  readonly voprf: VoprfEngine;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Stores and zones belong to the scope. Throws STORE_LOCKED, STORE_CORRUPT, CONFIG. */
export async function openZones(
  scope: Pick<Scope, "use">,
  options: OpenZonesOptions,
): Promise<readonly ProvidedZone[]> {
  const { voprf, clock, random, logger } = options;
  const opened: ProvidedZone[] = [];
  for (const { config, manifest, secrets } of options.zones) {
    const { name, probe, epoch, storeCacheBytes: cacheBytes, bucketCacheBytes } = config;
    const path = join(options.stateDirectory, "zones", name, "store");
    const store = scope.use(await openLevelStore({ path, cacheBytes }));
    const startMs = clock.monotonicMs();
    const zone = scope.use(
      await openMappingZone({
        store,
        zone: name,
        manifest,
        keys: secrets,
        voprf,
        clock,
        random,
        logger,
        epoch,
        bucketCacheBytes,
      }),
    );
    const { serial, mapSize, b } = zone.head();
    const ms = Math.round(clock.monotonicMs() - startMs);
    logger.info("zone opened", { zone: name, serial, slots: mapSize, b, duration_ms: ms });
    opened.push({ zone, signer: secrets.signer, probe });
  }
  return opened;
}
