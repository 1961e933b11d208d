// Calls to a directory's server, anonymous and bounded. Answers come back decoded and unverified. Where several
// servers are known the next one is tried when one cannot be reached (directory-places.ts).

import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type ErrorCode,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";
import { callRaw, createClient, type Channel } from "@whither/rpc";
import {
  decodeRecordsAnswer,
  decodeReferAnswer,
  Directory,
  PartyKind,
  transferChunkFromWire,
  type RecordsAnswer,
  type ReferAnswer,
  type TransferChunk,
} from "@whither/wire";
import { formatHostPort, type Clock } from "@whither/runtime";
import type { DirectoryMark } from "@whither/zone";
import { DirectoryPlaces } from "./directory-places.js";
import type { DirectoryLocator, DirectoryPlace, LocateOptions, OpenChannel } from "./follower.js";

/** An answer with what it cost. */
export interface Answered<T> {
  readonly answer: T;
  readonly bytes: number;
}

export interface CallBounds {
  readonly signal: AbortSignal;
}

export type RecordKind = "dp" | "msp" | "prover" | "relay";

/** Longest a single question may take; a query's own deadline is usually earlier. */
const unaryTimeoutMs = 2_000;
/** A whole Transfer, verification included: a million nodes take about three minutes. */
const transferTimeoutMs = 600_000;

const wireKinds: Readonly<Record<RecordKind, PartyKind>> = {
  dp: PartyKind.DP,
  msp: PartyKind.MSP,
  prover: PartyKind.PROVER,
  relay: PartyKind.RELAY,
};

/** The one connection to a place that all calls share. */
interface Connection {
  readonly place: DirectoryPlace;
  readonly channel: Channel;
  /** When anything came over it last, monotonic milliseconds. */
  heardMs: number;
}

/** Ends of a call that the server had no part in. Nobody here gave up: what reads so is a connection taken down. */
const unheard: ReadonlySet<ErrorCode> = new Set(["NETWORK", "DEADLINE", "CANCELLED"]);

export class DirectoryServer implements Disposable {
  readonly #places: DirectoryPlaces;
  readonly #fallbackName: string;
  readonly #clock: Clock;
  readonly #open: (place: DirectoryPlace) => Channel;
  readonly #connections = new Map<string, Connection>();
  readonly #zone: string;
  #closed = false;

  constructor(options: {
    readonly from: DirectoryPlace | DirectoryLocator;
    readonly caPem: string;
    readonly openChannel: OpenChannel;
    readonly clock: Clock;
    /** Of a part: as the node that delegates to it says. */
    readonly part?: { readonly zone: ZoneName; readonly pins: readonly Uint8Array[] };
  }) {
    const { from, caPem, openChannel, clock, part } = options;
    this.#clock = clock;
    this.#places = new DirectoryPlaces(options);
    this.#fallbackName = "locate" in from ? from.name : formatHostPort(from);
    this.#open = ({ host, port, serverName }) =>
      openChannel({
        host,
        port,
        caPem,
        ...(serverName === undefined ? {} : { serverName }),
        ...(part === undefined ? {} : { pins: part.pins }),
      });
    this.#zone = part?.zone ?? "";
  }

  /** `host:port` of the server that is asked now; before one was found, where it is looked for. */
  get name(): string {
    const { current } = this.#places;
    return current === undefined ? this.#fallbackName : formatHostPort(current);
  }

  /** Finds a server if none is known. Throws UNREACHABLE, NETWORK, CANCELLED, DEADLINE. */
  async ready(options: Omit<LocateOptions, "anew">): Promise<void> {
    this.#checkOpen();
    await this.#places.ready(options);
  }

  /** What the server now asked said cannot be believed: of several, another one is asked next. */
  avoid(): void {
    const { current } = this.#places;
    if (current !== undefined) this.#places.moveOn(current);
  }

  async refer(prefix: Prefix, { signal }: CallBounds): Promise<Answered<ReferAnswer>> {
    const { refer: method } = Directory.method;
    const options = { signal, timeoutMs: unaryTimeoutMs };
    const request = { prefix, zone: this.#zone };
    const bytes = await this.#ask((channel) => callRaw({ channel, method }, request, options), {
      signal,
    });
    return { answer: this.#named(() => decodeReferAnswer(bytes)), bytes: bytes.length };
  }

  /** All records of a kind. */
  async records(kind: RecordKind, { signal }: CallBounds): Promise<Answered<RecordsAnswer>> {
    const { getRecords: method } = Directory.method;
    const request = { kind: wireKinds[kind], ids: [] };
    const options = { signal, timeoutMs: unaryTimeoutMs };
    const bytes = await this.#ask((channel) => callRaw({ channel, method }, request, options), {
      signal,
    });
    return { answer: this.#named(() => decodeRecordsAnswer(bytes)), bytes: bytes.length };
  }

  /** The messages of a Transfer: a difference to what is held, if the server has it, else the whole. */
  async *transfer(
    held: DirectoryMark | undefined,
    { signal }: CallBounds,
  ): AsyncGenerator<TransferChunk, void, undefined> {
    const connection = this.#connect(await this.#places.ready({ signal }));
    const client = createClient(Directory, connection.channel);
    const request = {
      fromEpoch: BigInt(held?.epoch ?? 0),
      fromSerial: BigInt(held?.serial ?? 0),
      incremental: held !== undefined,
      zone: this.#zone,
    };
    const options = { signal, timeoutMs: transferTimeoutMs };
    const messages = client.transfer(request, options);
    try {
      for (;;) {
        const next = await this.#reached(messages.next(), connection, signal);
        if (next.done === true) return;
        const message = next.value;
        yield this.#named(() => transferChunkFromWire(message));
      }
    } finally {
      await messages.return?.(); // leaving early ends the call
    }
  }

  /** Payloads of the heads that the server tells of, unverified. */
  async *watch({ signal }: CallBounds): AsyncGenerator<Uint8Array, void, undefined> {
    const connection = this.#connect(await this.#places.ready({ signal }));
    const client = createClient(Directory, connection.channel);
    const messages = client.watch({ zone: this.#zone }, { signal });
    try {
      for (;;) {
        const next = await this.#reached(messages.next(), connection, signal);
        if (next.done === true) return;
        yield next.value.head?.payload ?? new Uint8Array();
      }
    } finally {
      await messages.return?.(); // leaving early ends the call
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { channel } of this.#connections.values()) channel.close();
  }

  /** One server after the other, as far as there are several and one question may go. */
  async #ask<T>(call: (channel: Channel) => Promise<T>, { signal }: CallBounds): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      const place = await this.#places.ready({ signal });
      try {
        const connection = this.#connect(place);
        return await this.#reached(call(connection.channel), connection, signal);
      } catch (error) {
        const mayGoOn = isDiscoveryError(error, "UNREACHABLE") && !this.#closed;
        const isLast = tries >= limits.serversPerQuestionMax;
        if (!mayGoOn || isLast || this.#places.current === place) throw error;
      }
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new DiscoveryError("CANCELLED", "the directory follower is closed");
  }

  #connect(place: DirectoryPlace): Connection {
    this.#checkOpen();
    const key = formatHostPort(place);
    const held = this.#connections.get(key);
    if (held !== undefined) return held;
    const connection = { place, channel: this.#open(place), heardMs: -Infinity };
    this.#connections.set(key, connection);
    return connection;
  }

  /**
   * A connection over which nothing came in a whole time-out may be dead without anybody having said so, for the 80 s
   * that its keep-alive takes: the next question goes over another one.
   */
  #drop(connection: Connection): void {
    const key = formatHostPort(connection.place);
    if (this.#connections.get(key) !== connection) return;
    this.#connections.delete(key);
    connection.channel.close();
  }

  /** A server that does not answer in time cannot be reached; a caller who has left is another matter. */
  async #reached<T>(call: Promise<T>, connection: Connection, signal: AbortSignal): Promise<T> {
    const startedMs = this.#clock.monotonicMs();
    try {
      const answer = await call;
      connection.heardMs = this.#clock.monotonicMs();
      return answer;
    } catch (error) {
      if (!isDiscoveryError(error) || signal.aborted || this.#closed) throw error;
      if (!unheard.has(error.code)) {
        connection.heardMs = this.#clock.monotonicMs();
        throw error;
      }
      if (error.code === "DEADLINE" && connection.heardMs < startedMs) this.#drop(connection);
      const { place } = connection;
      this.#places.moveOn(place);
      throw new DiscoveryError("UNREACHABLE", "the directory server does not answer", {
        upstream: formatHostPort(place),
        cause: error,
      });
    }
  }

  #named<T>(decode: () => T): T {
    return namingUpstream(this.name, decode);
  }
}

/** Runs a decision about a server's answer; its failure names that server. */
export function namingUpstream<T>(upstream: string, decide: () => T): T {
  try {
    return decide();
  } catch (error) {
    throw named(upstream, error);
  }
}

/** As namingUpstream, for decisions that take their time. */
export async function namingUpstreamLater<T>(upstream: string, decision: Promise<T>): Promise<T> {
  try {
    return await decision;
  } catch (error) {
    throw named(upstream, error);
  }
}

function named(upstream: string, error: unknown): Error {
  if (!(error instanceof DiscoveryError)) {
    return error instanceof Error ? error : new TypeError("not an error", { cause: error });
  }
  if (error.upstream !== undefined) return error;
  return new DiscoveryError(error.code, error.text, { upstream, cause: error });
}
