// The link itself, before anything is concluded from it: each fault against a server that echoes what it reads.

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { systemClock, type Clock } from "@whither/runtime";
import { createSimulatedClock } from "@whither/testkit";
import { expect } from "chai";
import { FaultProxy } from "./fault-proxy.js";

describe("a link that fails on demand", () => {
  let server: Server;
  let proxy: FaultProxy;
  const clients: Socket[] = [];
  /** How the server's ends ended: with the client's FIN, or not. */
  let ends: Promise<"fin" | "reset">[] = [];

  beforeEach(async () => {
    ends = [];
    server = createServer({ allowHalfOpen: true }, (socket) => {
      ends.push(
        new Promise((resolve) => {
          socket.on("end", () => resolve("fin"));
          socket.on("error", () => resolve("reset"));
        }),
      );
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await proxy[Symbol.asyncDispose]();
    await new Promise((resolve) => server.close(resolve));
  });

  const start = async (clock: Clock = systemClock): Promise<void> => {
    const { port } = server.address() as AddressInfo; // it listens on TCP
    proxy = await FaultProxy.start({ upstreamPort: port, clock });
  };
  const open = async (): Promise<Socket> => {
    const client = connect({ port: proxy.port, host: "127.0.0.1", allowHalfOpen: true });
    client.on("error", () => undefined);
    clients.push(client);
    await once(client, "connect");
    return client;
  };
  /** The next so many octets; what comes after them waits. */
  const take = async (client: Socket, count: number): Promise<string> =>
    await new Promise((resolve) => {
      let text = "";
      client.on("data", function onData(chunk: Buffer) {
        text += chunk.toString("latin1");
        if (text.length < count) return;
        client.pause();
        client.off("data", onData);
        resolve(text);
      });
      client.resume();
    });
  const failureOf = async (client: Socket): Promise<string> =>
    await new Promise((resolve) => {
      client.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
      client.on("end", () => resolve("end"));
      client.resume();
    });

  it("carries everything both ways, and each end's end, while nothing is wrong", async () => {
    await start();
    const client = await open();
    const text = "whither".repeat(40_000);
    client.end(text);
    expect(await take(client, text.length)).to.equal(text);
    await proxy.until(() => proxy.open.length === 0);
    expect(await ends[0]).to.equal("fin");
    expect(proxy.connections[0]?.carried).to.deep.equal({
      toServer: text.length,
      toClient: text.length,
    });
  });

  it("delays: nothing before its time, all of it then", async () => {
    const clock = createSimulatedClock();
    await start(clock);
    const client = await open();
    proxy.fault({ kind: "delay", ms: 500 }, "toServer");
    client.write("late");
    const echoed = take(client, 4);
    await untilPending(clock);
    await clock.advance(499);
    expect(proxy.connections[0]?.carried.toServer).to.equal(0);
    await clock.advance(1);
    expect(await echoed).to.equal("late");
  });

  it("has a rate", async () => {
    const clock = createSimulatedClock();
    await start(clock);
    const client = await open();
    proxy.fault({ kind: "bandwidth", bytesPerSecond: 100 }, "toServer");
    client.write("x".repeat(100));
    for (let tenths = 1; tenths <= 10; tenths += 1) {
      await proxy.until(() => proxy.connections[0]?.carried.toServer === tenths * 10);
      await untilPending(clock);
      await clock.advance(99);
      expect(proxy.connections[0]?.carried.toServer).to.equal(tenths * 10);
      await clock.advance(1);
    }
    expect(await take(client, 100)).to.equal("x".repeat(100));
  });

  it("drips: every octet alone", async () => {
    await start();
    const client = await open();
    let passed = 0;
    proxy.fault({ kind: "drip", everyMs: 0 }, "toClient");
    client.write("drop by drop");
    for (const _octet of "drop by drop") {
      passed += 1;
      await proxy.until(() => (proxy.connections[0]?.carried.toClient ?? 0) >= passed);
      expect(proxy.connections[0]?.carried.toClient).to.equal(passed);
    }
  });

  it("holds and lets go: nothing is lost, and the connection is the same", async () => {
    await start();
    const client = await open();
    proxy.fault({ kind: "hold" });
    client.end("kept");
    const other = await open();
    other.write("too");
    await proxy.until(() => proxy.open.length === 2);
    proxy.heal();
    expect(await Promise.all([take(client, 4), take(other, 3)])).to.deep.equal(["kept", "too"]);
  });

  it("stalls after so many octets, and goes on when healed", async () => {
    await start();
    const client = await open();
    proxy.fault({ kind: "stall", afterBytes: 3 }, "toClient");
    client.write("abcdef");
    expect(await take(client, 3)).to.equal("abc");
    await proxy.until(() => proxy.connections[0]?.carried.toServer === 6);
    expect(proxy.connections[0]?.carried.toClient).to.equal(3);
    proxy.heal();
    expect(await take(client, 3)).to.equal("def");
  });

  it("swallows: the server hears nothing, and after it the connection is gone", async () => {
    await start();
    const client = await open();
    await proxy.until(() => proxy.open.length === 1);
    proxy.fault({ kind: "swallow" }, "toServer");
    client.write("lost");
    const other = await open();
    other.write("lost too");
    await new Promise((resolve) => client.write("and this", resolve));
    await proxy.until(() => proxy.connections.every(({ hasLost }) => hasLost));
    const failed = [failureOf(client), failureOf(other)];
    proxy.heal();
    expect(await Promise.all(failed)).to.deep.equal(["ECONNRESET", "ECONNRESET"]);
    expect(proxy.connections[0]?.carried).to.deep.equal({ toServer: 0, toClient: 0 });
  });

  for (const how of ["reset", "fin"] as const) {
    it(`cuts after so many octets with ${how}, at both ends`, async () => {
      await start();
      const client = await open();
      proxy.fault({ kind: "cut", afterBytes: 5, how }, "toClient");
      client.write("abcdefgh");
      expect(await take(client, 5)).to.equal("abcde");
      // libuv takes a reset right after a short read for the end of the stream.
      expect(await failureOf(client)).to.be.oneOf(how === "fin" ? ["end"] : ["ECONNRESET", "end"]);
      expect(await ends[0]).to.equal(how);
      await proxy.until(() => proxy.open.length === 0);
    });
  }

  it("cuts at once what is held", async () => {
    await start();
    const client = await open();
    proxy.fault({ kind: "hold" });
    client.write("never");
    const failed = failureOf(client);
    await proxy.until(() => proxy.open.length === 1);
    proxy.cut("reset");
    expect(await failed).to.equal("ECONNRESET");
    await proxy.until(() => proxy.open.length === 0);
  });

  it("faults one connection and not the next", async () => {
    await start();
    const [first, second] = [await open(), await open()];
    await proxy.until(() => proxy.connections.length === 2);
    proxy.connections[0]?.fault({ kind: "hold" });
    first.write("first");
    second.write("second");
    expect(await take(second, 6)).to.equal("second");
    expect(proxy.connections[0]?.carried.toServer).to.equal(0);
  });

  it("without a daemon behind it resets", async () => {
    await start();
    await new Promise((resolve) => server.close(resolve));
    const client = connect({ port: proxy.port, host: "127.0.0.1" });
    expect(await failureOf(client)).to.equal("ECONNRESET");
    server.listen(0, "127.0.0.1");
  });
});

/** Until the link waits for time to pass. */
async function untilPending(clock: { pending(): number; settle(): Promise<void> }): Promise<void> {
  while (clock.pending() === 0) await clock.settle();
}
