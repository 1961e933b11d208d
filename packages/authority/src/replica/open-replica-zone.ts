// Opens a replica: what it served before is served at once, what does not fit is forgotten and fetched anew.

import { isDiscoveryError } from "@whither/protocol";
import { silentLogger } from "@whither/runtime";
import { FollowingZone } from "./following-zone.js";
import { ReplicaStore } from "./replica-store.js";
import { ReplicaTree } from "./replica-tree.js";
import { ReplicaTrees } from "./replica-trees.js";
import type { ReplicaZone, ReplicaZoneOptions } from "./replica-zone.js";

const bucketCacheBytesDefault = 8 * 1024 * 1024;

/** Opens a replica on its store. Throws CONFIG for a primary's store. */
export async function openReplicaZone(options: ReplicaZoneOptions): Promise<ReplicaZone> {
  const { store, zone, clock, logger = silentLogger } = options;
  const replicas = await ReplicaStore.open(store);
  const { bucketCacheBytes = bucketCacheBytesDefault } = options;
  const context = { zone, replicas, clock, bucketCacheBytes };
  const trees: ReplicaTree[] = [];
  for (const generation of await replicas.current()) {
    try {
      trees.push(await ReplicaTree.load(context, generation));
      await replicas.tidy(generation.kid);
    } catch (error) {
      if (!isDiscoveryError(error, "STORE_CORRUPT")) throw error;
      // Never served, and everything in it can be had again.
      logger.error("replica not loaded", { zone, error });
      await replicas.forget(generation.kid);
    }
  }
  return new FollowingZone(options, { context, trees: new ReplicaTrees(trees, { zone, clock }) });
}
