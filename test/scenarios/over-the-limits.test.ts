// Clients that ask for too much, wrongly, or leave: coded errors, resources given back, and nobody else
// notices.

import { expect } from "chai";
import { isDiscoveryError, limits, parseCsi } from "@whither/protocol";
import type { AdmissionLimits } from "@whither/authority";
import { createClient, fromErrorDetail, openDuplex, type Channel } from "@whither/rpc";
import { createFederation, peerNamed, type DpSpec, type Federation } from "@whither/testkit";
import { Discovery, Registrar, Zone } from "@whither/wire";
import { joinElements, loadSodiumVoprf } from "@whither/crypto/node";
import { bothWays, codeOf, failureOf, outcomeOf } from "./both-ways.js";

const alice = parseCsi("+4930123456");
const zone = "de@dp-a.example";
const clientAddress = "dp-a.example:7354";
const publicAddress = "dp-a.example:7364";
const sodium = await loadSodiumVoprf();

async function start(admission: Partial<AdmissionLimits> = {}): Promise<Federation> {
  const dps: readonly DpSpec[] = [{ id: "dp-a.example", zones: ["de"], limits: admission }];
  const federation = await createFederation({
    seed: 51,
    dps,
    prefixes: [`"tel:+49": { zones: [${zone}] }`],
  });
  await federation.register({ csi: alice, msps: ["wire.example"] });
  await federation.publish();
  return federation;
}

function connect(federation: Federation, name = "somebody"): Channel & Disposable {
  return federation.network.connect(clientAddress, { identity: peerNamed(name), from: name });
}

function blinded(federation: Federation, count: number): Uint8Array {
  const inputs = Array.from({ length: count }, (_, n) => new TextEncoder().encode(`input ${n}`));
  const { blinded: elements } = sodium.blind(inputs.slice(0, 1), (n) => federation.random.bytes(n));
  return joinElements(Array.from({ length: count }, () => elements[0]!));
}

/** After what has just happened everybody else is served as before. */
async function servesOthers(federation: Federation): Promise<void> {
  for (const mirror of [true, false]) {
    const resolver = await federation.resolver({ mirror, client: "wire.example" });
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
  }
}

interface Fields {
  readonly zone?: string;
  readonly kid?: Uint8Array;
  readonly blinded: Uint8Array;
}

describe("an Evaluate that is wrong", () => {
  const identity = new Uint8Array(32);
  const noncanonical = new Uint8Array(32).fill(255);
  const negative = Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 1 : 0));
  const cases: readonly (readonly [string, string, (f: Federation) => Fields])[] = [
    ["of 513 elements", "TOO_LARGE", (f) => ({ blinded: blinded(f, 513) })],
    ["of no element", "INVALID_DATA", () => ({ blinded: new Uint8Array() })],
    ["of half an element", "INVALID_DATA", (f) => ({ blinded: blinded(f, 1).slice(16) })],
    ["of an element and a half", "INVALID_DATA", (f) => ({ blinded: blinded(f, 2).slice(16) })],
    ["of the identity", "INVALID_ELEMENT", () => ({ blinded: identity })],
    ["of what is no canonical element", "INVALID_ELEMENT", () => ({ blinded: noncanonical })],
    ["of a negative field element", "INVALID_ELEMENT", () => ({ blinded: negative })],
    [
      "with the identity among 512",
      "INVALID_ELEMENT",
      (f) => ({ blinded: joinElements([...splitFirst(blinded(f, 511)), identity]) }),
    ],
    ["for another kid", "UNKNOWN_KID", (f) => ({ kid: new Uint8Array(4), blinded: blinded(f, 1) })],
    [
      "for a kid of 3 bytes",
      "UNKNOWN_KID",
      (f) => ({ kid: new Uint8Array(3), blinded: blinded(f, 1) }),
    ],
    [
      "for a zone of nobody",
      "NOT_AUTHORITATIVE",
      (f) => ({ zone: "x@dp-a.example", blinded: blinded(f, 1) }),
    ],
  ];
  for (const [title, code, fields] of cases) {
    it(`${title}: ${code}, unary and on a stream`, async () => {
      await using federation = await start();
      const { kid } = federation.zone(zone).mapping.head();
      const request = { zone, kid, ...fields(federation) };
      using channel = connect(federation);
      const client = createClient(Discovery, channel);
      expect(await codeOf(client.evaluate(request))).to.equal(code);
      // One wrong request on a stream fails alone: the right one beside it is answered.
      const answers = new Map<bigint, string>();
      const stream = openDuplex(
        { channel, method: Discovery.method.exchange },
        {
          onMessage: ({ id, response }) =>
            void answers.set(
              id,
              response.case === "error"
                ? fromErrorDetail(response.value, clientAddress).code
                : "ok",
            ),
          onClose: () => undefined,
        },
      );
      stream.send({ id: 1n, request: { case: "evaluate", value: request } });
      const right = { zone, kid, blinded: blinded(federation, 1) };
      stream.send({ id: 2n, request: { case: "evaluate", value: right } });
      for (let turn = 0; answers.size < 2 && turn < 100; turn++) await federation.clock.advance(0);
      expect(answers.get(1n)).to.equal(code);
      expect(answers.get(2n)).to.equal("ok");
      stream.cancel();
      await servesOthers(federation);
    });
  }
});

function splitFirst(joined: Uint8Array): readonly Uint8Array[] {
  return Array.from({ length: joined.length / 32 }, (_, at) => joined.slice(at * 32, at * 32 + 32));
}

describe("a question on the public port that is wrong", () => {
  it("about buckets and bodies", async () => {
    await using federation = await start();
    const { kid } = federation.zone(zone).mapping.head();
    using channel = federation.network.connect(publicAddress);
    const client = createClient(Zone, channel);
    const bucket = { zone, kid, b: 0, prefix: new Uint8Array(16) };
    const hash = new Uint8Array(32);
    const cases = [
      [client.bucket({ ...bucket, b: 3 }), "DEPTH_CHANGED"],
      [client.bucket({ ...bucket, kid: new Uint8Array(4) }), "UNKNOWN_KID"],
      [client.bucket({ ...bucket, prefix: new Uint8Array(15) }), "INVALID_DATA"],
      [client.bucket({ ...bucket, prefix: new Uint8Array(16).fill(1) }), "INVALID_DATA"],
      [client.bucket({ ...bucket, zone: "x@dp-a.example" }), "NOT_AUTHORITATIVE"],
      [client.bodies({ zone, vhashes: hash }), "UNKNOWN_BODY"],
      [client.bodies({ zone, vhashes: new Uint8Array(33) }), "INVALID_DATA"],
      [client.bodies({ zone, vhashes: new Uint8Array() }), "INVALID_DATA"],
      [client.bodies({ zone, vhashes: new Uint8Array(32 * 129) }), "TOO_LARGE"],
      [client.getManifest({ zone, manifestSha256: hash }), "NOT_AUTHORITATIVE"],
      [client.getHead({ zone: "x@dp-a.example" }), "NOT_AUTHORITATIVE"],
      [client.getHead({ zone: "not a zone" }), "NOT_AUTHORITATIVE"],
    ] as const;
    for (const [call, code] of cases) expect(await codeOf(call)).to.equal(code);
    await servesOthers(federation);
  });

  it("has no door to what is not public", async () => {
    await using federation = await start();
    const { kid } = federation.zone(zone).mapping.head();
    using channel = federation.network.connect(publicAddress, {
      identity: peerNamed("wire.example"),
    });
    const request = { zone, kid, blinded: blinded(federation, 1) };
    expect(await codeOf(createClient(Discovery, channel).evaluate(request))).to.equal(
      "NOT_AVAILABLE",
    );
    expect(await codeOf(createClient(Registrar, channel).begin({ zone }))).to.equal(
      "NOT_AVAILABLE",
    );
  });
});

describe("a client without a certificate", () => {
  it("UNAUTHENTICATED: nothing is evaluated and nothing registered", async () => {
    await using federation = await start();
    const { kid } = federation.zone(zone).mapping.head();
    using channel = federation.network.connect(clientAddress);
    const request = { zone, kid, blinded: blinded(federation, 1) };
    expect(await codeOf(createClient(Discovery, channel).evaluate(request))).to.equal(
      "UNAUTHENTICATED",
    );
    expect(await codeOf(createClient(Registrar, channel).begin({ zone }))).to.equal(
      "UNAUTHENTICATED",
    );
  });

  bothWays(
    "UNAUTHENTICATED: a resolver says so before it asks anything of the DP",
    async (mirror) => {
      await using federation = await start();
      const resolver = await federation.resolver({ mirror, certificate: false });
      expect(await outcomeOf(resolver, alice)).to.equal("UNAUTHENTICATED");
    },
  );

  bothWays(
    "PIN_MISMATCH: a server with another key than the directory's is not asked",
    async (mirror) => {
      await using federation = await start();
      const resolver = await federation.resolver({ mirror });
      await federation.dp("dp-a.example").stop();
      const heard: string[] = [];
      federation.tap((record) => heard.push(record.to));
      const impostor = { spkiSha256: new Uint8Array(32).fill(7), services: [] };
      const servers = [
        federation.network.serve(clientAddress, { ...impostor, clients: { kind: "required" } }),
        federation.network.serve(publicAddress, { ...impostor, clients: { kind: "none" } }),
      ];
      expect(await outcomeOf(resolver, alice)).to.equal("PIN_MISMATCH");
      expect(heard.filter((to) => to.startsWith("dp-a"))).to.deep.equal([]);
      for (const server of servers) await server.close();
      await federation.dp("dp-a.example").start();
      await federation.clock.advance(6_000);
      expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
    },
  );
});

describe("a message over the limit", () => {
  it("TOO_LARGE: 4 MiB and a byte, of any request", async () => {
    await using federation = await start();
    using channel = connect(federation);
    const { kid } = federation.zone(zone).mapping.head();
    const huge = new Uint8Array(limits.messageBytesMax + 1);
    const request = { zone, kid, blinded: huge };
    expect(await codeOf(createClient(Discovery, channel).evaluate(request))).to.equal("TOO_LARGE");
    const registering = createClient(Registrar, channel).register({
      zone,
      csi: alice,
      opening: huge,
    });
    expect(await codeOf(registering)).to.equal("TOO_LARGE");
    await servesOthers(federation);
  });

  it("TOO_LARGE: a statement, mapping or credential that would fit no slot", async () => {
    await using federation = await start();
    using channel = connect(federation);
    const client = createClient(Registrar, channel);
    const big = { payload: new Uint8Array(16_385).fill(1), signatures: [] };
    const small = { payload: new Uint8Array(10).fill(1), signatures: [] };
    const opening = new Uint8Array(32);
    const forms = [{ statement: big }, { statement: small, mapping: big }];
    for (const value of forms) {
      const message = {
        zone,
        csi: alice,
        opening,
        credential: small,
        slot: { case: "public", value },
      } as const;
      expect(await codeOf(client.register(message))).to.equal("TOO_LARGE");
    }
    await servesOthers(federation);
  });

  bothWays("a DP that answers with more than a query may cost: TOO_LARGE", async (mirror) => {
    await using federation = await start();
    const resolver = await federation.resolver({ mirror });
    federation.tamper("dp-a.example", {
      bodies: (answer) => ({
        ...answer,
        bodies: [...answer.bodies, new Uint8Array(2 * 1024 * 1024)],
      }),
    });
    // Over the bound of an anonymous answer: cut off as it arrives, before it is anybody's to read.
    expect(await outcomeOf(resolver, alice)).to.equal("TOO_LARGE");
    federation.tamper("dp-a.example", undefined);
    await federation.clock.advance(6_000);
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
  });
});

describe("a client that reaches its limits", () => {
  it("LIMITED with a time to come back, in requests; another client is not concerned", async () => {
    await using federation = await start({ requestsPerSecond: 1, requestsBurst: 5 });
    using channel = connect(federation);
    const client = createClient(Registrar, channel);
    for (let n = 0; n < 5; n++) await client.begin({ zone });
    const error = await failureOf(client.begin({ zone }));
    expect(isDiscoveryError(error, "LIMITED") && error.retryAfterSeconds).to.equal(1);
    using other = connect(federation, "another");
    expect(await codeOf(createClient(Registrar, other).begin({ zone }))).to.equal("ok");
    await federation.clock.advance(1_000);
    expect(await codeOf(client.begin({ zone }))).to.equal("ok");
    expect(await codeOf(client.begin({ zone }))).to.equal("LIMITED");
    expect(federation.dp("dp-a.example").provider.admission.refusals().requests).to.equal(2);
  });

  it("LIMITED in new contacts, the class of a client and of an MSP apart", async () => {
    await using federation = await start({ clientContactsBurst: 10, clientContactsPerDay: 86_400 });
    const { kid } = federation.zone(zone).mapping.head();
    using channel = connect(federation);
    const client = createClient(Discovery, channel);
    const ask = (count: number) =>
      client.evaluate({ zone, kid, blinded: blinded(federation, count) });
    expect(await codeOf(ask(10))).to.equal("ok");
    expect(await codeOf(ask(1))).to.equal("LIMITED");
    using msp = connect(federation, "wire.example");
    const theirs = createClient(Discovery, msp);
    expect(
      await codeOf(theirs.evaluate({ zone, kid, blinded: blinded(federation, 100) })),
    ).to.equal("ok");
    await federation.clock.advance(3_000);
    expect(await codeOf(ask(3))).to.equal("ok");
    expect(await codeOf(ask(1))).to.equal("LIMITED");
  });

  it("LIMITED in CPU time, reserved before the work and settled after it", async () => {
    await using federation = await start({ cpuMsPerSecond: 10, cpuBurstMs: 300 });
    const { kid } = federation.zone(zone).mapping.head();
    using channel = connect(federation);
    const client = createClient(Discovery, channel);
    const ask = (count: number) =>
      client.evaluate({ zone, kid, blinded: blinded(federation, count) });
    expect(await codeOf(ask(512))).to.equal("ok"); // takes 128 ms
    expect(await codeOf(ask(512))).to.equal("LIMITED");
    expect(await codeOf(ask(1))).to.equal("ok");
    await federation.clock.advance(13_000);
    expect(await codeOf(ask(512))).to.equal("ok");
    expect(federation.dp("dp-a.example").provider.admission.refusals().cpu).to.equal(1);
  });

  it("LIMITED in bytes on the public port, by address", async () => {
    await using federation = await start({ publicBytesPerMinute: 20_000 });
    const { kid } = federation.zone(zone).mapping.head();
    const bucket = { zone, kid, b: 0, prefix: new Uint8Array(16) };
    using channel = federation.network.connect(publicAddress, { from: "192.0.2.1" });
    const client = createClient(Zone, channel);
    const outcomes: string[] = [];
    for (let n = 0; n < 7; n++) outcomes.push(await codeOf(client.bucket(bucket)));
    // The answer that goes over is a debt: refusing it after the work would make the work free.
    expect(outcomes).to.deep.equal(["ok", "ok", "ok", "ok", "ok", "LIMITED", "LIMITED"]);
    using other = federation.network.connect(publicAddress, { from: "198.51.100.1" });
    expect(await codeOf(createClient(Zone, other).bucket(bucket))).to.equal("ok");
  });

  bothWays(
    "LIMITED: a resolver says so, remembers nothing wrong, and goes on in time",
    async (mirror) => {
      await using federation = await start({
        clientContactsBurst: 1,
        clientContactsPerDay: 86_400,
      });
      const resolver = await federation.resolver({ mirror });
      expect(await outcomeOf(resolver, parseCsi("+4930123457"))).to.equal("none");
      expect(await outcomeOf(resolver, alice)).to.equal("LIMITED");
      await federation.clock.advance(1_000);
      expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
    },
  );
});

describe("a client that leaves", () => {
  it("in the middle of a stream: its work is dropped, its places are free again", async () => {
    await using federation = await start();
    const { kid } = federation.zone(zone).mapping.head();
    for (let round = 0; round < 3; round++) {
      using channel = connect(federation);
      const streams = Array.from({ length: limits.inFlightPerPeerMax }, () =>
        openDuplex(
          { channel, method: Discovery.method.exchange },
          { onMessage: () => undefined, onClose: () => undefined },
        ),
      );
      for (const stream of streams) {
        const value = { zone, kid, blinded: blinded(federation, 1) };
        stream.send({ id: 1n, request: { case: "evaluate", value } });
      }
      // All places are taken …
      const client = createClient(Registrar, channel);
      await federation.clock.settle();
      expect(await codeOf(client.begin({ zone }))).to.be.oneOf(["LIMITED", "OVERLOADED"]);
      for (const stream of streams) stream.cancel();
      await federation.clock.settle();
      // … and given back.
      expect(await codeOf(client.begin({ zone }))).to.equal("ok");
      await federation.clock.advance(10_000);
    }
    await servesOthers(federation);
  });

  it("before its registration is decided: nothing is written behind its back", async () => {
    await using federation = await start();
    const controller = new AbortController();
    const csi = parseCsi("+4930999999");
    federation.network.setFaults({ from: "app", to: clientAddress }, { delayMs: 50 });
    const registering = codeOf(
      federation.register({ csi, msps: ["wire.example"], signal: controller.signal }),
    );
    await federation.clock.advance(60);
    controller.abort();
    await federation.clock.advance(1_000);
    expect(await registering).to.equal("CANCELLED");
    federation.network.setFaults({ from: "app", to: clientAddress }, undefined);
    const { mapSize } = federation.zone(zone).mapping.head();
    await federation.publish();
    expect(federation.zone(zone).mapping.head().mapSize).to.equal(mapSize);
    await federation.register({ csi, msps: ["wire.example"] });
    await federation.publish();
    const resolver = await federation.resolver();
    expect(await outcomeOf(resolver, csi)).to.equal("found wire.example");
  });

  bothWays("a lookup: CANCELLED at once, and the next one is answered", async (mirror) => {
    await using federation = await start();
    const resolver = await federation.resolver({ mirror });
    federation.network.setFaults({ to: clientAddress }, { delayMs: 2_000 });
    const controller = new AbortController();
    const leaving = codeOf(resolver.lookup(alice, { signal: controller.signal }));
    await federation.clock.advance(100);
    controller.abort();
    expect(await leaving).to.equal("CANCELLED");
    federation.network.setFaults({ to: clientAddress }, undefined);
    expect(await federation.during(outcomeOf(resolver, alice))).to.equal("found wire.example");
  });
});
