// What a tree of a zone finds in its store when it opens. Everything the head speaks for is hashed again: inner
// nodes of the tree are not stored but rebuilt, because reading them would cost as much as making them
// (1e6 slots: about 0.1 s of hashing) and a stored tree would be one more thing that can disagree with
// its buckets. A store that does not lead to its head is refused, never served: a lost bucket would
// else be signed away as "absent" at the next epoch.

import { equalBytes, sha256 } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  roles,
  type Head,
  type SignedObject,
} from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { prefixRange, readU64, type Store } from "@whither/store";
import { decodeHead, decodeManifest, decodeSignedObject } from "@whither/wire";
import {
  emptyTree,
  entryBytes,
  fillEmpty,
  nodeVerifier,
  putBucket,
  verifySigned,
  BucketTree,
} from "@whither/zone";
import type { PublishedMark } from "./mapping-zone.js";
import { decodePending, PendingChanges } from "./pending-changes.js";
import { inSlices, nextTurn } from "./slices.js";
import {
  bodyTablePrefix,
  bucketTablePrefix,
  headTablePrefix,
  journalPrefix,
  leastEpochKey,
  loadingKey,
  manifestKey,
  parseBucketKey,
  pendingTablePrefix,
  signedHeadKey,
  unsignedHeadKey,
} from "./zone-table.js";

const deletesPerCommit = 4096;
const bytesPerTurn = 512 * 1024;

/** A head in the store; without signature when the process ended between the two writes. */
interface StoredHead {
  readonly head: Head;
  readonly payload: Uint8Array;
  /** Encoded signed object; undefined: still to be signed, verbatim. */
  readonly signed: Uint8Array | undefined;
}

export interface StoredTree {
  /** Undefined: the tree is new. */
  readonly last: StoredHead | undefined;
  readonly tree: BucketTree;
  readonly pending: PendingChanges;
  readonly nextSequence: bigint;
}

/** The kids whose trees have a head in the store. */
export async function storedKids(store: Store): Promise<readonly Uint8Array[]> {
  const kids: Uint8Array[] = [];
  for await (const [key] of store.iterate(prefixRange(headTablePrefix))) {
    if (key.length !== 6) throw corrupt("a head has a wrong key");
    const kid = key.slice(1, 5);
    if (!kids.some((known) => equalBytes(known, kid))) kids.push(kid);
  }
  return kids;
}

/** The epoch that a restore has put the zone into; 1 where there was none. */
export function leastEpoch(store: Store): number {
  const row = store.get(leastEpochKey);
  if (row === undefined) return 1;
  if (row.length !== 8) throw corrupt("the zone's epoch has a wrong size");
  return Number(readU64(row, 0));
}

/**
 * Throws STORE_CORRUPT for a store that ends before a head that was published, unless the zone has begun a new history
 * since: whoever came last would be absent, and serials would mean two things.
 */
export function refuseLostEnd(options: {
  readonly store: Store;
  readonly zone: string;
  readonly epoch?: number;
  readonly published?: PublishedMark | undefined;
}): void {
  const { store, zone, published } = options;
  if (published === undefined) return;
  const { kid, epoch, serial } = published;
  if (Math.max(options.epoch ?? 1, leastEpoch(store)) > epoch) return;
  const last = readHead(store, { zone, kid })?.head;
  const isThere =
    last !== undefined && (last.epoch > epoch || (last.epoch === epoch && last.serial >= serial));
  if (!isThere) throw corrupt("the store ends before a head that was published");
}

/** Reads and proves a stored tree. Throws STORE_CORRUPT where it does not fit its head. */
export async function readStoredTree(options: {
  readonly store: Store;
  readonly zone: string;
  readonly kid: Uint8Array;
  readonly clock: Clock;
}): Promise<StoredTree> {
  const { store, zone, kid, clock } = options;
  const { pending, nextSequence } = await readPending(store, kid);
  const last = readHead(store, { zone, kid });
  if (last === undefined) {
    await refuseOrphans(store, kid);
    return { last, tree: emptyTree({ zone, kid }), pending, nextSequence };
  }
  if (store.get(loadingKey(kid)) !== undefined) await undoLoad(store, last.head);
  const tree = await rebuildStoredTree({ store, zone, head: last.head, clock });
  if (!equalBytes(tree.root(), last.head.mapRoot) || tree.size !== last.head.mapSize) {
    throw new DiscoveryError("STORE_CORRUPT", "the buckets do not lead to the signed head");
  }
  return { last, tree, pending, nextSequence };
}

interface TreeName {
  readonly zone: string;
  readonly kid: Uint8Array;
}

/** Whatever is wrong with a row is the store's fault, not an answer's. */
function readHead(store: Store, tree: TreeName): StoredHead | undefined {
  try {
    return decodedHead(store, tree);
  } catch (cause) {
    if (!isDiscoveryError(cause) || cause.code.startsWith("STORE")) throw cause;
    throw new DiscoveryError("STORE_CORRUPT", "a stored head is damaged", { cause });
  }
}

function decodedHead(store: Store, { zone, kid }: TreeName): StoredHead | undefined {
  const unsigned = store.get(unsignedHeadKey(kid));
  const signed = store.get(signedHeadKey(kid));
  if (unsigned !== undefined) return readUnsigned({ zone, kid, unsigned, signed });
  if (signed === undefined) return undefined;
  const object = decodeSignedObject(signed);
  verifyStoredHead({ store, zone, kid, object });
  return { head: decodeHead(object.payload), payload: object.payload, signed };
}

/** Its own signature is to come; what vouches for it is the tree, and that it continues the last head. */
function readUnsigned(
  stored: TreeName & {
    readonly unsigned: Uint8Array;
    readonly signed: Uint8Array | undefined;
  },
): StoredHead {
  const payload = stored.unsigned;
  const head = decodeHead(payload);
  if (head.zone !== stored.zone || !equalBytes(head.kid, stored.kid)) {
    throw corrupt("the head is of another zone or key");
  }
  if (stored.signed !== undefined) {
    const before = decodeSignedObject(stored.signed).payload;
    const previous = decodeHead(before);
    const continues =
      head.epoch > previous.epoch ||
      (head.serial === previous.serial + 1 && equalBytes(head.prevSha256, sha256(before)));
    if (!continues) throw corrupt("the stored heads do not follow one another");
  }
  return { head, payload, signed: undefined };
}

/** Against the manifest it was signed under, which may be older than the configured one. */
function verifyStoredHead(
  options: TreeName & { readonly store: Store; readonly object: SignedObject },
): void {
  const { store, zone, kid, object } = options;
  const stored = store.get(manifestKey(kid));
  if (stored === undefined) throw corrupt("the manifest of the signed head is missing");
  const manifestPayload = decodeSignedObject(stored).payload;
  try {
    const head = decodeHead(object.payload);
    const isOwn = head.zone === zone && equalBytes(head.kid, kid);
    if (!isOwn || !equalBytes(sha256(manifestPayload), head.manifestSha256)) {
      throw corrupt("the head is of another zone, key or manifest");
    }
    const keys = decodeManifest(manifestPayload).zoneKeys.map((key) => key.publicKey);
    verifySigned({
      type: "head",
      role: roles.zone,
      zone,
      object,
      keys,
      atSeconds: head.time,
      verifier: nodeVerifier,
    });
  } catch (cause) {
    throw new DiscoveryError("STORE_CORRUPT", "the stored head does not verify", { cause });
  }
}

/**
 * A tree that has had a head has lost it, also one without slots: begun anew, its serials would mean two things.
 * The manifest is written with the first head.
 */
async function refuseOrphans(store: Store, kid: Uint8Array): Promise<void> {
  if (store.get(manifestKey(kid)) !== undefined) throw corrupt("a manifest without its head");
  for (const prefix of [bucketTablePrefix(kid), journalPrefix(kid)]) {
    for await (const _ of store.iterate({ ...prefixRange(prefix), limit: 1 })) {
      throw corrupt("buckets or changes without a head");
    }
  }
}

async function rebuildStoredTree(options: {
  readonly store: Store;
  readonly zone: string;
  readonly head: Head;
  readonly clock: Clock;
}): Promise<BucketTree> {
  const { store, zone, head, clock } = options;
  const { kid, b } = head;
  const tree = new BucketTree(b);
  const seen = new Uint8Array(tree.bucketCount);
  const leftovers: Uint8Array[] = [];
  let bytes = 0;
  for await (const [key, entries] of store.iterate(prefixRange(bucketTablePrefix(kid)))) {
    const row = parseBucketKey(key);
    if (row.b !== b) {
      leftovers.push(key);
      continue;
    }
    if (row.index >= tree.bucketCount || entries.length % entryBytes !== 0) {
      throw corrupt("a bucket has a wrong size");
    }
    putBucket({ zone, kid, tree }, { index: row.index, entries });
    seen[row.index] = 1;
    bytes += entries.length;
    if (bytes >= bytesPerTurn) {
      bytes = 0;
      await nextTurn();
    }
  }
  await inSlices(
    fillEmpty({ zone, kid, tree }, (index) => seen[index] === 1),
    { clock },
  );
  await inSlices(tree.settle(), { clock });
  // Buckets of another depth: a change of depth that did not get as far as its head, or whose old
  // buckets were not yet cleared away.
  await deleteKeys(store, leftovers);
  return tree;
}

/** A bulk load that did not get as far as its head: the zone is empty, so no body is of use. */
async function undoLoad(store: Store, head: Head): Promise<void> {
  if (head.mapSize === 0) {
    let keys: Uint8Array[] = [];
    for await (const [key] of store.iterate(prefixRange(bodyTablePrefix(head.kid)))) {
      keys.push(key);
      if (keys.length < deletesPerCommit) continue;
      await deleteKeys(store, keys);
      keys = [];
    }
    await deleteKeys(store, keys);
  }
  await store.commit({ puts: [], deletes: [loadingKey(head.kid)] }, { sync: false });
}

/** Deletes rows in batches of bounded size; not synced, since none of them is missed or feared. */
export async function deleteKeys(store: Store, keys: readonly Uint8Array[]): Promise<void> {
  for (let from = 0; from < keys.length; from += deletesPerCommit) {
    const deletes = keys.slice(from, from + deletesPerCommit);
    await store.commit({ puts: [], deletes }, { sync: false });
  }
}

async function readPending(
  store: Store,
  kid: Uint8Array,
): Promise<{ readonly pending: PendingChanges; readonly nextSequence: bigint }> {
  const pending = new PendingChanges();
  let nextSequence = 1n;
  for await (const [key, value] of store.iterate(prefixRange(pendingTablePrefix(kid)))) {
    if (key.length !== 13) throw corrupt("a pending change has a wrong key");
    const sequence = readU64(key, 5);
    pending.add(decodePending(sequence, value));
    nextSequence = sequence + 1n;
  }
  return { pending, nextSequence };
}

function corrupt(text: string): DiscoveryError {
  return new DiscoveryError("STORE_CORRUPT", text);
}
