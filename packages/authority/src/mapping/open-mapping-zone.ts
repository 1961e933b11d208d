// Opens a mapping zone: keys against manifest, stored trees against their heads, then their writers. The parts
// know their own failures; here is only the order.

import { equalBytes } from "@whither/crypto/node";
import { DiscoveryError } from "@whither/protocol";
import { silentLogger } from "@whither/runtime";
import { openJournal } from "@whither/store";
import type { MappingZone, MappingZoneOptions } from "./mapping-zone.js";
import { ServedZone } from "./served-zone.js";
import { SlotSubmissions } from "./slot-submissions.js";
import { TreeWriter } from "./tree-writer.js";
import { makeZoneKeys, type ManifestKeys, type TreeKey } from "./zone-keys.js";
import { leastEpoch, readStoredTree, storedKids } from "./zone-start.js";
import { journalPrefix } from "./zone-table.js";
import { ZoneTrees, type ServedTree } from "./zone-trees.js";

const bucketCacheBytesDefault = 8 * 1024 * 1024;

/** Opens a zone on its store. Throws CONFIG where keys and manifest do not fit, STORE_CORRUPT. */
export async function openMappingZone(options: MappingZoneOptions): Promise<MappingZone> {
  const { store, zone, clock, manifest, keys: secrets, vault, voprf, random } = options;
  const { logger = silentLogger } = options;
  const { under, tree: key } = makeZoneKeys({
    zone,
    manifest,
    secrets,
    nowSeconds: clock.nowSeconds(),
  });
  const kids = await storedKids(store);
  if (kids.length > 0 && !kids.some((kid) => equalBytes(kid, key.kid))) {
    // Re-evaluating every slot under another key is a rotation, with the vault.
    throw new DiscoveryError("CONFIG", "the store is of another voprf key than the manifest's");
  }
  const { tree, nextSequence } = await openTree(options, { under, key });
  const trees = new ZoneTrees(tree);
  const parts = { zone, store, trees, vault, voprf, random, logger, nextSequence };
  const submissions = new SlotSubmissions(parts);
  await submissions.sweepVault();
  return new ServedZone({ under, trees, voprf, submissions });
}

async function openTree(
  options: MappingZoneOptions,
  { under, key }: { readonly under: ManifestKeys; readonly key: TreeKey },
): Promise<{ readonly tree: ServedTree; readonly nextSequence: bigint }> {
  const { store, zone, clock, logger = silentLogger } = options;
  const epoch = Math.max(options.epoch ?? 1, leastEpoch(store));
  const { bucketCacheBytes = bucketCacheBytesDefault } = options;
  const { kid } = key;
  const journal = await openJournal({ store, prefix: journalPrefix(kid) });
  const stored = await readStoredTree({ store, zone, kid, clock });
  const { pending, nextSequence } = stored;
  const writer = await TreeWriter.open(
    { store, journal, under, kid, clock, logger, epoch, pending, bucketCacheBytes },
    stored,
  );
  return { tree: { key, pending, writer }, nextSequence };
}
