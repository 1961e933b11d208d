// The two ways to a DP (protocol.md section 5): the identified stream that carries Evaluates, and the
// anonymous one, another connection without client certificate, that carries buckets, bodies, heads and
// manifests. What a connection carries is decided here and nowhere else (requirement 14).

import { toHex } from "@whither/crypto";
import type { OpenChannel } from "@whither/directory";
import { DiscoveryError, limits, type ErrorCode } from "@whither/protocol";
import {
  createClient,
  decodeMessage,
  encodeMessage,
  fromErrorDetail,
  openRawDuplex,
  type Channel,
  type TlsIdentity,
} from "@whither/rpc";
import type { Clock, Random } from "@whither/runtime";
import {
  Discovery,
  ExchangeRequestSchema,
  ExchangeResponseSchema,
  FetchRequestSchema,
  FetchResponseSchema,
  Zone,
  type ErrorDetail,
  type EvaluateResponse,
  type FetchResponse,
  type ZoneWatchResponse,
} from "@whither/wire";
import { LRUCache } from "lru-cache";
import { CorrelatedStream, type Received } from "./correlated-stream.js";

/** One port of one endpoint that the directory names. */
export interface Server {
  /** `host:port`, for people and statistics. */
  readonly key: string;
  readonly host: string;
  readonly port: number;
  readonly pins: readonly Uint8Array[];
  /** Servers of a lower rank are asked first, 0..15; 0 unless told. */
  readonly rank?: number;
  /** Who runs it; "", the DP's own operator, unless told. */
  readonly operator?: string;
}

export interface EvaluateFields {
  readonly zone: string;
  readonly kid: Uint8Array;
  readonly blinded: Uint8Array;
}
/** Content of a FetchRequest, as protobuf-es names it. */
export type FetchAsk =
  | { readonly case: "bucket"; readonly value: BucketAsk }
  | {
      readonly case: "bodies";
      readonly value: { readonly zone: string; readonly vhashes: Uint8Array };
    }
  | { readonly case: "head"; readonly value: { readonly zone: string; readonly kid: Uint8Array } }
  | {
      readonly case: "manifest";
      readonly value: { readonly zone: string; readonly manifestSha256: Uint8Array };
    };
interface BucketAsk {
  readonly zone: string;
  readonly kid: Uint8Array;
  readonly b: number;
  readonly prefix: Uint8Array;
}
export type FetchAnswer = Exclude<
  FetchResponse["response"],
  { case: undefined } | { case: "error" }
>;

interface Peer<Request, Response> {
  readonly channel: Channel;
  readonly stream: CorrelatedStream<Request, Response>;
}

export interface PeersOptions {
  readonly openChannel: OpenChannel;
  readonly caPem: string;
  readonly identity: TlsIdentity | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** Open connections at most, of each kind; the one idle longest is closed. */
const peersMax = 128;

export class Peers {
  readonly #options: PeersOptions;
  #identity: TlsIdentity | undefined;
  #identified = connections<EvaluateFields, EvaluateResponse>();
  /** Under an identity before: asked nothing more, and closed when nothing is owed. */
  readonly #retired = new Set<Peer<EvaluateFields, EvaluateResponse>>();
  readonly #anonymous = connections<FetchAsk, FetchAnswer>();
  #closed = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#identity = options.identity;
  }

  /** The client certificate in use. */
  get identity(): TlsIdentity | undefined {
    return this.#identity;
  }

  /** Connections opened from now on show this one; what has been asked on others is answered on those. */
  replaceIdentity(identity: TlsIdentity): void {
    const { certPem, keyPem } = identity;
    const isSame = this.#identity?.certPem === certPem && this.#identity.keyPem === keyPem;
    if (isSame || this.#closed) return;
    this.#identity = identity;
    const before = this.#identified;
    this.#identified = connections();
    for (const peer of before.values()) {
      this.#retired.add(peer);
      peer.stream.retire(() => {
        this.#retired.delete(peer);
        peer.channel.close();
      });
    }
  }

  /** Throws UNAUTHENTICATED without a client certificate: Evaluate is asked in one's own name. */
  evaluate(
    server: Server,
    request: EvaluateFields,
    options: { readonly signal: AbortSignal },
  ): Promise<Received<EvaluateResponse>> {
    const identity = this.#identity;
    if (this.#closed) return Promise.reject(closed(server));
    if (identity === undefined) {
      return Promise.reject(
        new DiscoveryError("UNAUTHENTICATED", "no client certificate is configured", {
          upstream: server.key,
        }),
      );
    }
    return this.#identifiedPeer(server, identity).stream.request(request, options);
  }

  /** Asks for public bytes without saying who asks. */
  fetch(
    server: Server,
    request: FetchAsk,
    options: { readonly signal: AbortSignal },
  ): Promise<Received<FetchAnswer>> {
    if (this.#closed) return Promise.reject(closed(server));
    return this.#anonymousPeer(server).stream.request(request, options);
  }

  /** New heads of a zone as the server tells of them, without saying who listens. */
  watch(
    server: Server,
    zone: string,
    { signal }: { readonly signal: AbortSignal },
  ): AsyncIterable<ZoneWatchResponse> {
    if (this.#closed) throw closed(server);
    return createClient(Zone, this.#anonymousPeer(server).channel).watch({ zone }, { signal });
  }

  /** Open requests fail with CANCELLED, later ones too. */
  close(): void {
    this.#closed = true;
    this.#identified.clear();
    this.#anonymous.clear();
    for (const peer of this.#retired) closePeer(peer);
    this.#retired.clear();
  }

  #identifiedPeer(server: Server, identity: TlsIdentity): Peer<EvaluateFields, EvaluateResponse> {
    const key = connectionKey(server);
    const held = this.#identified.get(key);
    if (held !== undefined) return held;
    // A silent stream takes its connection with it: gRPC would notice a dead one only after 80 s.
    const onSilent = (): void => {
      if (this.#identified.peek(key) === peer) this.#identified.delete(key);
    };
    const peer = this.#openIdentified({ server, identity, onSilent });
    this.#identified.set(key, peer);
    return peer;
  }

  #anonymousPeer(server: Server): Peer<FetchAsk, FetchAnswer> {
    const key = connectionKey(server);
    const held = this.#anonymous.get(key);
    if (held !== undefined) return held;
    const onSilent = (): void => void this.#anonymous.delete(key);
    const peer = this.#openAnonymous(server, onSilent);
    this.#anonymous.set(key, peer);
    return peer;
  }

  #openIdentified(of: {
    readonly server: Server;
    readonly identity: TlsIdentity;
    readonly onSilent: () => void;
  }): Peer<EvaluateFields, EvaluateResponse> {
    const { server, identity, onSilent } = of;
    const { openChannel, caPem, clock } = this.#options;
    const { host, port, pins } = server;
    const messageBytesMax = limits.evaluateAnswerBytesMax;
    const channel = openChannel({ host, port, pins, caPem, identity, messageBytesMax });
    const stream = new CorrelatedStream<EvaluateFields, EvaluateResponse>({
      upstream: server.key,
      onSilent,
      clock,
      messageBytesMax,
      open: (listener) => openRawDuplex({ channel, method: Discovery.method.exchange }, listener),
      encode: (id, value) =>
        encodeMessage(ExchangeRequestSchema, { id, request: { case: "evaluate", value } }),
      decode: (bytes) => {
        const { id, response } = decodeMessage(ExchangeResponseSchema, bytes);
        if (response.case === undefined) throw noContent(server.key);
        if (response.case === "evaluate") return { id, result: response.value };
        return { id, result: failureOf(response.value, server.key) };
      },
    });
    return { channel, stream };
  }

  #openAnonymous(server: Server, onSilent: () => void): Peer<FetchAsk, FetchAnswer> {
    const { openChannel, caPem, clock, random } = this.#options;
    const { host, port, pins } = server;
    const messageBytesMax = limits.fetchAnswerBytesMax;
    const channel = openChannel({ host, port, pins, caPem, messageBytesMax });
    const stream = new CorrelatedStream<FetchAsk, FetchAnswer>({
      upstream: server.key,
      onSilent,
      clock,
      shuffle: random,
      messageBytesMax,
      open: (listener) => openRawDuplex({ channel, method: Zone.method.fetch }, listener),
      encode: (id, request) => encodeMessage(FetchRequestSchema, { id, request }),
      decode: (bytes) => {
        const { id, response } = decodeMessage(FetchResponseSchema, bytes);
        if (response.case === undefined) throw noContent(server.key);
        if (response.case !== "error") return { id, result: response };
        return { id, result: failureOf(response.value, server.key) };
      },
    });
    return { channel, stream };
  }
}

/** With the pins: a channel keeps those it was opened with, and the directory may name others since. */
function connectionKey({ key, pins }: Server): string {
  return `${key} ${pins.map(toHex).join()}`;
}

function connections<Request, Response>(): LRUCache<string, Peer<Request, Response>> {
  return new LRUCache({ max: peersMax, dispose: (peer) => closePeer(peer) });
}

function closePeer({ stream, channel }: Record<"channel" | "stream", { close(): void }>): void {
  stream.close();
  channel.close();
}

/** What only this resolver can know of its query and its clock. */
const ownCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "CANCELLED",
  "DEADLINE",
  "BUDGET",
  "CLOCK_SKEW",
  "CONFIG",
]);

/** A server's failure; of one that claims what is not its to say only that it failed. */
function failureOf(detail: ErrorDetail, upstream: string): DiscoveryError {
  const told = fromErrorDetail(detail, upstream);
  if (!ownCodes.has(told.code)) return told;
  return new DiscoveryError("INTERNAL", "the server failed", { upstream, cause: told });
}

function closed(server: Server): DiscoveryError {
  return new DiscoveryError("CANCELLED", "the resolver is closed", { upstream: server.key });
}

function noContent(upstream: string): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", "an answer without content", { upstream });
}
