// Opens the zones that this process follows, each on a store of its own.

import { join } from "node:path";
import {
  followZoneVault,
  openReplicaZone,
  type NamedAuthority,
  type ReplicaDisk,
  type ReplicaZone,
} from "@whither/authority";
import {
  believedKsks,
  ManifestMemory,
  type DirectoryFollower,
  type OpenChannel,
} from "@whither/directory";
import { DiscoveryError } from "@whither/protocol";
import { openChannel, type TlsIdentity } from "@whither/rpc";
import {
  moveDirectory,
  type Clock,
  type Logger,
  type Random,
  type Scope,
  type VoprfEngine,
} from "@whither/runtime";
import { openLevelStore } from "@whither/store";
import type { Anchors, RootKsks } from "@whither/zone";
import type { ReplicaConfig } from "./config-zones.js";
import type { ReplicaCredentials } from "./credentials.js";

const vaultCacheBytes = 1024 * 1024;

export interface OpenReplicasOptions {
  readonly stateDirectory: string;
  readonly replicas: readonly ReplicaCredentials[];
  readonly follower: DirectoryFollower;
  readonly anchors: Anchors;
  readonly caPem: string;
  /** The certificate shown at the moment. */
  readonly identity: () => TlsIdentity;
  /** Pin of the certificate that this process shows at the moment, which the directory lists too. */
  readonly ownSpkiSha256: () => Uint8Array;
  readonly voprf: VoprfEngine;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Replicas belong to the scope. Throws STORE_LOCKED, CONFIG for a primary's store. */
export async function openReplicas(
  scope: Pick<Scope, "use">,
  options: OpenReplicasOptions,
): Promise<readonly ReplicaZone[]> {
  const { follower, caPem, ownSpkiSha256, voprf, clock, random, logger } = options;
  const manifests = await openManifests(scope, options);
  const opened: ReplicaZone[] = [];
  for (const { config, secretKeys } of options.replicas) {
    const {
      name: zone,
      primaries,
      replication,
      storeCacheBytes: cacheBytes,
      bucketCacheBytes,
    } = config;
    const path = join(options.stateDirectory, "zones", zone, "store");
    const openIdentified: OpenChannel = (endpoint) =>
      openChannel({ ...endpoint, identity: options.identity() });
    const replica = await openReplicaZone({
      disk: levelDisk({ path, cacheBytes, logger }),
      zone,
      authority: ({ signal }) => authorityOf(config, { follower, signal }),
      ...(primaries === undefined ? {} : { primaries }),
      ...(secretKeys.length === 0 ? {} : { evaluation: { voprf, secretKeys } }),
      ownSpkiSha256,
      manifests,
      replication,
      openChannel,
      openIdentified,
      caPem,
      clock,
      random,
      logger,
      bucketCacheBytes,
    });
    opened.push(scope.use(replica));
    if (config.vault) await followVault(scope, options, { config, openIdentified });
    const { state, head } = replica.status();
    logger.info("replica opened", { zone, state, serial: head?.serial ?? 0 });
  }
  return opened;
}

/** Where the vault of the zone's primary lies, so that it is found there by whoever becomes it. */
async function followVault(
  scope: Pick<Scope, "use">,
  { stateDirectory, caPem, clock, logger }: OpenReplicasOptions,
  of: { readonly config: ReplicaConfig; readonly openIdentified: OpenChannel },
): Promise<void> {
  const { name: zone, replication: servers } = of.config;
  const path = join(stateDirectory, "zones", zone, "vault");
  const store = scope.use(await openLevelStore({ path, cacheBytes: vaultCacheBytes }));
  const { openIdentified } = of;
  scope.use(followZoneVault({ zone, store, servers, openIdentified, caPem, clock, logger }));
}

/** Closed after the replicas, whose last look it writes. */
async function openManifests(
  scope: Pick<Scope, "use">,
  { stateDirectory, follower, anchors, clock }: OpenReplicasOptions,
): Promise<ManifestMemory> {
  const path = join(stateDirectory, "manifests.json");
  const ksks = (): RootKsks => believedKsks(follower, anchors);
  const manifests = await ManifestMemory.open({ path, clock, ksks });
  scope.use({ [Symbol.asyncDispose]: () => manifests.close() });
  return manifests;
}

/** What the signed directory says of the zone: by its hashes manifests are trusted. */
async function authorityOf(
  { name, probe }: ReplicaConfig,
  by: { readonly follower: DirectoryFollower; readonly signal: AbortSignal },
): Promise<NamedAuthority> {
  const { authorities, notBefore } = await by.follower.delegation(probe, { signal: by.signal });
  const authority = authorities.find(({ zone }) => zone === name);
  if (authority !== undefined) return { authority, namedAt: notBefore };
  throw new DiscoveryError("NOT_AUTHORITATIVE", "the directory does not name the zone", {
    upstream: name,
  });
}

/** A damaged store is kept beside the new one, the last of them, for whoever wants to know what became of it. */
function levelDisk(options: {
  readonly path: string;
  readonly cacheBytes: number;
  readonly logger: Logger;
}): ReplicaDisk {
  const { path, cacheBytes, logger } = options;
  return {
    open: () => openLevelStore({ path, cacheBytes }),
    setAside: async () => {
      const kept = `${path}.damaged`;
      await moveDirectory(path, kept);
      logger.error("damaged store set aside", { path: kept });
    },
  };
}
