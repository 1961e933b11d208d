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
  type TlsIdentity,
} from "@whither/rpc";
import type { Clock, Logger } from "@whither/runtime";

/** Time that calls under way get to end when the daemon stops. */
const drainMs = 5_000;

export interface ListenersOptions {
  readonly provider: DiscoveryProvider;
  readonly identity: TlsIdentity;
  readonly clientCaPem: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onCall: (sample: CallSample) => void;
}

export interface Listeners extends AsyncDisposable {
  /** Discovery, Registrar, health. */
  readonly clients: RpcServer;
  /** Zone, health. */
  readonly public: RpcServer;
  /** The certificate that new connections get. */
  readonly identity: TlsIdentity;
  /** A checked one for new connections; those that are open keep theirs. */
  replaceIdentity(identity: TlsIdentity): void;
  /** Takes no new calls, and ends what is still open after a while. */
  close(): Promise<void>;
}

export function createListeners(options: ListenersOptions): Listeners {
  const { provider, identity, clientCaPem, clock, logger, onCall } = options;
  const observed = [
    metricsInterceptor({ clock, onCall }),
    logInterceptor({ clock, logger }),
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
    services: provider.publicServices,
    interceptors: observed,
  });
  const close = async (): Promise<void> => {
    await Promise.all(
      [clients, publicServer].map((server) => server.drain({ timeoutMs: drainMs })),
    );
  };
  let shown = identity;
  return {
    clients,
    public: publicServer,
    get identity() {
      return shown;
    },
    replaceIdentity(next) {
      for (const server of [clients, publicServer]) server.replaceIdentity(next);
      shown = next;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
