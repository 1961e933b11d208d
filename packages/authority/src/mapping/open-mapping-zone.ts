// Opens a mapping zone: keys against manifest, stored trees against their heads, then their writers, and where the
// zone is on its way from one manifest and key to the next. The parts know their own failures; here is the order.

import { equalBytes, sha256 } from "@whither/crypto/node";
import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { silentLogger } from "@whither/runtime";
import { openJournal, prefixRange, u64Bytes, type Row } from "@whither/store";
import { decodeSignedObject } from "@whither/wire";
import { beginDrop, deletePrefix, endDrop, endDrops } from "./drop-tree.js";
import { KeySuccession, type HeldManifest } from "./key-succession.js";
import type { MappingZone, MappingZoneOptions } from "./mapping-zone.js";
import { NextTreeWork } from "./next-tree.js";
import { PendingChanges } from "./pending-changes.js";
import { AcceptanceRenewal } from "./renew-acceptances.js";
import { OperatorRegistrations } from "./registrations.js";
import { ServedZone } from "./served-zone.js";
import { SlotSubmissions } from "./slot-submissions.js";
import { decodeBuild, decodeNamed, decodeTime } from "./succession-rows.js";
import { TreeWriter } from "./tree-writer.js";
import {
  makeZoneKeys,
  zoneKeysUnder,
  nextKeyOf,
  type ManifestKeys,
  type TreeKey,
  type ZoneKeys,
} from "./zone-keys.js";
import { leastEpoch, readStoredTree, refuseLostEnd, storedKids } from "./zone-start.js";
import {
  buildKey,
  buildPrefix,
  inForceKey,
  journalPrefix,
  manifestKey,
  namedKey,
  predecessorKey,
  retiredKey,
  stagedPrefix,
} from "./zone-table.js";
import { ZoneTrees, type ServedTree } from "./zone-trees.js";

const bucketCacheBytesDefault = 8 * 1024 * 1024;

/** Opens a zone on its store. Throws CONFIG where keys and manifest do not fit, STORE_CORRUPT. */
export async function openMappingZone(options: MappingZoneOptions): Promise<MappingZone> {
  const { store, zone, clock, vault, voprf, random } = options;
  const { logger = silentLogger, followsDirectory = false } = options;
  const configured = makeZoneKeys({
    zone,
    manifest: options.manifest,
    secrets: options.keys,
    nowSeconds: clock.nowSeconds(),
  });
  refuseLostEnd(options);
  await endDrops(store);
  const kids = await storedKids(store);
  const inForce = keysInForce(options, { configured, kids });
  const { under } = inForce;
  const opened = await openTrees(options, { configured, inForce, kids });
  const { trees, retiredAt, built, nextSequence } = opened;
  const submissions = new SlotSubmissions({
    zone,
    store,
    trees,
    vault,
    voprf,
    random,
    logger,
    nextSequence,
  });
  const nextTree = new NextTreeWork({
    zone,
    store,
    clock,
    logger,
    trees,
    vault,
    voprf,
    random,
    submissions,
    openTree: async (key) => {
      const by = trees.current.writer.under;
      return (await openTree(options, { under: by, key, isMade: true })).tree;
    },
  });
  const acceptances = new AcceptanceRenewal({ zone, store, vault, submissions, clock, logger });
  await acceptances.want(under.signer);
  const named = store.get(namedKey);
  const succession = new KeySuccession(
    { zone, store, clock, logger, trees, nextTree, acceptances, followsDirectory },
    {
      under,
      predecessor: heldManifest(store.get(predecessorKey)),
      named: named === undefined ? undefined : decodeNamed(named),
      retiredAt,
    },
  );
  if (built !== undefined) trees.next = { kind: "built", key: built.key, tree: built };
  const next = nextKeyOf(under, configured);
  const progress = next === undefined ? undefined : store.get(buildKey(next.kid));
  if (next !== undefined && progress !== undefined) {
    await nextTree.resume(next, decodeBuild(progress));
  }
  await submissions.sweepVault();
  await succession.use(configured);
  // What has not to wait is done before anybody reads.
  await succession.step();
  const registrations = new OperatorRegistrations({ store, trees, submissions, vault, clock });
  return new ServedZone({ succession, trees, voprf, submissions, registrations });
}

/** The manifest that the store is under, unless its keys are not at hand any more: then the configured one. */
function keysInForce(
  { store, zone, keys: secrets, clock }: MappingZoneOptions,
  { configured, kids }: { readonly configured: ZoneKeys; readonly kids: readonly Uint8Array[] },
): ZoneKeys {
  const [first] = kids;
  const bytes =
    store.get(inForceKey) ?? (first === undefined ? undefined : store.get(manifestKey(first)));
  const isStored = ({ tree }: ZoneKeys): boolean =>
    kids.some((kid) => equalBytes(kid, tree.kid)) && store.get(buildKey(tree.kid)) === undefined;
  if (bytes !== undefined && !equalBytes(bytes, configured.under.bytes)) {
    try {
      const manifest = decodeSignedObject(bytes);
      const stored = zoneKeysUnder({ zone, manifest, secrets, nowSeconds: clock.nowSeconds() });
      if (isStored(stored)) return stored;
    } catch (error) {
      if (!isDiscoveryError(error, "CONFIG")) throw error;
    }
  }
  if (kids.length > 0 && !isStored(configured)) {
    // Re-evaluating every slot under another key is a rotation, with the vault.
    throw new DiscoveryError("CONFIG", "the store is of another voprf key than the manifest's");
  }
  return configured;
}

function heldManifest(bytes: Uint8Array | undefined): HeldManifest | undefined {
  if (bytes === undefined) return undefined;
  return { bytes, sha256: sha256(decodeSignedObject(bytes).payload) };
}

interface OpenedTrees {
  readonly trees: ZoneTrees;
  readonly retiredAt: ReadonlyMap<ServedTree, number>;
  /** A tree that is made and was never current. */
  readonly built: ServedTree | undefined;
  readonly nextSequence: bigint;
}

async function openTrees(
  options: MappingZoneOptions,
  at: {
    readonly configured: ZoneKeys;
    readonly inForce: ZoneKeys;
    readonly kids: readonly Uint8Array[];
  },
): Promise<OpenedTrees> {
  const { store, clock } = options;
  const { configured, inForce, kids } = at;
  const { under } = inForce;
  const next = nextKeyOf(under, configured);
  await forgetBuilds(options, next);
  const current = await openTree(options, { under, key: inForce.tree });
  const previous: ServedTree[] = [];
  const retiredAt = new Map<ServedTree, number>();
  let built: ServedTree | undefined;
  let { nextSequence } = current;
  const puts: Row[] = [[inForceKey, under.bytes]];
  for (const kid of kids) {
    if (equalBytes(kid, inForce.tree.kid) || store.get(buildKey(kid)) !== undefined) continue;
    await deletePrefix(store, stagedPrefix(kid));
    const isNext = next !== undefined && equalBytes(kid, next.kid);
    const key = isNext ? next : [inForce.other, configured.other].find((one) => isOf(one, kid));
    const retired = store.get(retiredKey(kid));
    if (key === undefined) {
      if (retired !== undefined && isListed(under, kid)) throw keyMissing();
      // Never served, or not to be served any more.
      await beginDrop(store, kid);
      await endDrop(store, kid);
      continue;
    }
    const { tree, nextSequence: after } = await openTree(options, { under, key });
    if (after > nextSequence) nextSequence = after;
    if (isNext && retired === undefined) {
      built = tree;
      continue;
    }
    const since = retired === undefined ? clock.nowSeconds() : decodeTime(retired);
    if (retired === undefined) puts.push([retiredKey(kid), u64Bytes(BigInt(since))]);
    previous.push(tree);
    retiredAt.set(tree, since);
  }
  await store.commit({ puts, deletes: [] }, { sync: true });
  return { trees: new ZoneTrees(current.tree, previous), retiredAt, built, nextSequence };
}

/** Trees that were begun and are not wanted any more. */
async function forgetBuilds(
  { store }: MappingZoneOptions,
  next: TreeKey | undefined,
): Promise<void> {
  const kids: Uint8Array[] = [];
  for await (const [key] of store.iterate(prefixRange(buildPrefix))) {
    kids.push(key.slice(buildPrefix.length));
  }
  for (const kid of kids) {
    if (isOf(next, kid)) continue;
    await beginDrop(store, kid);
    await endDrop(store, kid);
  }
}

async function openTree(
  options: MappingZoneOptions,
  of: {
    readonly under: ManifestKeys;
    readonly key: TreeKey;
    /** What waits follows when the tree has been loaded, and not before. */
    readonly isMade?: boolean;
  },
): Promise<{ readonly tree: ServedTree; readonly nextSequence: bigint }> {
  const { store, zone, clock, logger = silentLogger } = options;
  const epoch = Math.max(options.epoch ?? 1, leastEpoch(store));
  const { bucketCacheBytes = bucketCacheBytesDefault } = options;
  const { under, key, isMade = false } = of;
  const { kid } = key;
  const journal = await openJournal({ store, prefix: journalPrefix(kid) });
  const stored = await readStoredTree({ store, zone, kid, clock });
  const { nextSequence } = stored;
  const pending = isMade ? new PendingChanges() : stored.pending;
  const writer = await TreeWriter.open(
    { store, journal, under, kid, clock, logger, epoch, pending, bucketCacheBytes },
    stored,
  );
  if (isMade) for (const change of stored.pending.all()) pending.add(change);
  return { tree: { key, pending, writer }, nextSequence };
}

function isOf(key: TreeKey | undefined, kid: Uint8Array): boolean {
  return key !== undefined && equalBytes(key.kid, kid);
}

function isListed({ manifest }: ManifestKeys, kid: Uint8Array): boolean {
  return manifest.voprfKeys.some((key) => equalBytes(key.kid, kid));
}

function keyMissing(): DiscoveryError {
  return new DiscoveryError("CONFIG", "the voprf key of a tree that is served is missing");
}
