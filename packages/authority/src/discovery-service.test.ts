import { expect } from "chai";
import { concatBytes, joinElements, portableVoprf, splitElements, utf8 } from "@whither/crypto";
import { DiscoveryError, type ErrorCode } from "@whither/protocol";
import { createClient, createMemoryNetwork, openDuplex, type Peer } from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { Discovery, type ExchangeResponse } from "@whither/wire";
import { createAdmission, defaultAdmissionLimits, type AdmissionLimits } from "./admission.js";
import { createDiscoveryService } from "./discovery-service.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone } = parties;
const { kid } = parties.manifest.voprfKeys[0]!;
const address = "dp-a.example:7354";
const identity: Extract<Peer, { kind: "certificate" }> = {
  kind: "certificate",
  spkiSha256: new Uint8Array(32).fill(7),
  names: ["app.example"],
  certificateDer: new Uint8Array(0),
};

async function serve(limits: Partial<AdmissionLimits> = {}) {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(1);
  const served = await openTestZone({ parties, clock, random });
  const admission = createAdmission({
    limits: { ...defaultAdmissionLimits, ...limits },
    clock,
    mspOfSpki: () => undefined,
  });
  const network = createMemoryNetwork({ clock, random });
  network.serve(address, {
    services: [createDiscoveryService({ zones: new Map([[zone, served]]), admission })],
    clients: { kind: "required" },
  });
  const channel = network.connect(address, { identity });
  const client = createClient(Discovery, channel);
  const randomBytes = (n: number): Uint8Array => random.bytes(n);
  return { clock, admission, channel, client, randomBytes, network };
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

describe("discovery service", () => {
  it("evaluates a batch under one proof against the manifest's key", async () => {
    const { client, randomBytes } = await serve();
    const inputs = ["a", "b", "c"].map(utf8);
    const { blinds, blinded } = portableVoprf.blind(inputs, randomBytes);
    const answer = await client.evaluate({ zone, kid, blinded: joinElements(blinded) });
    const outputs = portableVoprf.finalize({
      publicKey: parties.voprfKeys.publicKey,
      inputs,
      blinds,
      blinded,
      evaluated: splitElements(answer.evaluated),
      proof: answer.proof,
    });
    const expected = inputs.map((x) => portableVoprf.evaluate(parties.voprfKeys.secretKey, x));
    expect(outputs).to.deep.equal(expected);
  });

  it("refuses malformed batches with a code and keeps serving", async () => {
    const { client, randomBytes } = await serve();
    const [good] = portableVoprf.blind([utf8("a")], randomBytes).blinded;
    const identityElement = new Uint8Array(32);
    const notCanonical = new Uint8Array(32).fill(255);
    const table: [what: string, request: object, code: ErrorCode][] = [
      ["another zone", { zone: "x@y", kid, blinded: good }, "NOT_AUTHORITATIVE"],
      ["another kid", { zone, kid: new Uint8Array(4), blinded: good }, "UNKNOWN_KID"],
      ["no kid", { zone, blinded: good }, "UNKNOWN_KID"],
      ["no elements", { zone, kid }, "INVALID_DATA"],
      ["part of an element", { zone, kid, blinded: good!.slice(1) }, "INVALID_DATA"],
      [
        "an element and a half",
        { zone, kid, blinded: concatBytes(good!, good!.slice(16)) },
        "INVALID_DATA",
      ],
      ["513 elements", { zone, kid, blinded: new Uint8Array(513 * 32) }, "TOO_LARGE"],
      ["the identity", { zone, kid, blinded: identityElement }, "INVALID_ELEMENT"],
      [
        "the identity among others",
        { zone, kid, blinded: concatBytes(good!, identityElement) },
        "INVALID_ELEMENT",
      ],
      ["a non-canonical element", { zone, kid, blinded: notCanonical }, "INVALID_ELEMENT"],
    ];
    for (const [what, request, code] of table) {
      expect(await codeOf(() => client.evaluate(request)), what).to.equal(code);
    }
    expect(await codeOf(() => client.evaluate({ zone, kid, blinded: good! }))).to.equal("ok");
  });

  it("does not serve anonymous peers", async () => {
    const { network } = await serve();
    const client = createClient(Discovery, network.connect(address));
    expect(await codeOf(() => client.evaluate({ zone, kid }))).to.equal("UNAUTHENTICATED");
  });

  it("answers a stream by id, also more requests than it works on at a time", async () => {
    const { channel, randomBytes } = await serve();
    const { blinded } = portableVoprf.blind([utf8("a")], randomBytes);
    const answers = new Map<bigint, ExchangeResponse["response"]>();
    const closed = new Promise<DiscoveryError | undefined>((resolve) => {
      const stream = openDuplex(
        { channel, method: Discovery.method.exchange },
        {
          onMessage: ({ id, response }) => void answers.set(id, response),
          onClose: resolve,
        },
      );
      for (let n = 0; n < 100; n++) {
        const value = { zone, kid, blinded: blinded[0]! };
        stream.send({ id: BigInt(n), request: { case: "evaluate", value } });
      }
      stream.send({ id: 100n, request: { case: "evaluate", value: { zone: "x@y" } } });
      stream.send({ id: 101n });
      stream.end();
    });
    expect(await closed).to.equal(undefined);
    expect(answers.size).to.equal(102);
    for (let n = 0n; n < 100n; n++) expect(answers.get(n)?.case).to.equal("evaluate");
    expect(answers.get(100n)?.case).to.equal("error");
    expect(answers.get(101n)?.case).to.equal("error");
  });

  it("ends a stream on which nothing but refused requests comes", async () => {
    const { channel } = await serve();
    let answers = 0;
    const closed = await new Promise<DiscoveryError | undefined>((resolve) => {
      const stream = openDuplex(
        { channel, method: Discovery.method.exchange },
        { onMessage: () => void (answers += 1), onClose: resolve },
      );
      for (let n = 0; n < 2_000; n++) {
        stream.send({ id: BigInt(n), request: { case: "evaluate", value: { zone: "x@y" } } });
      }
    });
    expect(closed?.code).to.equal("LIMITED");
    expect(answers).to.be.within(1, 256);
  });

  it("bounds requests and elements of a client, and does not charge what it did not do", async () => {
    const { client, admission, randomBytes } = await serve({
      clientContactsBurst: 3,
      requestsBurst: 6,
      requestsPerSecond: 1,
    });
    const { blinded } = portableVoprf.blind(["a", "b", "c"].map(utf8), randomBytes);
    const ask = (count: number, ofKid = kid) => {
      const batch = joinElements(blinded.slice(0, count));
      return codeOf(() => client.evaluate({ zone, kid: ofKid, blinded: batch }));
    };
    expect(await ask(3, new Uint8Array(4))).to.equal("UNKNOWN_KID");
    expect(await ask(2)).to.equal("ok");
    expect(await ask(2)).to.equal("LIMITED");
    expect(await ask(1)).to.equal("ok");
    expect(await ask(1)).to.equal("LIMITED");
    expect(admission.refusals()).to.include({ contacts: 2, requests: 0 });
    expect(await ask(1)).to.equal("LIMITED");
    expect(await ask(1)).to.equal("LIMITED");
    expect(admission.refusals()).to.include({ contacts: 3, requests: 1 });
  });

  it("charges the time of its work, and waits for it to be paid", async () => {
    const { client, clock, admission, randomBytes } = await serve({
      cpuMsPerSecond: 0.001,
      cpuBurstMs: 0.501,
    });
    const blinded = joinElements(portableVoprf.blind([utf8("a")], randomBytes).blinded);
    expect(await codeOf(() => client.evaluate({ zone, kid, blinded }))).to.equal("ok");
    expect(await codeOf(() => client.evaluate({ zone, kid, blinded }))).to.equal("LIMITED");
    expect(admission.refusals().cpu).to.equal(1);
    await clock.advance(86_400_000);
    expect(await codeOf(() => client.evaluate({ zone, kid, blinded }))).to.equal("ok");
  });
});
