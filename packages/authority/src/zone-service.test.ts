import { expect } from "chai";
import { sha256, uint32Bytes } from "@whither/crypto/node";
import { DiscoveryError, type ErrorCode } from "@whither/protocol";
import { createClient, createMemoryNetwork, fromErrorDetail, openDuplex } from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { Zone, type FetchResponse } from "@whither/wire";
import { bucketPrefix } from "@whither/zone";
import { createAdmission, defaultAdmissionLimits } from "./admission.js";
import { createZoneService } from "./zone-service.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, manifestSha256 } = parties;
const address = "dp-a.example:7364";

const bodies = Array.from({ length: 700 }, (_, n) =>
  new Uint8Array(1052).map((_byte, i) => (i < 4 ? (n >>> (8 * i)) & 255 : 1)),
);
const slots = bodies.map((body, n) => ({
  idx: sha256(uint32Bytes(n)).slice(0, 16),
  masked: new Uint8Array(12),
  body,
}));

async function serve(publicBytesPerMinute = 64 * 1024 * 1024) {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(1);
  const served = await openTestZone({ parties, clock, random });
  await served.loadEntries(slots);
  const admission = createAdmission({
    limits: { ...defaultAdmissionLimits, publicBytesPerMinute },
    clock,
    mspOfSpki: () => undefined,
  });
  const network = createMemoryNetwork({ clock, random });
  network.serve(address, {
    services: [createZoneService({ zones: new Map([[zone, served]]), admission, clock })],
    clients: { kind: "none" },
  });
  const channel = network.connect(address);
  return { clock, served, channel, client: createClient(Zone, channel) };
}

async function codeOf(run: () => Promise<unknown>): Promise<ErrorCode | "ok"> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}

describe("zone service", () => {
  it("answers unary calls with stored bytes", async () => {
    const { client, served } = await serve();
    const head = await client.getHead({ zone });
    expect(await client.getHead({ zone, kid: served.head().kid })).to.deep.equal(head);
    const bucket = await client.bucket({
      zone,
      kid: served.head().kid,
      b: served.head().b,
      prefix: bucketPrefix(slots[0]!.idx, served.head().b),
    });
    expect(bucket.entries).to.have.length(served.head().pad);
    expect(bucket.siblings).to.have.length(32 * served.head().b);
    expect(bucket.head).to.deep.equal(head.head);
    const manifest = await client.getManifest({ zone, manifestSha256 });
    expect(sha256(manifest.manifest!.payload)).to.deep.equal(manifestSha256);
    const vhashes = bodies.slice(0, 2).map((body) => sha256(body));
    vhashes.sort((a, b) => Buffer.compare(a, b));
    const found = await client.bodies({ zone, vhashes: Buffer.concat(vhashes) });
    expect(found.bodies.map((body) => sha256(body))).to.deep.equal(vhashes);
  });

  it("refuses what is no request of its zones with a code", async () => {
    const { client, served } = await serve();
    const { kid, b } = served.head();
    const prefix = new Uint8Array(16);
    const hash = sha256(bodies[0]!);
    const unknown = new Uint8Array(32);
    const pair = [hash, sha256(bodies[1]!)].sort((x, y) => Buffer.compare(y, x));
    const table: [what: string, run: () => Promise<unknown>, code: ErrorCode][] = [
      ["another zone", () => client.getHead({ zone: "x@y" }), "NOT_AUTHORITATIVE"],
      ["no zone", () => client.getHead({}), "NOT_AUTHORITATIVE"],
      [
        "the head of another kid",
        () => client.getHead({ zone, kid: new Uint8Array(4) }),
        "UNKNOWN_KID",
      ],
      [
        "another kid",
        () => client.bucket({ zone, kid: new Uint8Array(4), b, prefix }),
        "UNKNOWN_KID",
      ],
      ["another depth", () => client.bucket({ zone, kid, b: b + 1, prefix }), "DEPTH_CHANGED"],
      ["a short prefix", () => client.bucket({ zone, kid, b, prefix: unknown }), "INVALID_DATA"],
      ["an unknown body", () => client.bodies({ zone, vhashes: unknown }), "UNKNOWN_BODY"],
      ["no bodies", () => client.bodies({ zone }), "INVALID_DATA"],
      ["half a hash", () => client.bodies({ zone, vhashes: hash.slice(1) }), "INVALID_DATA"],
      [
        "descending hashes",
        () => client.bodies({ zone, vhashes: Buffer.concat(pair) }),
        "INVALID_DATA",
      ],
      [
        "a hash twice",
        () => client.bodies({ zone, vhashes: Buffer.concat([hash, hash]) }),
        "INVALID_DATA",
      ],
      ["129 hashes", () => client.bodies({ zone, vhashes: new Uint8Array(129 * 32) }), "TOO_LARGE"],
      [
        "another manifest",
        () => client.getManifest({ zone, manifestSha256: unknown }),
        "NOT_AUTHORITATIVE",
      ],
    ];
    for (const [what, run, code] of table) expect(await codeOf(run), what).to.equal(code);
  });

  it("answers a stream by id, with errors beside answers", async () => {
    const { channel, served } = await serve();
    const { kid, b } = served.head();
    const answers = new Map<bigint, FetchResponse["response"]>();
    const closed = new Promise<DiscoveryError | undefined>((resolve) => {
      const stream = openDuplex(
        { channel, method: Zone.method.fetch },
        {
          onMessage: ({ id, response }) => void answers.set(id, response),
          onClose: resolve,
        },
      );
      slots.slice(0, 100).forEach(({ idx, body }, n) => {
        const prefix = bucketPrefix(idx, b);
        const bucket = { zone, kid, b, prefix };
        stream.send({ id: BigInt(3 * n), request: { case: "bucket", value: bucket } });
        const wanted = { zone, vhashes: sha256(body) };
        stream.send({ id: BigInt(3 * n + 1), request: { case: "bodies", value: wanted } });
        const value = { zone: "x@y" };
        stream.send({ id: BigInt(3 * n + 2), request: { case: "head", value } });
      });
      stream.send({ id: 1000n });
      stream.end();
    });
    expect(await closed).to.equal(undefined);
    expect(answers.size).to.equal(301);
    for (let n = 0; n < 100; n++) {
      expect(answers.get(BigInt(3 * n))?.case).to.equal("bucket");
      const body = answers.get(BigInt(3 * n + 1));
      if (body?.case !== "bodies") throw new Error("expected bodies");
      expect(body.value.bodies[0]).to.deep.equal(bodies[n]);
      const error = answers.get(BigInt(3 * n + 2));
      if (error?.case !== "error") throw new Error("expected an error");
      expect(fromErrorDetail(error.value, address).code).to.equal("NOT_AUTHORITATIVE");
    }
    expect(answers.get(1000n)?.case).to.equal("error");
  });

  it("bounds the bytes of one address, with a time to come back", async () => {
    const { clock, client } = await serve(4_000);
    let code: ErrorCode | "ok" = "ok";
    for (let n = 0; n < 20 && code === "ok"; n++)
      code = await codeOf(() => client.getHead({ zone }));
    expect(code).to.equal("LIMITED");
    await clock.advance(60_000);
    expect(await codeOf(() => client.getHead({ zone }))).to.equal("ok");
  });

  it("does no work for an address that has used its bytes up, whichever way it asks", async () => {
    const { channel, client, served } = await serve(4_000);
    const vhashes = Buffer.concat(
      bodies
        .slice(0, 128)
        .map((body) => sha256(body))
        .sort((a, b) => Buffer.compare(a, b)),
    );
    let reads = 0;
    const bodiesResponse = served.bodiesResponse.bind(served);
    served.bodiesResponse = (hashes) => {
      reads += 1;
      return bodiesResponse(hashes);
    };
    await codeOf(() => client.bodies({ zone, vhashes }));
    for (let n = 0; n < 20; n++) {
      expect(await codeOf(() => client.bodies({ zone, vhashes }))).to.equal("LIMITED");
    }
    const answers: (string | undefined)[] = [];
    await new Promise((resolve) => {
      const stream = openDuplex(
        { channel, method: Zone.method.fetch },
        { onMessage: ({ response }) => void answers.push(response.case), onClose: resolve },
      );
      for (let n = 1n; n <= 20n; n++) {
        stream.send({ id: n, request: { case: "bodies", value: { zone, vhashes } } });
      }
      stream.end();
    });
    expect(answers).to.deep.equal(Array.from({ length: 20 }, () => "error"));
    expect(reads).to.equal(1);
  });

  it("charges for requests that get no answer too", async () => {
    const { client } = await serve(4_000);
    const ask = () => codeOf(() => client.getHead({ zone: "x@y" }));
    const codes: string[] = [];
    for (let n = 0; n < 20; n++) codes.push(await ask());
    expect([codes[0], codes.at(-1)]).to.deep.equal(["NOT_AUTHORITATIVE", "LIMITED"]);
  });
});
