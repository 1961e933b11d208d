// What a zone finds in its store when it opens. Everything the head speaks for is hashed again: inner
// nodes of the tree are not stored but rebuilt, because reading them would cost as much as making them
// (1e6 slots: about 0.1 s of hashing) and a stored tree would be one more thing that can disagree with
// its buckets. A store that does not lead to its head is refused, never served: a lost bucket would
// else be signed away as "absent" at the next epoch.

import { equalBytes, sha256 } from "@whither/crypto/node";
import { DiscoveryError, roles, type Head, type SignedObject } from "@whither/protocol";
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
import { decodePending, PendingChanges } from "./pending-changes.js";
import { inSlices, nextTurn } from "./slices.js";
import {
  bodyTablePrefix,
  bucketTablePrefix,
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

export interface StoredZone {
  /** Undefined: the store is new. */
  readonly last: StoredHead | undefined;
  readonly tree: BucketTree;
  readonly pending: PendingChanges;
  readonly nextSequence: bigint;
}

/** Reads and proves the stored state. Throws STORE_CORRUPT where it does not fit its head. */
export async function readStoredZone(options: {
  readonly store: Store;
  readonly zone: string;
  readonly kid: Uint8Array;
  readonly clock: Clock;
}): Promise<StoredZone> {
  const { store, zone, kid, clock } = options;
  const { pending, nextSequence } = await readPending(store);
  const last = readHead(store, zone);
  if (last === undefined) {
    await refuseOrphans(store);
    return { last, tree: emptyTree({ zone, kid }), pending, nextSequence };
  }
  if (!equalBytes(last.head.kid, kid)) {
    // Re-evaluating every slot under another key is the registrar's work, with the vault.
    throw new DiscoveryError("CONFIG", "the store is of another voprf key than the manifest's");
  }
  if (store.get(loadingKey) !== undefined) await undoLoad(store, last.head);
  const tree = await rebuildStoredTree({ store, zone, head: last.head, clock });
  if (!equalBytes(tree.root(), last.head.mapRoot) || tree.size !== last.head.mapSize) {
    throw new DiscoveryError("STORE_CORRUPT", "the buckets do not lead to the signed head");
  }
  return { last, tree, pending, nextSequence };
}

function readHead(store: Store, zone: string): StoredHead | undefined {
  const unsigned = store.get(unsignedHeadKey);
  const signed = store.get(signedHeadKey);
  if (unsigned !== undefined) return readUnsigned({ zone, unsigned, signed });
  if (signed === undefined) return undefined;
  const object = decodeSignedObject(signed);
  verifyStoredHead({ store, zone, object });
  return { head: decodeHead(object.payload), payload: object.payload, signed };
}

/** Its own signature is to come; what vouches for it is the tree, and that it continues the last head. */
function readUnsigned(stored: {
  readonly zone: string;
  readonly unsigned: Uint8Array;
  readonly signed: Uint8Array | undefined;
}): StoredHead {
  const payload = stored.unsigned;
  const head = decodeHead(payload);
  if (head.zone !== stored.zone) throw corrupt("the head is of another zone");
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
function verifyStoredHead(options: {
  readonly store: Store;
  readonly zone: string;
  readonly object: SignedObject;
}): void {
  const { store, zone, object } = options;
  const stored = store.get(manifestKey);
  if (stored === undefined) throw corrupt("the manifest of the signed head is missing");
  const manifestPayload = decodeSignedObject(stored).payload;
  try {
    const head = decodeHead(object.payload);
    if (!equalBytes(sha256(manifestPayload), head.manifestSha256) || head.zone !== zone) {
      throw corrupt("the head is of another zone or manifest");
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

/** A store without a head that holds buckets has lost its head. */
async function refuseOrphans(store: Store): Promise<void> {
  for await (const _ of store.iterate({ ...prefixRange(bucketTablePrefix), limit: 1 })) {
    throw corrupt("buckets without a head");
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
  for await (const [key, entries] of store.iterate(prefixRange(bucketTablePrefix))) {
    const row = parseBucketKey(key);
    if (row.b !== b || !equalBytes(row.kid, kid)) {
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
    for await (const [key] of store.iterate(prefixRange(bodyTablePrefix))) {
      keys.push(key);
      if (keys.length < deletesPerCommit) continue;
      await deleteKeys(store, keys);
      keys = [];
    }
    await deleteKeys(store, keys);
  }
  await store.commit({ puts: [], deletes: [loadingKey] }, { sync: false });
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
): Promise<{ readonly pending: PendingChanges; readonly nextSequence: bigint }> {
  const pending = new PendingChanges();
  let nextSequence = 1n;
  for await (const [key, value] of store.iterate(prefixRange(pendingTablePrefix))) {
    if (key.length !== 9) throw corrupt("a pending change has a wrong key");
    const sequence = readU64(key, 1);
    pending.add(decodePending(sequence, value));
    nextSequence = sequence + 1n;
  }
  return { pending, nextSequence };
}

function corrupt(text: string): DiscoveryError {
  return new DiscoveryError("STORE_CORRUPT", text);
}
