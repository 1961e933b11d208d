// A name server for tests: records in presentation-like tables, lies on demand, over a scripted exchange on the
// simulated clock or over sockets on loopback.

import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { decode, encode, type Answer } from "dns-packet";
import { DiscoveryError } from "@whither/protocol";
import { abortError, formatHostPort, type HostPort } from "@whither/runtime";
import type { DnsExchange } from "./exchange.js";

/** Parameters of an SVCB record by number, as octets. */
export type Params = readonly (readonly [key: number, value: readonly number[]])[];

export function svcbRdata(priority: number, target: string, params: Params = []): Buffer {
  const labels = target === "." ? [] : target.split(".");
  return Buffer.from([
    priority >> 8,
    priority & 0xff,
    ...labels.flatMap((label) => [label.length, ...Buffer.from(label, "latin1")]),
    0,
    ...params.flatMap(([key, value]) => [
      ...[key >> 8, key & 0xff, value.length >> 8, value.length & 0xff],
      ...value,
    ]),
  ]);
}

export const port = (n: number): readonly [3, readonly number[]] => [3, [n >> 8, n & 0xff]];

type Named = readonly [name: string, ttl: number, type: string, data: unknown];
/** `["_whither._tcp.example.org", 300, "SVCB", svcbRdata(1, "a.example", [port(7363)])]` */
export type Zone = readonly Named[];

/** A packet for each packet; undefined for silence. */
export type Handler = (query: Buffer) => Buffer | undefined;

const soaMinimum = 60;

export function answersOf(zone: Zone): Handler {
  return (query) => {
    const message = decode(query);
    const [question] = message.questions ?? [];
    if (question === undefined) return undefined;
    const type: string = question.type;
    const answers: Answer[] = [];
    let name = question.name.toLowerCase();
    for (let hops = 0; hops < 20; hops += 1) {
      const alias = zone.find(([owner, , kind]) => owner === name && kind === "CNAME");
      const found = zone.filter(([owner, , kind]) => owner === name && wireType(kind) === type);
      const rows = alias === undefined ? found : [alias];
      for (const [owner, ttl, kind, data] of rows) {
        answers.push({ name: owner, ttl, type: wireType(kind), class: "IN", data } as Answer); // of the table
      }
      if (alias === undefined) break;
      name = String(alias[3]);
    }
    const soa: Answer = {
      name: "example.org",
      type: "SOA",
      ttl: 3_600,
      data: {
        mname: "ns.example.org",
        rname: "hostmaster.example.org",
        serial: 1,
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: soaMinimum,
      },
    };
    const isKnown = answers.length > 0 || zone.some(([owner]) => owner === name);
    return encode({
      type: "response",
      id: message.id ?? 0,
      flags: isKnown ? 0 : 3,
      questions: [{ name: question.name, type: question.type }],
      answers,
      authorities: answers.length > 0 ? [] : [soa],
    });
  };
}

function wireType(kind: string): string {
  return kind === "SVCB" ? "UNKNOWN_64" : kind;
}

export interface Asked {
  readonly server: string;
  readonly transport: "udp" | "tcp";
  readonly name: string;
  readonly type: string;
  readonly packet: Buffer;
}

/** An exchange without a network. What `udp` returns may be several packets: those before the last are forged. */
export function scriptedExchange(script: {
  readonly udp: (query: Buffer, server: HostPort) => readonly Buffer[] | undefined;
  readonly tcp?: Handler;
}): { readonly exchange: DnsExchange; readonly asked: Asked[] } {
  const asked: Asked[] = [];
  const note = (server: HostPort, transport: "udp" | "tcp", packet: Uint8Array): Buffer => {
    const query = Buffer.from(packet);
    const [question] = decode(query).questions ?? [];
    const type = (question?.type ?? "").replace("UNKNOWN_64", "SVCB");
    const { name = "" } = question ?? {};
    asked.push({ server: formatHostPort(server), transport, name, type, packet: query });
    return query;
  };
  const silence = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(abortError(signal)), { once: true });
    });
  const exchange: DnsExchange = {
    udp: async (server, packet, { isResponse, signal }) => {
      const packets = script.udp(note(server, "udp", packet), server) ?? [];
      return packets.find((one) => isResponse(one)) ?? (await silence(signal));
    },
    tcp: async (server, packet, { isResponse, signal }) => {
      const response = script.tcp?.(note(server, "tcp", packet));
      if (response === undefined) return await silence(signal);
      if (isResponse(response)) return response;
      throw new DiscoveryError("NETWORK", "no response to the question");
    },
  };
  return { exchange, asked };
}

/** UDP and TCP on one loopback port. */
export class LoopbackNameServer implements AsyncDisposable {
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #open = new Set<Socket>();
  readonly address: HostPort;
  /** Ports that questions came from. */
  readonly sources: number[] = [];

  private constructor(udp: UdpSocket, tcp: Server) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.address = { host: "127.0.0.1", port: udp.address().port };
    tcp.on("connection", (socket) => {
      this.#open.add(socket);
      socket.on("error", () => undefined);
    });
  }

  static async start(script: {
    /** Sends what it likes, from this server or from elsewhere. */
    readonly udp: (query: Buffer, send: (packet: Buffer) => void, source: HostPort) => void;
    readonly tcp?: (query: Buffer, socket: Socket) => void;
  }): Promise<LoopbackNameServer> {
    const udp = createSocket("udp4");
    udp.bind(0, "127.0.0.1");
    await once(udp, "listening");
    const tcp = createServer((socket) => {
      socket.on("data", (chunk) => script.tcp?.(chunk.subarray(2), socket));
    });
    tcp.listen(udp.address().port, "127.0.0.1");
    await once(tcp, "listening");
    const server = new LoopbackNameServer(udp, tcp);
    udp.on("message", (query, { address, port: source }) => {
      server.sources.push(source);
      script.udp(query, (packet) => udp.send(packet, source, address), {
        host: address,
        port: source,
      });
    });
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#tcp.close(resolve));
    await new Promise<void>((resolve) => this.#udp.close(() => resolve()));
  }
}

export function framed(packet: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length, 0);
  return Buffer.concat([length, packet]);
}
