// Buckets over the anonymous path: fetched by prefix, verified up to the signed head, held as received
// (protocol.md section 4). One bucket proves presence and absence for every idx with its prefix.

import { equalBytes, uint64Bytes, utf8 } from "@whither/crypto";
import {
  bucketIndex,
  bucketPrefix,
  headMarkOf,
  padEntries,
  verifyBucket,
  type Entry,
  type VerifiedBucket,
} from "@whither/zone";
import { DiscoveryError, isDiscoveryError, limits, type Manifest } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { signedObjectFromWire } from "@whither/wire";
import type { HopRecord } from "./answer.js";
import type { CacheUse } from "./cache-shares.js";
import { Coalescer } from "./coalescer.js";
import type { HeadMemory } from "./head-memory.js";
import { fieldsOf, type KeptRow } from "./kept-caches.js";
import type { Peers, Server } from "./peers.js";
import { heardBy, moreRpcs, type ZoneQuery } from "./query.js";
import type { ServerChoice } from "./server-choice.js";
import { SegmentedCache } from "./segmented-cache.js";
import { askServers } from "./servers.js";
import { sharedFetch } from "./shared-fetch.js";
import { crossed, judgedByAll } from "./zone-fetches.js";
import type { ZoneViews } from "./zone-views.js";
import type { HeldHead, ZoneView } from "./zone-view.js";

export interface HeldBucket {
  readonly bucket: VerifiedBucket;
  readonly head: HeldHead;
  readonly fetchedMs: number;
  /** Proof of the path to the head, deepest first. */
  readonly siblings: Uint8Array;
  /** Bytes that it keeps. */
  readonly bytes: number;
}

/** A bucket of an earlier run, nothing of it verified in this one. */
interface Kept {
  readonly kind: "kept";
  readonly entries: Uint8Array;
  readonly siblings: Uint8Array;
  readonly headSha256: Uint8Array;
  readonly fetchedMs: number;
  readonly bytes: number;
}

function isKept(held: HeldBucket | Kept): held is Kept {
  return "kind" in held;
}

/** A bucket and what it says about one idx; undefined is a proven absence. */
export interface Looked {
  readonly held: HeldBucket;
  readonly entry: Entry | undefined;
  /** The head is too old and no server had a newer one. */
  readonly stale: boolean;
}

/** Buckets of a tree of depth `b` that a head before `serial` may show as they are no more; undefined: all. */
export interface Changed {
  readonly b: number;
  readonly serial: number;
  readonly buckets: ReadonlySet<number> | undefined;
}

interface Fetched {
  readonly held: HeldBucket;
  readonly server: Server;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly rttMs: number;
}

/** A bucket by depth and prefix, and its key in the cache. */
interface Place {
  readonly b: number;
  readonly prefix: Uint8Array;
  readonly key: string;
}

export interface BucketsOptions {
  readonly peers: Peers;
  readonly choice: ServerChoice;
  readonly views: ZoneViews;
  readonly memory: HeadMemory;
  readonly clock: Clock;
  readonly cacheBytes: number;
}

const entryOverheadBytes = 400;

export class Buckets {
  readonly #options: BucketsOptions;
  readonly #held: SegmentedCache<HeldBucket | Kept>;
  readonly #flights = new Coalescer<Fetched>();

  constructor(options: BucketsOptions) {
    this.#options = options;
    this.#held = new SegmentedCache({
      bytesMax: options.cacheBytes,
      bytesOf: ({ bytes }, key) => bytes + 2 * key.length + entryOverheadBytes,
    });
  }

  get use(): CacheUse {
    return this.#held.use;
  }

  clear(): void {
    this.#held.clear();
  }

  /** For kept-caches.ts: key, head, time of fetching, entries, proof. What nobody asked for since the start too. */
  *keep(): Generator<KeptRow> {
    const { clock } = this.#options;
    for (const key of this.#held.keys()) {
      const held = this.#held.peek(key);
      if (held === undefined) continue;
      const fetchedAt = Math.floor(clock.nowMs() - (clock.monotonicMs() - held.fetchedMs));
      const { siblings } = held;
      const { headSha256, entries } = isKept(held)
        ? held
        : {
            headSha256: headMarkOf(held.head.object, held.head.head).sha256,
            entries: held.bucket.bytes,
          };
      yield [utf8(key), headSha256, uint64Bytes(fetchedAt), entries, siblings];
    }
  }

  /** Waits, unverified, for somebody to ask for it. What is old or of a later time is dropped. Throws INVALID_DATA. */
  restore(row: KeptRow): void {
    const [key, headSha256, fetchedAt, entries, siblings] = fieldsOf(row, 5);
    if (fetchedAt.length !== 8) throw new DiscoveryError("INVALID_DATA", "kept bucket: no time");
    const { clock } = this.#options;
    const ageMs = clock.nowMs() - Number(Buffer.from(fetchedAt).readBigUInt64BE());
    // A clock that went back cannot tell old from new.
    if (ageMs < 0 || ageMs > limits.mappingTtlSecondsMax * 1_000) return;
    this.#held.set(new TextDecoder().decode(key), {
      kind: "kept",
      headSha256: headSha256.slice(),
      entries: entries.slice(),
      siblings: siblings.slice(),
      fetchedMs: clock.monotonicMs() - ageMs,
      bytes: entries.length + siblings.length,
    });
  }

  /** Takes a bucket of an earlier run if it is the newest head's, and verifies it as if it had just come. */
  #revive(
    view: ZoneView,
    { idx, key }: { readonly idx: Uint8Array; readonly key: string },
    head: HeldHead,
  ): void {
    const kept = this.#held.peek(key);
    if (kept === undefined || !isKept(kept)) return;
    this.#held.delete(key);
    const { entries, siblings, headSha256, fetchedMs } = kept;
    // Never what an older head says, however young the bucket: that would be a way back.
    if (!equalBytes(headMarkOf(head.object, head.head).sha256, headSha256)) return;
    const { zone, kid } = view;
    const count = entries.length / limits.entryBytes;
    const { pad, b } = head.head;
    if (entries.length > pad) return;
    const prefix = bucketPrefix(idx, b);
    const place = { zone, kid, b, prefix, count, siblings, head: head.head };
    try {
      const bucket = verifyBucket({ ...place, entries: padEntries(entries, pad) });
      this.#held.set(key, { bucket, head, fetchedMs, siblings, bytes: pad + siblings.length });
    } catch (error) {
      // Only who holds the secret could have written it; it is asked for anew all the same.
      if (!isDiscoveryError(error)) throw error;
    }
  }

  /** Looks an idx up in its bucket. Throws BOGUS and what `ZoneViews.accept` throws. */
  async look(view: ZoneView, idx: Uint8Array, query: ZoneQuery): Promise<Looked> {
    const newest = view.head ?? (await this.#options.views.head(view, query));
    const { head } = newest;
    const key = bucketKey(view, head.b, bucketIndex(idx, head.b));
    this.#revive(view, { idx, key }, newest);
    const held = query.refresh ? undefined : this.#fresh(view, key, { idx, early: query.early });
    if (held !== undefined) {
      report(query, {
        held: held.held,
        heard: { from: "cache" },
        told: "nothing: the bucket is fresh",
        rttMs: 0,
      });
      return held;
    }
    const told = `${head.b} bits of an index, no identity`;
    const place = { b: head.b, prefix: bucketPrefix(idx, head.b), key };
    const fetch = (signal: AbortSignal): Promise<Fetched> =>
      this.#fetch({ view, place, signal }, query);
    const { value: fetched, isOwn } = await sharedFetch(query, {
      flights: this.#flights,
      key: `${key} ${query.realm}`,
      told,
      fetch,
    });
    if (isOwn) query.trace.rpc(fetched);
    const { held: got, server, rttMs } = fetched;
    report(query, { held: got, heard: heardBy(server, "anonymous"), told, rttMs });
    const entry = got.bucket.find(idx);
    return { held: got, entry, stale: this.#isStale(got) };
  }

  /** The newest held of an idx, however old, at whatever depth of the tree. */
  newest(view: ZoneView, idx: Uint8Array): HeldBucket | undefined {
    let newest: HeldBucket | undefined;
    for (let b = 0; b <= limits.bucketDepthMax; b++) {
      const held = this.#held.peek(bucketKey(view, b, bucketIndex(idx, b)));
      if (held !== undefined && !isKept(held) && held.fetchedMs >= (newest?.fetchedMs ?? -Infinity))
        newest = held;
    }
    return newest;
  }

  /** Drops what a head before the changed one shows of buckets that changed with it. */
  expire(view: ZoneView, { b, serial, buckets }: Changed): void {
    const tree = `${view.zone} ${view.kidHex} `;
    const named = buckets === undefined ? undefined : [...buckets];
    const keys =
      named?.map((index) => bucketKey(view, b, index)) ??
      this.#held.keys().filter((key) => key.startsWith(tree));
    for (const key of keys) {
      const held = this.#held.peek(key);
      if (held === undefined) continue;
      if (isKept(held) || held.head.head.serial < serial) this.#held.delete(key);
    }
  }

  /** Drops a bucket whose body is not served any more: a newer one names another. */
  forget(view: ZoneView, idx: Uint8Array, { b }: { readonly b: number }): void {
    this.#held.delete(bucketKey(view, b, bucketIndex(idx, b)));
  }

  /** A held bucket, if its manifest still counts and it is young enough for what it says about this idx. */
  #fresh(
    view: ZoneView,
    key: string,
    { idx, early }: { readonly idx: Uint8Array; readonly early: boolean },
  ): Looked | undefined {
    const held = this.#held.get(key);
    if (held === undefined || isKept(held) || this.#isStale(held)) return undefined;
    // A manifest that the directory no longer names may have lost its keys to somebody.
    const { manifestSha256 } = held.head.head;
    if (!view.manifests.some(({ sha256 }) => equalBytes(sha256, manifestSha256))) return undefined;
    const entry = held.bucket.find(idx);
    const ageMs = this.#options.clock.monotonicMs() - held.fetchedMs;
    const lifetimeMs = lifetimeSeconds(held.head.manifest, entry !== undefined) * 1_000;
    if (ageMs >= (early ? lifetimeMs * (1 - limits.prefetchLastShare) : lifetimeMs))
      return undefined;
    return { held, entry, stale: false };
  }

  #isStale({ head }: HeldBucket): boolean {
    return this.#options.views.isStale(head.head);
  }

  async #fetch(
    {
      view,
      place,
      signal,
    }: {
      readonly view: ZoneView;
      readonly place: Place;
      readonly signal: AbortSignal;
    },
    query: ZoneQuery,
  ): Promise<Fetched> {
    const ask = (servers: readonly Server[]): Promise<Fetched> =>
      this.#ask({ view, servers, place, signal }, query);
    const first = await ask(view.anonymous);
    const others = view.anonymous.filter(({ key }) => key !== first.server.key);
    let newest = first;
    if (this.#isStale(first.held) && others.length > 0) {
      // One more try elsewhere; what cannot be had does not hide what is there.
      const other = await ask(others).catch(() => undefined);
      if (other !== undefined && other.held.head.head.time > first.held.head.head.time) {
        newest = other;
        // Others of this zone are told of it: it comes last until it has caught up.
        const { choice } = this.#options;
        const behind = new DiscoveryError("STALE", "its head is too old");
        choice.failed(choice.begin(first.server), behind, view.zone);
      }
    }
    this.#held.set(place.key, newest.held);
    return newest;
  }

  #ask(
    {
      view,
      servers,
      place,
      signal,
    }: {
      readonly view: ZoneView;
      readonly servers: readonly Server[];
      readonly place: Place;
      readonly signal: AbortSignal;
    },
    query: ZoneQuery,
  ): Promise<Fetched> {
    const { peers, choice, clock, views, memory } = this.#options;
    const { zone, kid } = view;
    const { b, prefix } = place;
    const request = { case: "bucket", value: { zone, kid, b, prefix } } as const;
    const asked = askServers({
      choice,
      clock,
      zone,
      servers,
      signal,
      patient: query.patient,
      more: moreRpcs(query),
      ask: async (server, options) => {
        const askedMs = clock.monotonicMs();
        const received = await peers.fetch(server, request, options);
        const { response, bytesIn, bytesOut, rttMs } = received;
        choice.answered(server.key, rttMs);
        query.spend("bytes", bytesIn);
        if (response.case !== "bucket") throw crossed();
        const { count, entries, siblings, head: signed } = response.value;
        const head = views.accept(view, signedObjectFromWire(signed), query, { askedMs });
        const answer = { zone, kid, b, prefix, count, entries, siblings, head: head.head };
        const bucket = verifyBucket(answer);
        const held = { bucket, head, siblings, fetchedMs: clock.monotonicMs(), bytes: bytesIn };
        return { held, server, bytesIn, bytesOut, rttMs };
      },
    });
    return judgedByAll(memory, { servers, zone }, asked);
  }
}

function report(
  query: ZoneQuery,
  {
    held,
    heard,
    told,
    rttMs,
  }: {
    readonly held: HeldBucket;
    readonly heard: Pick<HopRecord, "from" | "path" | "operator">;
    readonly told: string;
    readonly rttMs: number;
  },
): void {
  query.trace.hop({
    prefix: query.prefix,
    ...heard,
    told,
    learnt: `bucket of ${held.bucket.count} entries`,
    serial: held.head.head.serial,
    verdict: "verified",
    rttMs,
  });
}

function bucketKey(view: ZoneView, b: number, index: number): string {
  return `${view.zone} ${view.kidHex} ${b} ${index}`;
}

/** How long what a bucket says may be repeated without asking (protocol.md section 8). */
export function lifetimeSeconds(manifest: Manifest, present: boolean): number {
  return present ? manifest.mappingTtlSeconds : manifest.absenceTtlSeconds;
}
