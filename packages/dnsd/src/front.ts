// The way of a packet: read, admitted, answered from the cache or through the resolver, with others who ask the same.
// Everything that needs no lookup is answered in the same turn; sockets are elsewhere.

import { errorRegistry, type Csi } from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import type { Clock } from "@whither/runtime";
import { apexReply, denial, makeApex, type Apex } from "./apex.js";
import type { ClientLimits, Transport } from "./client-limits.js";
import type { DnsdConfig } from "./config.js";
import { readEnumName, wireName } from "./enum-name.js";
import { FailureReplies } from "./failure-replies.js";
import { LookupFlights } from "./lookup-flights.js";
import { failureReply, numberReply } from "./number-reply.js";
import { readPacket, refusalOf, type Query } from "./query.js";
import { encodeRdata, type ExtendedError } from "./records.js";
import { ReplyCache } from "./reply-cache.js";
import {
  encodeRefusal,
  encodeSlip,
  failReply,
  finishReply,
  storeReply,
  type StoredReply,
} from "./response.js";
import { classes, rcodes, tcpBytesMax, types, udpBytesWithoutEdns } from "./wire.js";

/** What of the configuration the front shows; replaced whole at a reload. */
export type Shown = Pick<
  DnsdConfig,
  "suffix" | "nameServer" | "contact" | "services" | "lookupTimeoutMs"
>;

export interface FrontOptions {
  readonly resolver: Pick<Resolver, "lookup">;
  readonly limits: ClientLimits;
  readonly shown: Shown;
  readonly cacheBytes: number;
  readonly lookupsInFlight: number;
  readonly clock: Clock;
  /** Hears each answered query. */
  readonly onQuery?: (sample: QuerySample) => void;
}

export interface QuerySample {
  /** As its limits are counted. */
  readonly client: string;
  readonly transport: Transport;
  /** Its number. */
  readonly rcode: number;
  readonly from: "cache" | "lookup" | "front";
  /** Of a lookup; what needs none is answered in microseconds. */
  readonly durationMs: number | undefined;
}

/** A response, none, or one that a lookup has to bring. */
export type Handled = Buffer | undefined | Promise<Buffer>;

/** A question that a lookup answers. */
interface Asked {
  readonly csi: Csi;
  readonly digits: string;
  /** As it stands in the packet, folded. */
  readonly name: string;
  readonly type: number;
  /** Of the reply in the cache. */
  readonly key: string;
}

const versionNames = new Set(["version.bind", "version.server"].map(wireName));

export class Front {
  readonly cache: ReplyCache;
  readonly failures: FailureReplies;
  readonly #flights = new LookupFlights();
  readonly #options: FrontOptions;
  #shown: Shown;
  #suffix: string;
  #apex: Apex;

  constructor(options: FrontOptions) {
    const { clock, cacheBytes, shown } = options;
    this.#options = options;
    this.cache = new ReplyCache({ clock, bytes: cacheBytes });
    this.failures = new FailureReplies(clock);
    this.#shown = shown;
    this.#suffix = wireName(shown.suffix);
    this.#apex = this.#makeApex(shown);
  }

  /** Lookups under way. */
  get inFlight(): number {
    return this.#flights.size;
  }

  /** Queries that wait for them. */
  get waiters(): number {
    return this.#flights.waiters;
  }

  /** Shows providers otherwise from now on. The cache goes only if what it holds would differ. */
  show(shown: Shown): void {
    const isSame = textOf(shown) === textOf(this.#shown);
    this.#shown = shown;
    if (isSame) return;
    this.#suffix = wireName(shown.suffix);
    this.#apex = this.#makeApex(shown);
    this.cache.clear();
    this.#flights.forget();
  }

  /** What was made of the resolver's memory goes with it. */
  flush(): void {
    this.cache.clear();
    this.failures.clear();
    this.#flights.forget();
  }

  /** Never throws. `client` is the key of one that may ask (ClientLimits.clientOf). */
  handle(
    packet: Buffer,
    { client, transport }: { readonly client: string; readonly transport: Transport },
  ): Handled {
    const read = readPacket(packet);
    if (read.kind === "ignored") return undefined;
    const admitted = this.#options.limits.query(client, transport);
    if (admitted === "drop") return undefined;
    if (read.kind === "unanswerable") return encodeRefusal(read);
    if (admitted === "slip") return encodeSlip(read);
    const { clock, onQuery } = this.#options;
    const finish = (stored: StoredReply, from: QuerySample["from"] = "front", age = 0): Buffer => {
      onQuery?.({ client, transport, rcode: stored.rcode, from, durationMs: undefined });
      return finishReply(stored, read, { ageSeconds: age, bytesMax: bytesMaxOf(read, transport) });
    };
    if (admitted === "refuse") {
      return finish(failReply(rcodes.refused, ede("LIMITED", "too many queries")));
    }
    const plain = this.#withoutLookup(read);
    if (plain !== undefined) return finish(plain);
    // Before anything is made of the name: most queries end here.
    const key = `${read.name} ${shownTypes.has(read.type) ? read.type : 0}`;
    const hit = this.cache.get(key);
    if (hit !== undefined) return finish(hit.stored, "cache", hit.ageSeconds);
    const failed = this.failures.get(read.name);
    if (failed !== undefined) return finish(failed, "cache");
    const name = readEnumName(read.name, this.#suffix);
    switch (name.kind) {
      case "outside":
        return finish(failReply(rcodes.refused, ede("NOT_AUTHORITATIVE", "not below our suffix")));
      case "apex":
        return finish(storeReply(apexReply(this.#apex, read.type)));
      case "between":
        return finish(storeReply(denial(this.#apex, { rcode: rcodes.noError })));
      case "impossible":
        return finish(storeReply(denial(this.#apex, { rcode: rcodes.nxDomain })));
      case "number": {
        const asked = { ...name, name: read.name, type: read.type, key };
        const replying = this.#replyTo(asked, client);
        if (!(replying instanceof Promise)) return finish(replying);
        const startMs = clock.monotonicMs();
        return replying.then((stored) => {
          const durationMs = clock.monotonicMs() - startMs;
          onQuery?.({ client, transport, rcode: stored.rcode, from: "lookup", durationMs });
          return finishReply(stored, read, {
            ageSeconds: 0,
            bytesMax: bytesMaxOf(read, transport),
          });
        });
      }
    }
  }

  #withoutLookup(query: Query): StoredReply | undefined {
    if (query.edns !== undefined && query.edns.version !== 0) return failReply(rcodes.badVers);
    const refused = refusalOf(query);
    if (refused !== undefined) return failReply(refused);
    if (query.class !== classes.chaos) return undefined;
    if (query.type !== types.txt || !versionNames.has(query.name)) return failReply(rcodes.refused);
    return versionReply;
  }

  /** Joins the lookup of the same question or begins one; at once where there is no room for that. */
  #replyTo(asked: Asked, client: string): StoredReply | Promise<StoredReply> {
    const { limits, lookupsInFlight } = this.#options;
    // To join costs no lookup; the query itself has been charged.
    const joined = this.#flights.join(asked.key, client);
    if (joined === "full") {
      return failReply(rcodes.servFail, ede("OVERLOADED", "too many wait for this name"));
    }
    if (joined !== undefined) return joined;
    if (!limits.lookup(client)) {
      return failReply(rcodes.servFail, ede("LIMITED", "too many new names"));
    }
    if (this.#flights.size >= lookupsInFlight) {
      return failReply(rcodes.servFail, ede("OVERLOADED", "too many lookups at once"));
    }
    return this.#flights.start(asked.key, client, () => this.#lookUp(asked));
  }

  async #lookUp(asked: Asked): Promise<StoredReply> {
    const { csi, key, name } = asked;
    const { resolver } = this.#options;
    const { services, lookupTimeoutMs: timeoutMs } = this.#shown;
    const apex = this.#apex;
    const templatesOf = (msp: string) => services.byMsp.get(msp) ?? services.default;
    try {
      // Verbose: what is routed on has every signature checked.
      const answer = await resolver.lookup(csi, { timeoutMs });
      const { reply, seconds } = numberReply({ apex, templatesOf }, asked, answer);
      const stored = storeReply(reply);
      if (stored.rcode === rcodes.servFail) this.failures.fail(name, stored);
      else this.failures.forget(name);
      // A reload may have come between: then it is shown once and not kept.
      if (apex === this.#apex) this.cache.set(key, stored, seconds);
      return stored;
    } catch (error) {
      const stored = storeReply(failureReply(error));
      this.failures.fail(name, stored, error);
      return stored;
    }
  }

  #makeApex({ suffix, nameServer, contact }: Shown): Apex {
    // Nobody transfers this zone: the serial only has to be one.
    const serial = this.#options.clock.nowSeconds() % 2 ** 32;
    return makeApex({ suffix, nameServer, contact, serial });
  }
}

const shownTypes: ReadonlySet<number> = new Set([types.naptr, types.txt, types.any]);

/** RFC 6891 section 6.2.5: what the client takes, over UDP. */
function bytesMaxOf({ edns }: Query, transport: Transport): number {
  if (transport === "tcp") return tcpBytesMax;
  return edns?.udpBytes ?? udpBytesWithoutEdns;
}

function ede(code: keyof typeof errorRegistry, text: string): ExtendedError {
  return { number: errorRegistry[code].number, text };
}

const versionReply = makeVersionReply();

function makeVersionReply(): StoredReply {
  const stored = storeReply({
    rcode: rcodes.noError,
    answers: [
      {
        owner: Buffer.of(0xc0, 0x0c),
        type: types.txt,
        ttlSeconds: 0,
        rdata: encodeRdata({ type: "TXT", data: "whither-dnsd" }),
      },
    ],
    authority: [],
    error: undefined,
    authoritative: true,
  });
  // Owner (2), type (2), then the class, which is not the Internet's here.
  stored.records.writeUInt16BE(classes.chaos, 4);
  return stored;
}

function textOf({ suffix, nameServer, contact, services }: Shown): string {
  const { default: fallback, byMsp } = services;
  return JSON.stringify([suffix, nameServer, contact, fallback, [...byMsp]]);
}
