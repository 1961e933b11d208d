// Acquires manifests and heads over the anonymous path and verifies them: the manifest against the hash in
// the signed directory, a head against the manifest's zone keys and the newest one seen.

import { equalBytes, toHex } from "@whither/crypto";
import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import type { Authority, Head, Manifest, SignedObject, ZoneName } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { signedObjectFromWire } from "@whither/wire";
import { verifyHead, verifyManifest } from "@whither/zone";
import { furtherErrors, joinErrors } from "@whither/rpc";
import { LRUCache } from "lru-cache";
import type { CacheUse } from "./cache-shares.js";
import { Coalescer } from "./coalescer.js";
import type { HeadMemory } from "./head-memory.js";
import type { ManifestMemory } from "./manifest-memory.js";
import type { Received } from "./correlated-stream.js";
import type { FetchAnswer, FetchAsk, Peers, Server } from "./peers.js";
import { heardBy, moreRpcs, type ZoneQuery } from "./query.js";
import type { ServerChoice } from "./server-choice.js";
import { askServers } from "./servers.js";
import { sharedFetch, type Shared } from "./shared-fetch.js";
import type { Verdicts } from "./verdicts.js";
import { refuseWaiting, reviewOf } from "./waiting-manifests.js";
import { createZoneView, isSameAuthority, serversOf } from "./zone-view.js";
import type { HeldHead, HeldManifest, ZoneView } from "./zone-view.js";

export interface ZoneViewsOptions {
  readonly peers: Peers;
  readonly choice: ServerChoice;
  readonly memory: HeadMemory;
  readonly manifests: ManifestMemory;
  readonly verdicts: Verdicts;
  readonly clock: Clock;
  readonly cacheBytes: number;
}

const currentKid = new Uint8Array();
const toldZone = "the zone's name, no identity";
/** Manifest, delegation, newest head, and their objects. */
const viewBytes = 6_000;

interface Fetched<T> {
  readonly value: T;
  readonly server: Server;
  readonly received: Received<FetchAnswer>;
}

export class ZoneViews {
  readonly #options: ZoneViewsOptions;
  readonly #views: LRUCache<string, ZoneView>;
  readonly #manifests = new Coalescer<Fetched<HeldManifest>>();
  readonly #heads = new Coalescer<Fetched<HeldHead>>();

  constructor(options: ZoneViewsOptions) {
    this.#options = options;
    this.#views = new LRUCache({ max: Math.max(1, Math.floor(options.cacheBytes / viewBytes)) });
  }

  get use(): CacheUse {
    const entries = this.#views.size;
    return { entries, bytes: entries * viewBytes, bytesMax: this.#options.cacheBytes };
  }

  /** What is held of a zone, wherever its servers lie and whoever delegated it. */
  named(zone: ZoneName): ZoneView | undefined {
    return this.#views.peek(viewKey({ zone }, ""));
  }

  /** Zones held, those used latest first. */
  rows(): readonly ZoneView[] {
    return [...this.#views.values()];
  }

  clear(): void {
    this.#views.clear();
  }

  /** The view of a zone if it is held for just this delegation. */
  held(authority: Authority, { realm }: Pick<ZoneQuery, "realm">): ZoneView | undefined {
    const view = this.#views.get(viewKey(authority, realm));
    if (view === undefined || !isSameAuthority(view.authority, authority)) return undefined;
    this.#options.manifests.seen(authority.zone);
    return this.#options.clock.nowSeconds() < view.reviewAt ? view : undefined;
  }

  /** Fetches what the directory names by hash. Throws BOGUS, EXPIRED, NOT_YET_VALID and transport errors. */
  async acquire(authority: Authority, query: ZoneQuery): Promise<ZoneView> {
    const fetched = await Promise.allSettled(
      authority.manifestSha256.map((sha256) => this.#manifest(authority, sha256, query)),
    );
    const received = fetched.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const { inEffect, waiting } = this.#options.manifests.judge(authority, {
      received,
      namedAt: query.namedAt,
      verifier: this.#options.verdicts.charged(query.spend),
    });
    // In the directory's order, newest first.
    const [current, ...others] = inEffect.toReversed();
    if (current === undefined) {
      const failure = fetched.find((one) => one.status === "rejected");
      throw failure?.reason instanceof Error
        ? failure.reason
        : new DiscoveryError("KEY_MISSING", "the directory names no manifest");
    }
    // Whoever waited for the same manifest has made the view by now: one view carries one newest head.
    const made = this.held(authority, query);
    if (made !== undefined) return made;
    const view = await this.#underHead(
      createZoneView(
        authority,
        [current, ...others],
        reviewOf(waiting, this.#options.clock.nowSeconds()),
      ),
      query,
    );
    this.#views.set(viewKey(authority, query.realm), view);
    return view;
  }

  /** While one manifest succeeds another, the zone's head says which of them is in use, and so which VOPRF key. */
  async #underHead(view: ZoneView, query: ZoneQuery): Promise<ZoneView> {
    if (view.manifests.length === 1) return view;
    const head = await this.#fetchHead(view, query, currentKid);
    const used = view.manifests.find(({ manifest }) => manifest === head.manifest);
    if (used === undefined) return view;
    const others = view.manifests.filter((one) => one !== used);
    const ordered = createZoneView(view.authority, [used, ...others], view);
    // A head of another kid than the manifest's current one is fetched anew, by that kid.
    if (equalBytes(head.head.kid, ordered.kid)) ordered.head = head;
    return ordered;
  }

  /** The newest head held, or a fetched one. Throws as `accept`. */
  async head(view: ZoneView, query: ZoneQuery): Promise<HeldHead> {
    if (view.head !== undefined) return view.head;
    const head = await this.#fetchHead(view, query, view.kid);
    view.head ??= head;
    return view.head;
  }

  /** The newest head of a kid's tree; of the one that the zone calls current for an empty kid. */
  async #fetchHead(view: ZoneView, query: ZoneQuery, kid: Uint8Array): Promise<HeldHead> {
    const anyKid = kid.length === 0;
    const shared = await sharedFetch(query, {
      flights: this.#heads,
      key: `${view.zone} ${toHex(kid)} ${query.realm}`,
      told: toldZone,
      fetch: (signal) =>
        this.#fetch(
          view.anonymous,
          { ...query, signal },
          {
            ask: { case: "head", value: { zone: view.zone, kid } },
            read: (answer, askedMs) => {
              if (answer.case !== "head") throw crossed();
              const object = signedObjectFromWire(answer.value.head);
              return this.accept(view, object, query, { askedMs, anyKid });
            },
          },
        ),
    });
    const held = shared.value.value;
    const { serial, mapSize } = held.head;
    this.#report(query, shared, { serial, learnt: `head, ${mapSize} slots` });
    return held;
  }

  /**
   * Verifies a head that came with an answer: of the view's tree unless `anyKid`. Throws BOGUS, KEY_MISSING,
   * EXPIRED, CLOCK_SKEW, ROLLBACK, FORKED, STALE.
   */
  accept(
    view: ZoneView,
    object: SignedObject,
    query: ZoneQuery,
    asked: { readonly askedMs: number; readonly anyKid?: boolean },
  ): HeldHead {
    const { memory, verdicts, clock } = this.#options;
    const held = view.head;
    // Known to be signed, not to be in its time: what was good once can be served again for ever.
    const isInTime = (head: Head): boolean =>
      head.notAfter + limits.clockSkewSeconds >= clock.nowSeconds();
    if (held !== undefined && isInTime(held.head) && isSameObject(held.object, object)) return held;
    const verified = this.#verifyWithAny(view, object, {
      nowSeconds: memory.nowSeconds(),
      verifier: verdicts.charged(query.spend),
    });
    const isOwnTree = equalBytes(verified.head.kid, view.kid);
    if (!isOwnTree && asked.anyKid !== true) {
      throw new DiscoveryError("BOGUS", "head: of another kid than asked");
    }
    // Copied: a view would keep the whole answer that carried it.
    const own = copyOf(object);
    memory.accept(own, verified.head, asked);
    const next = { ...verified, object: own };
    if (isOwnTree) view.head = next;
    this.#followManifest(view, verified.manifest, query);
    return next;
  }

  /** Once the zone speaks under another VOPRF key, the next lookup evaluates under it; this one ends as begun. */
  #followManifest(
    view: ZoneView,
    { voprfKeys: [current] }: Manifest,
    { realm }: Pick<ZoneQuery, "realm">,
  ): void {
    const isFollowed = current === undefined || equalBytes(current.kid, view.kid);
    const key = viewKey(view, realm);
    if (!isFollowed && this.#views.get(key) === view) this.#views.delete(key);
  }

  /** The next lookup asks for the head, and for manifests if the directory names others. */
  forgetHead(view: ZoneView): void {
    view.head = undefined;
  }

  /** After UNKNOWN_KID: the manifests too. */
  forget(view: ZoneView, { realm }: Pick<ZoneQuery, "realm">): void {
    view.head = undefined;
    this.#views.delete(viewKey(view, realm));
  }

  /**
   * What it means that servers showed older heads than one seen. All of them: ROLLBACK, kept as evidence. Some,
   * while others could not be asked: replicas lag in all honesty, and nothing newer can be had now, STALE.
   */
  async judged<T>(servers: readonly Server[], zone: string, asked: Promise<T>): Promise<T> {
    try {
      return await asked;
    } catch (error) {
      if (!isDiscoveryError(error, "ROLLBACK")) throw error;
      const all = [error, ...furtherErrors(error)];
      const isEverybody = all.length >= Math.min(servers.length, limits.serversPerQuestionMax);
      if (isEverybody && all.every(({ code }) => code === "ROLLBACK")) {
        this.#options.memory.keepRollback(zone, error);
        throw error;
      }
      throw joinErrors(
        new DiscoveryError("STALE", "the servers that answer are behind", { upstream: zone }),
        all,
      );
    }
  }

  /** A head is older than it should be: `time` plus 15 min plus the clocks' tolerance. */
  isStale({ time }: Head): boolean {
    return (
      time + limits.headStaleSeconds + limits.clockSkewSeconds < this.#options.clock.nowSeconds()
    );
  }

  #verifyWithAny(
    view: ZoneView,
    object: SignedObject,
    check: Pick<Parameters<typeof verifyHead>[0], "nowSeconds" | "verifier">,
  ): { readonly head: Head; readonly manifest: HeldManifest["manifest"] } {
    const { zone } = view;
    let first: DiscoveryError | undefined;
    for (const { manifest, sha256 } of view.manifests) {
      try {
        const head = verifyHead({ ...check, object, zone, manifest, manifestSha256: sha256 });
        return { head, manifest };
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
        if (error.code === "EXPIRED") throw this.#options.memory.expired(zone);
        first ??= error;
      }
    }
    refuseWaiting(view, object, check);
    throw first ?? new TypeError("a view without manifests");
  }

  async #manifest(
    authority: Authority,
    sha256: Uint8Array,
    query: ZoneQuery,
  ): Promise<HeldManifest> {
    const { zone } = authority;
    const { memory, verdicts } = this.#options;
    const shared = await sharedFetch(query, {
      flights: this.#manifests,
      key: `${zone} ${toHex(sha256)} ${query.realm}`,
      told: toldZone,
      fetch: (signal) =>
        this.#fetch(
          serversOf(authority).anonymous,
          { ...query, signal },
          {
            ask: { case: "manifest", value: { zone, manifestSha256: sha256 } },
            read: (answer) => {
              if (answer.case !== "manifest") throw crossed();
              const object = copyOf(signedObjectFromWire(answer.value.manifest));
              const verified = verifyManifest({
                object,
                zone,
                manifestSha256: [sha256],
                nowSeconds: memory.nowSeconds(),
                verifier: verdicts.charged(query.spend),
              });
              return { object, ...verified };
            },
          },
        ),
    });
    const held = shared.value.value;
    const { version } = held.manifest;
    this.#report(query, shared, { serial: undefined, learnt: `manifest, version ${version}` });
    return held;
  }

  async #fetch<T>(
    servers: readonly Server[],
    query: ZoneQuery,
    {
      ask,
      read,
    }: {
      readonly ask: FetchAsk;
      readonly read: (answer: FetchAnswer, askedMs: number) => T;
    },
  ): Promise<Fetched<T>> {
    const { peers, choice, clock } = this.#options;
    const asked = askServers({
      choice,
      clock,
      zone: query.zone,
      servers,
      signal: query.signal,
      more: moreRpcs(query),
      ask: async (server, options) => {
        const askedMs = clock.monotonicMs();
        const received = await peers.fetch(server, ask, options);
        choice.answered(server.key, received.rttMs);
        query.spend("bytes", received.bytesIn);
        return { value: read(received.response, askedMs), server, received };
      },
    });
    return await this.judged(servers, query.zone, asked);
  }

  #report(
    query: ZoneQuery,
    { value: { server, received }, isOwn }: Shared<Fetched<unknown>>,
    { serial, learnt }: { readonly serial: number | undefined; readonly learnt: string },
  ): void {
    if (isOwn) query.trace.rpc(received);
    query.trace.hop({
      prefix: query.prefix,
      ...heardBy(server, "anonymous"),
      told: toldZone,
      learnt,
      serial,
      verdict: "verified",
      rttMs: received.rttMs,
    });
  }
}

function viewKey({ zone }: { readonly zone: string }, realm: string): string {
  return `${zone} ${realm}`;
}

function isSameObject(a: SignedObject, b: SignedObject): boolean {
  const [signature, ...others] = b.signatures;
  const [own] = a.signatures;
  return (
    signature !== undefined &&
    own !== undefined &&
    others.length + 1 === a.signatures.length &&
    Buffer.compare(a.payload, b.payload) === 0 &&
    Buffer.compare(own.signature, signature.signature) === 0
  );
}

function copyOf({ payload, signatures }: SignedObject): SignedObject {
  return { payload: payload.slice(), signatures };
}

export function crossed(): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", "the server answered something else");
}
