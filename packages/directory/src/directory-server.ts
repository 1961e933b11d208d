// Calls to one directory server, anonymous and bounded. Answers come back decoded and unverified.

import { DiscoveryError, isDiscoveryError, type Prefix } from "@whither/protocol";
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
import type { DirectoryMark } from "@whither/zone";
import type { OpenChannel } from "./follower.js";

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

export class DirectoryServer implements Disposable {
  /** `host:port` */
  readonly name: string;
  readonly #open: () => Channel;
  #channel: Channel | undefined;
  #closed = false;

  constructor(options: {
    readonly host: string;
    readonly port: number;
    readonly caPem: string;
    readonly openChannel: OpenChannel;
  }) {
    const { host, port, caPem, openChannel } = options;
    this.name = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    this.#open = () => openChannel({ host, port, caPem });
  }

  async refer(prefix: Prefix, { signal }: CallBounds): Promise<Answered<ReferAnswer>> {
    const target = { channel: this.#connect(), method: Directory.method.refer };
    const options = { signal, timeoutMs: unaryTimeoutMs };
    const bytes = await this.#reached(callRaw(target, { prefix }, options), signal);
    return { answer: this.#named(() => decodeReferAnswer(bytes)), bytes: bytes.length };
  }

  /** All records of a kind. */
  async records(kind: RecordKind, { signal }: CallBounds): Promise<Answered<RecordsAnswer>> {
    const target = { channel: this.#connect(), method: Directory.method.getRecords };
    const request = { kind: wireKinds[kind], ids: [] };
    const options = { signal, timeoutMs: unaryTimeoutMs };
    const bytes = await this.#reached(callRaw(target, request, options), signal);
    return { answer: this.#named(() => decodeRecordsAnswer(bytes)), bytes: bytes.length };
  }

  /** The messages of a Transfer: a difference to what is held, if the server has it, else the whole. */
  async *transfer(
    held: DirectoryMark | undefined,
    { signal }: CallBounds,
  ): AsyncGenerator<TransferChunk, void, undefined> {
    const client = createClient(Directory, this.#connect());
    const request = {
      fromEpoch: BigInt(held?.epoch ?? 0),
      fromSerial: BigInt(held?.serial ?? 0),
      incremental: held !== undefined,
    };
    const options = { signal, timeoutMs: transferTimeoutMs };
    const messages = client.transfer(request, options);
    try {
      for (;;) {
        const next = await this.#reached(messages.next(), signal);
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
    const client = createClient(Directory, this.#connect());
    const messages = client.watch({}, { signal });
    try {
      for (;;) {
        const next = await this.#reached(messages.next(), signal);
        if (next.done === true) return;
        yield next.value.head?.payload ?? new Uint8Array();
      }
    } finally {
      await messages.return?.(); // leaving early ends the call
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#channel?.close();
  }

  #connect(): Channel {
    if (this.#closed) throw new DiscoveryError("CANCELLED", "the directory follower is closed");
    this.#channel ??= this.#open();
    return this.#channel;
  }

  /** A server that does not answer in time cannot be reached; a caller who has left is another matter. */
  async #reached<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await call;
    } catch (error) {
      const isDown =
        isDiscoveryError(error) && !signal.aborted && ["NETWORK", "DEADLINE"].includes(error.code);
      if (!isDown) throw error;
      throw new DiscoveryError("UNREACHABLE", "the directory server does not answer", {
        upstream: this.name,
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
