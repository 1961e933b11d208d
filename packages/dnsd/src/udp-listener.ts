// DNS over UDP (RFC 1035 section 4.2.1): a packet in, a packet out. Whoever is not allowed hears nothing, since
// the address of a datagram may be forged.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import type { HostPort } from "@whither/runtime";
import type { ClientLimits } from "./client-limits.js";
import type { Front } from "./front.js";

export interface UdpListener {
  readonly port: number;
  /** Takes no more; responses under way are still sent. */
  stop(): void;
  close(): Promise<void>;
}

/** What the kernel may hold while one turn of the event loop is long. */
const receiveBufferBytes = 1024 * 1024;

/** Throws what binding throws, such as EADDRINUSE. */
export async function listenUdp(
  address: HostPort,
  { front, limits }: { readonly front: Front; readonly limits: ClientLimits },
): Promise<UdpListener> {
  const family = isIPv6(address.host) ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? "udp6" : "udp4",
    recvBufferSize: receiveBufferBytes,
    // Responses go to the address a packet came from: there is no name to look up.
    lookup: (client, _options, callback) => callback(null, client, family),
  });
  const listening = once(socket, "listening");
  socket.bind(address.port, address.host);
  await listening;
  let isOpen = true;
  let isStopped = false;
  const send = (response: Buffer, port: number, to: string): void => {
    if (isOpen) socket.send(response, port, to);
  };
  socket.on("message", (packet, { address: from, port }) => {
    // Port 0 is nobody's; answering it fails.
    if (isStopped || port === 0) return;
    const client = limits.clientOf(from);
    if (client === undefined) return;
    const handled = front.handle(packet, { client, transport: "udp" });
    if (handled === undefined) return;
    if (handled instanceof Promise) void handled.then((response) => send(response, port, from));
    else send(handled, port, from);
  });
  // A client that is gone answers with ICMP, and no response has a listener of its own; that is no failure of
  // the server.
  socket.on("error", () => undefined);
  return {
    port: socket.address().port,
    stop: () => {
      isStopped = true;
    },
    close: () => {
      isOpen = false;
      return new Promise((resolve) => socket.close(resolve));
    },
  };
}
