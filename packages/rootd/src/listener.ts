// The one listener: public, server-authenticated, without client certificates (Req 14).

import type { DirectoryService, RateLimit } from "@whither/authority";
import {
  certificateNotAfter,
  createRpcServer,
  deadlineInterceptor,
  logInterceptor,
  metricsInterceptor,
  type CallSample,
  type RpcServer,
  type ServerInterceptor,
  type TlsIdentity,
} from "@whither/rpc";
import type { Clock, Logger } from "@whither/runtime";

/** Time that calls under way get to end when the daemon stops. */
const drainMs = 5_000;

export interface Listener extends AsyncDisposable {
  readonly server: RpcServer;
  /** The certificate for new connections. Throws CONFIG. */
  replaceIdentity(identity: TlsIdentity): void;
  /** End of the certificate in use, Unix seconds. */
  certificateNotAfter(): number;
  /** What grpc.health.v1 says of the directory. */
  setServing(isServing: boolean): void;
  /** Takes no new calls, and ends what is still open after a while. */
  close(): Promise<void>;
}

export function createListener(options: {
  readonly service: DirectoryService;
  readonly identity: TlsIdentity;
  readonly rateLimit: RateLimit;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onCall: (sample: CallSample) => void;
  readonly queryLog: ServerInterceptor;
}): Listener {
  const { service, identity, rateLimit, clock, logger, onCall, queryLog } = options;
  let shown = identity;
  const server = createRpcServer({
    identity,
    clients: { kind: "none" },
    services: [service.service],
    interceptors: [
      metricsInterceptor({ clock, onCall }),
      logInterceptor({ clock, logger }),
      queryLog,
      deadlineInterceptor({ clock }),
      rateLimit.interceptor,
    ],
    clock,
    logger,
  });
  const close = (): Promise<void> => {
    service[Symbol.dispose](); // watchers would stay for ever
    return server.drain({ timeoutMs: drainMs });
  };
  return {
    server,
    replaceIdentity: (next) => {
      server.replaceIdentity(next);
      shown = next;
    },
    certificateNotAfter: () => certificateNotAfter(shown.certPem),
    setServing: (isServing) => {
      const status = isServing ? "SERVING" : "NOT_SERVING";
      server.setStatus("", status);
      server.setStatus(service.service.typeName, status);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
