// The socket of the control service: `control.sock` in the daemon's state directory (protocol.md
// section 11), for its owner alone.

import { join } from "node:path";
import { createLocalServer, logInterceptor, type ServiceRegistration } from "@whither/rpc";
import type { Clock, Logger } from "@whither/runtime";

/** Time for the answer to `stop` to reach its client. */
const drainMs = 1_000;

export const controlSocketName = "control.sock";

export interface ControlServer extends AsyncDisposable {
  readonly path: string;
  /** Takes no new calls and lets the one end that asked for the stop. */
  close(): Promise<void>;
}

/** Throws CONFIG where the socket cannot be made, or another process answers on it. */
export async function serveControl(options: {
  readonly stateDirectory: string;
  readonly service: ServiceRegistration;
  readonly clock: Clock;
  readonly logger: Logger;
}): Promise<ControlServer> {
  const { service, clock, logger } = options;
  const server = createLocalServer({
    services: [service],
    interceptors: [logInterceptor({ clock, logger })],
    clock,
    logger,
  });
  const path = join(options.stateDirectory, controlSocketName);
  await server.listen(path);
  const close = (): Promise<void> => server.drain({ timeoutMs: drainMs });
  return { path, close, [Symbol.asyncDispose]: close };
}
