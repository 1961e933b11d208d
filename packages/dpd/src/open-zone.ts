// Opens one mapping zone of a process: its own store under `zones/<name>/store`, its vault beside it, the
// engine shared by all.

import { join } from "node:path";
import {
  openMappingZone,
  openPrimaryStore,
  openVault,
  type ProvidedZone,
  type Vault,
  type ZoneStores,
} from "@whither/authority";
import { DiscoveryError, type ZoneName } from "@whither/protocol";
import {
  pathExists,
  type Clock,
  type Logger,
  type Random,
  type Scope,
  type VoprfEngine,
} from "@whither/runtime";
import { openLevelStore, watchCommits, type WatchedStore } from "@whither/store";
import { decodeManifest } from "@whither/wire";
import type { ZoneCredentials } from "./credentials.js";
import { PublishedHead } from "./published-head.js";

const vaultCacheBytes = 1024 * 1024;

export interface OpenZoneOptions {
  readonly stateDirectory: string;
  readonly voprf: VoprfEngine;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** A store of the zone takes no more writes until it is opened anew; reads go on. */
  readonly onStoreFailed: (zone: ZoneName, error: DiscoveryError) => void;
}

export interface OpenedZone {
  readonly provided: ProvidedZone;
  /** For a backup, and for secondaries. */
  readonly stores: ZoneStores & { readonly vault: WatchedStore | undefined };
}

/** Store, vault and zone belong to the scope. Throws STORE_LOCKED, STORE_CORRUPT, CONFIG. */
export async function openZone(
  scope: Pick<Scope, "use">,
  options: OpenZoneOptions,
  { config, manifest, secrets, vaultKey }: ZoneCredentials,
): Promise<OpenedZone> {
  const { voprf, clock, random, logger, onStoreFailed } = options;
  const { name, probe, epoch, storeCacheBytes: cacheBytes, bucketCacheBytes } = config;
  const path = join(options.stateDirectory, "zones", name, "store");
  const onWriteFailed = (error: DiscoveryError): void => onStoreFailed(name, error);
  const kid = decodeManifest(manifest.payload).voprfKeys[0]?.kid;
  if (kid === undefined) throw new DiscoveryError("CONFIG", "the manifest has no voprf key");
  const file = scope.use(await openLevelStore({ path, cacheBytes, onWriteFailed }));
  // What was a replica until now goes on as the primary, in the epoch that its operator has raised.
  const store = await openPrimaryStore(file, { kid, epoch });
  const note = new PublishedHead({
    path: join(options.stateDirectory, "zones", name, "published"),
    logger,
  });
  const published = await note.read();
  scope.use(note); // closes after the zone, whose last head it notes
  const kept = await openZoneVault(scope, options, { zone: name, key: vaultKey });
  const startMs = clock.monotonicMs();
  const zone = scope.use(
    await openMappingZone({
      store,
      zone: name,
      manifest,
      keys: secrets,
      vault: kept?.vault,
      voprf,
      clock,
      random,
      logger,
      epoch,
      published,
      bucketCacheBytes,
      // Without a probe the directory is not asked about the zone.
      followsDirectory: probe !== undefined,
    }),
  );
  note.follow(zone);
  const { serial, mapSize, b } = zone.head();
  const ms = Math.round(clock.monotonicMs() - startMs);
  logger.info("zone opened", { zone: name, serial, slots: mapSize, b, duration_ms: ms });
  return {
    provided: {
      zone,
      // Of the manifest in force, whichever that is.
      get signer() {
        return zone.signer;
      },
      probe,
    },
    stores: { store, vault: kept?.store },
  };
}

/** The vault beside the store. Throws CONFIG where one was kept and its key is not configured, or is another. */
async function openZoneVault(
  scope: Pick<Scope, "use">,
  { stateDirectory, random, logger, onStoreFailed }: OpenZoneOptions,
  { zone, key }: { readonly zone: ZoneName; readonly key: Uint8Array | undefined },
): Promise<{ readonly vault: Vault; readonly store: WatchedStore } | undefined> {
  const path = join(stateDirectory, "zones", zone, "vault");
  if (key === undefined) {
    // Going on without it would leave new slots out, and the next rotation would lose them.
    if (await pathExists(path)) {
      throw new DiscoveryError("CONFIG", "the zone has a vault: vault_key_file is missing");
    }
    logger.warn("no vault", { zone });
    return undefined;
  }
  const file = await openLevelStore({
    path,
    cacheBytes: vaultCacheBytes,
    onWriteFailed: (error) => onStoreFailed(zone, error),
  });
  const store = scope.use(watchCommits(file));
  return { vault: await openVault({ store, zone, key, random }), store };
}
