// Serves a router over grpc-js: TLS listener, limits, drain. A server interceptor takes every call over
// before grpc-js makes a stream object of it, so that handlers work on its messages directly.
import { logVerbosity, Server, setLogVerbosity } from "@grpc/grpc-js";
import type { ServerCredentials } from "@grpc/grpc-js";
import { DiscoveryError, limits as protocolLimits } from "@whither/protocol";
import { silentLogger, systemClock } from "@whither/runtime";
import type { Clock, Logger, Scheduled } from "@whither/runtime";
import { ServerTls } from "./grpc-credentials.js";
import { takeOver } from "./grpc-incoming.js";
import { createHealth } from "./health.js";
import type { ServingStatus } from "./health.js";
import { inFlightInterceptor } from "./interceptors.js";
import type { ServerInterceptor } from "./interceptors.js";
import { createRouter } from "./router.js";
import type { ServiceRegistration } from "./service.js";
import type { TlsIdentity } from "./tls-identity.js";

/** Who may connect: holders of a certificate of these CAs, or anyone without asking for one. */
export type ClientPolicy =
  { readonly kind: "required"; readonly caPem: string } | { readonly kind: "none" };

export interface RpcServerLimits {
  /** Largest message either way, in bytes. */
  readonly messageBytesMax: number;
  /** Calls one peer may have open over all its connections, and streams one connection may have. */
  readonly inFlightPerPeerMax: number;
  /** Life of a connection, ±10 %, and the time its calls then have left to end. */
  readonly connectionAgeMs: number;
  readonly connectionAgeGraceMs: number;
  /** A connection without a call is closed after this. */
  readonly connectionIdleMs: number;
}

export const defaultServerLimits: RpcServerLimits = {
  messageBytesMax: protocolLimits.messageBytesMax,
  inFlightPerPeerMax: protocolLimits.inFlightPerPeerMax,
  connectionAgeMs: 30 * 60_000,
  connectionAgeGraceMs: 30_000,
  connectionIdleMs: 5 * 60_000,
};

/** What a server serves and how, wherever it listens. */
export interface ServedOptions {
  readonly services: readonly ServiceRegistration[];
  /** Outermost first; the limit of calls in flight is always there, innermost of these. */
  readonly interceptors?: readonly ServerInterceptor[];
  readonly limits?: Partial<RpcServerLimits>;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface RpcServerOptions extends ServedOptions {
  readonly identity: TlsIdentity;
  readonly clients: ClientPolicy;
}

export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** A server by what it may be told while it runs. */
export interface Serving extends AsyncDisposable {
  /**
   * What grpc.health.v1 says of a service (`whither.v1.Zone`), of a zone by its name, or of all with "".
   * Services and "" begin as SERVING.
   */
  setStatus(service: string, status: ServingStatus): void;
  /**
   * Takes no new call, waits for those open, and ends what is left after `timeoutMs` with OVERLOADED. Streams that
   * owe nothing end at once.
   */
  drain(options: { readonly timeoutMs: number }): Promise<void>;
  /** Ends everything now. */
  close(): Promise<void>;
}

export interface RpcServer extends Serving {
  /** @throws DiscoveryError CONFIG if the address cannot be bound. */
  listen(address: ListenAddress): Promise<{ readonly port: number }>;
  /** Certificate for new connections. @throws DiscoveryError CONFIG */
  replaceIdentity(identity: TlsIdentity): void;
}

const keepaliveTimeMs = 60_000;
const keepaliveTimeoutMs = 20_000;

export function createRpcServer(options: RpcServerOptions): RpcServer {
  const { clients } = options;
  const limits = { ...defaultServerLimits, ...options.limits };
  const credentials = new ServerTls({
    identity: options.identity,
    clientCaPem: clients.kind === "required" ? clients.caPem : undefined,
    streamsMax: limits.inFlightPerPeerMax,
  });
  const wantsCertificates = clients.kind === "required";
  const { bind, ...serving } = startServing(options, { credentials, wantsCertificates });
  return {
    ...serving,
    async listen({ host, port }) {
      return { port: await bind(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`) };
    },
    replaceIdentity: (identity) => credentials.replaceIdentity(identity),
  };
}

export interface Door {
  readonly credentials: ServerCredentials;
  readonly wantsCertificates: boolean;
}

/** A grpc-js server with our router in it, not yet bound to any address. */
export function startServing(
  options: ServedOptions,
  { credentials, wantsCertificates }: Door,
): Serving & { readonly bind: (target: string) => Promise<number> } {
  const limits = { ...defaultServerLimits, ...options.limits };
  const { clock = systemClock, logger = silentLogger } = options;
  // A server's stderr is its log, one JSON object a line; every failure reaches it through our own errors.
  setLogVerbosity(logVerbosity.NONE);
  const router = createRouter({
    services: options.services,
    interceptors: [
      ...(options.interceptors ?? []),
      inFlightInterceptor({ perPeerMax: limits.inFlightPerPeerMax }),
    ],
    messageBytesMax: limits.messageBytesMax,
    logger,
  });
  const incoming = takeOver({ router, wantsCertificates, clock });
  const server = new Server({
    interceptors: [incoming.interceptor],
    ...serverOptions(limits),
  });
  for (const path of router.methods.keys()) incoming.register(server, path);
  const health = createHealth(options.services.map((service) => service.typeName));
  health.addTo(server);
  const shutDown = (): Promise<void> =>
    new Promise((resolve) => {
      server.tryShutdown(() => resolve());
    });
  const close = async (): Promise<void> => {
    health.stop();
    incoming.abortAll(new DiscoveryError("OVERLOADED", "the server is shutting down"));
    await incoming.settled();
    await new Promise((resolve) => setImmediate(resolve)); // lets the last statuses reach their sockets
    server.forceShutdown();
  };
  return {
    bind: (target) => bind(server, credentials, target),
    setStatus: (service, status) => health.setStatus(service, status),
    async drain({ timeoutMs }) {
      health.stop();
      incoming.drain();
      // grpc-js never calls back where a session was destroyed and has not ended yet (a client's reset), so
      // the time bounds the wait itself.
      let timer: Scheduled | undefined;
      const late = new Promise<void>((resolve) => (timer = clock.schedule(timeoutMs, resolve)));
      await Promise.race([shutDown(), late]);
      timer?.cancel();
      await close();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function serverOptions(limits: RpcServerLimits) {
  return {
    "grpc.enable_channelz": 0,
    "grpc.max_receive_message_length": limits.messageBytesMax,
    "grpc.max_send_message_length": limits.messageBytesMax,
    "grpc.max_concurrent_streams": limits.inFlightPerPeerMax,
    "grpc.max_connection_age_ms": limits.connectionAgeMs,
    "grpc.max_connection_age_grace_ms": limits.connectionAgeGraceMs,
    "grpc.max_connection_idle_ms": limits.connectionIdleMs,
    "grpc.keepalive_time_ms": keepaliveTimeMs,
    "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
  };
}

function bind(server: Server, credentials: ServerCredentials, target: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(target, credentials, (cause, port) => {
      if (cause === null) resolve(port);
      else reject(new DiscoveryError("CONFIG", "the address cannot be listened on", { cause }));
    });
  });
}
