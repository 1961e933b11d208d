// The two listeners: one demands client certificates, one asks nobody who he is. A listener cannot do both,
// and a reader of buckets must not be made to show a certificate (Req 14).

import type { DiscoveryProvider } from "@whither/authority";
import {
  createRpcServer,
  deadlineInterceptor,
  identityInterceptor,
  logInterceptor,
  metricsInterceptor,
  type CallSample,
  type RpcServer,
  type ServerInterceptor,
  type ServiceRegistration,
  type ServingStatus,
  type TlsIdentity,
} from "@whither/rpc";
import type { Clock, Logger } from "@whither/runtime";

/** Time that calls under way get to end when the daemon stops. */
const drainMs = 5_000;

export interface ListenersOptions {
  readonly provider: DiscoveryProvider;
  /** Directory, over the parts that are served. */
  readonly directories: ServiceRegistration;
  readonly identity: TlsIdentity;
  readonly clientCaPem: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onCall: (sample: CallSample) => void;
  /** Sees every call on both ports. */
  readonly queryLog: ServerInterceptor;
}

export interface Listeners extends AsyncDisposable {
  /** Discovery, Registrar, health. */
  readonly clients: RpcServer;
  /** Zone, Directory, health. */
  readonly public: RpcServer;
  /** The certificate that new connections get. */
  readonly identity: TlsIdentity;
  /** A checked one for new connections; those that are open keep theirs. */
  replaceIdentity(identity: TlsIdentity): void;
  /** What grpc.health.v1 says on both ports of a zone by its name, or with "" of the whole. */
  setStatus(name: string, status: ServingStatus): void;
  /** Takes no new calls, and ends what is still open after a while. */
  close(): Promise<void>;
}

export function createListeners(options: ListenersOptions): Listeners {
  const { provider, directories, identity, clientCaPem, clock, logger, onCall, queryLog } = options;
  const observed = [
    metricsInterceptor({ clock, onCall }),
    logInterceptor({ clock, logger }),
    queryLog,
    deadlineInterceptor({ clock }),
  ];
  const common = { identity, clock, logger };
  const clients = createRpcServer({
    ...common,
    clients: { kind: "required", caPem: clientCaPem },
    services: provider.clientServices,
    interceptors: [...observed, identityInterceptor()],
  });
  const publicServer = createRpcServer({
    ...common,
    clients: { kind: "none" },
    services: [...provider.publicServices, directories],
    interceptors: observed,
  });
  let shown = identity;
  const servers = [clients, publicServer];
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.drain({ timeoutMs: drainMs })));
  };
  return {
    clients,
    public: publicServer,
    get identity() {
      return shown;
    },
    replaceIdentity: (next) => {
      for (const server of servers) server.replaceIdentity(next);
      shown = next;
    },
    setStatus: (name, status) => {
      for (const server of servers) server.setStatus(name, status);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
