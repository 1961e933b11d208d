// The mapping zone of the test vectors: three heads of one history, the tree with one bucket, with two
// and with four, and the answers that prove a slot present and another absent.

import { create, toBinary } from "@bufbuild/protobuf";
import {
  concatBytes,
  hkdf,
  hmacSha256,
  sha256,
  toHex,
  uint64Bytes,
  type Signer,
} from "@whither/crypto/node";
import { roles, type Head, type SignedObject, type ZoneName } from "@whither/protocol";
import {
  BodiesRequestSchema,
  BodiesResponseSchema,
  BucketRequestSchema,
  BucketResponseSchema,
  encodeHead,
  signedObjectToWire,
} from "@whither/wire";
import {
  applyEpoch,
  bucketHash,
  bucketIndex,
  decodeEntry,
  emptyTree,
  innerHash,
  padEntries,
  payloadSha256,
  prefixOfBucket,
  signObject,
  type BucketTree,
  type SlotChange,
} from "@whither/zone";
import { drawn, signedVector, type Json, type JsonObject } from "./transcript-values.js";

/** A slot as the tree holds it, with its body. */
export interface TranscriptSlot {
  readonly idx: Uint8Array;
  readonly masked: Uint8Array;
  readonly vhash: Uint8Array;
  readonly body: Uint8Array;
}

/** A published state of the zone. */
export interface TranscriptEpoch {
  readonly head: Head;
  readonly object: SignedObject;
  readonly tree: BucketTree;
  readonly buckets: readonly Uint8Array[];
  readonly journal: Uint8Array;
}

export interface ZoneOfTranscript {
  readonly zone: ZoneName;
  readonly kid: Uint8Array;
  readonly manifestSha256: Uint8Array;
  readonly signer: Signer;
}

const fillerBodyBytes = 12 + 1024 + 16;
const label = new TextEncoder().encode("body");
export const fillerCount = 511;

/** Slots that fill the tree; nobody can open them. */
export function makeFiller(position: number): TranscriptSlot {
  const bytes = drawn(`filler ${position}`, 64);
  const body = hkdf({ secret: bytes, info: label, lengthBytes: fillerBodyBytes });
  const [idx, masked] = [bytes.slice(0, 16), bytes.slice(16, 28)];
  return { idx, masked, vhash: sha256(body), body };
}

/** Publishes the changes over the epoch before; none yet: over an empty tree. */
export function publishEpoch(
  zone: ZoneOfTranscript,
  at: {
    readonly before?: TranscriptEpoch;
    readonly slots: readonly TranscriptSlot[];
    readonly timeSeconds: number;
  },
): TranscriptEpoch {
  const { before, slots, timeSeconds } = at;
  const serial = (before?.head.serial ?? 0) + 1;
  const tree = before?.tree ?? emptyTree(zone);
  const buckets = [...(before?.buckets ?? [new Uint8Array()])];
  const changes = slots
    .map(({ idx, masked, vhash }): SlotChange => ({ idx, to: { masked, vhash } }))
    .toSorted((a, b) => Buffer.compare(a.idx, b.idx));
  const readBucket = (index: number): Uint8Array => buckets[index] ?? new Uint8Array();
  const work = applyEpoch({ ...zone, tree, readBucket, changes, serial });
  const changed: Uint8Array[] = [];
  let step = work.next();
  for (; step.done !== true; step = work.next()) {
    if (step.value !== undefined) changed[step.value.index] = step.value.entries;
  }
  const outcome = step.value;
  const head: Head = {
    zone: zone.zone,
    epoch: 1,
    serial,
    mapRoot: outcome.mapRoot,
    mapSize: outcome.size,
    kid: zone.kid,
    b: outcome.b,
    pad: outcome.pad,
    manifestSha256: zone.manifestSha256,
    changesRoot: outcome.changesRoot,
    time: timeSeconds,
    prevSha256: before === undefined ? new Uint8Array(32) : payloadSha256(before.object),
    notAfter: timeSeconds + 1800,
  };
  const object = signObject({
    type: "head",
    role: roles.zone,
    zone: zone.zone,
    payload: encodeHead(head),
    signer: zone.signer,
  });
  const now = Array.from({ length: outcome.tree.bucketCount }, (_, index) => {
    return changed[index] ?? readBucket(index);
  });
  return { head, object, tree: outcome.tree, buckets: now, journal: outcome.journal };
}

/** Head, tree and journal of an epoch. */
export function epochVector(epoch: TranscriptEpoch): JsonObject {
  const { head, object, buckets, journal } = epoch;
  const leaves = buckets.map((entries, index) => hashOf(head, index, entries));
  const levels: Uint8Array[][] = [leaves];
  for (let level = leaves; level.length > 1; levels.push(level)) {
    level = Array.from({ length: level.length / 2 }, (_, at) =>
      innerHash(level[2 * at] ?? label, level[2 * at + 1] ?? label),
    );
  }
  return {
    head: signedVector({ type: "head", zone: head.zone, message: "Head" }, object),
    buckets: buckets.map((entries, index) => ({
      prefix: toHex(prefixOfBucket(index, head.b)),
      count: entries.length / 68,
      entries_sha256: toHex(sha256(entries)),
      hash: toHex(leaves[index] ?? label),
    })),
    inner: levels.slice(1).map((level) => level.map(toHex)),
    changes: journal.length / 152,
    changes_root: toHex(head.changesRoot),
    ...(journal.length > 1024 ? {} : { changes_bytes: toHex(journal) }),
  };
}

function hashOf(head: Head, index: number, entries: Uint8Array): Uint8Array {
  const prefix = prefixOfBucket(index, head.b);
  return bucketHash({ zone: head.zone, kid: head.kid, b: head.b, prefix, entries });
}

/** The bucket that holds an idx, or would. */
export function bucketVector(
  epoch: TranscriptEpoch,
  of: { readonly csi: string; readonly idx: Uint8Array },
): JsonObject {
  const { head, object, tree, buckets } = epoch;
  const { zone, kid, b } = head;
  const index = bucketIndex(of.idx, b);
  const entries = buckets[index] ?? new Uint8Array();
  const siblings = tree.path(index);
  const prefix = prefixOfBucket(index, b);
  const request = { zone, kid, b, prefix };
  const count = entries.length / 68;
  const isPresent = entriesOf(entries).some(({ idx }) => Buffer.compare(idx, of.idx) === 0);
  const response = create(BucketResponseSchema, {
    count,
    entries: padEntries(entries, head.pad),
    siblings,
    head: signedObjectToWire(object),
  });
  return {
    csi: of.csi,
    serial: head.serial,
    idx: toHex(of.idx),
    b,
    prefix: toHex(prefix),
    count,
    pad: head.pad,
    siblings: toHex(siblings),
    proves: isPresent ? "presence" : "absence",
    request: toHex(toBinary(BucketRequestSchema, create(BucketRequestSchema, request))),
    response: toHex(toBinary(BucketResponseSchema, response)),
  };
}

function entriesOf(entries: Uint8Array) {
  return Array.from({ length: entries.length / 68 }, (_, at) =>
    decodeEntry(entries.subarray(at * 68, (at + 1) * 68)),
  );
}

/** Which bodies a verbose lookup asks for, and the exchange. */
export function bodiesVector(
  epoch: TranscriptEpoch,
  of: {
    readonly csi: string;
    readonly idx: Uint8Array;
    readonly localSecret: Uint8Array;
    /** Bodies by hex of their hash; without it the answer is left out. */
    readonly bodies?: ReadonlyMap<string, Uint8Array>;
  },
): JsonObject {
  const { head, buckets } = epoch;
  const entries = entriesOf(buckets[bucketIndex(of.idx, head.b)] ?? new Uint8Array());
  const ranked = entries
    .filter(({ idx }) => Buffer.compare(idx, of.idx) !== 0)
    .map(({ idx, vhash }) => {
      const hmac = hmacSha256(of.localSecret, concatBytes(of.idx, idx));
      return { idx, vhash, hmac };
    })
    .toSorted((a, b) => Buffer.compare(a.hmac, b.hmac))
    .slice(0, 31);
  const wanted = entries.filter(({ idx }) => Buffer.compare(idx, of.idx) === 0);
  const vhashes = [...wanted, ...ranked]
    .map(({ vhash }) => vhash)
    .toSorted((a, b) => Buffer.compare(a, b));
  const request = create(BodiesRequestSchema, {
    zone: head.zone,
    vhashes: concatBytes(...vhashes),
  });
  const bodies = vhashes.flatMap((vhash) => of.bodies?.get(toHex(vhash)) ?? []);
  const decoys: Json[] = ranked.map(({ idx, vhash, hmac }) => ({
    idx: toHex(idx),
    hmac: toHex(hmac),
    vhash: toHex(vhash),
  }));
  const response = toBinary(BodiesResponseSchema, create(BodiesResponseSchema, { bodies }));
  return {
    csi: of.csi,
    serial: head.serial,
    local_secret: toHex(of.localSecret),
    decoys,
    vhashes: vhashes.map(toHex),
    request: toHex(toBinary(BodiesRequestSchema, request)),
    ...(of.bodies === undefined ? {} : { response: toHex(response) }),
  };
}

/** One entry, spelled out. */
export function entryVector(slot: TranscriptSlot, since: number): JsonObject {
  const { idx, masked, vhash } = slot;
  return {
    since,
    entry: toHex(concatBytes(idx, uint64Bytes(since), masked, vhash)),
  };
}
