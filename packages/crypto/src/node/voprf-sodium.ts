// VOPRF on libsodium compiled to WASM: the fast backend. Same bytes and errors as the portable
// `voprf-portable.ts` for the same randomness. Synchronous; large batches belong in a worker.
import { DiscoveryError, limits } from "@whither/protocol";
import { expectLength, wipe } from "../bytes.js";
import { isZero } from "../curve25519.js";
import {
  checkBatchSize,
  checkFinalizeInput,
  checkInput,
  checkSecretScalar,
  drawScalars,
  elementBytes,
  invalidElement,
  scalarRandomBytes,
  voprfSeedBytes,
  wrongProof,
} from "../voprf.js";
import type { EvaluateInput, FinalizeInput, Voprf } from "../voprf.js";
import { keyUnit, nonceUnit, proofUnits, prove, verify } from "./dleq.js";
import { RistrettoHeap } from "./ristretto-heap.js";
import { deriveInput, deriveKeyBytes, hashToGroupBytes, outputOf } from "./voprf-transcript.js";

// Units of 32 bytes on the heap: those of the proof, an operand, a map's input (two), the lists.
const operandUnit = proofUnits;
const wideUnit = proofUnits + 1;
const listUnit = proofUnits + 3;
/** What one backend needs of WASM memory. */
export const heapBytes = 32 * (listUnit + 2 * limits.evaluateElementsMax);

let loading: Promise<Voprf> | undefined;

/** Loads libsodium, once for each thread, and gives the fast backend on it. */
export function loadSodiumVoprf(): Promise<Voprf> {
  loading ??= RistrettoHeap.create(heapBytes).then(createSodiumVoprf);
  return loading;
}

/** The backend on a heap of `heapBytes`, which holds nothing between calls. */
export function createSodiumVoprf(heap: RistrettoHeap): Voprf {
  /** Runs one operation and leaves no secret on the heap or in its randomness, whatever happens. */
  const using = <T>(operation: () => T, random?: Uint8Array): T => {
    try {
      return operation();
    } finally {
      heap.wipe();
      if (random !== undefined) wipe(random);
    }
  };
  return {
    blind(inputs, randomBytes) {
      checkBatchSize(inputs.length);
      inputs.forEach(checkInput);
      const random = drawScalars(inputs.length, randomBytes);
      return using(() => blindAll(heap, inputs, random), random);
    },
    evaluateBlinded(input) {
      checkSecretScalar(input.secretKey, "secret key");
      expectLength(input.publicKey, elementBytes, "public key");
      checkBatchSize(input.blinded.length);
      if (input.blinded.some(({ length }) => length !== elementBytes)) throw invalidElement();
      const random = drawScalars(1, input.randomBytes);
      return using(() => {
        checkElements(heap, [input.publicKey]);
        return evaluateAll(heap, input, random);
      }, random);
    },
    finalize(input) {
      checkFinalizeInput(input);
      return using(() => {
        if (!verify(heap, input, input.proof)) {
          // Only now does it matter whose list was at fault: the client's, or the server's.
          checkElements(heap, [input.publicKey, ...input.blinded]);
          throw wrongProof();
        }
        return unblindAll(heap, input);
      });
    },
    evaluate(secretKey, input) {
      checkSecretScalar(secretKey, "secret key");
      checkInput(input);
      return using(() => {
        heap.put(heap.at(keyUnit), secretKey);
        return outputOf(input, multiplyInput(heap, input));
      });
    },
    deriveKeyPair(seed, info) {
      expectLength(seed, voprfSeedBytes, "seed");
      checkInput(info);
      return using(() => deriveKeyPair(heap, seed, info));
    },
    generateKeyPair(randomBytes) {
      const random = drawScalars(1, randomBytes);
      return using(() => keyPairOf(heap, putScalar(heap, keyUnit, random)), random);
    },
    publicKeyOf(secretKey) {
      checkSecretScalar(secretKey, "secret key");
      return using(() => keyPairOf(heap, secretKey).publicKey);
    },
    checkElements: (elements) => {
      using(() => {
        checkElements(heap, elements);
      });
    },
  };
}

/** A step that fails for one value in 2^252 only. */
function expectSuccess(success: boolean): void {
  if (!success) throw new DiscoveryError("INTERNAL", "a group operation gave the identity");
}

/** Puts the scalar of 64 uniform bytes into a unit and gives a copy; zero is left to the caller. */
function reduceInto(heap: RistrettoHeap, unit: number, wide: Uint8Array): Uint8Array {
  heap.put(heap.at(wideUnit), wide);
  heap.reduceScalar(heap.at(unit), heap.at(wideUnit));
  return heap.get(heap.at(unit));
}

function putScalar(heap: RistrettoHeap, unit: number, random: Uint8Array): Uint8Array {
  const scalar = reduceInto(heap, unit, random);
  if (isZero(scalar)) throw new TypeError("random bytes: expected a non-zero scalar");
  return scalar;
}

function keyPairOf(heap: RistrettoHeap, secretKey: Uint8Array) {
  heap.put(heap.at(keyUnit), secretKey);
  expectSuccess(heap.multiplyBase(heap.at(operandUnit), heap.at(keyUnit)));
  return { secretKey, publicKey: heap.get(heap.at(operandUnit)) };
}

function deriveKeyPair(heap: RistrettoHeap, seed: Uint8Array, info: Uint8Array) {
  for (let counter = 0; counter <= 255; counter++) {
    const wide = deriveKeyBytes(deriveInput(seed, info, counter));
    const secretKey = reduceInto(heap, keyUnit, wide);
    if (!isZero(secretKey)) return keyPairOf(heap, secretKey);
  }
  throw new DiscoveryError("INTERNAL", "no key can be derived");
}

/** The scalar in the key's unit times the element that an input hashes to. */
function multiplyInput(heap: RistrettoHeap, input: Uint8Array): Uint8Array {
  const operand = heap.at(operandUnit);
  heap.put(heap.at(wideUnit), hashToGroupBytes(input));
  heap.mapToElement(operand, heap.at(wideUnit));
  expectSuccess(heap.multiply(operand, heap.at(keyUnit), operand));
  return heap.get(operand);
}

function checkElements(heap: RistrettoHeap, elements: readonly Uint8Array[]): void {
  const operand = heap.at(operandUnit);
  for (const element of elements) {
    if (element.length !== elementBytes || isZero(element)) throw invalidElement();
    heap.put(operand, element);
    if (!heap.isCanonical(operand)) throw invalidElement();
  }
}

function blindAll(heap: RistrettoHeap, inputs: readonly Uint8Array[], random: Uint8Array) {
  const blinds: Uint8Array[] = [];
  const blinded: Uint8Array[] = [];
  inputs.forEach((input, index) => {
    const start = index * scalarRandomBytes;
    blinds.push(putScalar(heap, keyUnit, random.subarray(start, start + scalarRandomBytes)));
    blinded.push(multiplyInput(heap, input));
  });
  return { blinds, blinded };
}

function evaluateAll(heap: RistrettoHeap, input: EvaluateInput, random: Uint8Array) {
  const { secretKey, publicKey, blinded } = input;
  putScalar(heap, nonceUnit, random);
  heap.put(heap.at(keyUnit), secretKey);
  const operand = heap.at(operandUnit);
  const evaluated = blinded.map((element) => {
    heap.put(operand, element);
    // Multiplication refuses what is not canonical, and the identity: no check of its own.
    if (!heap.multiply(operand, heap.at(keyUnit), operand)) throw invalidElement();
    return heap.get(operand);
  });
  const proof = prove(heap, { publicKey, blinded, evaluated });
  if (proof === undefined) throw new DiscoveryError("INTERNAL", "no proof for this batch");
  return { evaluated, proof };
}

/** The outputs of a verified batch, with one inversion for all blinds (Montgomery's trick). */
function unblindAll(heap: RistrettoHeap, { inputs, blinds, evaluated }: FinalizeInput) {
  const count = inputs.length;
  const blindAt = (index: number) => heap.at(listUnit + index);
  const productAt = (index: number) => heap.at(listUnit + limits.evaluateElementsMax + index);
  const [inverse, operand] = [heap.at(keyUnit), heap.at(operandUnit)];
  blinds.forEach((blind, index) => {
    heap.put(blindAt(index), blind);
    if (index === 0) heap.copy(productAt(0), blindAt(0));
    else heap.multiplyScalars(productAt(index), productAt(index - 1), blindAt(index));
  });
  expectSuccess(heap.invertScalar(inverse, productAt(count - 1)));
  const outputs = new Array<Uint8Array>(count);
  for (let index = count - 1; index >= 0; index--) {
    // `inverse` is that of the product up to this blind; what stands before it divides out.
    if (index === 0) heap.copy(operand, inverse);
    else heap.multiplyScalars(operand, inverse, productAt(index - 1));
    heap.multiplyScalars(inverse, inverse, blindAt(index));
    heap.put(heap.at(wideUnit), evaluated[index]!);
    expectSuccess(heap.multiply(operand, operand, heap.at(wideUnit)));
    outputs[index] = outputOf(inputs[index]!, heap.get(operand));
  }
  return outputs;
}
