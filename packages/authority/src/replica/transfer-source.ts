// What a server sends of a tree to whoever follows it (zone.proto, TransferPart): nothing new, the epochs since, or
// the whole. Public bytes only; the reader verifies every one of them, so nothing is checked here.

import { equalBytes, sha256 } from "@whither/crypto/node";
import { DiscoveryError, limits } from "@whither/protocol";
import {
  decodeHead,
  decodeSignedObject,
  signedObjectToWire,
  TransferKind,
  type TransferFrom,
  type TransferPartSchema,
} from "@whither/wire";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { decodeChanges, entryBytes, vhashAt } from "@whither/zone";
import type { HeldTree, JournalledEpoch } from "../mapping/held-tree.js";
import { nextTurn } from "../mapping/slices.js";
import { newBodies } from "./new-bodies.js";

export type PartInit = MessageInitShape<typeof TransferPartSchema>;

/** Entry bytes of one message, and buckets looked at for it. */
const bucketBytesPerPart = 256 * 1024;
const bucketsPerPart = 512;
/** Bodies of one message: at most 1 MiB. */
const bodiesPerPart = 64;

type Place = Pick<TransferFrom, "epoch" | "serial" | "headSha256">;

/** The parts of one transfer, in order. Throws STORE_CORRUPT when a body is missing. */
export async function* transferParts(tree: HeldTree, from: Place): AsyncGenerator<PartInit> {
  const { head } = tree;
  const isSameEpoch = from.epoch === BigInt(head.epoch);
  if (from.epoch > BigInt(head.epoch) || (isSameEpoch && from.serial >= BigInt(head.serial))) {
    yield start(tree, TransferKind.CURRENT);
    return;
  }
  const held = isSameEpoch ? await tree.epoch(Number(from.serial)) : undefined;
  const epochs = held === undefined ? undefined : await epochsSince(tree, Number(from.serial));
  if (held === undefined || epochs === undefined) {
    yield* whole(tree);
  } else if (!equalBytes(sha256(held.head), from.headSha256)) {
    const heads = [held, ...epochs].slice(0, -1).map((epoch) => epoch.head);
    yield start(tree, TransferKind.DIVERGED, heads);
  } else if (isTooFar(held, epochs)) {
    yield* whole(tree);
  } else {
    yield* byEpochs(tree, epochs);
  }
}

/** The epochs after a serial up to the held one; undefined when one is not in the journal. */
async function epochsSince(
  tree: HeldTree,
  serial: number,
): Promise<readonly JournalledEpoch[] | undefined> {
  const epochs: JournalledEpoch[] = [];
  for (let next = serial + 1; next <= tree.head.serial; next += 1) {
    const epoch = await tree.epoch(next);
    if (epoch === undefined) return undefined;
    epochs.push(epoch);
  }
  return epochs;
}

/** Whether the whole costs the reader less than the way there: many changes, or the tree made anew twice. */
function isTooFar(held: JournalledEpoch, epochs: readonly JournalledEpoch[]): boolean {
  const changes = epochs.reduce((sum, epoch) => sum + decodeChanges(epoch.changes).length, 0);
  const depths = [held, ...epochs].map((epoch) => decodeHead(epoch.head).b);
  const resized = depths.filter((b, at) => at > 0 && b !== depths[at - 1]).length;
  return changes > limits.transferChangesMax || resized > 1;
}

function start(
  { headBytes, manifestBytes }: HeldTree,
  kind: TransferKind,
  heads: readonly Uint8Array[] = [],
): PartInit {
  const head = signedObjectToWire(decodeSignedObject(headBytes));
  const manifest = signedObjectToWire(decodeSignedObject(manifestBytes));
  return { part: { case: "start", value: { kind, head, manifest, heads: [...heads] } } };
}

async function* byEpochs(
  tree: HeldTree,
  epochs: readonly JournalledEpoch[],
): AsyncGenerator<PartInit> {
  yield start(tree, TransferKind.EPOCHS);
  for (const value of epochs) yield { part: { case: "epoch", value } };
  const changes = epochs.flatMap((epoch) => decodeChanges(epoch.changes));
  yield* bodies(tree, newBodies(changes));
}

async function* whole(tree: HeldTree): AsyncGenerator<PartInit> {
  yield start(tree, TransferKind.WHOLE);
  const { bucketCount } = tree.tree;
  for (let number = 0; number < bucketCount;) {
    const buckets: { number: number; entries: Uint8Array }[] = [];
    let bytes = 0;
    for (let seen = 0; seen < bucketsPerPart && bytes < bucketBytesPerPart; seen += 1) {
      if (number >= bucketCount) break;
      const entries = tree.readBucket(number);
      if (entries.length > 0) buckets.push({ number, entries });
      bytes += entries.length;
      number += 1;
    }
    if (buckets.length > 0) {
      yield { part: { case: "buckets", value: { buckets } } };
      yield* bodies(
        tree,
        buckets.flatMap(({ entries }) => vhashesOf(entries)),
      );
    }
    await nextTurn();
  }
}

/** Body hashes of a bucket's entries, in their order. */
export function vhashesOf(entries: Uint8Array): readonly Uint8Array[] {
  return Array.from({ length: entries.length / entryBytes }, (_, position) =>
    vhashAt(entries, position * entryBytes),
  );
}

async function* bodies(tree: HeldTree, vhashes: readonly Uint8Array[]): AsyncGenerator<PartInit> {
  for (let at = 0; at < vhashes.length; at += bodiesPerPart) {
    const found = await tree.bodies(vhashes.slice(at, at + bodiesPerPart));
    const all = found.filter((body) => body !== undefined);
    if (all.length !== found.length) {
      throw new DiscoveryError("STORE_CORRUPT", "a slot's body is missing");
    }
    yield { part: { case: "bodies", value: { bodies: all } } };
  }
}
