// A replica in service: reads from its trees, rounds by its timer, and a watch that says when there is something to ask.

import { equalBytes } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Head,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import { silentLogger, type EvaluatedWork } from "@whither/runtime";
import { decodeSignedObject } from "@whither/wire";
import { nodeVerifier, payloadSha256 } from "@whither/zone";
import type { HeadNews, HeldTree } from "../mapping/held-tree.js";
import type { BlindedRequest, SignalOption } from "../mapping/mapping-zone.js";
import type { BucketQuery } from "../mapping/published-tree.js";
import { encodeBodiesResponse, encodeObjectResponse } from "../mapping/raw-messages.js";
import { EvaluationKeys } from "./evaluation-keys.js";
import { KnownManifests } from "./known-manifests.js";
import { LostBodies } from "./lost-bodies.js";
import { PrimaryLink } from "./primary-link.js";
import { PrimaryWatch } from "./primary-watch.js";
import { RefreshTimer } from "./refresh-timer.js";
import { isOwnDamage } from "./replica-damage.js";
import { placeOfPush, runRound, takeHeartbeat, type RoundParts } from "./replica-rounds.js";
import { noKid, type ReplicaTrees } from "./replica-trees.js";
import type { ReplicaStatus, ReplicaZone, ReplicaZoneOptions } from "./replica-zone.js";

export class FollowingZone implements ReplicaZone {
  readonly zone: ZoneName;
  readonly #options: ReplicaZoneOptions;
  readonly #trees: ReplicaTrees;
  readonly #parts: RoundParts;
  readonly #timer: RefreshTimer;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(news: HeadNews) => void>();
  readonly #watch: PrimaryWatch;
  readonly #keys: EvaluationKeys;
  readonly #lost: LostBodies;
  readonly #manifests: KnownManifests;
  #round: Promise<void> | undefined;
  #followsFirst = false;

  constructor(
    options: ReplicaZoneOptions,
    found: Pick<RoundParts, "context" | "damage" | "trees">,
  ) {
    const { zone, clock, random, logger = silentLogger } = options;
    const { trees } = found;
    this.zone = zone;
    this.#options = options;
    this.#trees = trees;
    this.#keys = new EvaluationKeys(options.evaluation?.secretKeys ?? [], { zone, logger });
    this.#tellUnlisted();
    const onNews = (news: HeadNews): void => {
      this.#tellUnlisted();
      for (const listener of this.#listeners) listener(news);
    };
    const link = new PrimaryLink(options);
    const { manifests, verifier = nodeVerifier } = options;
    this.#manifests = new KnownManifests({ zone, manifests, clock, verifier, logger });
    this.#parts = { ...found, options, manifests: this.#manifests, link, onNews };
    const onPush = (pushed: SignedObject): void => this.#hear(pushed);
    this.#watch = new PrimaryWatch({ link, zone, onPush, onEnd: () => this.#timer.restart() });
    const periodMs = (): number => this.#periodSeconds() * 1000;
    const round = (): Promise<void> => this.refresh();
    found.damage.onNote(() => this.notify());
    this.#lost = new LostBodies({ clock, onLost: () => found.damage.note() });
    this.#timer = new RefreshTimer({ clock, random, logger, periodMs, round, zone });
  }

  status(): ReplicaStatus {
    const tree = this.#trees.current;
    const head = tree?.isLost === false ? tree.published.head : undefined;
    const { failures } = this.#timer;
    if (head === undefined) return { state: "empty", head, failures };
    return { state: this.#trees.isExpired(head) ? "expired" : "serving", head, failures };
  }

  head(kid: Uint8Array = noKid): Head {
    return this.#trees.served(kid).published.head;
  }

  headResponse(kid: Uint8Array = noKid): Uint8Array {
    return this.#trees.served(kid).published.headResponse;
  }

  manifestResponse(manifestSha256: Uint8Array): Uint8Array {
    const { manifestBytes } = this.#trees.served(noKid);
    const isHeld = equalBytes(payloadSha256(decodeSignedObject(manifestBytes)), manifestSha256);
    // A successor too, and whether it waits is for each reader to say.
    const found = isHeld ? manifestBytes : this.#manifests.find(manifestSha256);
    if (found !== undefined) return encodeObjectResponse(found);
    throw new DiscoveryError("NOT_AUTHORITATIVE", "no manifest of this zone has that hash");
  }

  bucketResponse(query: BucketQuery): Uint8Array {
    return this.#trees.served(query.kid).published.bucketResponse(query);
  }

  async bodiesResponse(vhashes: readonly Uint8Array[]): Promise<Uint8Array> {
    this.#trees.served(noKid);
    const bodies: (Uint8Array | undefined)[] = vhashes.map(() => undefined);
    for (const tree of this.#trees.all()) {
      if (tree.isLost) continue;
      const found = await tree.published.bodies(vhashes);
      found.forEach((body, at) => (bodies[at] ??= body));
    }
    const all = bodies.filter((body) => body !== undefined);
    if (all.length !== vhashes.length) {
      const missing = vhashes.filter((_, at) => bodies[at] === undefined);
      const held = this.#trees.all().filter(({ isLost }) => !isLost);
      this.#lost.seek(
        missing,
        held.map(({ published }) => published),
      );
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
    const { secretKey, publicKey } = this.#keys.of(kid, this.#trees.served(kid).manifest);
    return await evaluation.voprf.evaluate({ secretKey, publicKey, blinded }, options);
  }

  holdTree(kid: Uint8Array = noKid): HeldTree {
    return this.#trees.served(kid).hold();
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
    return this.#round ?? this.#exclusive(this.#ask(all));
  }

  async close(): Promise<void> {
    this.#closing.abort(new DiscoveryError("CANCELLED", "the replica is closed"));
    this.#timer.close();
    this.#parts.link[Symbol.dispose]();
    await this.#watch[Symbol.asyncDispose]();
    await Promise.allSettled([this.#round]);
    await this.#lost.close();
    await this.#trees.retire();
    await this.#parts.context.replicas[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { server, isFirst } = await runRound(this.#parts, signal);
    this.#followsFirst = isFirst;
    // A round that a close has overtaken begins nothing.
    if (!signal.aborted) this.#watch.on(server);
  }

  /**
   * As long as heads are pushed nobody is asked: longer than the longest pause between two. But replicas that watch
   * one another while the primary is away would not see it come back.
   */
  #periodSeconds(): number {
    const epochSeconds = this.#trees.current?.manifest.epochSeconds ?? limits.epochSeconds;
    return this.#watch.isStanding && this.#followsFirst
      ? 1.5 * limits.heartbeatSeconds
      : epochSeconds;
  }

  #hear(pushed: SignedObject): void {
    const place = placeOfPush(pushed, this.#trees);
    if (place === "held") return;
    if (place === "heartbeat" && this.#round === undefined)
      void this.#exclusive(this.#beat(pushed));
    else this.notify();
  }

  async #beat(pushed: SignedObject): Promise<void> {
    try {
      await takeHeartbeat(this.#parts, pushed, this.#closing.signal);
      this.#timer.restart();
    } catch (error) {
      if (!isDiscoveryError(error)) throw error;
      if (isOwnDamage(error)) this.#parts.damage.note();
      this.notify();
    }
  }

  #tellUnlisted(): void {
    const { current } = this.#trees;
    if (current !== undefined) this.#keys.tellUnlisted(current.manifest);
  }

  #exclusive(work: Promise<void>): Promise<void> {
    const round = work.finally(() => (this.#round = undefined));
    this.#round = round;
    return round;
  }
}
