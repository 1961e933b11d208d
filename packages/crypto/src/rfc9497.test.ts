// RFC 9497 appendix A.1, ristretto255-SHA512, by values carried as a fixture: mode VOPRF through
// both backends, mode OPRF through the parts that modes share, all three through the oracle.
import { readFileSync } from "node:fs";
import { ristretto255_oprf } from "@noble/curves/ed25519.js";
import { expect } from "chai";
import { concatBytes, fromHex, loadSodiumVoprf, portableVoprf, toHex } from "./node.js";
import type { RandomBytes, Voprf } from "./node.js";
import { RistrettoHeap } from "./node/ristretto-heap.js";
import { createExpander, outputOf } from "./node/voprf-transcript.js";

interface Mode {
  readonly mode: number;
  readonly seed: string;
  readonly keyInfo: string;
  readonly secretKey: string;
  readonly publicKey: string;
  readonly vectors: readonly Record<
    "info" | "inputs" | "blinds" | "blinded" | "evaluated" | "proof" | "proofRandom" | "outputs",
    string
  >[];
}

const fixture = JSON.parse(
  readFileSync(new URL("./fixtures/rfc9497-ristretto255-sha512.json", import.meta.url), "utf8"),
) as { readonly modes: readonly [Mode, Mode, Mode] }; // our own file, in this shape
const [oprfMode, voprfMode, poprfMode] = fixture.modes;

const list = (text: string): Uint8Array[] => text.split(",").map(fromHex);
const text = (elements: readonly Uint8Array[]): string => elements.map(toHex).join(",");

/** Randomness that reduces to given scalars: each little-endian, padded to 64 bytes. */
const giving =
  (...scalars: readonly Uint8Array[]): RandomBytes =>
  (length) => {
    expect(length).to.equal(64 * scalars.length);
    return concatBytes(...scalars.flatMap((scalar) => [scalar, new Uint8Array(32)]));
  };

const backends: readonly (readonly [string, () => Promise<Voprf>])[] = [
  ["portable", () => Promise.resolve(portableVoprf)],
  ["libsodium", loadSodiumVoprf],
];

it("carries every vector of the three modes", () => {
  expect(fixture.modes.map(({ mode }) => mode)).to.deep.equal([0, 1, 2]);
  expect(fixture.modes.map(({ vectors }) => vectors.length)).to.deep.equal([2, 3, 3]);
});

for (const [name, load] of backends) {
  describe(`VOPRF ristretto255-SHA512, ${name} backend (RFC 9497 appendix A.1.2)`, () => {
    let voprf: Voprf;
    before(async () => {
      voprf = await load();
    });

    it("derives the key pair", () => {
      const pair = voprf.deriveKeyPair(fromHex(voprfMode.seed), fromHex(voprfMode.keyInfo));
      expect(toHex(pair.secretKey)).to.equal(voprfMode.secretKey);
      expect(toHex(pair.publicKey)).to.equal(voprfMode.publicKey);
      expect(toHex(voprf.publicKeyOf(pair.secretKey))).to.equal(voprfMode.publicKey);
    });

    voprfMode.vectors.forEach((vector, index) => {
      it(`reproduces vector ${index + 1}: every message, proof byte and output`, () => {
        const secretKey = fromHex(voprfMode.secretKey);
        const publicKey = fromHex(voprfMode.publicKey);
        const inputs = list(vector.inputs);
        const { blinds, blinded } = voprf.blind(inputs, giving(...list(vector.blinds)));
        expect(text(blinds)).to.equal(vector.blinds);
        expect(text(blinded)).to.equal(vector.blinded);
        const { evaluated, proof } = voprf.evaluateBlinded({
          secretKey,
          publicKey,
          blinded,
          randomBytes: giving(fromHex(vector.proofRandom)),
        });
        expect(text(evaluated)).to.equal(vector.evaluated);
        expect(toHex(proof)).to.equal(vector.proof);
        const outputs = voprf.finalize({ publicKey, inputs, blinds, blinded, evaluated, proof });
        expect(text(outputs)).to.equal(vector.outputs);
        const direct = inputs.map((input) => voprf.evaluate(secretKey, input));
        expect(text(direct)).to.equal(vector.outputs);
      });
    });
  });
}

describe("OPRF ristretto255-SHA512 (RFC 9497 appendix A.1.1)", () => {
  oprfMode.vectors.forEach((vector, index) => {
    it(`holds for the hashing and the group of the libsodium backend, vector ${index + 1}`, async () => {
      const heap = await RistrettoHeap.create(32 * 4);
      const [scalar, element, wide] = [heap.at(0), heap.at(1), heap.at(2)];
      const hashToGroup = createExpander("HashToGroup-", oprfMode.mode);
      heap.put(wide, hashToGroup(fromHex(vector.inputs)));
      heap.mapToElement(element, wide);
      heap.put(scalar, fromHex(vector.blinds));
      expect(heap.multiply(element, scalar, element)).to.be.true;
      expect(toHex(heap.get(element))).to.equal(vector.blinded);
      heap.put(scalar, fromHex(oprfMode.secretKey));
      expect(heap.multiply(element, scalar, element)).to.be.true;
      expect(toHex(heap.get(element))).to.equal(vector.evaluated);
      heap.put(scalar, fromHex(vector.blinds));
      expect(heap.invertScalar(scalar, scalar)).to.be.true;
      expect(heap.multiply(element, scalar, element)).to.be.true;
      const output = outputOf(fromHex(vector.inputs), heap.get(element));
      expect(toHex(output)).to.equal(vector.outputs);
    });

    it(`holds for the oracle, vector ${index + 1}`, () => {
      const { oprf } = ristretto255_oprf;
      const input = fromHex(vector.inputs);
      const pair = oprf.deriveKeyPair(fromHex(oprfMode.seed), fromHex(oprfMode.keyInfo));
      expect(toHex(pair.secretKey)).to.equal(oprfMode.secretKey);
      const evaluated = oprf.blindEvaluate(pair.secretKey, fromHex(vector.blinded));
      expect(toHex(evaluated)).to.equal(vector.evaluated);
      expect(toHex(oprf.finalize(input, fromHex(vector.blinds), evaluated))).to.equal(
        vector.outputs,
      );
    });
  });
});

describe("POPRF ristretto255-SHA512, the oracle alone (RFC 9497 appendix A.1.3)", () => {
  poprfMode.vectors.forEach((vector, index) => {
    it(`holds for vector ${index + 1}`, () => {
      const poprf = ristretto255_oprf.poprf(fromHex(vector.info));
      const pair = poprf.deriveKeyPair(fromHex(poprfMode.seed), fromHex(poprfMode.keyInfo));
      expect(toHex(pair.publicKey)).to.equal(poprfMode.publicKey);
      const { evaluated } = poprf.blindEvaluateBatch(pair.secretKey, list(vector.blinded));
      expect(text(evaluated)).to.equal(vector.evaluated);
    });
  });
});
