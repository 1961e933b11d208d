// The zones in use, listened to (Zone.Watch; protocol.md section 8): a push refreshes the newest head, and what is held
// of the buckets that changed is asked for again when it is next wanted. A push is never an answer, and it sets off no
// fetch of its own: that would tell the server which of its buckets somebody here cares for.

import { equalBytes } from "@whither/crypto";
import { DiscoveryError, limits, type Head, type ZoneName } from "@whither/protocol";
import type { Clock, Random } from "@whither/runtime";
import { signedObjectFromWire, type ZoneWatchResponse } from "@whither/wire";
import { bucketIndex } from "@whither/zone";
import { LRUCache } from "lru-cache";
import type { AnswerCache, AnswerRow } from "./answer-cache.js";
import type { Buckets, Changed } from "./buckets.js";
import type { Evaluations } from "./evaluations.js";
import type { Peers } from "./peers.js";
import type { ServerChoice } from "./server-choice.js";
import type { ZoneView } from "./zone-view.js";
import { isAfter, type ZoneViews } from "./zone-views.js";
import { ZoneWatch } from "./zone-watch.js";

export interface ZoneWatchesOptions {
  readonly peers: Peers;
  readonly choice: ServerChoice;
  readonly views: ZoneViews;
  readonly buckets: Buckets;
  readonly evaluations: Evaluations;
  readonly cache: AnswerCache;
  readonly clock: Clock;
  readonly random: Random;
}

/** Answers looked at in one go: well under 10 ms. */
const rowsAtOnce = 500;

export class ZoneWatches {
  readonly #options: ZoneWatchesOptions;
  readonly #watches: LRUCache<ZoneName, ZoneWatch>;
  readonly #ending = new Set<Promise<void>>();
  #closed = false;

  constructor(options: ZoneWatchesOptions) {
    this.#options = options;
    this.#watches = new LRUCache({
      max: limits.watchedZonesMax,
      dispose: (watch) => this.#end(watch),
    });
  }

  /** Zones listened to, or to be listened to again soon. */
  get size(): number {
    return this.#watches.size;
  }

  /** A zone that is used: listened to from now on, until others were used more lately. */
  use(zone: ZoneName): void {
    if (this.#closed || this.#watches.get(zone) !== undefined) return;
    const { clock, random } = this.#options;
    const heard: Heard = { head: undefined };
    this.#watches.set(
      zone,
      new ZoneWatch({
        clock,
        random,
        open: (options) => this.#open(zone, options),
        onPush: (pushed) => this.#take(zone, heard, pushed),
      }),
    );
  }

  /** Ends all streams. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watches.clear();
    await Promise.all(this.#ending);
  }

  #end(watch: ZoneWatch): void {
    const ending = watch.close().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  /** Throws UNREACHABLE while no server may be asked. */
  #open(
    zone: ZoneName,
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<ZoneWatchResponse> {
    const { views, choice, peers } = this.#options;
    const servers = views.named(zone)?.anonymous ?? [];
    const [server] = choice.order(servers, zone).servers;
    if (server === undefined)
      throw new DiscoveryError("UNREACHABLE", "no server of the zone is up");
    return peers.watch(server, zone, options);
  }

  async #take(zone: ZoneName, heard: Heard, pushed: ZoneWatchResponse): Promise<void> {
    const { views } = this.#options;
    const view = views.named(zone);
    if (pushed.head === undefined || view === undefined) return;
    const head = views.hear(view, signedObjectFromWire(pushed.head));
    if (head === undefined || !equalBytes(head.kid, view.kid)) return;
    const before = heard.head;
    if (before !== undefined && !isAfter(head, before)) return;
    heard.head = head;
    // Of a head that was missed nobody says what changed with it.
    const isNext = head.epoch === before?.epoch && head.serial === before.serial + 1;
    const isNamed = isNext && head.b === before.b && !pushed.allChanged;
    const { b, serial } = head;
    const buckets = isNamed ? new Set(pushed.changedBuckets) : undefined;
    await this.#expire(view, { b, serial, buckets });
  }

  async #expire(view: ZoneView, changed: Changed): Promise<void> {
    if (changed.buckets?.size === 0) return;
    const { buckets, cache } = this.#options;
    buckets.expire(view, changed);
    let rows = 0;
    for (const row of cache.rows()) {
      if (this.#isChanged(row, view, changed)) cache.expire(row);
      rows += 1;
      if (rows % rowsAtOnce === 0) await new Promise(setImmediate);
    }
  }

  #isChanged({ csi: asked, cached }: AnswerRow, view: ZoneView, changed: Changed): boolean {
    return cached.merged.dps.some(({ zone, serial, csi = asked }) => {
      if (zone !== view.zone || serial === undefined || serial >= changed.serial) return false;
      if (changed.buckets === undefined) return true;
      const evaluated = this.#options.evaluations.peek(view, csi);
      // Where it lies is forgotten: it may be one of them.
      return evaluated === undefined || changed.buckets.has(bucketIndex(evaluated.idx, changed.b));
    });
  }
}

interface Heard {
  /** The last one that was taken. */
  head: Head | undefined;
}
