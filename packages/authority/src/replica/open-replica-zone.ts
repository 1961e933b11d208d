// Puts a replica together: its store, the trees found there, the rounds of asking.

import { equalBytes, portableVoprf, toHex } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Head,
  type ZoneName,
} from "@whither/protocol";
import { abortError, silentLogger, type EvaluatedWork } from "@whither/runtime";
import { decodeHead, signedObjectFromWire } from "@whither/wire";
import { payloadSha256 } from "@whither/zone";
import { decodeSignedObject } from "@whither/wire";
import type { HeadNews, HeldTree } from "../mapping/held-tree.js";
import type { BlindedRequest, SignalOption } from "../mapping/mapping-zone.js";
import type { BucketQuery } from "../mapping/published-tree.js";
import { encodeBodiesResponse, encodeObjectResponse } from "../mapping/raw-messages.js";
import { PrimaryLink, type FollowedServer } from "./primary-link.js";
import { ReplicaStore } from "./replica-store.js";
import { ReplicaTree, type ReplicaTreeContext } from "./replica-tree.js";
import type { ReplicaStatus, ReplicaZone, ReplicaZoneOptions } from "./replica-zone.js";
import { RefreshTimer } from "./refresh-timer.js";
import { ForkError, verifyStart } from "./transfer-start.js";

const bucketCacheBytesDefault = 8 * 1024 * 1024;
const noKid = new Uint8Array(0);

/** Opens a replica on its store; what was served before is served at once. Throws CONFIG for a primary's store. */
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
  return new FollowingZone(options, { context, trees });
}

class FollowingZone implements ReplicaZone {
  readonly zone: ZoneName;
  readonly #options: ReplicaZoneOptions;
  readonly #context: ReplicaTreeContext;
  readonly #trees: Map<string, ReplicaTree>;
  readonly #link: PrimaryLink;
  readonly #timer: RefreshTimer;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(news: HeadNews) => void>();
  #current: ReplicaTree | undefined;
  #round: Promise<void> | undefined;
  #watching: Promise<void> | undefined;

  constructor(
    options: ReplicaZoneOptions,
    found: { readonly context: ReplicaTreeContext; readonly trees: readonly ReplicaTree[] },
  ) {
    this.zone = options.zone;
    this.#options = options;
    this.#context = found.context;
    this.#trees = new Map(found.trees.map((tree) => [toHex(tree.published.head.kid), tree]));
    this.#link = new PrimaryLink(options);
    const { clock, random } = options;
    const periodMs = (): number =>
      (this.#current?.manifest.epochSeconds ?? limits.epochSeconds) * 1000;
    const round = (): Promise<void> => this.refresh();
    const logger = options.logger ?? silentLogger;
    this.#timer = new RefreshTimer({ clock, random, logger, periodMs, round, zone: this.zone });
    this.#chooseCurrent();
  }

  status(): ReplicaStatus {
    const head = this.#current?.published.head;
    const { failures } = this.#timer;
    if (head === undefined) return { state: "empty", head, failures };
    return { state: this.#isExpired(head) ? "expired" : "serving", head, failures };
  }

  head(kid: Uint8Array = noKid): Head {
    return this.#served(kid).published.head;
  }

  headResponse(kid: Uint8Array = noKid): Uint8Array {
    return this.#served(kid).published.headResponse;
  }

  manifestResponse(manifestSha256: Uint8Array): Uint8Array {
    const { manifestBytes } = this.#served(noKid);
    if (!equalBytes(payloadSha256(decodeSignedObject(manifestBytes)), manifestSha256)) {
      throw new DiscoveryError("NOT_AUTHORITATIVE", "no manifest of this zone has that hash");
    }
    return encodeObjectResponse(manifestBytes);
  }

  bucketResponse(query: BucketQuery): Uint8Array {
    return this.#served(query.kid).published.bucketResponse(query);
  }

  async bodiesResponse(vhashes: readonly Uint8Array[]): Promise<Uint8Array> {
    this.#served(noKid);
    const bodies: (Uint8Array | undefined)[] = vhashes.map(() => undefined);
    for (const tree of this.#trees.values()) {
      const found = await tree.published.bodies(vhashes);
      found.forEach((body, at) => (bodies[at] ??= body));
    }
    const all = bodies.filter((body) => body !== undefined);
    if (all.length !== vhashes.length) {
      throw new DiscoveryError("UNKNOWN_BODY", "a body is not of the current epoch");
    }
    return encodeBodiesResponse(all);
  }

  async evaluate(
    { kid, blinded }: BlindedRequest,
    options: SignalOption = {},
  ): Promise<EvaluatedWork> {
    const { evaluation } = this.#options;
    if (evaluation === undefined) {
      throw new DiscoveryError("NOT_AUTHORITATIVE", "this replica evaluates nothing");
    }
    const key = this.#served(kid).manifest.voprfKeys.find((one) => equalBytes(one.kid, kid));
    const { voprf, secretKeys } = evaluation;
    const secretKey = secretKeys.find(
      (secret) => key !== undefined && equalBytes(portableVoprf.publicKeyOf(secret), key.publicKey),
    );
    if (key === undefined || secretKey === undefined) {
      throw new DiscoveryError("UNKNOWN_KID", "no voprf key of that kid");
    }
    return await voprf.evaluate({ secretKey, publicKey: key.publicKey, blinded }, options);
  }

  holdTree(kid: Uint8Array = noKid): HeldTree {
    return this.#served(kid).hold();
  }

  onHead(listener: (news: HeadNews) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  notify(): void {
    this.#timer.hurry();
  }

  start(): void {
    this.#timer.start();
  }

  refresh({ signal }: SignalOption = {}): Promise<void> {
    const signals = signal === undefined ? [] : [signal];
    const all = AbortSignal.any([this.#closing.signal, ...signals]);
    this.#round ??= this.#ask(all).finally(() => (this.#round = undefined));
    return this.#round;
  }

  async close(): Promise<void> {
    this.#closing.abort(new DiscoveryError("CANCELLED", "the replica is closed"));
    this.#timer.close();
    this.#link[Symbol.dispose]();
    await Promise.allSettled([this.#round, this.#watching]);
    for (const tree of this.#trees.values()) await tree.retire();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #served(kid: Uint8Array): ReplicaTree {
    const { zone: upstream } = this;
    const tree = kid.length === 0 ? this.#current : this.#trees.get(toHex(kid));
    if (this.#current === undefined) {
      throw new DiscoveryError("UNREACHABLE", "the replica has not been filled yet", { upstream });
    }
    if (tree === undefined) throw new DiscoveryError("UNKNOWN_KID", "no tree of that kid");
    if (this.#isExpired(tree.published.head)) {
      throw new DiscoveryError("STALE", "the replica has expired", { upstream });
    }
    return tree;
  }

  /** Past that, every reader refuses the head. */
  #isExpired({ notAfter }: Head): boolean {
    return this.#options.clock.nowSeconds() > notAfter + limits.clockSkewSeconds;
  }

  /** Every server in turn until one says what is newest. */
  async #ask(signal: AbortSignal): Promise<void> {
    const authority = await this.#options.authority({ signal });
    const { primaries, ownSpkiSha256 } = this.#options;
    const isOther = ({ publicPort, spkiSha256 }: FollowedServer): boolean =>
      publicPort > 0 &&
      !spkiSha256.some((pin) => ownSpkiSha256 !== undefined && equalBytes(pin, ownSpkiSha256));
    const servers = primaries ?? authority.endpoints.filter(isOther);
    let failure = new DiscoveryError("UNREACHABLE", "the zone has no server to follow");
    for (const server of servers) {
      try {
        await this.#follow(server, { manifestSha256: authority.manifestSha256, signal });
        this.#watch(server);
        return;
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
        if (signal.aborted) throw abortError(signal);
        failure = error;
        await this.#record(error, server);
      }
    }
    throw failure;
  }

  async #record(error: DiscoveryError, { host }: FollowedServer): Promise<void> {
    const { logger = silentLogger } = this.#options;
    const { zone } = this;
    if (error instanceof ForkError) {
      logger.error("zone forked", { zone, host, error });
      await this.#context.replicas.keepEvidence(error.evidence);
    } else {
      logger.warn("transfer failed", { zone, host, error });
    }
  }

  /** Every tree that the manifest lists and the server has. */
  async #follow(
    server: FollowedServer,
    by: { readonly manifestSha256: readonly Uint8Array[]; readonly signal: AbortSignal },
  ): Promise<void> {
    await this.#transfer(server, { kid: noKid, ...by });
    this.#chooseCurrent();
    const keys = this.#current?.manifest.voprfKeys ?? [];
    for (const { kid } of keys.slice(1)) {
      try {
        await this.#transfer(server, { kid, ...by });
      } catch (error) {
        // Listed before its tree is made, or after it was dropped.
        if (!isDiscoveryError(error, "UNKNOWN_KID")) throw error;
      }
    }
    const listed = new Set(keys.map(({ kid }) => toHex(kid)));
    for (const [kidHex, tree] of this.#trees) {
      if (listed.has(kidHex)) continue;
      this.#trees.delete(kidHex);
      await tree.retire();
      await this.#context.replicas.forget(tree.published.head.kid);
    }
  }

  async #transfer(
    server: FollowedServer,
    by: {
      readonly kid: Uint8Array;
      readonly manifestSha256: readonly Uint8Array[];
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    const { kid, manifestSha256, signal } = by;
    const tree = kid.length === 0 ? this.#current : this.#trees.get(toHex(kid));
    try {
      await this.#receive(server, { kid, manifestSha256, signal, tree });
    } catch (error) {
      const isWay = isDiscoveryError(error, "BOGUS") || isDiscoveryError(error, "TOO_LARGE");
      if (tree === undefined || !isWay || signal.aborted) throw error;
      // The way from here to there may be what is wrong; the whole proves itself.
      await this.#receive(server, { kid, manifestSha256, signal, tree, isWhole: true });
    }
  }

  async #receive(
    server: FollowedServer,
    by: {
      readonly kid: Uint8Array;
      readonly manifestSha256: readonly Uint8Array[];
      readonly signal: AbortSignal;
      readonly tree: ReplicaTree | undefined;
      readonly isWhole?: boolean;
    },
  ): Promise<void> {
    const { kid, manifestSha256, signal, tree, isWhole = false } = by;
    const { zone } = this;
    const held = tree?.published;
    const place =
      held === undefined || isWhole
        ? {}
        : {
            epoch: BigInt(held.head.epoch),
            serial: BigInt(held.head.serial),
            headSha256: held.headSha256,
          };
    const parts = this.#link.transfer(server, { from: { zone, kid, ...place }, signal });
    try {
      const first = await parts.next();
      if (first.done === true) throw new DiscoveryError("INVALID_DATA", "transfer: empty");
      const nowSeconds = this.#options.clock.nowSeconds();
      const start = verifyStart(first.value, { zone, kid, manifestSha256, held, nowSeconds });
      // A rotation makes another tree current: what was held is not what it continues.
      const known = this.#trees.get(toHex(start.head.kid));
      if (start.kind === "current") return;
      const news = await this.#take({ start, parts, tree: known });
      this.#chooseCurrent();
      const { serial, mapSize: slots, b } = start.head;
      this.#options.logger?.info("replica advanced", { zone, serial, slots, b, by: start.kind });
      for (const listener of this.#listeners) listener(news);
    } finally {
      await parts.return(undefined);
    }
  }

  async #take(
    received: Parameters<typeof ReplicaTree.receive>[1] & {
      readonly tree: ReplicaTree | undefined;
    },
  ): Promise<HeadNews> {
    const { tree, start } = received;
    if (tree !== undefined) return await tree.advance(received);
    const made = await ReplicaTree.receive(this.#context, received);
    this.#trees.set(toHex(start.head.kid), made);
    const { head, headBytes } = made.published;
    return { head, headBytes, changedBuckets: undefined };
  }

  /** The tree of the first key in the newest manifest. */
  #chooseCurrent(): void {
    const trees = [...this.#trees.values()];
    const newest = trees.toSorted((a, b) => b.manifest.version - a.manifest.version)[0];
    const first = newest?.manifest.voprfKeys[0]?.kid;
    this.#current = first === undefined ? undefined : (this.#trees.get(toHex(first)) ?? newest);
  }

  /** One watch at a time, on the server that answered last. */
  #watch(server: FollowedServer): void {
    this.#watching ??= this.#listen(server)
      .catch((error: unknown) => {
        if (!isDiscoveryError(error)) throw error;
      })
      .finally(() => (this.#watching = undefined));
  }

  async #listen(server: FollowedServer): Promise<void> {
    const { signal } = this.#closing;
    for await (const { head } of this.#link.watch(server, { zone: this.zone, signal })) {
      if (head === undefined) continue;
      const pushed = decodeHead(signedObjectFromWire(head).payload);
      const held = this.#trees.get(toHex(pushed.kid))?.published.head;
      const isHeld = held?.epoch === pushed.epoch && held.serial === pushed.serial;
      if (!isHeld) this.notify();
    }
  }
}
