// One long-lived bidirectional stream to one peer: requests that wait in the same turn leave together,
// answers are matched by id in any order, the stream is opened again when it is next needed. What the
// messages mean is peers.ts.

import { DiscoveryError, limits } from "@whither/protocol";
import { abortError, randomBelow, type Clock, type Random } from "@whither/runtime";
import type { ClientDuplex, DuplexListener } from "@whither/rpc";

/** An answer with what it cost. */
export interface Received<Response> {
  readonly response: Response;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly rttMs: number;
}

export interface CorrelatedStreamOptions<Request, Response> {
  readonly upstream: string;
  readonly open: (listener: DuplexListener<Uint8Array>) => ClientDuplex<Uint8Array>;
  readonly encode: (id: bigint, request: Request) => Uint8Array;
  /** Throws for bytes that are no answer: the stream is then given up. */
  readonly decode: (bytes: Uint8Array) => {
    readonly id: bigint;
    readonly result: Response | DiscoveryError;
  };
  readonly clock: Clock;
  /** Shuffles the requests of one turn, so that their order tells nothing. */
  readonly shuffle?: Random;
  /** Requests without answer at most; the rest waits here. */
  readonly inFlightMax?: number;
  /** Answers still to come for callers who have left at most; beyond that the server does not answer. */
  readonly unansweredMax?: number;
  /** The stream was given up for its silence: the connection under it may be dead and not know it. */
  readonly onSilent?: () => void;
  /** Largest answer. A query's budget counts bytes that have come: it is overshot by one such answer at most. */
  readonly messageBytesMax: number;
}

const unansweredMaxDefault = 1_024;

/**
 * Time in which a stream that owes answers says nothing at all, after which a caller who leaves takes it for
 * dead: the connection may stand while nothing comes through it. Below the 1.8 s that callers stay once another
 * DP has shown mappings: else nobody would stay long enough. Several times a slow evaluation.
 */
const silentMsMax = 1_500;

interface Pending<Request, Response> {
  readonly request: Request;
  resolve(received: Received<Response>): void;
  reject(error: Error): void;
  sentMs: number;
  bytesOut: number;
}

export class CorrelatedStream<Request, Response> {
  readonly #options: CorrelatedStreamOptions<Request, Response>;
  readonly #inFlightMax: number;
  readonly #unansweredMax: number;
  /** Of this turn, not yet shuffled. */
  #gathered: Pending<Request, Response>[] = [];
  /** In sending order. */
  readonly #waiting = new Set<Pending<Request, Response>>();
  readonly #sent = new Map<bigint, Pending<Request, Response>>();
  /** Sent on this stream and not answered when their callers left. */
  readonly #left = new Set<bigint>();
  #stream: ClientDuplex<Uint8Array> | undefined;
  #nextId = 1n;
  #receivedMs = 0;
  #closed = false;
  /** Set once nothing new is to be asked: called when nothing is owed any more. */
  #onSettled: (() => void) | undefined;

  constructor(options: CorrelatedStreamOptions<Request, Response>) {
    this.#options = options;
    this.#inFlightMax = options.inFlightMax ?? limits.inFlightPerPeerMax;
    this.#unansweredMax = options.unansweredMax ?? unansweredMaxDefault;
  }

  /** Asks once; fails with the server's error, with NETWORK when the stream breaks, or with the signal. */
  request(
    request: Request,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Received<Response>> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    if (this.#closed) return Promise.reject(this.#failure("CANCELLED", "the resolver is closed"));
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#drop(pending);
        reject(abortError(signal));
      };
      const pending: Pending<Request, Response> = {
        request,
        sentMs: 0,
        bytesOut: 0,
        resolve: (received) => {
          signal.removeEventListener("abort", onAbort);
          resolve(received);
        },
        reject: (error) => {
          signal.removeEventListener("abort", onAbort);
          reject(error);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      if (this.#gathered.length === 0) setImmediate(() => this.#flush());
      this.#gathered.push(pending);
    });
  }

  /**
   * What has been asked is still answered, on this stream; then it closes and calls back, at once if nothing was.
   * Bounded by the signals of those who wait. The owner asks nothing more.
   */
  retire(onSettled: () => void): void {
    this.#onSettled = onSettled;
    this.#settle();
  }

  /** Fails what is open with CANCELLED and ends the stream. */
  close(): void {
    this.#closed = true;
    this.#onSettled = undefined;
    const stream = this.#stream;
    this.#stream = undefined;
    this.#failAll(this.#failure("CANCELLED", "the resolver is closed"));
    stream?.cancel();
  }

  #flush(): void {
    const { shuffle } = this.#options;
    const turn = shuffle === undefined ? this.#gathered : shuffled(this.#gathered, shuffle);
    this.#gathered = [];
    for (const pending of turn) this.#waiting.add(pending);
    this.#pump();
  }

  #pump(): void {
    for (const pending of this.#waiting) {
      if (this.#sent.size >= this.#inFlightMax) return;
      this.#waiting.delete(pending);
      this.#send(pending);
    }
  }

  #send(pending: Pending<Request, Response>): void {
    const id = this.#nextId;
    this.#nextId += 1n;
    const bytes = this.#options.encode(id, pending.request);
    this.#stream ??= this.#open();
    pending.sentMs = this.#options.clock.monotonicMs();
    pending.bytesOut = bytes.length;
    this.#sent.set(id, pending);
    this.#stream.send(bytes);
  }

  #open(): ClientDuplex<Uint8Array> {
    const stream = this.#options.open({
      onMessage: (bytes) => this.#receive(stream, bytes),
      onClose: (error) => {
        if (this.#stream !== stream) return;
        this.#stream = undefined;
        // Nobody here gave up: a reset that reads like it is the server's.
        const isOurs = error !== undefined && !["CANCELLED", "DEADLINE"].includes(error.code);
        this.#failAll(
          isOurs ? error : this.#failure("NETWORK", "the server ended the stream", error),
        );
      },
    });
    return stream;
  }

  #receive(stream: ClientDuplex<Uint8Array>, bytes: Uint8Array): void {
    if (this.#stream !== stream) return;
    this.#receivedMs = this.#options.clock.monotonicMs();
    if (bytes.length > this.#options.messageBytesMax) {
      this.#giveUp(stream, this.#failure("TOO_LARGE", "an answer is over its size limit"));
      return;
    }
    let decoded: { readonly id: bigint; readonly result: Response | DiscoveryError };
    try {
      decoded = this.#options.decode(bytes);
    } catch (cause) {
      this.#giveUp(stream, this.#failure("INVALID_DATA", "an answer could not be parsed", cause));
      return;
    }
    const pending = this.#sent.get(decoded.id);
    if (pending === undefined) {
      if (this.#left.delete(decoded.id)) return; // its caller has left
      // What nobody asked is charged to no budget: a server could send it without end.
      this.#giveUp(stream, this.#failure("INVALID_DATA", "an answer that nobody asked"));
      return;
    }
    this.#sent.delete(decoded.id);
    const { result } = decoded;
    if (result instanceof DiscoveryError) pending.reject(result);
    else {
      pending.resolve({
        response: result,
        bytesIn: bytes.length,
        bytesOut: pending.bytesOut,
        rttMs: this.#options.clock.monotonicMs() - pending.sentMs,
      });
    }
    if (this.#waiting.size > 0) this.#pump();
    this.#settle();
  }

  /** Ends a retired stream that owes nothing. */
  #settle(): void {
    const onSettled = this.#onSettled;
    if (onSettled === undefined) return;
    if (this.#gathered.length + this.#waiting.size + this.#sent.size > 0) return;
    this.close();
    onSettled();
  }

  #drop(pending: Pending<Request, Response>): void {
    this.#gathered = this.#gathered.filter((one) => one !== pending);
    this.#waiting.delete(pending);
    let isSilent = false;
    for (const [id, one] of this.#sent) {
      if (one !== pending) continue;
      this.#sent.delete(id);
      this.#left.add(id);
      isSilent =
        this.#options.clock.monotonicMs() - Math.max(one.sentMs, this.#receivedMs) >= silentMsMax;
    }
    if (this.#stream !== undefined && (isSilent || this.#left.size > this.#unansweredMax)) {
      this.#giveUp(this.#stream, this.#failure("NETWORK", "the server does not answer any more"));
      if (isSilent) this.#options.onSilent?.();
    }
    this.#pump();
    this.#settle();
  }

  #giveUp(stream: ClientDuplex<Uint8Array>, error: DiscoveryError): void {
    this.#stream = undefined;
    this.#failAll(error);
    stream.cancel();
  }

  #failAll(error: DiscoveryError): void {
    const all = [...this.#gathered, ...this.#waiting, ...this.#sent.values()];
    this.#gathered = [];
    this.#waiting.clear();
    this.#sent.clear();
    this.#left.clear();
    for (const pending of all) pending.reject(error);
    this.#settle();
  }

  #failure(
    code: "NETWORK" | "CANCELLED" | "INVALID_DATA" | "TOO_LARGE",
    text: string,
    cause?: unknown,
  ): DiscoveryError {
    return new DiscoveryError(code, text, { upstream: this.#options.upstream, cause });
  }
}

/** Fisher–Yates. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  const order: T[] = [];
  while (left.length > 0) {
    const last = left.length - 1;
    const picked = randomBelow(random, left.length);
    [left[picked], left[last]] = [left[last] as T, left[picked] as T]; // both indices are in range
    order.push(...left.splice(last));
  }
  return order;
}
