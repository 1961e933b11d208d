// Sealed bodies over the anonymous path, by hash, the wanted one among others of its bucket (protocol.md
// section 5). Held as received; opening them is slots.ts.

import { toHex } from "@whither/crypto";
import { concatBytes, equalBytes, sha256 } from "@whither/crypto/node";
import { DiscoveryError, limits } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { Entry } from "@whither/zone";
import type { CacheUse } from "./cache-shares.js";
import type { HeldBucket } from "./buckets.js";
import { Coalescer } from "./coalescer.js";
import { bodiesToAsk } from "./decoys.js";
import { fieldsOf, type KeptRow } from "./kept-caches.js";
import type { Peers, Server } from "./peers.js";
import { heardBy, moreRpcs, type ZoneQuery } from "./query.js";
import type { ServerChoice } from "./server-choice.js";
import { SegmentedCache } from "./segmented-cache.js";
import { askServers } from "./servers.js";
import { sharedFetch } from "./shared-fetch.js";
import { crossed } from "./zone-fetches.js";
import type { ZoneView } from "./zone-view.js";

interface Fetched {
  readonly body: Uint8Array;
  readonly server: Server;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly rttMs: number;
}

export interface BodiesOptions {
  readonly peers: Peers;
  readonly choice: ServerChoice;
  readonly clock: Clock;
  /** 32 bytes that decide the decoys. */
  readonly secret: Uint8Array;
  readonly cacheBytes: number;
}

/** Key, buffer and the cache's own records, as the heap has them (bench `memory`). */
const entryOverheadBytes = 1_050;
const none = new Uint8Array();

export class Bodies {
  readonly #options: BodiesOptions;
  readonly #held: SegmentedCache<Uint8Array>;
  readonly #flights = new Coalescer<Fetched>();

  constructor(options: BodiesOptions) {
    this.#options = options;
    this.#held = new SegmentedCache({
      bytesMax: options.cacheBytes,
      bytesOf: (body) => body.length + entryOverheadBytes,
    });
  }

  get use(): CacheUse {
    return this.#held.use;
  }

  clear(): void {
    this.#held.clear();
  }

  /** For kept-caches.ts. */
  *keep(): Generator<KeptRow> {
    for (const key of this.#held.keys()) {
      const body = this.#held.peek(key);
      if (body !== undefined) yield [body];
    }
  }

  /** What it hashes to is what it is. Throws INVALID_DATA. */
  restore(row: KeptRow): void {
    const [body] = fieldsOf(row, 1);
    this.#held.set(toHex(sha256(body)), body.slice());
  }

  /** The body that the entry names. Throws BOGUS if any of the server's bytes have another hash. */
  async body(
    view: ZoneView,
    { held, entry }: { readonly held: HeldBucket; readonly entry: Entry },
    query: ZoneQuery,
  ): Promise<Uint8Array> {
    const key = toHex(entry.vhash);
    const body = this.#held.get(key);
    if (body !== undefined) return body;
    const asked = Math.min(held.bucket.count, limits.decoyBodies);
    const told = `${asked} body ${asked === 1 ? "hash" : "hashes"}, no identity`;
    const fetch = (signal: AbortSignal): Promise<Fetched> =>
      this.#fetch(view, { held, entry }, { ...query, signal });
    const { value: fetched, isOwn } = await sharedFetch(query, {
      flights: this.#flights,
      key: `${view.zone} ${key} ${query.realm}`,
      told,
      fetch,
    });
    if (isOwn) query.trace.rpc(fetched);
    query.trace.hop({
      prefix: query.prefix,
      ...heardBy(fetched.server, "anonymous"),
      told,
      learnt: "sealed bodies, one of them wanted",
      serial: held.head.head.serial,
      verdict: "verified",
      rttMs: fetched.rttMs,
    });
    this.#held.set(key, fetched.body);
    return fetched.body;
  }

  async #fetch(
    view: ZoneView,
    { held, entry }: { readonly held: HeldBucket; readonly entry: Entry },
    query: ZoneQuery,
  ): Promise<Fetched> {
    const { peers, choice, clock, secret } = this.#options;
    const vhashes = bodiesToAsk({ bucket: held.bucket, wanted: entry, secret });
    const place = vhashes.findIndex((vhash) => equalBytes(vhash, entry.vhash));
    const value = { zone: view.zone, vhashes: concatBytes(...vhashes) };
    return await askServers({
      choice,
      clock,
      zone: view.zone,
      servers: view.anonymous,
      signal: query.signal,
      patient: query.patient,
      more: moreRpcs(query),
      ask: async (server, options) => {
        const received = await peers.fetch(server, { case: "bodies", value }, options);
        const { response, ...cost } = received;
        choice.answered(server.key, cost.rttMs);
        query.spend("bytes", cost.bytesIn);
        if (response.case !== "bodies") throw crossed();
        const { bodies } = response.value;
        const wanted = bodies[place];
        if (wanted === undefined || bodies.length !== vhashes.length) {
          throw new DiscoveryError(
            "BOGUS",
            `bodies: asked for ${vhashes.length}, got ${bodies.length}`,
          );
        }
        // All of them alike: a server that spoils one would else see from what follows whether it was wanted.
        if (!bodies.every((body, at) => equalBytes(sha256(body), vhashes[at] ?? none))) {
          throw new DiscoveryError("BOGUS", "body does not match its hash");
        }
        // Copied: a view would keep the other 31 alive. Those are opened by nobody.
        return { body: wanted.slice(), server, ...cost };
      },
    });
  }
}
