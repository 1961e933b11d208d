// The one part of this that is nothing but sockets, so that it is tried on some: loopback, ports the system chose.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { expect } from "chai";
import { limits } from "@whither/protocol";
import { systemRandom } from "@whither/runtime";
import { outcomeOfLater } from "@whither/testkit";
import { createDnsExchange } from "./exchange.js";
import { framed, LoopbackNameServer } from "./scripted-dns.test.js";

const exchange = createDnsExchange(systemRandom);
const query = Buffer.from("a query");
const truth = Buffer.from("the truth");
const isResponse = (packet: Uint8Array): boolean => Buffer.from(packet).equals(truth);
const { signal } = new AbortController();

describe("packets on their way to a name server", () => {
  const open: AsyncDisposable[] = [];
  const start = async (
    script: Parameters<typeof LoopbackNameServer.start>[0],
  ): Promise<LoopbackNameServer> => {
    const server = await LoopbackNameServer.start(script);
    open.push(server);
    return server;
  };
  afterEach(async () => {
    for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
  });

  it("leave from another port each time", async () => {
    const server = await start({ udp: (_, send) => send(truth) });
    for (let turn = 0; turn < 12; turn += 1) {
      const received = await exchange.udp(server.address, query, { isResponse, signal });
      expect(Buffer.from(received)).to.deep.equal(truth);
    }
    expect(new Set(server.sources).size).to.be.at.least(11);
    expect(Math.min(...server.sources)).to.be.at.least(1_024);
  });

  it("are not answered by somebody else, by lies, or by what is larger than was asked for", async () => {
    const other = createSocket("udp4");
    other.bind(0, "127.0.0.1");
    await once(other, "listening");
    const taken: string[] = [];
    const server = await start({
      udp: (_, send, source) => {
        // First from another port, with the very octets that would be believed.
        other.send(Buffer.from("the truth"), source.port, source.host, () => {
          send(Buffer.from("a lie"));
          send(Buffer.alloc(limits.dnsUdpBytesMax + 1));
          send(Buffer.from("end"));
        });
      },
    });
    const noting = (packet: Uint8Array): boolean => {
      taken.push(Buffer.from(packet).toString());
      return taken.at(-1) === "end";
    };
    await exchange.udp(server.address, query, { isResponse: noting, signal });
    other.close();
    expect(taken).to.deep.equal(["a lie", "end"]);
  });

  it("end when too many come back that nobody asked for", async () => {
    const server = await start({
      udp: (_, send) => {
        for (let i = 0; i < limits.dnsForeignPacketsMax; i += 1) send(Buffer.from("a lie"));
      },
    });
    const outcome = outcomeOfLater(exchange.udp(server.address, query, { isResponse, signal }));
    expect(await outcome).to.equal("TOO_LARGE");
  });

  it("come back over TCP however they are cut", async () => {
    const server = await start({
      udp: () => undefined,
      tcp: (received, socket) => {
        expect(received).to.deep.equal(query);
        const octets = framed(truth);
        socket.write(octets.subarray(0, 1));
        setImmediate(() => socket.write(octets.subarray(1)));
      },
    });
    const received = await exchange.tcp(server.address, query, { isResponse, signal });
    expect(Buffer.from(received)).to.deep.equal(truth);
  });

  const failures: readonly (readonly [
    title: string,
    tcp: (socket: { write(b: Buffer): unknown; end(): unknown; destroy(): unknown }) => void,
    code: string,
  ])[] = [
    ["that closes", (socket) => socket.end(), "NETWORK"],
    ["that resets", (socket) => socket.destroy(), "NETWORK"],
    ["that answers something else", (socket) => socket.write(framed(Buffer.from("a lie"))), "NETWORK"],
    ["that announces more than may come", (socket) => socket.write(Buffer.from([0xff, 0xff])), "TOO_LARGE"],
  ]; // prettier-ignore
  for (const [title, act, code] of failures) {
    it(`fail over TCP with ${code} at a server ${title}`, async () => {
      const server = await start({ udp: () => undefined, tcp: (_, socket) => act(socket) });
      const outcome = outcomeOfLater(exchange.tcp(server.address, query, { isResponse, signal }));
      expect(await outcome).to.equal(code);
    });
  }

  it("are given up when the caller leaves, and leave no socket behind", async () => {
    const server = await start({ udp: () => undefined });
    const leaving = new AbortController();
    const options = { isResponse, signal: leaving.signal };
    const waiting = [
      outcomeOfLater(exchange.udp(server.address, query, options)),
      outcomeOfLater(exchange.tcp(server.address, query, options)),
    ];
    leaving.abort();
    expect(await Promise.all(waiting)).to.deep.equal(["CANCELLED", "CANCELLED"]);
    expect(await outcomeOfLater(exchange.udp(server.address, query, options))).to.equal(
      "CANCELLED",
    );
  });
});
