// Packets of the DNS on their way: UDP from a port of its own for each question (RFC 5452), TCP with a length of
// two octets (RFC 7766). Bounded in octets and in foreign packets; what it hands on is still unread.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv6, connect } from "node:net";
import { DiscoveryError, limits } from "@whither/protocol";
import { abortError, errnoOf, formatHostPort, randomBelow, type HostPort } from "@whither/runtime";
import type { Random } from "@whither/runtime";

export interface ExchangeOptions {
  /** Whether a packet is a response to what was sent. */
  readonly isResponse: (packet: Uint8Array) => boolean;
  readonly signal: AbortSignal;
}

/** How a name server is reached. Both throw NETWORK, TOO_LARGE, and what the signal aborts with. */
export interface DnsExchange {
  udp(server: HostPort, packet: Uint8Array, options: ExchangeOptions): Promise<Uint8Array>;
  tcp(server: HostPort, packet: Uint8Array, options: ExchangeOptions): Promise<Uint8Array>;
}

/** Ports below are others'. */
const firstPort = 1_024;
const portTriesMax = 4;
const lengthBytes = 2;

/** Sockets of this machine. */
export function createDnsExchange(random: Random): DnsExchange {
  return {
    udp: (server, packet, options) => exchangeUdp(server, packet, { ...options, random }),
    tcp: exchangeTcp,
  };
}

async function exchangeUdp(
  server: HostPort,
  packet: Uint8Array,
  { isResponse, signal, random }: ExchangeOptions & { readonly random: Random },
): Promise<Uint8Array> {
  const upstream = formatHostPort(server);
  const socket = await bindAnyPort(server, random);
  try {
    return await beforeAbort<Uint8Array>(signal, (resolve, reject) => {
      let foreign = 0;
      const fail = (cause: unknown): void => {
        reject(
          new DiscoveryError("NETWORK", "the name server cannot be reached", { upstream, cause }),
        );
      };
      socket.on("error", fail);
      socket.on("message", (received) => {
        // Whoever sends more than we said we take did not read our question.
        if (received.length <= limits.dnsUdpBytesMax && isResponse(received)) resolve(received);
        else if ((foreign += 1) >= limits.dnsForeignPacketsMax) {
          reject(
            new DiscoveryError("TOO_LARGE", "too many packets nobody asked for", { upstream }),
          );
        }
      });
      // Connected: the kernel drops what comes from elsewhere.
      socket.connect(server.port, server.host, () => {
        socket.send(packet, (error) => {
          if (error !== null) fail(error);
        });
      });
    });
  } finally {
    socket.close();
  }
}

/** A port drawn from all of them, so that a forger has to guess it too (RFC 6056). */
async function bindAnyPort({ host }: HostPort, random: Random) {
  for (let tries = 1; ; tries += 1) {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    try {
      socket.bind(firstPort + randomBelow(random, 65_536 - firstPort));
      await once(socket, "listening");
      return socket;
    } catch (cause) {
      socket.close();
      const isTaken = errnoOf(cause) === "EADDRINUSE" || errnoOf(cause) === "EACCES";
      if (isTaken && tries < portTriesMax) continue;
      throw new DiscoveryError("NETWORK", "no port to ask a name server from", { cause });
    }
  }
}

async function exchangeTcp(
  server: HostPort,
  packet: Uint8Array,
  { isResponse, signal }: ExchangeOptions,
): Promise<Uint8Array> {
  const upstream = formatHostPort(server);
  const socket = connect({ host: server.host, port: server.port, noDelay: true });
  try {
    return await beforeAbort<Uint8Array>(signal, (resolve, reject) => {
      let received: Buffer = Buffer.alloc(0);
      const fail = (cause?: unknown): void => {
        reject(
          new DiscoveryError("NETWORK", "the name server closes connections", { upstream, cause }),
        );
      };
      socket.on("error", fail);
      socket.on("close", () => fail());
      socket.on("data", (chunk: Buffer) => {
        received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
        if (received.length < lengthBytes) return;
        const end = lengthBytes + received.readUInt16BE(0);
        if (end - lengthBytes > limits.dnsTcpBytesMax) {
          reject(new DiscoveryError("TOO_LARGE", "dns: a response over its limit", { upstream }));
        } else if (received.length >= end) {
          const response = received.subarray(lengthBytes, end);
          if (isResponse(response)) resolve(response);
          else fail(new Error("no response to the question"));
        }
      });
      const framed = Buffer.alloc(lengthBytes + packet.length);
      framed.writeUInt16BE(packet.length, 0);
      framed.set(packet, lengthBytes);
      socket.write(framed);
    });
  } finally {
    socket.destroy();
  }
}

/** What `start` comes to, unless the signal is first; it may have been already. */
async function beforeAbort<T>(
  signal: AbortSignal,
  start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
): Promise<T> {
  let onAbort: (() => void) | undefined;
  try {
    return await new Promise<T>((resolve, reject) => {
      onAbort = () => reject(abortError(signal));
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      else start(resolve, reject);
    });
  } finally {
    if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
  }
}
