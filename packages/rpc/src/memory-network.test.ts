// All forms of handlers and clients over the simulated network: what a caller and a handler may rely on.
import { expect } from "chai";
import { isDiscoveryError } from "@whither/protocol";
import type { ErrorCode } from "@whither/protocol";
import { systemRandom } from "@whither/runtime";
import type { Logger } from "@whither/runtime";
import { createEchoService, Echo, EchoMessageSchema, secretText } from "../test/echo-service.js";
import type { EchoMessage } from "../test/echo-service.js";
import { createManualClock, settle } from "../test/manual-clock.js";
import { callRaw, createClient, openDuplex, openRawDuplex } from "./client.js";
import { decodeMessage, encodeMessage } from "./codec.js";
import { deadlineInterceptor } from "./interceptors.js";
import { createMemoryNetwork } from "./memory-network.js";
import type { MemoryServerOptions } from "./memory-network.js";
import type { TapRecord } from "./memory-faults.js";
import { implementService } from "./service.js";
import { notAvailable } from "./handlers.js";

const address = "dp.example:7354";
const partner = {
  kind: "certificate",
  spkiSha256: new Uint8Array(32).fill(7),
  names: ["msp.example"],
  certificateDer: new Uint8Array(1),
} as const;

function setUp(
  options: Partial<MemoryServerOptions> = {},
  form: Parameters<typeof createEchoService>[0] = "callback",
) {
  const clock = createManualClock();
  const network = createMemoryNetwork({ clock, random: systemRandom });
  const echo = createEchoService(form);
  const server = network.serve(address, {
    services: [echo.service],
    clients: { kind: "required" },
    ...options,
  });
  const channel = network.connect(address, { identity: partner, from: "msp" });
  return {
    clock,
    network,
    server,
    channel,
    client: createClient(Echo, channel),
    probe: echo.probe,
  };
}

async function failure(
  work: Promise<unknown>,
): Promise<{ code: ErrorCode; text: string; upstream?: string }> {
  try {
    await work;
  } catch (error) {
    if (isDiscoveryError(error)) return error;
    throw error;
  }
  throw new Error("expected a failure");
}

async function* requests(
  count: number,
  command = "",
): AsyncGenerator<{ id: bigint; command: string }> {
  for (let id = 1; id <= count; id += 1) yield await Promise.resolve({ id: BigInt(id), command });
}

async function ids(messages: AsyncIterable<EchoMessage>): Promise<number[]> {
  const result: number[] = [];
  for await (const { id } of messages) result.push(Number(id));
  return result;
}

const upTo = (count: number): number[] =>
  Array.from({ length: count }, (_each, index) => index + 1);

describe("calls of each kind", () => {
  it("answers a unary call with the decoded message", async () => {
    const { client } = setUp();
    const answer = await client.unary({ id: 5n, body: Uint8Array.of(1, 2) });
    expect(answer.id).to.equal(5n);
    expect(answer.body).to.deep.equal(Uint8Array.of(1, 2));
  });

  it("streams more messages down than any queue holds, in order", async () => {
    const { client } = setUp();
    expect(await ids(client.download({ id: 500n }))).to.deep.equal(upTo(500));
  });

  it("collects an upload", async () => {
    const { client } = setUp();
    expect((await client.upload(requests(200))).id).to.equal(20_100n);
  });

  for (const form of ["callback", "iterable", "rawCallback"] as const) {
    it(`exchanges messages in order with a handler in ${form} form`, async () => {
      const { client } = setUp({}, form);
      expect(await ids(client.exchange(requests(300)))).to.deep.equal(upTo(300));
    });
  }

  it("hands a callback client every answer and one close", async () => {
    const { channel } = setUp();
    const seen: string[] = [];
    const duplex = openDuplex(
      { channel, method: Echo.method.exchange },
      {
        onMessage: ({ id }) => seen.push(`message ${id}`),
        onClose: (error) => seen.push(`close ${error?.code ?? "OK"}`),
      },
    );
    duplex.send({ id: 1n });
    duplex.send(encodeMessage(EchoMessageSchema, { id: 2n }));
    duplex.end();
    await settle();
    expect(seen).to.deep.equal(["message 1", "message 2", "close OK"]);
    expect(duplex.send({ id: 3n }), "after the close").to.equal(false);
  });

  it("gives raw clients the bytes that were sent, unknown fields included", async () => {
    const { channel } = setUp({}, "rawCallback");
    const bytes = Uint8Array.of(8, 1, 0xf8, 0x07, 42); // id 1, unknown field 127
    const received: Uint8Array[] = [];
    const duplex = openRawDuplex(
      { channel, method: Echo.method.exchange },
      { onMessage: (message) => received.push(message), onClose: () => undefined },
    );
    duplex.send(bytes);
    await settle();
    expect(received).to.deep.equal([bytes]);
  });

  it("gives a raw unary call the encoded answer", async () => {
    const { channel } = setUp();
    const bytes = await callRaw({ channel, method: Echo.method.unary }, { id: 9n });
    expect(decodeMessage(EchoMessageSchema, bytes).id).to.equal(9n);
  });
});

describe("what a handler learns of a call", () => {
  it("sees the certificate, the method, the deadline and the metadata", async () => {
    const { client, probe, clock } = setUp();
    const metadata = new Map<string, string | Uint8Array>([["trace-bin", Uint8Array.of(1)]]);
    await client.unary({}, { timeoutMs: 500, metadata });
    const [context] = probe.contexts;
    expect(context?.peer).to.deep.equal(partner);
    expect(context?.method).to.equal("/whither.test.Echo/Unary");
    expect(context?.deadlineMs).to.equal(clock.nowMs() + 500);
    expect(context?.metadata).to.deep.equal(metadata);
    expect(context?.address).to.equal("msp");
  });

  it("sees an anonymous peer on a listener without client certificates, whoever connects", async () => {
    const { client, probe } = setUp({ clients: { kind: "none" } });
    await client.unary({});
    expect(probe.contexts[0]?.peer).to.deep.equal({ kind: "anonymous" });
  });
});

describe("failures", () => {
  it("carries code, text, advice and upstream of a handler's error", async () => {
    const { client } = setUp();
    const error = await failure(client.unary({ command: "fail" }));
    expect(error).to.include({
      code: "LIMITED",
      text: "slow down",
      retryAfterSeconds: 7,
      upstream: address,
    });
  });

  it("tells nothing of an unforeseen error and logs it without its message", async () => {
    const lines: string[] = [];
    const log = (event: string, fields?: object): void =>
      void lines.push(JSON.stringify({ event, ...fields }));
    const logger: Logger = { debug: log, info: log, warn: log, error: log, child: () => logger };
    const { client } = setUp({ logger });
    const error = await failure(client.unary({ command: "throw" }));
    expect(error).to.include({ code: "INTERNAL", text: "the server failed" });
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include("TypeError").and.include("echo-service");
    expect(lines[0]).to.not.include(secretText);
  });

  it("fails a callback stream whose handler throws", async () => {
    const { client } = setUp();
    expect(await failure(ids(client.exchange(requests(1, "throw"))))).to.include({
      code: "INTERNAL",
    });
  });

  it("passes on what arrived before a stream fails", async () => {
    const { client } = setUp({}, "iterable");
    async function* two() {
      yield* requests(2);
      yield* requests(1, "fail");
    }
    const seen: bigint[] = [];
    const error = await failure(
      (async () => {
        for await (const { id } of client.exchange(two())) seen.push(id);
      })(),
    );
    expect(seen).to.deep.equal([1n, 2n]);
    expect(error.code).to.equal("LIMITED");
  });

  for (const [title, bytes] of [
    ["truncated bytes", Uint8Array.of(0x12, 5, 1)],
    ["a varint without end", new Uint8Array(11).fill(0xff)],
  ] as const) {
    it(`refuses ${title} as INVALID_DATA`, async () => {
      const { client } = setUp();
      expect(await failure(client.unary(bytes))).to.include({ code: "INVALID_DATA" });
      expect(await failure(ids(client.download(bytes)))).to.include({ code: "INVALID_DATA" });
    });
  }

  it("refuses two requests, and none, to a unary method", async () => {
    const { channel } = setUp();
    for (const count of [0, 2]) {
      const error = await new Promise((resolve) => {
        const call = channel.start(
          "/whither.test.Echo/Unary",
          {},
          {
            onMessage: () => undefined,
            onDrain: () => undefined,
            onClose: resolve,
          },
        );
        for (let sent = 0; sent < count; sent += 1) call.send(new Uint8Array());
        call.halfClose();
      });
      expect(error, `${count} requests`).to.include({ code: "INVALID_DATA" });
    }
  });

  it("answers NOT_AVAILABLE for a method left out and one never heard of", async () => {
    const clock = createManualClock();
    const network = createMemoryNetwork({ clock, random: systemRandom });
    const service = implementService(Echo, {
      unary: notAvailable,
      download: notAvailable,
      upload: notAvailable,
      exchange: notAvailable,
    });
    network.serve(address, { services: [service], clients: { kind: "none" } });
    const channel = network.connect(address);
    expect(await failure(createClient(Echo, channel).unary({}))).to.include({
      code: "NOT_AVAILABLE",
    });
    network.serve("empty.example:1", { services: [], clients: { kind: "none" } });
    const other = createClient(Echo, network.connect("empty.example:1"));
    expect(await failure(other.unary({}))).to.include({ code: "NOT_AVAILABLE" });
  });

  it("bounds messages both ways", async () => {
    const { client } = setUp({ limits: { messageBytesMax: 1000 } });
    expect((await client.unary({ command: "big:900" })).body.length).to.equal(900);
    expect(await failure(client.unary({ command: "big:1001" }))).to.include({ code: "TOO_LARGE" });
    const body = new Uint8Array(1001);
    expect(await failure(client.unary({ body }))).to.include({ code: "TOO_LARGE" });
  });
});

describe("giving up", () => {
  it("ends with DEADLINE on both sides, and the handler lets go", async () => {
    const { client, clock, probe } = setUp();
    const work = failure(client.unary({ command: "hang" }, { timeoutMs: 300 }));
    await clock.advance(299);
    expect(probe.released).to.deep.equal([]);
    await clock.advance(1);
    expect(await work).to.include({ code: "DEADLINE", upstream: address });
    await settle();
    expect(probe.released).to.deep.equal(["unary"]);
  });

  it("tells an abort from a timeout by the signal's reason", async () => {
    const { client } = setUp();
    const controller = new AbortController();
    const aborted = failure(client.unary({ command: "hang" }, { signal: controller.signal }));
    await settle();
    controller.abort();
    expect(await aborted).to.include({ code: "CANCELLED", upstream: address });
    const late = new AbortController();
    late.abort(new DOMException("late", "TimeoutError"));
    expect(await failure(client.unary({}, { signal: late.signal }))).to.include({
      code: "DEADLINE",
    });
  });

  it("stops a server stream when its reader leaves the loop", async () => {
    const { client, probe } = setUp();
    for await (const { id } of client.download({ id: 1_000_000n })) if (id === 3n) break;
    await settle();
    expect(probe.released).to.deep.equal(["download"]);
  });

  it("aborts a callback handler's signal when the client cancels", async () => {
    const { channel, probe } = setUp();
    const duplex = openDuplex(
      { channel, method: Echo.method.exchange },
      { onMessage: () => undefined, onClose: () => undefined },
    );
    duplex.send({ id: 1n });
    await settle();
    duplex.cancel();
    await settle();
    expect(probe.released).to.deep.equal(["exchange"]);
  });

  it("bounds unary calls in time whatever the client allows", async () => {
    const clock = createManualClock();
    const network = createMemoryNetwork({ clock, random: systemRandom });
    const echo = createEchoService();
    network.serve(address, {
      services: [echo.service],
      clients: { kind: "none" },
      interceptors: [deadlineInterceptor({ clock, unaryTimeoutMsMax: 1000 })],
    });
    const work = failure(createClient(Echo, network.connect(address)).unary({ command: "hang" }));
    await clock.advance(1000);
    expect(await work).to.include({ code: "DEADLINE" });
  });

  it("closes a server: calls end with OVERLOADED, handlers end, the address is free", async () => {
    const { client, server, network, probe } = setUp();
    const work = failure(client.unary({ command: "hang" }));
    await settle();
    await server.close();
    expect(probe.released).to.deep.equal(["unary"]);
    expect(await work).to.include({ code: "OVERLOADED" });
    expect(await failure(client.unary({}))).to.include({ code: "NETWORK" });
    network.serve(address, { services: [], clients: { kind: "none" } });
  });

  it("closes a server: a stream that owes nothing ends well, one that owes something with OVERLOADED", async () => {
    const { channel, server } = setUp();
    const ends: (ErrorCode | undefined)[] = [];
    for (const command of ["", "linger"]) {
      const duplex = openDuplex(
        { channel, method: Echo.method.exchange },
        { onMessage: () => undefined, onClose: (error) => ends.push(error?.code) },
      );
      duplex.send({ id: 1n, command });
    }
    await settle();
    await server.close();
    await settle();
    expect(ends).to.deep.equal([undefined, "OVERLOADED"]);
  });
});

describe("faults of the simulated network", () => {
  it("delays each way and keeps order", async () => {
    const { client, clock, network } = setUp();
    network.setFaults({ to: address }, { delayMs: { min: 10, max: 200 } });
    const work = ids(client.exchange(requests(20)));
    await clock.advance(19);
    await clock.advance(1000);
    expect(await work).to.deep.equal(upTo(20));
  });

  it("refuses and cuts calls while partitioned, and heals", async () => {
    const { client, network } = setUp();
    const open = failure(client.unary({ command: "hang" }));
    await settle();
    network.setFaults({ from: "msp", to: address }, { partition: "refused" });
    expect(await open).to.include({ code: "NETWORK", upstream: address });
    expect(await failure(client.unary({}))).to.include({ code: "NETWORK" });
    network.setFaults({ from: "msp", to: address }, undefined);
    expect((await client.unary({ id: 1n })).id).to.equal(1n);
  });

  for (const faults of [{ partition: "silent" }, { dropRate: 1 }] as const) {
    it(`leaves a call to its deadline with ${JSON.stringify(faults)}`, async () => {
      const { client, clock, network } = setUp();
      network.setFaults({}, faults);
      const work = failure(client.unary({}, { timeoutMs: 100 }));
      await clock.advance(100);
      expect(await work).to.include({ code: "DEADLINE" });
    });
  }

  it("delivers what a silent link has held when it heals, and gives the connection up after 80 s", async () => {
    const { client, clock, network } = setUp();
    network.setFaults({}, { partition: "silent" });
    const held = client.unary({ id: 1n });
    await clock.advance(79_000);
    network.setFaults({}, undefined);
    expect((await held).id).to.equal(1n);
    network.setFaults({}, { partition: "silent" });
    const lost = failure(client.unary({ id: 2n }));
    await clock.advance(80_000);
    expect(await lost).to.include({ code: "NETWORK" });
  });

  it("delivers a unary call twice where told, and gives one answer", async () => {
    const { client, clock, network, probe } = setUp();
    network.setFaults({}, { duplicateRate: 1 });
    expect((await client.unary({ id: 1n })).id).to.equal(1n);
    expect(probe.contexts).to.have.length(1);
    await clock.advance(5_000);
    expect(probe.contexts).to.have.length(2);
  });

  it("ends the calls of a server that is killed, and another takes its address", async () => {
    const { client, network, server } = setUp();
    const open = failure(client.unary({ command: "hang" }));
    await settle();
    server.kill();
    expect(await open).to.include({ code: "NETWORK", upstream: address });
    expect(await failure(client.unary({}))).to.include({ code: "NETWORK" });
    const { service } = createEchoService();
    network.serve(address, { services: [service], clients: { kind: "required" } });
    expect((await client.unary({ id: 3n })).id).to.equal(3n);
  });

  it("tells of a server killed behind a silent link only when the link heals", async () => {
    const { client, clock, network, server } = setUp();
    const outcome: string[] = [];
    const open = failure(client.unary({ command: "hang" })).then(({ code }) => outcome.push(code));
    await settle();
    network.setFaults({}, { partition: "silent" });
    server.kill();
    await clock.advance(10_000);
    expect(outcome).to.deep.equal([]);
    network.setFaults({}, undefined);
    await open;
    expect(outcome).to.deep.equal(["NETWORK"]);
  });

  it("lets a test change what arrives, without touching what was sent", async () => {
    const { client, network } = setUp();
    network.setFaults(
      {},
      {
        tamper: (bytes, { direction }) => {
          if (direction === "response") bytes.fill(0xff);
          return bytes;
        },
      },
    );
    expect(await failure(client.unary({ id: 1n }))).to.include({
      code: "INVALID_DATA",
      upstream: address,
    });
  });

  it("records all that each end received, and no more once the tap is off", async () => {
    const { client, network } = setUp();
    const records: TapRecord[] = [];
    const stop = network.tap((record) => records.push(record));
    await client.unary({ id: 3n });
    stop();
    await client.unary({ id: 4n });
    expect(
      records.map(({ kind, direction, from, to }) => [kind, direction, from, to]),
    ).to.deep.equal([
      ["open", "request", "msp", address],
      ["message", "request", "msp", address],
      ["message", "response", "msp", address],
    ]);
    const [, request] = records;
    expect(request).to.have.property("bytes").that.deep.equals(Uint8Array.of(8, 3));
  });

  it("checks pins and client certificates as a handshake would", async () => {
    const spkiSha256 = new Uint8Array(32).fill(1);
    const { network } = setUp({ spkiSha256 });
    const good = network.transport({ identity: partner });
    const endpoint = { host: "dp.example", port: 7354 };
    const call = (pins: Uint8Array[], as: "identified" | "anonymous") =>
      createClient(Echo, good.connect({ ...endpoint, pins }, { as })).unary({});
    await call([new Uint8Array(32), spkiSha256], "identified");
    expect(await failure(call([new Uint8Array(32)], "identified"))).to.include({
      code: "PIN_MISMATCH",
      upstream: address,
    });
    expect(await failure(call([spkiSha256], "anonymous"))).to.include({ code: "UNAUTHENTICATED" });
    expect(() => network.connect(address, { pins: [] })).to.throw(TypeError);
  });
});
