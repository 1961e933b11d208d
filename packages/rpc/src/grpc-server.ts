// Serves a router over grpc-js: TLS listener, limits, drain. A server interceptor takes every call over
// before grpc-js makes a stream object of it, so that handlers work on its messages directly.
import { logVerbosity, Server, setLogVerbosity } from "@grpc/grpc-js";
import { DiscoveryError, limits as protocolLimits } from "@whither/protocol";
import { silentLogger, systemClock } from "@whither/runtime";
import type { Clock, Logger } from "@whither/runtime";
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

export interface RpcServerOptions {
  readonly identity: TlsIdentity;
  readonly clients: ClientPolicy;
  readonly services: readonly ServiceRegistration[];
  /** Outermost first; the limit of calls in flight is always there, innermost of these. */
  readonly interceptors?: readonly ServerInterceptor[];
  readonly limits?: Partial<RpcServerLimits>;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface RpcServer extends AsyncDisposable {
  /** @throws DiscoveryError CONFIG if the address cannot be bound. */
  listen(address: ListenAddress): Promise<{ readonly port: number }>;
  /** What grpc.health.v1 says of a service (`whither.v1.Zone`), or of all with "". */
  setStatus(service: string, status: ServingStatus): void;
  /** Certificate for new connections. @throws DiscoveryError CONFIG */
  replaceIdentity(identity: TlsIdentity): void;
  /** Takes no new call, waits for those open, and ends what is left after `timeoutMs` with OVERLOADED. */
  drain(options: { readonly timeoutMs: number }): Promise<void>;
  /** Ends everything now. */
  close(): Promise<void>;
}

const keepaliveTimeMs = 60_000;
const keepaliveTimeoutMs = 20_000;

export function createRpcServer(options: RpcServerOptions): RpcServer {
  const limits = { ...defaultServerLimits, ...options.limits };
  const { clock = systemClock, logger = silentLogger, clients } = options;
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
  const incoming = takeOver({ router, wantsCertificates: clients.kind === "required", clock });
  const server = new Server({
    interceptors: [incoming.interceptor],
    "grpc.enable_channelz": 0,
    "grpc.max_receive_message_length": limits.messageBytesMax,
    "grpc.max_send_message_length": limits.messageBytesMax,
    "grpc.max_concurrent_streams": limits.inFlightPerPeerMax,
    "grpc.max_connection_age_ms": limits.connectionAgeMs,
    "grpc.max_connection_age_grace_ms": limits.connectionAgeGraceMs,
    "grpc.max_connection_idle_ms": limits.connectionIdleMs,
    "grpc.keepalive_time_ms": keepaliveTimeMs,
    "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
  });
  for (const path of router.methods.keys()) incoming.register(server, path);
  const health = createHealth(options.services.map((service) => service.typeName));
  health.addTo(server);
  const credentials = new ServerTls({
    identity: options.identity,
    clientCaPem: clients.kind === "required" ? clients.caPem : undefined,
    streamsMax: limits.inFlightPerPeerMax,
  });
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
    listen: (address) => listen(server, credentials, address),
    setStatus: (service, status) => health.setStatus(service, status),
    replaceIdentity: (identity) => credentials.replaceIdentity(identity),
    async drain({ timeoutMs }) {
      health.stop();
      const timer = clock.schedule(timeoutMs, () => void close());
      await shutDown();
      timer.cancel();
      await close();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function listen(
  server: Server,
  credentials: ServerTls,
  { host, port }: ListenAddress,
): Promise<{ readonly port: number }> {
  return new Promise((resolve, reject) => {
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    server.bindAsync(address, credentials, (cause, bound) => {
      if (cause === null) resolve({ port: bound });
      else reject(new DiscoveryError("CONFIG", "the address cannot be listened on", { cause }));
    });
  });
}
