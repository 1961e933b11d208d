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
  const socket = createSocket({
    type: isIPv6(address.host) ? "udp6" : "udp4",
    recvBufferSize: receiveBufferBytes,
  });
  socket.bind(address.port, address.host);
  await once(socket, "listening");
  let isOpen = true;
  let isStopped = false;
  socket.on("message", (packet, { address: client, port }) => {
    // Port 0 is nobody's; answering it fails.
    if (isStopped || port === 0 || !limits.isAllowed(client)) return;
    const handled = front.handle(packet, { address: client, transport: "udp" });
    if (handled === undefined) return;
    const send = (response: Buffer): void => {
      if (isOpen) socket.send(response, port, client, () => undefined);
    };
    if (handled instanceof Promise) void handled.then(send);
    else send(handled);
  });
  // A client that is gone answers with ICMP; that is no failure of the server.
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
