// DNS over TCP (RFC 7766): messages behind a length of two octets, pipelined, answered in any order. Bounded in
// connections by client and in all, in queries under way, in octets that wait for a slow reader, and in time.

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { Clock, HostPort, Scheduled } from "@whither/runtime";
import type { ClientLimits } from "./client-limits.js";
import type { DnsLimits } from "./config.js";
import type { Front } from "./front.js";

export interface TcpListener {
  readonly port: number;
  connections(): number;
  /** Takes no more; connections end when their responses are sent. */
  stop(): void;
  close(): Promise<void>;
}

/** RFC 7766 section 6.2.3: seconds rather than minutes. */
const idleMs = 10_000;
const pipelinedMax = 64;
/** Responses that a client does not read. */
const unreadBytesMax = 256 * 1024;
const lengthBytes = 2;

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
  const open = new Set<Connection>();
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
    const connection = new Connection(socket, { front, client, clock });
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

class Connection {
  readonly #socket: Socket;
  readonly #front: Front;
  readonly #client: string;
  readonly #clock: Clock;
  #received: Buffer = Buffer.alloc(0);
  #underWay = 0;
  /** We take no more, or the client sends no more. */
  #isEnding = false;
  #hasClientEnded = false;
  #idle: Scheduled | undefined;

  constructor(
    socket: Socket,
    of: { readonly front: Front; readonly client: string; readonly clock: Clock },
  ) {
    this.#socket = socket;
    this.#front = of.front;
    this.#client = of.client;
    this.#clock = of.clock;
    socket.on("data", (chunk) => {
      // A message has at most 65,537 octets with its length, and is taken out as soon as it is whole.
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#take();
    });
    socket.on("end", () => {
      this.#hasClientEnded = true;
      this.#endIfDone();
    });
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#idle?.cancel());
    this.#watch();
  }

  /** No further query; what is under way is still answered. */
  end(): void {
    this.#isEnding = true;
    this.#endIfDone();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #take(): void {
    while (!this.#isEnding && this.#underWay < pipelinedMax) {
      const message = this.#next();
      if (message === undefined) break;
      this.#watch();
      this.#answer(message);
    }
    if (this.#underWay >= pipelinedMax) this.#socket.pause();
  }

  /** A client that has closed its half still gets what it asked for. */
  #endIfDone(): void {
    if ((this.#isEnding || this.#hasClientEnded) && this.#underWay === 0) this.#socket.end();
  }

  #next(): Buffer | undefined {
    if (this.#received.length < lengthBytes) return undefined;
    const end = lengthBytes + this.#received.readUInt16BE(0);
    if (this.#received.length < end) return undefined;
    const message = this.#received.subarray(lengthBytes, end);
    this.#received = this.#received.subarray(end);
    return message;
  }

  #answer(message: Buffer): void {
    const handled = this.#front.handle(message, { client: this.#client, transport: "tcp" });
    // Over TCP the sender is who it says: what gets no response there gets no further hearing.
    if (handled === undefined) this.#socket.destroy();
    else if (handled instanceof Promise) {
      this.#underWay += 1;
      void handled.then((response) => {
        this.#underWay -= 1;
        this.#send(response);
        if (this.#socket.isPaused()) this.#socket.resume();
        this.#take();
        this.#endIfDone();
      });
    } else this.#send(handled);
  }

  #send(response: Buffer): void {
    if (this.#socket.destroyed) return;
    const framed = Buffer.allocUnsafe(lengthBytes + response.length);
    framed.writeUInt16BE(response.length, 0);
    response.copy(framed, lengthBytes);
    this.#socket.write(framed);
    if (this.#socket.writableLength > unreadBytesMax) this.#socket.destroy();
  }

  /** Neither a client that sends nothing nor one that sends a query octet by octet keeps a place. */
  #watch(): void {
    this.#idle?.cancel();
    this.#idle = this.#clock.schedule(idleMs, () => {
      if (this.#underWay > 0) this.#watch();
      else this.#socket.destroy();
    });
  }
}
