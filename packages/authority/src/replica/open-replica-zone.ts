// Opens a replica: what it served before is served at once, what does not fit is forgotten and fetched anew.

import { isDiscoveryError } from "@whither/protocol";
import { silentLogger } from "@whither/runtime";
import { FollowingZone } from "./following-zone.js";
import { Damage } from "./replica-damage.js";
import { ReplicaStore } from "./replica-store.js";
import { ReplicaTree, type ReplicaTreeContext } from "./replica-tree.js";
import { ReplicaTrees } from "./replica-trees.js";
import type { ReplicaZone, ReplicaZoneOptions } from "./replica-zone.js";

const bucketCacheBytesDefault = 8 * 1024 * 1024;

/** Opens a replica on its disk. Throws STORE_LOCKED, STORE, CONFIG for a primary's store. */
export async function openReplicaZone(options: ReplicaZoneOptions): Promise<ReplicaZone> {
  const { disk, zone, clock } = options;
  const replicas = await ReplicaStore.open(disk);
  const { bucketCacheBytes = bucketCacheBytesDefault } = options;
  const damage = new Damage();
  const onDamage = (): void => damage.note();
  const context = { zone, replicas, clock, bucketCacheBytes, onDamage };
  const trees = new ReplicaTrees(await loadTrees(context, options), { zone, clock });
  return new FollowingZone(options, { context, damage, trees });
}

async function loadTrees(
  context: ReplicaTreeContext,
  { logger = silentLogger }: ReplicaZoneOptions,
): Promise<readonly ReplicaTree[]> {
  const { zone, replicas } = context;
  const trees: ReplicaTree[] = [];
  try {
    for (const generation of await replicas.current()) {
      trees.push(await ReplicaTree.load(context, generation));
      await replicas.tidy(generation.kid);
    }
    return trees;
  } catch (error) {
    if (!isDiscoveryError(error, "STORE_CORRUPT")) throw error;
    // Never served, and everything in it can be had again.
    logger.error("replica not loaded", { zone, error });
    for (const tree of trees) await tree.retire();
    await replicas.renew();
    return [];
  }
}
