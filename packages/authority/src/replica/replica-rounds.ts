// One round of a replica: the zone's servers in turn, until one has said what is newest; of each tree what is newer,
// taken by epochs or whole. What is received is judged by transfer-start.ts and by what takes it.

import { create } from "@bufbuild/protobuf";
import { equalBytes } from "@whither/crypto/node";
import { DiscoveryError, isDiscoveryError, type SignedObject } from "@whither/protocol";
import { abortError, silentLogger } from "@whither/runtime";
import {
  decodeHead,
  decodeSignedObject,
  TransferEpochSchema,
  TransferKind,
  type TransferEpoch,
  type TransferPart,
} from "@whither/wire";
import { nodeVerifier, payloadSha256 } from "@whither/zone";
import type { HeadNews } from "../mapping/held-tree.js";
import type { KnownManifests } from "./known-manifests.js";
import { publicServer, type FollowedServer, type PrimaryLink } from "./primary-link.js";
import { isOwnDamage, type Damage } from "./replica-damage.js";
import { ReplicaTree, type ReplicaTreeContext } from "./replica-tree.js";
import { noKid, type ReplicaTrees } from "./replica-trees.js";
import type { ReplicaZoneOptions } from "./replica-zone.js";
import { ForkError, verifyOpening, verifyStart, type VerifiedStart } from "./transfer-start.js";

export interface RoundParts {
  readonly options: ReplicaZoneOptions;
  readonly context: ReplicaTreeContext;
  readonly damage: Damage;
  readonly trees: ReplicaTrees;
  readonly manifests: KnownManifests;
  readonly link: PrimaryLink;
  readonly onNews: (news: HeadNews) => void;
}

interface Wanted {
  readonly kid: Uint8Array;
  readonly signal: AbortSignal;
}

export interface RoundOutcome {
  /** The one that answered. */
  readonly server: FollowedServer;
  /** Whether it is the one that is named first, as the primary is. */
  readonly isFirst: boolean;
}

/** Throws what the last server failed with. */
export async function runRound(parts: RoundParts, signal: AbortSignal): Promise<RoundOutcome> {
  const { authority: authorityOf, replication = [] } = parts.options;
  const own = parts.options.ownSpkiSha256?.();
  const directory = await authorityOf({ signal });
  const { endpoints } = directory.authority;
  const isOther = ({ spkiSha256 }: FollowedServer): boolean =>
    !spkiSha256.some((pin) => own !== undefined && equalBytes(pin, own));
  const named = endpoints.flatMap((one) => publicServer(one) ?? []).filter(isOther);
  const { primaries = named } = parts.options;
  parts.manifests.see(directory);
  await parts.manifests.complete(asker(parts, [...new Set([...primaries, ...named])]), signal);
  let failure: DiscoveryError | undefined;
  for (const server of [...replication, ...primaries]) {
    try {
      await follow(parts, server, signal);
      return { server, isFirst: failure === undefined };
    } catch (error) {
      if (!isDiscoveryError(error)) throw error;
      if (signal.aborted) throw abortError(signal);
      failure = error;
      if (isOwnDamage(error)) parts.damage.note();
      await record(parts, { error, host: server.host });
    }
  }
  throw failure ?? new DiscoveryError("UNREACHABLE", "the zone has no server to follow");
}

/** Asks one after the other: any copy does, and one with signatures is better than one without. */
function asker({ link, options }: RoundParts, servers: readonly FollowedServer[]) {
  const { zone } = options;
  return async (sha256: Uint8Array, signal: AbortSignal): Promise<SignedObject> => {
    let failure: DiscoveryError | undefined;
    for (const server of servers) {
      try {
        return await link.manifest(server, { zone, sha256, signal });
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
        if (signal.aborted) throw abortError(signal);
        failure = error;
      }
    }
    throw failure ?? new DiscoveryError("UNREACHABLE", "the zone has no public server");
  };
}

/** What a pushed head is to what is held: a heartbeat is the next one and changes nothing. */
export function placeOfPush(
  pushed: SignedObject,
  trees: ReplicaTrees,
): "held" | "heartbeat" | "news" {
  const { kid, epoch, serial, mapRoot, prevSha256 } = decodeHead(pushed.payload);
  const tree = trees.find(kid);
  if (tree === undefined || tree.isLost) return "news";
  const held = tree.published;
  if (equalBytes(payloadSha256(pushed), held.headSha256)) return "held";
  const { head, headSha256 } = held;
  const continues =
    epoch === head.epoch && serial === head.serial + 1 && equalBytes(prevSha256, headSha256);
  return continues && equalBytes(mapRoot, head.mapRoot) ? "heartbeat" : "news";
}

/**
 * Takes a heartbeat as the transfer that it would come to: signed, linked to what is held and without changes, it
 * leaves nothing to ask for.
 */
export async function takeHeartbeat(
  parts: RoundParts,
  object: SignedObject,
  signal: AbortSignal,
): Promise<void> {
  const { options, context, trees } = parts;
  const { zone, clock, verifier = nodeVerifier } = options;
  const { kid } = decodeHead(object.payload);
  parts.manifests.see(await options.authority({ signal }));
  const held = trees.find(kid);
  if (held === undefined) return;
  const manifest = decodeSignedObject(held.manifestBytes);
  const opening = { kind: TransferKind.EPOCHS, manifest, head: object, heads: [] };
  const nowSeconds = clock.nowSeconds();
  const expected = {
    ...{ zone, kid, manifests: parts.manifests, held: trees.all(), fromKid: kid },
    ...{ nowSeconds, verifier },
  };
  const start = verifyOpening(opening, expected);
  if (start.kind !== "epochs") return;
  const epoch = create(TransferEpochSchema, { head: object.payload });
  const news = await take(held, { context, trees }, { start, parts: only(epoch) });
  parts.onNews(news);
}

async function* only(value: TransferEpoch): AsyncGenerator<TransferPart["part"]> {
  await Promise.resolve();
  yield { case: "epoch", value };
}

async function record(
  { options, context }: RoundParts,
  { error, host }: { readonly error: DiscoveryError; readonly host: string },
): Promise<void> {
  const { zone, logger = silentLogger } = options;
  if (error instanceof ForkError) {
    logger.error("zone forked", { zone, host, error });
    await context.replicas.keepEvidence(error.evidence);
  } else {
    logger.warn("transfer failed", { zone, host, error });
  }
}

/** The tree that the zone calls current, and every other one that its manifest lists and the server has. */
async function follow(
  parts: RoundParts,
  server: FollowedServer,
  signal: AbortSignal,
): Promise<void> {
  const { trees, context } = parts;
  const first = await transfer(parts, server, { signal, kid: noKid });
  for (const kid of trees.listed()) {
    if (equalBytes(kid, first)) continue;
    try {
      await transfer(parts, server, { signal, kid });
    } catch (error) {
      // Listed before its tree is made, or after it was dropped.
      if (!isDiscoveryError(error, "UNKNOWN_KID")) throw error;
    }
  }
  for (const { published } of await trees.dropUnlisted()) {
    await context.replicas.forget(published.head.kid);
  }
}

/** Gives the kid of the tree that the server spoke of. */
async function transfer(
  parts: RoundParts,
  server: FollowedServer,
  wanted: Wanted,
): Promise<Uint8Array> {
  const { kind, head } = await receiveOrWhole(parts, server, wanted);
  if (kind !== "elsewhere") return head.kid;
  // After a rotation the current tree is another one than that whose place was told.
  return await transfer(parts, server, { ...wanted, kid: head.kid });
}

async function receiveOrWhole(
  parts: RoundParts,
  server: FollowedServer,
  wanted: Wanted,
): Promise<VerifiedStart> {
  const held = parts.trees.find(wanted.kid);
  try {
    const isWhole = parts.damage.isThere || held?.isLost === true;
    return await receive(parts, server, { ...wanted, from: isWhole ? undefined : held });
  } catch (error) {
    const isWay = isDiscoveryError(error, "BOGUS") || isDiscoveryError(error, "TOO_LARGE");
    if (held === undefined || !isWay || wanted.signal.aborted) throw error;
    // The way from here to there may be what is wrong; the whole proves itself.
    return await receive(parts, server, { ...wanted, from: undefined });
  }
}

async function receive(
  { options, context, damage, trees, manifests, link, onNews }: RoundParts,
  server: FollowedServer,
  wanted: Wanted & {
    /** Where the transfer may begin; undefined: the whole is asked for. */
    readonly from: ReplicaTree | undefined;
  },
): Promise<VerifiedStart> {
  const { kid, signal } = wanted;
  const { zone, clock, verifier = nodeVerifier, logger = silentLogger } = options;
  const from = { zone, kid, ...placeOf(wanted.from) };
  const received = link.transfer(server, { from, signal });
  try {
    const first = await received.next();
    if (first.done === true) throw new DiscoveryError("INVALID_DATA", "transfer: empty");
    const start = verifyStart(first.value, {
      ...{ zone, kid, manifests, held: trees.all(), nowSeconds: clock.nowSeconds() },
      verifier,
      fromKid: wanted.from?.published.head.kid,
      isRefill: wanted.from === undefined,
    });
    if (start.kind === "elsewhere") return start;
    if (start.kind === "current") {
      await received.next(); // its end, so that nothing is broken off
      return start;
    }
    if (damage.isThere) {
      // Not before somebody gives the whole: until then what is undamaged is served.
      logger.error("replica damaged", { zone });
      await trees.lose();
      await context.replicas.renew();
      damage.mended();
    }
    const known = trees.find(start.head.kid);
    const news = await take(known, { context, trees }, { start, parts: received });
    trees.chooseCurrent();
    const { serial, mapSize: slots, b } = start.head;
    logger.info("replica advanced", { zone, serial, slots, b, by: start.kind, way: server.way });
    onNews(news);
    return start;
  } finally {
    await received.return(undefined);
  }
}

function placeOf(tree: ReplicaTree | undefined) {
  if (tree === undefined) return {};
  const { head, headSha256 } = tree.published;
  return { epoch: BigInt(head.epoch), serial: BigInt(head.serial), headSha256 };
}

async function take(
  known: ReplicaTree | undefined,
  { context, trees }: Pick<RoundParts, "context" | "trees">,
  received: Parameters<typeof ReplicaTree.receive>[1],
): Promise<HeadNews> {
  if (known !== undefined) return await known.advance(received);
  const made = await ReplicaTree.receive(context, received);
  trees.add(made);
  const { head, headBytes } = made.published;
  return { head, headBytes, changedBuckets: undefined };
}
