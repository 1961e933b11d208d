import { loadSodiumVoprf } from "@whither/crypto/node";
import type { Voprf, VoprfKeyPair } from "@whither/crypto";
import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import { systemRandom } from "./random.js";
import { createInlineVoprf, type VoprfEngine } from "./voprf-engine.js";
import { createVoprfPool } from "./voprf-pool.js";

const text = new TextEncoder();
const inputsOf = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, n) => text.encode(`input ${n}`));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

let voprf: Voprf;
let keys: VoprfKeyPair;
before(async () => {
  voprf = await loadSodiumVoprf();
  keys = voprf.deriveKeyPair(new Uint8Array(32).fill(7), text.encode("test"));
});

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail("expected a failure"),
    (error: unknown) => error,
  );

const engines: readonly (readonly [string, () => VoprfEngine])[] = [
  ["on worker threads", () => createVoprfPool({ threads: 2 })],
  ["on the caller's thread", () => createInlineVoprf(voprf, systemRandom)],
];
for (const [name, make] of engines) {
  describe(`VOPRF engine ${name}`, () => {
    let engine: VoprfEngine;
    before(() => (engine = make()));
    after(() => engine.close());

    async function lookUp(count: number): Promise<readonly Uint8Array[]> {
      const inputs = inputsOf(count);
      const { blinds, blinded } = await engine.blind(inputs);
      const { evaluated, proof, cpuMs } = await engine.evaluate({ ...keys, blinded });
      expect(cpuMs).to.be.above(0);
      const { publicKey } = keys;
      return await engine.finalize({ publicKey, inputs, blinds, blinded, evaluated, proof });
    }

    it("gives the outputs that the holder of the key computes", async () => {
      const outputs = await lookUp(3);
      expect(outputs.map(hex)).to.deep.equal(
        inputsOf(3).map((input) => hex(voprf.evaluate(keys.secretKey, input))),
      );
    });

    it("keeps the caller's key and elements as they were, Buffers too", async () => {
      const secretKey = Buffer.from(keys.secretKey);
      const { blinded } = await engine.blind(inputsOf(2));
      const before = blinded.map(hex);
      await engine.evaluate({ secretKey, publicKey: Buffer.from(keys.publicKey), blinded });
      expect(hex(secretKey)).to.equal(hex(keys.secretKey));
      expect(blinded.map(hex)).to.deep.equal(before);
    });

    it("proves each of several concurrent requests by itself", async () => {
      const requests = await Promise.all(
        [1, 5, 40, 2, 70, 3].map(async (count) => {
          const inputs = inputsOf(count);
          return { inputs, ...(await engine.blind(inputs)) };
        }),
      );
      const answers = await Promise.all(
        requests.map(({ blinded }) => engine.evaluate({ ...keys, blinded })),
      );
      expect(new Set(answers.map(({ proof }) => hex(proof))).size).to.equal(6);
      const { publicKey } = keys;
      for (const [index, request] of requests.entries()) {
        const { evaluated, proof } = answers[index]!;
        const outputs = await engine.finalize({ publicKey, ...request, evaluated, proof });
        expect(outputs).to.have.length(request.inputs.length);
      }
    });

    it("fails one bad request without failing those beside it", async () => {
      const { blinded } = await engine.blind(inputsOf(1));
      const [bad, empty, good] = await Promise.allSettled([
        engine.evaluate({ ...keys, blinded: [new Uint8Array(32)] }),
        engine.evaluate({ ...keys, blinded: [] }),
        engine.evaluate({ ...keys, blinded }),
      ]);
      expect(bad.status === "rejected" && isDiscoveryError(bad.reason, "INVALID_ELEMENT")).to.be
        .true;
      expect(empty.status === "rejected" && isDiscoveryError(empty.reason, "INVALID_DATA")).to.be
        .true;
      expect(good.status).to.equal("fulfilled");
    });

    it("refuses 513 elements with TOO_LARGE", async () => {
      const element = voprf.publicKeyOf(keys.secretKey);
      const request = { ...keys, blinded: Array.from({ length: 513 }, () => element) };
      expect(isDiscoveryError(await failureOf(engine.evaluate(request)), "TOO_LARGE")).to.be.true;
    });

    it("reports a proof under another key as BOGUS", async () => {
      const inputs = inputsOf(2);
      const { blinds, blinded } = await engine.blind(inputs);
      const { evaluated, proof } = await engine.evaluate({ ...keys, blinded });
      const { publicKey } = voprf.deriveKeyPair(new Uint8Array(32).fill(8), text.encode("test"));
      const finalizing = engine.finalize({ publicKey, inputs, blinds, blinded, evaluated, proof });
      expect(isDiscoveryError(await failureOf(finalizing), "BOGUS")).to.be.true;
    });

    it("reports the caller's own mistake as a TypeError", async () => {
      const request = { ...keys, secretKey: new Uint8Array(32), blinded: [keys.publicKey] };
      expect(await failureOf(engine.evaluate(request))).to.be.instanceOf(TypeError);
    });

    it("drops a request whose caller leaves, and answers the others of its message", async () => {
      const controller = new AbortController();
      const { signal } = controller;
      const { blinded } = await engine.blind(inputsOf(1));
      const leaving = failureOf(engine.evaluate({ ...keys, blinded }, { signal }));
      const staying = engine.evaluate({ ...keys, blinded });
      controller.abort();
      expect(isDiscoveryError(await leaving, "CANCELLED")).to.be.true;
      expect((await staying).evaluated).to.have.length(1);
    });
  });
}

describe("VOPRF pool", () => {
  it("keeps the event loop turning while a batch is evaluated", async () => {
    const engine = createVoprfPool({ threads: 1 });
    const element = voprf.publicKeyOf(keys.secretKey);
    const blinded = Array.from({ length: 256 }, () => element);
    await engine.evaluate({ ...keys, blinded: [element] }); // the thread is up
    let turns = 0;
    const state = { done: false };
    const evaluating = engine.evaluate({ ...keys, blinded }).then(() => (state.done = true));
    while (!state.done) {
      await new Promise((resolve) => setImmediate(resolve));
      turns += 1;
    }
    await evaluating;
    expect(turns).to.be.above(50);
    await engine.close();
  });

  it("refuses work after its close", async () => {
    const engine = createVoprfPool({ threads: 1 });
    await engine.close();
    const evaluating = engine.evaluate({ ...keys, blinded: [keys.publicKey] });
    expect(isDiscoveryError(await failureOf(evaluating), "OVERLOADED")).to.be.true;
  });
});
