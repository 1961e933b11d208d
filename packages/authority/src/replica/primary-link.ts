// Connections of a replica to the servers it follows: transfers read with a bound on silence, bytes and time, and a
// watch that only says when to ask again. Nothing here is believed; transfer-start.ts and what follows it judge.

import { toHex } from "@whither/crypto/node";
import type { OpenChannel } from "@whither/directory";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Endpoint,
  type SignedObject,
} from "@whither/protocol";
import { createClient, type CallOptions, type Channel } from "@whither/rpc";
import type { Clock, Scheduled } from "@whither/runtime";
import {
  Replication,
  signedObjectFromWire,
  Zone,
  type ReplicationVaultResponse,
  type TransferPart,
  type ZoneTransferResponse,
  type ZoneWatchResponse,
} from "@whither/wire";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TransferFromSchema } from "@whither/wire";

/** A server of the zone, and the port and service by which it is followed. */
export interface FollowedServer {
  readonly host: string;
  readonly port: number;
  readonly spkiSha256: readonly Uint8Array[];
  /** `replication`: with a client certificate, at a primary that names this process; `public`: as anybody. */
  readonly way: "public" | "replication";
}

/** As the directory names it; undefined for one that has no public port. */
export function publicServer(endpoint: Endpoint): FollowedServer | undefined {
  const { host, publicPort: port, spkiSha256 } = endpoint;
  return port > 0 ? { host, port, spkiSha256, way: "public" } : undefined;
}

/** What of a service is needed to follow a zone. */
interface FollowedService {
  transfer(
    request: { readonly from: MessageInitShape<typeof TransferFromSchema> },
    options: CallOptions,
  ): AsyncIterable<Pick<ZoneTransferResponse, "part">>;
  watch(
    request: { readonly zone: string },
    options: CallOptions,
  ): AsyncIterable<Pick<ZoneWatchResponse, "head">>;
}

/** A watch that is silent for longer than two keep-alives has lost its server. */
const watchSilenceMs = 2.5 * limits.watchKeepAliveSeconds * 1000;

export interface PrimaryLinkOptions {
  readonly openChannel: OpenChannel;
  /** Opens with this process's certificate; without it nothing is followed by `replication`. */
  readonly openIdentified?: OpenChannel;
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
    try {
      yield* this.#transfer(server, { from, signal, silence });
    } catch (error) {
      // Perhaps it is our certificate that is not wanted: the next connection shows the one that is used by then.
      if (server.way === "replication" && isConnectionLost(error)) this.#forget(server);
      throw error;
    } finally {
      silence.end();
    }
  }

  async *#transfer(
    server: FollowedServer,
    request: {
      readonly from: MessageInitShape<typeof TransferFromSchema>;
      readonly signal: AbortSignal;
      readonly silence: Silence;
    },
  ): AsyncGenerator<TransferPart["part"]> {
    const { from, signal, silence } = request;
    const stream = this.#client(server).transfer(
      { from },
      { signal: AbortSignal.any([signal, silence.signal]), timeoutMs: limits.transferTimeoutMs },
    );
    for await (const { part } of silence.bound(stream)) {
      if (part === undefined)
        throw new DiscoveryError("INVALID_DATA", "transfer: an empty message");
      yield part.part;
    }
  }

  /** The zone's vault, of a server of `replication`, without end. */
  async *vault(
    server: FollowedServer,
    request: {
      readonly zone: string;
      readonly digests: Uint8Array;
      readonly signal: AbortSignal;
    },
  ): AsyncGenerator<ReplicationVaultResponse> {
    const { zone, digests, signal } = request;
    try {
      const client = createClient(Replication, this.#channel(server));
      yield* client.vault({ zone, digests }, { signal });
    } catch (error) {
      if (isConnectionLost(error)) this.#forget(server);
      throw error;
    }
  }

  /** A manifest by its hash, of a public server. */
  async manifest(
    server: FollowedServer,
    request: { readonly zone: string; readonly sha256: Uint8Array; readonly signal: AbortSignal },
  ): Promise<SignedObject> {
    const { zone, sha256: manifestSha256, signal } = request;
    const client = createClient(Zone, this.#channel(server));
    const { manifest } = await client.getManifest({ zone, manifestSha256 }, { signal });
    return signedObjectFromWire(manifest);
  }

  /** Heads as they are pushed, until the server ends it or falls silent. */
  async *watch(
    server: FollowedServer,
    request: { readonly zone: string; readonly signal: AbortSignal },
  ): AsyncGenerator<Pick<ZoneWatchResponse, "head">> {
    const { zone, signal } = request;
    const silence = new Silence(this.#options.clock, watchSilenceMs);
    const stream = this.#client(server).watch(
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

  /** Both services tell the same, in messages that are alike. */
  #client(server: FollowedServer): FollowedService {
    const channel = this.#channel(server);
    if (server.way === "public") return createClient(Zone, channel);
    const client = createClient(Replication, channel);
    return {
      transfer: (request, options) => client.transfer(request, options),
      watch: (request, options) => client.notify(request, options),
    };
  }

  #forget(server: FollowedServer): void {
    const key = keyOf(server);
    this.#channels.get(key)?.close();
    this.#channels.delete(key);
  }

  #channel(server: FollowedServer): Channel {
    const { host, port, spkiSha256: pins, way } = server;
    const key = keyOf(server);
    const held = this.#channels.get(key);
    if (held !== undefined) return held;
    const { openChannel, openIdentified, caPem } = this.#options;
    const open = way === "public" ? openChannel : openIdentified;
    if (open === undefined) throw new TypeError("replication needs a certificate");
    const channel = open({ host, port, pins, caPem });
    this.#channels.set(key, channel);
    return channel;
  }
}

function keyOf({ way, host, port, spkiSha256 }: FollowedServer): string {
  return [way, host, port, ...spkiSha256.map((pin) => toHex(pin))].join(" ");
}

function isConnectionLost(error: unknown): boolean {
  return (
    isDiscoveryError(error) && ["NETWORK", "PROHIBITED", "UNAUTHENTICATED"].includes(error.code)
  );
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
