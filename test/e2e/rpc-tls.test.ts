// The rpc package over real sockets: who gets in, who does not, how each refusal looks to the caller,
// and that nothing stays behind when a client leaves. Certificates are made in process.
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { connect as connectHttp2 } from "node:http2";
import { expect } from "chai";
import { isDiscoveryError } from "@whither/protocol";
import type { DiscoveryError } from "@whither/protocol";
import {
  createClient,
  createGrpcTransport,
  createRpcServer,
  openChannel,
  openDuplex,
  spkiSha256OfPem,
} from "@whither/rpc";
import type { Channel, RpcServer, RpcServerOptions, TlsIdentity } from "@whither/rpc";
import { createTestCa } from "../../packages/rpc/test/certificates.js";
import type { TestCa } from "../../packages/rpc/test/certificates.js";
import { createEchoService, Echo } from "../../packages/rpc/test/echo-service.js";
import type { EchoProbe } from "../../packages/rpc/test/echo-service.js";

const host = "127.0.0.1";

interface Party {
  readonly ca: TestCa;
  readonly otherCa: TestCa;
  readonly server: TlsIdentity;
  readonly client: TlsIdentity;
  readonly foreignClient: TlsIdentity;
}

type Dial = Partial<Parameters<typeof openChannel>[0]>;

describe("rpc over TLS", () => {
  let party: Party;
  const opened: (Channel | RpcServer)[] = [];

  before(async () => {
    const ca = await createTestCa("test CA");
    const otherCa = await createTestCa("other CA");
    const names = [
      { type: "ip", value: host },
      { type: "dns", value: "dp.example" },
    ] as const;
    party = {
      ca,
      otherCa,
      server: await ca.issue(names),
      client: await ca.issue([{ type: "dns", value: "msp.example" }]),
      foreignClient: await otherCa.issue([{ type: "dns", value: "msp.example" }]),
    };
  });

  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each.close();
  });

  async function serve(options: Partial<RpcServerOptions> = {}): Promise<{
    readonly port: number;
    readonly server: RpcServer;
    readonly probe: EchoProbe;
  }> {
    const echo = createEchoService();
    const server = createRpcServer({
      identity: party.server,
      clients: { kind: "required", caPem: party.ca.caPem },
      services: [echo.service],
      ...options,
    });
    opened.push(server);
    const { port } = await server.listen({ host, port: 0 });
    return { port, server, probe: echo.probe };
  }

  function dial(port: number, options: Dial = {}) {
    const { caPem } = party.ca;
    const channel = openChannel({ host, port, caPem, identity: party.client, ...options });
    opened.push(channel);
    return { channel, client: createClient(Echo, channel) };
  }

  function dialAnonymously(port: number) {
    const channel = openChannel({ host, port, caPem: party.ca.caPem });
    opened.push(channel);
    return { channel, client: createClient(Echo, channel) };
  }

  describe("who gets in", () => {
    it("is a client with a certificate of the CA, and the handler knows which", async () => {
      const { port, probe } = await serve();
      expect((await dial(port).client.unary({ id: 4n })).id).to.equal(4n);
      const [context] = probe.contexts;
      expect(context?.peer).to.deep.include({
        kind: "certificate",
        names: ["msp.example"],
        spkiSha256: spkiSha256OfPem(party.client.certPem),
      });
      expect(context?.address).to.equal(host);
    });

    it("is anyone on a listener that asks for no certificate, who then is anonymous", async () => {
      const { port, probe } = await serve({ clients: { kind: "none" } });
      await dialAnonymously(port).client.unary({});
      await dial(port).client.unary({});
      expect(probe.contexts.map(({ peer }) => peer.kind)).to.deep.equal(["anonymous", "anonymous"]);
    });

    it("is a client that pins the server's key, with any of several pins", async () => {
      const { port } = await serve();
      const pins = [new Uint8Array(32), spkiSha256OfPem(party.server.certPem)];
      expect((await dial(port, { pins }).client.unary({ id: 1n })).id).to.equal(1n);
    });

    it("is a client that expects another name of the certificate than the address", async () => {
      const { port } = await serve();
      const { client } = dial(port, { serverName: "dp.example" });
      expect((await client.unary({ id: 1n })).id).to.equal(1n);
    });

    it("keeps identified and anonymous calls of one transport on connections apart", async () => {
      const { port, probe } = await serve({ clients: { kind: "none" } });
      const transport = createGrpcTransport({ caPem: party.ca.caPem, identity: party.client });
      const channels = (["identified", "anonymous"] as const).map((as) =>
        transport.connect({ host, port }, { as }),
      );
      opened.push(...channels);
      for (const channel of channels) await createClient(Echo, channel).unary({});
      expect(probe.contexts).to.have.length(2);
      const bare = createGrpcTransport({ caPem: party.ca.caPem });
      expect(() => bare.connect({ host, port }, { as: "identified" })).to.throw(TypeError);
    });
  });

  describe("who is refused", () => {
    it("a client that offers only TLS 1.2", async () => {
      const { port, probe } = await serve({ clients: { kind: "none" } });
      const tls = { host, port, ca: party.ca.caPem, ALPNProtocols: ["h2"] };
      expect(await tlsOutcome({ ...tls, maxVersion: "TLSv1.2" })).to.match(
        /ALERT_PROTOCOL_VERSION/,
      );
      expect(await tlsOutcome(tls)).to.equal("TLSv1.3");
      expect(probe.contexts).to.deep.equal([]);
    });

    it("a client that speaks plaintext HTTP/2", async () => {
      const { port, probe } = await serve({ clients: { kind: "none" } });
      const outcome = await new Promise<string>((resolve) => {
        const session = connectHttp2(`http://${host}:${port}`);
        session.on("error", (error: Error) => resolve(error.message));
        session.on("close", () => resolve("closed"));
        const stream = session.request({ ":method": "POST", ":path": "/whither.test.Echo/Unary" });
        stream.on("error", () => undefined);
        stream.on("response", () => resolve("answered"));
      });
      expect(outcome).to.not.equal("answered");
      expect(probe.contexts).to.deep.equal([]);
    });

    const cases: readonly (readonly [string, () => Dial, string])[] = [
      ["a certificate of a foreign CA", () => ({ identity: party.foreignClient }), "NETWORK"],
      ["trust in another CA", () => ({ caPem: party.otherCa.caPem }), "NETWORK"],
      ["another name expected", () => ({ serverName: "rest.example" }), "NETWORK"],
      ["another key pinned", () => ({ pins: [new Uint8Array(32)] }), "PIN_MISMATCH"],
      [
        "the right key pinned but another CA trusted",
        () => ({ pins: [spkiSha256OfPem(party.server.certPem)], caPem: party.otherCa.caPem }),
        "NETWORK",
      ],
    ];
    for (const [title, options, code] of cases) {
      it(`a client with ${title}: ${code}, at every call`, async () => {
        const { port, probe } = await serve();
        const { client } = dial(port, options());
        for (let call = 0; call < 2; call += 1) {
          expect(await failure(client.unary({}))).to.include({ code, upstream: `${host}:${port}` });
        }
        expect(probe.contexts).to.deep.equal([]);
      });
    }

    it("a client without a certificate: UNAUTHENTICATED", async () => {
      const { port, probe } = await serve();
      const error = await failure(dialAnonymously(port).client.unary({}));
      expect(error).to.include({ code: "UNAUTHENTICATED", upstream: `${host}:${port}` });
      expect(probe.contexts).to.deep.equal([]);
    });

    it("nobody listens: NETWORK; a wrong pin before that does not stick", async () => {
      const { port, server } = await serve();
      const { client } = dial(port, { pins: [new Uint8Array(32)] });
      expect(await failure(client.unary({}))).to.include({ code: "PIN_MISMATCH" });
      await server.close();
      const { client: late } = dial(port);
      expect(await failure(late.unary({}))).to.include({
        code: "NETWORK",
        upstream: `${host}:${port}`,
      });
    });

    it("trusts no default CA and no empty list of pins", () => {
      expect(() => openChannel({ host, port: 1, caPem: "" })).to.throw(TypeError);
      expect(() => openChannel({ host, port: 1, caPem: party.ca.caPem, pins: [] })).to.throw(
        TypeError,
      );
    });

    it("a key that is not the certificate's, before anything listens", () => {
      const identity = { certPem: party.server.certPem, keyPem: party.client.keyPem };
      const options = { identity, clients: { kind: "none" }, services: [] } as const;
      expect(() => createRpcServer(options)).to.throw("CONFIG");
    });
  });

  describe("bounds", () => {
    it("refuses messages over the limit, each way, on each side", async () => {
      const { port, probe } = await serve({ limits: { messageBytesMax: 10_000 } });
      const strict = dial(port, { messageBytesMax: 10_000 }).client;
      const lax = dial(port).client;
      const body = new Uint8Array(10_001);
      expect(await failure(strict.unary({ body })), "client").to.include({ code: "TOO_LARGE" });
      expect(await failure(lax.unary({ body })), "server").to.include({ code: "TOO_LARGE" });
      expect(probe.contexts).to.deep.equal([]);
      expect(await failure(lax.unary({ command: "big:10001" }))).to.include({ code: "TOO_LARGE" });
      expect((await lax.unary({ command: "big:9000" })).body.length).to.equal(9000);
    });

    it("does not read an answer over the client's limit", async () => {
      const { port } = await serve();
      const { client } = dial(port, { messageBytesMax: 1000 });
      expect(await failure(client.unary({ command: "big:1001" }))).to.include({
        code: "TOO_LARGE",
      });
    });

    it("refuses headers that no client of ours sends, and serves the next call", async () => {
      const { port, probe } = await serve();
      const { client } = dial(port);
      const long = new Map([["x-long", "y".repeat(20_000)]]);
      const many = new Map(
        Array.from({ length: 100 }, (_each, index) => [`x-${index}`, "y"] as const),
      );
      for (const metadata of [long, many]) {
        expect(await failure(client.unary({}, { metadata }))).to.have.property("code");
      }
      expect(probe.contexts).to.deep.equal([]);
      const short = new Map<string, string | Uint8Array>([["x-short-bin", Uint8Array.of(1, 2)]]);
      await client.unary({}, { metadata: short });
      expect(probe.contexts[0]?.metadata.get("x-short-bin")).to.deep.equal(Uint8Array.of(1, 2));
    });

    it("limits the calls one peer has open over all its connections", async () => {
      const { port } = await serve({ limits: { inFlightPerPeerMax: 2 } });
      const clients = [dial(port).client, dial(port).client];
      const controller = new AbortController();
      const { signal } = controller;
      const hanging = clients.map((client) =>
        failure(client.unary({ command: "hang" }, { signal })),
      );
      await until(async () => isDiscoveryError(await failureOf(clients[0]!.unary({})), "LIMITED"));
      controller.abort();
      for (const work of hanging) expect(await work).to.include({ code: "CANCELLED" });
      await until(async () => (await failureOf(clients[0]!.unary({}))) === undefined);
    });

    it("stops a stream whose reader is slow, and goes on when it reads", async () => {
      const { port, probe } = await serve();
      const { client } = dial(port);
      const messages = client.download({ id: 2000n, command: "big:50000" });
      expect((await messages.next()).done).to.equal(false);
      await until(() => Promise.resolve(probe.contexts.length === 1));
      let count = 1;
      for await (const { body } of messages) {
        expect(body.length).to.equal(50_000);
        count += 1;
      }
      expect(count).to.equal(2000);
    });
  });

  describe("giving up", () => {
    it("ends with DEADLINE at the client and lets go at the server", async () => {
      const { port, probe } = await serve();
      const error = await failure(dial(port).client.unary({ command: "hang" }, { timeoutMs: 100 }));
      expect(error).to.include({ code: "DEADLINE", upstream: `${host}:${port}` });
      expect(probe.contexts[0]?.deadlineMs).to.be.a("number");
      await until(() => Promise.resolve(probe.released.includes("unary")));
    });

    it("aborts the handler when the client leaves in the middle of a stream", async () => {
      const { port, probe } = await serve();
      const { client } = dial(port);
      for await (const { id } of client.download({ id: 1_000_000n })) if (id === 10n) break;
      await until(() => Promise.resolve(probe.released.includes("download")));
      expect(probe.contexts[0]?.signal.aborted).to.equal(true);
    });

    it("aborts the handler of a callback stream when the client's connection goes", async () => {
      const { port, probe } = await serve();
      const { channel } = dial(port);
      const closed: (DiscoveryError | undefined)[] = [];
      const target = { channel, method: Echo.method.exchange };
      const answered = new Promise<void>((resolve) => {
        const duplex = openDuplex(target, {
          onMessage: () => resolve(),
          onClose: (error) => closed.push(error),
        });
        duplex.send({ id: 1n, command: "linger" });
      });
      await answered;
      channel.close();
      await until(() => Promise.resolve(probe.released.includes("exchange")));
      expect(closed[0]).to.include({ code: "CANCELLED", upstream: `${host}:${port}` });
      expect(probe.contexts[0]?.signal.aborted).to.equal(true);
    });

    it("reports a server that goes away to every open call, and comes back by itself", async () => {
      const first = await serve();
      const { client } = dial(first.port);
      const work = failure(client.unary({ command: "hang" }));
      await until(() => Promise.resolve(first.probe.contexts.length === 1));
      await first.server.close();
      expect(await work).to.include({ code: "OVERLOADED", upstream: `${host}:${first.port}` });
      const second = createRpcServer({
        identity: party.server,
        clients: { kind: "required", caPem: party.ca.caPem },
        services: [createEchoService().service],
      });
      opened.push(second);
      await second.listen({ host, port: first.port });
      await until(async () => (await failureOf(client.unary({}))) === undefined);
    });

    it("drains: idle streams end, what is owed is answered, new calls are not taken", async () => {
      const { port, server } = await serve();
      const { channel, client } = dial(port);
      const open = (command: string) => {
        const answers: bigint[] = [];
        let onClose: (error: DiscoveryError | undefined) => void = () => undefined;
        const ended = new Promise<DiscoveryError | undefined>((resolve) => (onClose = resolve));
        const duplex = openDuplex(
          { channel, method: Echo.method.exchange },
          { onMessage: ({ id }) => answers.push(id), onClose: (error) => onClose(error) },
        );
        duplex.send({ id: 1n, command });
        return { answers, ended, duplex };
      };
      const idle = open("");
      const owing = open("linger");
      await until(() => Promise.resolve(idle.answers.length + owing.answers.length === 2));
      // Longer than the test may take: it must not be what ends the idle one.
      const drained = server.drain({ timeoutMs: 60_000 });
      expect(await idle.ended).to.equal(undefined);
      await until(
        async () => (await failureOf(client.unary({}, { timeoutMs: 500 }))) !== undefined,
      );
      owing.duplex.send({ id: 2n });
      owing.duplex.send({ id: 3n, command: "end" });
      expect(await owing.ended).to.equal(undefined);
      expect(owing.answers).to.deep.equal([1n, 2n]);
      await drained;
    });

    it("drains no longer than it is given", async () => {
      const { port, server, probe } = await serve();
      const work = failure(dial(port).client.unary({ command: "hang" }));
      await until(() => Promise.resolve(probe.contexts.length === 1));
      await server.drain({ timeoutMs: 50 });
      expect((await work).retryable).to.equal(true);
      expect(probe.released).to.deep.equal(["unary"]);
    });

    it("bounds the age of a connection", async () => {
      const { port } = await serve({ limits: { connectionAgeMs: 200, connectionAgeGraceMs: 50 } });
      const { channel } = dial(port);
      const target = { channel, method: Echo.method.exchange };
      const error = await new Promise<DiscoveryError | undefined>((resolve) => {
        openDuplex(target, { onMessage: () => undefined, onClose: resolve }).send({});
      });
      expect(error).to.include({ code: "NETWORK", retryable: true });
    });
  });

  describe("certificates and health", () => {
    it("shows a replaced certificate to new connections", async () => {
      const { port, server } = await serve();
      const renewed = await party.ca.issue([{ type: "ip", value: host }]);
      const pins = [spkiSha256OfPem(renewed.certPem)];
      expect(await failure(dial(port, { pins }).client.unary({}))).to.include({
        code: "PIN_MISMATCH",
      });
      server.replaceIdentity(renewed);
      await dial(port, { pins }).client.unary({});
      expect(await tlsOutcome({ host, port, ca: party.ca.caPem, maxVersion: "TLSv1.2" })).to.match(
        /ALERT_PROTOCOL_VERSION/,
      );
    });

    it("answers grpc.health.v1, as set, and NOT_SERVING once it drains", async () => {
      const { port, server } = await serve();
      const { channel } = dial(port);
      expect(await health(channel, "")).to.equal(1);
      expect(await health(channel, "whither.test.Echo")).to.equal(1);
      server.setStatus("whither.test.Echo", "NOT_SERVING");
      expect(await health(channel, "whither.test.Echo")).to.equal(2);
      expect(await failureOf(health(channel, "whither.test.Nothing"))).to.not.equal(undefined);
      expect(await failureOf(health(channel, "x".repeat(300)))).to.include({
        code: "INVALID_DATA",
      });
      server.setStatus("whither.test.Nothing", "SERVING");
      expect(await health(channel, "whither.test.Nothing"), "zones come and go").to.equal(1);
    });

    it("tells whoever watches a name of each change, and holds no drain up", async () => {
      const { port, server } = await serve();
      const { channel } = dial(port);
      const seen: number[] = [];
      let heard = (): void => undefined;
      const ended = new Promise<void>((resolve) => {
        const call = channel.start(
          "/grpc.health.v1.Health/Watch",
          {},
          {
            onMessage: (message) => {
              seen.push(message[1] ?? 0);
              heard();
            },
            onDrain: () => undefined,
            onClose: () => resolve(),
          },
        );
        const name = new TextEncoder().encode("de@dp-a.example");
        call.send(Uint8Array.from([0x0a, name.length, ...name]));
        call.halfClose();
      });
      const next = (): Promise<void> => new Promise((resolve) => (heard = resolve));
      await next();
      const [known, gone] = [next(), next];
      server.setStatus("de@dp-a.example", "SERVING");
      await known;
      const last = gone();
      server.setStatus("de@dp-a.example", "NOT_SERVING");
      await last;
      expect(seen, "unknown, serving, not serving").to.deep.equal([3, 1, 2]);
      await server.drain({ timeoutMs: 60_000 });
      await ended;
    });

    it("drops a connection that never finishes its handshake, without harm", async () => {
      const { port } = await serve();
      const socket = connectTcp({ host, port });
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.write(Buffer.from([0x16, 0x03, 0x01]));
      expect((await dial(port).client.unary({ id: 2n })).id).to.equal(2n);
      socket.destroy();
    });
  });
});

async function failureOf(work: Promise<unknown>): Promise<DiscoveryError | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (isDiscoveryError(error)) return error;
    throw error;
  }
}

async function failure(work: Promise<unknown>): Promise<DiscoveryError> {
  const error = await failureOf(work);
  if (error === undefined) throw new Error("expected a failure");
  return error;
}

/** Waits for what the other end does in its own time, but not for ever. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  const lastMs = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > lastMs) throw new Error("the other end has not done it in 10 s");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function tlsOutcome(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTls(options, () => {
      resolve(socket.getProtocol() ?? "none");
      socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** HealthCheckResponse.status over the wire: 1 SERVING, 2 NOT_SERVING (grpc.health.v1). */
function health(channel: Channel, service: string): Promise<number> {
  const name = new TextEncoder().encode(service);
  const length = name.length < 128 ? [name.length] : [(name.length & 127) | 128, name.length >> 7];
  return new Promise((resolve, reject) => {
    let status = -1;
    const call = channel.start(
      "/grpc.health.v1.Health/Check",
      {},
      {
        onMessage: (message) => (status = message[1] ?? 0),
        onDrain: () => undefined,
        onClose: (error) => (error === undefined ? resolve(status) : reject(error)),
      },
    );
    call.send(Uint8Array.from([0x0a, ...length, ...name]));
    call.halfClose();
  });
}
