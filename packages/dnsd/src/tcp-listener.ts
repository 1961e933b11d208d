// The TCP port (RFC 7766): takes connections, bounded by client and in all. What happens on one is
// tcp-connection.ts.

import { once } from "node:events";
import { createServer } from "node:net";
import type { Clock, HostPort } from "@whither/runtime";
import type { ClientLimits } from "./client-limits.js";
import type { DnsLimits } from "./config.js";
import type { Front } from "./front.js";
import { TcpConnection } from "./tcp-connection.js";

export interface TcpListener {
  readonly port: number;
  connections(): number;
  /** Takes no more; connections end when their responses are sent. */
  stop(): void;
  close(): Promise<void>;
}

type TcpLimits = Pick<DnsLimits, "tcpConnections" | "tcpConnectionsPerClient">;

export async function listenTcp(
  address: HostPort,
  of: {
    readonly front: Front;
    readonly limits: ClientLimits;
    readonly tcpLimits: () => TcpLimits;
    readonly clock: Clock;
  },
): Promise<TcpListener> {
  const { front, limits, tcpLimits, clock } = of;
  const open = new Set<TcpConnection>();
  const byClient = new Map<string, number>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const from = socket.remoteAddress; // undefined: it has gone already
    const client = from === undefined ? undefined : limits.clientOf(from);
    const own = byClient.get(client ?? "") ?? 0;
    const { tcpConnections, tcpConnectionsPerClient } = tcpLimits();
    const isFull = open.size >= tcpConnections || own >= tcpConnectionsPerClient;
    if (client === undefined || isFull) {
      socket.destroy();
      return;
    }
    byClient.set(client, own + 1);
    const connection = new TcpConnection(socket, { front, client, clock });
    open.add(connection);
    socket.once("close", () => {
      open.delete(connection);
      const left = (byClient.get(client) ?? 1) - 1;
      if (left === 0) byClient.delete(client);
      else byClient.set(client, left);
    });
  });
  server.listen(address.port, address.host);
  await once(server, "listening");
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new TypeError("tcp: expected a port");
  return {
    port: bound.port,
    connections: () => open.size,
    stop: () => {
      server.close();
      for (const connection of open) connection.end();
    },
    close: async () => {
      for (const connection of open) connection.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}
