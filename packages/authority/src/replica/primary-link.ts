// Connections of a replica to the servers it follows: transfers read with a bound on silence, bytes and time, and a
// watch that only says when to ask again. Nothing here is believed; transfer-start.ts and what follows it judge.

import type { OpenChannel } from "@whither/directory";
import { DiscoveryError, limits, type Endpoint } from "@whither/protocol";
import { createClient, type Channel } from "@whither/rpc";
import type { Clock, Scheduled } from "@whither/runtime";
import { Zone, type TransferPart, type ZoneWatchResponse } from "@whither/wire";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TransferFromSchema } from "@whither/wire";

export type FollowedServer = Pick<Endpoint, "host" | "publicPort" | "spkiSha256">;

/** A watch that is silent for longer than two keep-alives has lost its server. */
const watchSilenceMs = 2.5 * limits.watchKeepAliveSeconds * 1000;

export interface PrimaryLinkOptions {
  readonly openChannel: OpenChannel;
  /** PEM bundle of the only CAs trusted. */
  readonly caPem: string;
  readonly clock: Clock;
}

export class PrimaryLink implements Disposable {
  readonly #options: PrimaryLinkOptions;
  readonly #channels = new Map<string, Channel>();

  constructor(options: PrimaryLinkOptions) {
    this.#options = options;
  }

  /** The parts of a transfer as they come. Throws DEADLINE when the server falls silent. */
  async *transfer(
    server: FollowedServer,
    request: {
      readonly from: MessageInitShape<typeof TransferFromSchema>;
      readonly signal: AbortSignal;
    },
  ): AsyncGenerator<TransferPart["part"]> {
    const { from, signal } = request;
    const silence = new Silence(this.#options.clock, limits.transferStallMs);
    const stream = createClient(Zone, this.#channel(server)).transfer(
      { from },
      { signal: AbortSignal.any([signal, silence.signal]), timeoutMs: limits.transferTimeoutMs },
    );
    try {
      for await (const { part } of silence.bound(stream)) {
        if (part === undefined)
          throw new DiscoveryError("INVALID_DATA", "transfer: an empty message");
        yield part.part;
      }
    } finally {
      silence.end();
    }
  }

  /** Heads as they are pushed, until the server ends it or falls silent. */
  async *watch(
    server: FollowedServer,
    request: { readonly zone: string; readonly signal: AbortSignal },
  ): AsyncGenerator<ZoneWatchResponse> {
    const { zone, signal } = request;
    const silence = new Silence(this.#options.clock, watchSilenceMs);
    const stream = createClient(Zone, this.#channel(server)).watch(
      { zone },
      { signal: AbortSignal.any([signal, silence.signal]) },
    );
    try {
      yield* silence.bound(stream);
    } finally {
      silence.end();
    }
  }

  [Symbol.dispose](): void {
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  #channel({ host, publicPort: port, spkiSha256: pins }: FollowedServer): Channel {
    const key = [host, port, ...pins.map((pin) => Buffer.from(pin).toString("base64"))].join(" ");
    const held = this.#channels.get(key);
    if (held !== undefined) return held;
    const { openChannel, caPem } = this.#options;
    const channel = openChannel({ host, port, pins, caPem });
    this.#channels.set(key, channel);
    return channel;
  }
}

/** Ends a stream on which nothing comes for a time. */
class Silence {
  readonly #controller = new AbortController();
  readonly #clock: Clock;
  readonly #ms: number;
  #timer: Scheduled | undefined;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async *bound<T>(stream: AsyncIterable<T>): AsyncGenerator<T> {
    this.#arm();
    for await (const message of stream) {
      // The reader's own work is not the server's silence.
      this.end();
      yield message;
      this.#arm();
    }
  }

  end(): void {
    this.#timer?.cancel();
  }

  #arm(): void {
    this.end();
    this.#timer = this.#clock.schedule(this.#ms, () => {
      this.#controller.abort(new DiscoveryError("DEADLINE", "the server fell silent"));
    });
  }
}
