// The contract of Voprf, the same for both backends: agreement, refusal of every tampered byte,
// bounds, errors. Known answers are in rfc9497.test.ts. One long file, since every table runs
// against both backends with the same helpers.
import { randomBytes as nodeRandomBytes } from "node:crypto";
import { ristretto255 } from "@noble/curves/ed25519.js";
import { DiscoveryError } from "@whither/protocol";
import type { ErrorCode } from "@whither/protocol";
import { expect } from "chai";
import fc from "fast-check";
import sodium from "libsodium-wrappers-sumo";
import {
  fromHex,
  joinElements,
  loadSodiumVoprf,
  portableVoprf,
  sha512,
  splitElements,
  toHex,
  uint32Bytes,
  utf8,
} from "./node.js";
import type { EvaluateInput, FinalizeInput, RandomBytes, Voprf } from "./node.js";
import { RistrettoHeap } from "./node/ristretto-heap.js";
import { createSodiumVoprf, heapBytes } from "./node/voprf-sodium.js";

const order = ristretto255.Point.Fn.ORDER;
const orderBytes = fromHex(order.toString(16).padStart(64, "0")).reverse();
const identity = new Uint8Array(32);
const notCanonical = fromHex("f".repeat(64));
const odd = fromHex(`01${"0".repeat(62)}`); // negative field element: never an encoding

/** Randomness that anyone can repeat: SHA-512 of a seed and a counter. */
function seeded(seed: number): RandomBytes {
  let counter = 0;
  return (length) => {
    const bytes = new Uint8Array(length);
    for (let offset = 0; offset < length; offset += 64) {
      const block = sha512(uint32Bytes(seed), uint32Bytes(counter++));
      bytes.set(block.subarray(0, length - offset), offset);
    }
    return bytes;
  };
}

const inputsOf = (count: number) => Array.from({ length: count }, (_, i) => utf8(`input ${i}`));
const hex = (parts: readonly Uint8Array[]) => parts.map(toHex);

function run(voprf: Voprf, { seed, count }: { seed: number; count: number }) {
  const randomBytes = seeded(seed);
  const inputs = inputsOf(count);
  const pair = voprf.generateKeyPair(randomBytes);
  const { blinds, blinded } = voprf.blind(inputs, randomBytes);
  const { evaluated, proof } = voprf.evaluateBlinded({ ...pair, blinded, randomBytes });
  const answer = { publicKey: pair.publicKey, inputs, blinds, blinded, evaluated, proof };
  return { ...answer, secretKey: pair.secretKey, outputs: voprf.finalize(answer) };
}

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[(bit >> 3) % bytes.length]! ^= 1 << (bit & 7);
  return changed;
}

const replaced = <T>(parts: readonly T[], index: number, part: T): T[] =>
  parts.map((each, at) => (at === index ? part : each));

const codeOf = (action: () => unknown): ErrorCode | "TypeError" | "nothing" => {
  try {
    action();
    return "nothing";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    if (error instanceof TypeError) return "TypeError";
    throw error;
  }
};

describe("VOPRF backends", () => {
  let fast: Voprf;
  before(async () => {
    fast = await loadSodiumVoprf();
  });

  it("give identical bytes for identical randomness, batches of 1 to 20", () => {
    for (let count = 1; count <= 20; count++) {
      const ours = run(portableVoprf, { seed: count, count });
      const theirs = run(fast, { seed: count, count });
      expect(toHex(theirs.secretKey)).to.equal(toHex(ours.secretKey));
      for (const key of ["blinds", "blinded", "evaluated", "outputs"] as const) {
        expect(hex(theirs[key]), `${key} of ${count}`).to.deep.equal(hex(ours[key]));
      }
      expect(toHex(theirs.proof), `proof of ${count}`).to.equal(toHex(ours.proof));
    }
  });

  it("accept each other's answers", () => {
    const ours = run(portableVoprf, { seed: 1, count: 3 });
    const theirs = run(fast, { seed: 2, count: 3 });
    expect(hex(fast.finalize(ours))).to.deep.equal(hex(ours.outputs));
    expect(hex(portableVoprf.finalize(theirs))).to.deep.equal(hex(theirs.outputs));
  });

  it("agree on keys derived from any seed and info, and on direct evaluation", () => {
    const seed32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const bytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(seed32, bytes, bytes, (seed, info, input) => {
        const pair = fast.deriveKeyPair(seed, info);
        const other = portableVoprf.deriveKeyPair(seed, info);
        expect(hex([pair.secretKey, pair.publicKey])).to.deep.equal(
          hex([other.secretKey, other.publicKey]),
        );
        expect(toHex(fast.evaluate(pair.secretKey, input))).to.equal(
          toHex(portableVoprf.evaluate(pair.secretKey, input)),
        );
      }),
      { numRuns: 20 },
    );
  });

  it("agree on which 32 bytes are an element", () => {
    const element = fc.oneof(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc
        .uint8Array({ minLength: 32, maxLength: 32 })
        .map((seed) =>
          portableVoprf.publicKeyOf(portableVoprf.deriveKeyPair(seed, seed).secretKey),
        ),
    );
    fc.assert(
      fc.property(element, (bytes) => {
        const ours = codeOf(() => portableVoprf.checkElements([bytes]));
        expect(codeOf(() => fast.checkElements([bytes]))).to.equal(ours);
      }),
      { numRuns: 60 },
    );
  });

  it("still agree after the WASM memory has grown under the heap", () => {
    const before = run(fast, { seed: 5, count: 2 });
    const compiled = (sodium as unknown as { libsodium: Compiled }).libsodium; // not in its types
    const sizeBefore = compiled.HEAPU8.length;
    const block = compiled._malloc(2 * sizeBefore);
    expect(compiled.HEAPU8.length).to.be.greaterThan(sizeBefore);
    expect(hex(run(fast, { seed: 5, count: 2 }).outputs)).to.deep.equal(hex(before.outputs));
    compiled._free(block);
  });
});

interface Compiled {
  readonly HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(address: number): void;
}

for (const [name, load] of [
  ["portable", () => Promise.resolve(portableVoprf)],
  ["libsodium", loadSodiumVoprf],
] as const) {
  describe(`VOPRF contract, ${name} backend`, () => {
    let voprf: Voprf;
    before(async () => {
      voprf = await load();
    });

    it("gives the output the holder of the key computes alone, whatever the blinds", () => {
      const first = run(voprf, { seed: 7, count: 3 });
      const direct = first.inputs.map((input) => voprf.evaluate(first.secretKey, input));
      expect(hex(first.outputs)).to.deep.equal(hex(direct));
      const again = voprf.blind(first.inputs, seeded(8));
      expect(hex(again.blinded)).not.to.deep.equal(hex(first.blinded));
      const { evaluated, proof } = voprf.evaluateBlinded({
        ...first,
        blinded: again.blinded,
        randomBytes: seeded(9),
      });
      expect(hex(voprf.finalize({ ...first, ...again, evaluated, proof }))).to.deep.equal(
        hex(first.outputs),
      );
    });

    it("blinds equal inputs of one batch differently", () => {
      const { blinded } = voprf.blind([utf8("same"), utf8("same")], nodeRandomBytes);
      expect(toHex(blinded[0]!)).not.to.equal(toHex(blinded[1]!));
    });

    it("accepts inputs of no bytes and of 65535, refuses 65536", () => {
      const { secretKey } = voprf.generateKeyPair(seeded(1));
      for (const length of [0, 65_535]) {
        expect(voprf.evaluate(secretKey, new Uint8Array(length))).to.have.lengthOf(64);
      }
      const long = new Uint8Array(65_536);
      expect(codeOf(() => voprf.evaluate(secretKey, long))).to.equal("TOO_LARGE");
      expect(codeOf(() => voprf.blind([long], seeded(1)))).to.equal("TOO_LARGE");
    });

    it("refuses every answer with one bit changed in proof or elements", () => {
      const answer = run(voprf, { seed: 11, count: 3 });
      const change = fc.record({
        where: fc.constantFrom("proof", "evaluated", "blinded", "publicKey"),
        index: fc.nat({ max: 2 }),
        bit: fc.nat({ max: 511 }),
      });
      fc.assert(
        fc.property(change, ({ where, index, bit }) => {
          const tampered: FinalizeInput = {
            ...answer,
            ...(where === "proof" && { proof: flip(answer.proof, bit) }),
            ...(where === "publicKey" && { publicKey: flip(answer.publicKey, bit) }),
            ...(where === "evaluated" && {
              evaluated: replaced(answer.evaluated, index, flip(answer.evaluated[index]!, bit)),
            }),
            ...(where === "blinded" && {
              blinded: replaced(answer.blinded, index, flip(answer.blinded[index]!, bit)),
            }),
          };
          const code = codeOf(() => voprf.finalize(tampered));
          // The client's own lists, when not elements at all, are reported as such.
          const own = where === "blinded" || where === "publicKey";
          expect(code).to.be.oneOf(own ? ["BOGUS", "INVALID_ELEMENT"] : ["BOGUS"]);
        }),
        { numRuns: name === "libsodium" ? 400 : 40 },
      );
    });

    const bogus: readonly (readonly [string, (answer: FinalizeInput) => Partial<FinalizeInput>])[] =
      [
        ["the proof of another batch", (a) => ({ proof: other(a).proof })],
        ["another key's evaluation", (a) => ({ evaluated: other(a).evaluated })],
        ["another key", (a) => ({ publicKey: other(a).publicKey })],
        ["elements in another order", (a) => ({ evaluated: [...a.evaluated].reverse() })],
        ["an element too few", (a) => ({ evaluated: a.evaluated.slice(1) })],
        ["an element too many", (a) => ({ evaluated: [...a.evaluated, a.evaluated[0]!] })],
        ["no elements", () => ({ evaluated: [] })],
        ["the identity", (a) => ({ evaluated: replaced(a.evaluated, 0, identity) })],
        ["bytes that are no element", (a) => ({ evaluated: replaced(a.evaluated, 1, odd) })],
        ["an element of 31 bytes", (a) => ({ evaluated: replaced(a.evaluated, 0, odd.slice(1)) })],
        ["a proof of 63 bytes", (a) => ({ proof: a.proof.slice(1) })],
        ["a proof of zeros", () => ({ proof: new Uint8Array(64) })],
        ["a challenge that is not reduced", (a) => ({ proof: withScalar(a.proof, 0) })],
        ["a response that is not reduced", (a) => ({ proof: withScalar(a.proof, 32) })],
      ];

    const other = (answer: FinalizeInput) => {
      const pair = voprf.generateKeyPair(seeded(99));
      return {
        ...pair,
        ...voprf.evaluateBlinded({ ...pair, blinded: answer.blinded, randomBytes: seeded(98) }),
      };
    };

    for (const [what, change] of bogus) {
      it(`throws BOGUS for ${what}`, () => {
        const answer = run(voprf, { seed: 13, count: 2 });
        expect(codeOf(() => voprf.finalize({ ...answer, ...change(answer) }))).to.equal("BOGUS");
      });
    }

    const unfit: readonly (readonly [string, Partial<FinalizeInput>, string])[] = [
      ["a blind too few", { blinds: [] }, "TypeError"],
      ["a blind of zero", { blinds: [identity] }, "TypeError"],
      ["a blind that is not reduced", { blinds: [orderBytes] }, "TypeError"],
      ["a blinded element too few", { blinded: [] }, "TypeError"],
      ["a blinded element of 31 bytes", { blinded: [odd.slice(1)] }, "TypeError"],
      ["a public key of 31 bytes", { publicKey: odd.slice(1) }, "TypeError"],
      ["the identity as public key", { publicKey: identity }, "INVALID_ELEMENT"],
      ["the identity as blinded element", { blinded: [identity] }, "INVALID_ELEMENT"],
      ["no inputs", { inputs: [], blinds: [], blinded: [], evaluated: [] }, "INVALID_DATA"],
    ];
    for (const [what, change, code] of unfit) {
      it(`throws ${code} for ${what} of the client's own`, () => {
        const answer = run(voprf, { seed: 17, count: 1 });
        expect(codeOf(() => voprf.finalize({ ...answer, ...change }))).to.equal(code);
      });
    }

    const refused: readonly (readonly [string, Partial<EvaluateInput>, string])[] = [
      ["the identity", { blinded: [identity] }, "INVALID_ELEMENT"],
      ["all bits set", { blinded: [notCanonical] }, "INVALID_ELEMENT"],
      ["a negative field element", { blinded: [odd] }, "INVALID_ELEMENT"],
      ["31 bytes", { blinded: [odd.slice(1)] }, "INVALID_ELEMENT"],
      ["33 bytes", { blinded: [new Uint8Array(33)] }, "INVALID_ELEMENT"],
      ["an empty batch", { blinded: [] }, "INVALID_DATA"],
      ["a batch of 513", { blinded: new Array<Uint8Array>(513).fill(identity) }, "TOO_LARGE"],
      ["the identity as public key", { publicKey: identity }, "INVALID_ELEMENT"],
      ["a secret key of zero", { secretKey: identity }, "TypeError"],
      ["a secret key that is not reduced", { secretKey: orderBytes }, "TypeError"],
      ["a secret key of 31 bytes", { secretKey: identity.slice(1) }, "TypeError"],
      ["too little randomness", { randomBytes: () => new Uint8Array(63) }, "TypeError"],
      ["randomness that is zero", { randomBytes: (n) => new Uint8Array(n) }, "TypeError"],
    ];
    for (const [what, change, code] of refused) {
      it(`throws ${code} when asked to evaluate ${what}`, () => {
        const pair = voprf.generateKeyPair(seeded(1));
        const { blinded } = voprf.blind([utf8("a")], seeded(2));
        const input = { ...pair, blinded, randomBytes: seeded(3), ...change };
        expect(codeOf(() => voprf.evaluateBlinded(input))).to.equal(code);
      });
    }

    it("finds one bad element among good ones, at any place", () => {
      const pair = voprf.generateKeyPair(seeded(1));
      const { blinded } = voprf.blind(inputsOf(4), seeded(2));
      voprf.checkElements(blinded);
      for (let index = 0; index < 4; index++) {
        for (const bad of [identity, notCanonical, odd, odd.slice(1)]) {
          const elements = replaced(blinded, index, bad);
          const evaluate = () =>
            voprf.evaluateBlinded({ ...pair, blinded: elements, randomBytes: seeded(3) });
          expect(codeOf(evaluate)).to.equal("INVALID_ELEMENT");
          expect(codeOf(() => voprf.checkElements(elements))).to.equal("INVALID_ELEMENT");
        }
      }
    });

    it("wipes the randomness it was given", () => {
      const given: Uint8Array[] = [];
      const source = seeded(4);
      const recording: RandomBytes = (length) => {
        const bytes = source(length);
        given.push(bytes);
        return bytes;
      };
      const pair = voprf.generateKeyPair(recording);
      const { blinded } = voprf.blind([utf8("a"), utf8("b")], recording);
      voprf.evaluateBlinded({ ...pair, blinded, randomBytes: recording });
      expect(given.map(({ length }) => length)).to.deep.equal([64, 128, 64]);
      expect(given.every((bytes) => bytes.every((byte) => byte === 0))).to.be.true;
    });
  });
}

const withScalar = (proof: Uint8Array, offset: number): Uint8Array => {
  const changed = Uint8Array.from(proof);
  changed.set(orderBytes, offset);
  return changed;
};

describe("VOPRF on libsodium", () => {
  it("proves a batch of 512, and one wrong element among 512 breaks it", async () => {
    const voprf = await loadSodiumVoprf();
    const answer = run(voprf, { seed: 23, count: 512 });
    expect(answer.outputs).to.have.lengthOf(512);
    expect(toHex(answer.outputs[511]!)).to.equal(
      toHex(voprf.evaluate(answer.secretKey, answer.inputs[511]!)),
    );
    const evaluated = replaced(answer.evaluated, 300, answer.evaluated[301]!);
    expect(codeOf(() => voprf.finalize({ ...answer, evaluated }))).to.equal("BOGUS");
  });

  it("leaves nothing on its heap, neither after success nor after failure", async () => {
    const heap = await RistrettoHeap.create(heapBytes);
    const voprf = createSodiumVoprf(heap);
    const expectEmpty = (after: string) => {
      for (let index = 0; index < heapBytes / 32; index++) {
        expect(toHex(heap.get(heap.at(index))), `unit ${index} after ${after}`).to.equal(
          toHex(identity),
        );
      }
    };
    const answer = run(voprf, { seed: 29, count: 4 });
    expectEmpty("finalize");
    voprf.blind(answer.inputs, seeded(1));
    expectEmpty("blind");
    const blinded = [...answer.blinded, odd];
    const evaluate = () => voprf.evaluateBlinded({ ...answer, blinded, randomBytes: seeded(2) });
    expect(codeOf(evaluate)).to.equal("INVALID_ELEMENT");
    expectEmpty("a failed evaluation");
    expect(codeOf(() => voprf.finalize({ ...answer, proof: new Uint8Array(64) }))).to.equal(
      "BOGUS",
    );
    expectEmpty("a failed proof");
    voprf.evaluate(answer.secretKey, answer.inputs[0]!);
    voprf.publicKeyOf(answer.secretKey);
    voprf.deriveKeyPair(new Uint8Array(32), new Uint8Array());
    expectEmpty("the operations on keys");
  });

  it("is loaded once", async () => {
    expect(await loadSodiumVoprf()).to.equal(await loadSodiumVoprf());
  });
});

describe("flat element buffers", () => {
  it("round-trip, and refuse parts of an element", () => {
    const elements = inputsOf(3).map((input) => sha512(input).slice(0, 32));
    const joined = joinElements(elements);
    expect(joined).to.have.lengthOf(96);
    expect(hex(splitElements(joined))).to.deep.equal(hex(elements));
    expect(splitElements(new Uint8Array())).to.deep.equal([]);
    expect(codeOf(() => splitElements(joined.subarray(1)))).to.equal("INVALID_DATA");
    expect(codeOf(() => joinElements([new Uint8Array(31)]))).to.equal("TypeError");
  });
});
