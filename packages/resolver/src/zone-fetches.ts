// Fetches manifests and heads over the anonymous path, once for all queries that want the same: a manifest verified
// against its hash in the signed directory, a head by zone-views.ts.

import { toHex } from "@whither/crypto";
import type { ManifestMemory } from "@whither/directory";
import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import type { Authority, SignedObject } from "@whither/protocol";
import { furtherErrors, joinErrors } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import { signedObjectFromWire } from "@whither/wire";
import { verifyManifest } from "@whither/zone";
import { Coalescer } from "./coalescer.js";
import type { Received } from "./correlated-stream.js";
import type { HeadMemory } from "./head-memory.js";
import type { FetchAnswer, FetchAsk, Peers, Server } from "./peers.js";
import { heardBy, moreRpcs, type ZoneQuery } from "./query.js";
import type { ServerChoice } from "./server-choice.js";
import { askServers } from "./servers.js";
import { sharedFetch, type Shared } from "./shared-fetch.js";
import type { Verdicts } from "./verdicts.js";
import type { ZoneFailures } from "./zone-failures.js";
import { serversOf } from "./zone-view.js";
import type { HeldHead, HeldManifest, ZoneView } from "./zone-view.js";

export interface ZoneFetchesOptions {
  readonly peers: Peers;
  readonly choice: ServerChoice;
  readonly memory: HeadMemory;
  readonly manifests: ManifestMemory;
  readonly verdicts: Verdicts;
  readonly failures: ZoneFailures;
  readonly clock: Clock;
  /** Whether manifests and heads of an earlier run are used instead of fetched. */
  readonly keeps?: boolean;
}

const toldZone = "the zone's name, no identity";

interface Fetched<T> {
  readonly value: T;
  readonly server: Server;
  readonly received: Received<FetchAnswer>;
}

export class ZoneFetches {
  readonly #options: ZoneFetchesOptions;
  readonly #manifests = new Coalescer<Fetched<HeldManifest>>();
  readonly #heads = new Coalescer<Fetched<HeldHead>>();

  constructor(options: ZoneFetchesOptions) {
    this.#options = options;
  }

  /** A manifest by the hash that the directory names. Throws BOGUS, EXPIRED, NOT_YET_VALID and transport errors. */
  async manifest(
    authority: Authority,
    sha256: Uint8Array,
    query: ZoneQuery,
  ): Promise<HeldManifest> {
    const { zone } = authority;
    const { memory, verdicts, manifests, keeps } = this.#options;
    const read = (object: SignedObject): HeldManifest => {
      const verified = verifyManifest({
        object,
        zone,
        manifestSha256: [sha256],
        nowSeconds: memory.nowSeconds(),
        verifier: verdicts.charged(query.spend),
      });
      return { object, ...verified };
    };
    // By its hash: the one that was in effect is the one that would come.
    const known = keeps === true ? manifests.named(zone, sha256) : undefined;
    if (known !== undefined) return read(known);
    const share = {
      flights: this.#manifests,
      key: `${zone} ${toHex(sha256)} ${query.realm}`,
      told: toldZone,
      fetch: (signal: AbortSignal) =>
        this.#fetch(
          serversOf(authority).anonymous,
          { ...query, signal },
          {
            ask: { case: "manifest", value: { zone, manifestSha256: sha256 } },
            read: (answer) => {
              if (answer.case !== "manifest") throw crossed();
              return read(copyOf(signedObjectFromWire(answer.value.manifest)));
            },
          },
        ),
    };
    const shared = await this.#options.failures.step(`manifest ${toHex(sha256)}`, query, () =>
      sharedFetch(query, share),
    );
    const held = shared.value.value;
    const { version } = held.manifest;
    this.#report(query, shared, { serial: undefined, learnt: `manifest, version ${version}` });
    return held;
  }

  /** The newest head of a kid's tree, as `accept` verifies it. Throws as `judgedByAll`. */
  async head(
    view: ZoneView,
    query: ZoneQuery,
    {
      kid,
      accept,
    }: {
      readonly kid: Uint8Array;
      readonly accept: (object: SignedObject, askedMs: number) => HeldHead;
    },
  ): Promise<HeldHead> {
    const share = {
      flights: this.#heads,
      key: `${view.zone} ${toHex(kid)} ${query.realm}`,
      told: toldZone,
      fetch: (signal: AbortSignal) =>
        this.#fetch(
          view.anonymous,
          { ...query, signal },
          {
            ask: { case: "head", value: { zone: view.zone, kid } },
            read: (answer, askedMs) => {
              if (answer.case !== "head") throw crossed();
              return accept(signedObjectFromWire(answer.value.head), askedMs);
            },
          },
        ),
    };
    const shared = await this.#options.failures.step(`head ${toHex(kid)}`, query, () =>
      sharedFetch(query, share),
    );
    const held = shared.value.value;
    const { serial, mapSize } = held.head;
    this.#report(query, shared, { serial, learnt: `head, ${mapSize} slots` });
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
    return await judgedByAll(this.#options.memory, { servers, zone: query.zone }, asked);
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

/**
 * What it means that servers showed older heads than one seen. All of them: ROLLBACK, kept as evidence. Some,
 * while others could not be asked: replicas lag in all honesty, and nothing newer can be had now, STALE.
 */
export async function judgedByAll<T>(
  memory: HeadMemory,
  { servers, zone }: { readonly servers: readonly Server[]; readonly zone: string },
  asked: Promise<T>,
): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!isDiscoveryError(error, "ROLLBACK")) throw error;
    const all = [error, ...furtherErrors(error)];
    const isEverybody = all.length >= Math.min(servers.length, limits.serversPerQuestionMax);
    if (isEverybody && all.every(({ code }) => code === "ROLLBACK")) {
      memory.keepRollback(zone, error);
      throw error;
    }
    throw joinErrors(
      new DiscoveryError("STALE", "the servers that answer are behind", { upstream: zone }),
      all,
    );
  }
}

/** A view would keep the whole answer that carried it. */
export function copyOf({ payload, signatures }: SignedObject): SignedObject {
  return { payload: payload.slice(), signatures };
}

export function crossed(): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", "the server answered something else");
}
