// The batched proof that one key evaluated every element (RFC 9497 section 2.2), on the WASM heap.
// A proof is challenge ‖ response, two scalars, whatever the size of the batch.
import { concatBytes, equalBytes } from "../bytes.js";
import { scalarBytes } from "../voprf.js";
import type { RistrettoHeap } from "./ristretto-heap.js";
import { challengeBytes, compositeSeed, compositeWeightBytes } from "./voprf-transcript.js";

/** Operands of the proof on the heap, one unit each; `wide` takes two. */
const unit = { m: 4, z: 5, t2: 6, t3: 7, weight: 8, term: 9, challenge: 10, wide: 12 } as const;

/** First unit that the proof leaves alone; units 0 to 3 are the caller's. */
export const proofUnits = 14;
export const keyUnit = 0;
export const nonceUnit = 1;

interface Batch {
  readonly publicKey: Uint8Array;
  readonly blinded: readonly Uint8Array[];
  readonly evaluated: readonly Uint8Array[];
}

/**
 * m = Σ weight · blinded and, if asked for, z = Σ weight · evaluated, the weights being drawn from
 * the transcript. False if an element is not canonical, or it or a product is the identity.
 */
function compose(heap: RistrettoHeap, batch: Batch, withZ: boolean): boolean {
  const [m, z, wide] = [heap.at(unit.m), heap.at(unit.z), heap.at(unit.wide)];
  const weight = heap.at(unit.weight);
  const seed = compositeSeed(batch.publicKey);

  const addTerm = (sum: number, element: Uint8Array, index: number): boolean => {
    const term = index === 0 ? sum : heap.at(unit.term);
    heap.put(term, element);
    return heap.multiply(term, weight, term) && (index === 0 || heap.add(sum, sum, term));
  };

  return batch.blinded.every((blinded, index) => {
    const evaluated = batch.evaluated[index]!;
    heap.put(wide, compositeWeightBytes({ seed, index, blinded, evaluated }));
    heap.reduceScalar(weight, wide);
    return addTerm(m, blinded, index) && (!withZ || addTerm(z, evaluated, index));
  });
}

/** Leaves the challenge over the public key and m, z, t2, t3 on the heap. */
function challenge(heap: RistrettoHeap, publicKey: Uint8Array): void {
  const commitments = [unit.m, unit.z, unit.t2, unit.t3].map((index) => heap.get(heap.at(index)));
  heap.put(heap.at(unit.wide), challengeBytes([publicKey, ...commitments]));
  heap.reduceScalar(heap.at(unit.challenge), heap.at(unit.wide));
}

/**
 * The 64-byte proof for a batch, with the secret key in unit 0 and a fresh nonce in unit 1.
 * Undefined if a product is the identity, which no choice of elements can bring about.
 */
export function prove(heap: RistrettoHeap, batch: Batch): Uint8Array | undefined {
  const [key, nonce, m] = [heap.at(keyUnit), heap.at(nonceUnit), heap.at(unit.m)];
  // The holder of the key needs no second sum: z = key · m (section 2.2.1, the fast form).
  const composed =
    compose(heap, batch, false) &&
    heap.multiply(heap.at(unit.z), key, m) &&
    heap.multiplyBase(heap.at(unit.t2), nonce) &&
    heap.multiply(heap.at(unit.t3), nonce, m);
  if (!composed) return undefined;
  challenge(heap, batch.publicKey);
  const [c, response] = [heap.at(unit.challenge), heap.at(unit.weight)];
  heap.multiplyScalars(response, c, key);
  heap.subtractScalars(response, nonce, response);
  return concatBytes(heap.get(c), heap.get(response));
}

/** Whether a proof of two canonical scalars holds for a batch. Leaves nothing secret behind. */
export function verify(heap: RistrettoHeap, batch: Batch, proof: Uint8Array): boolean {
  const [m, z, t2, t3] = [unit.m, unit.z, unit.t2, unit.t3].map((index) => heap.at(index)) as [
    number,
    number,
    number,
    number,
  ]; // four in, four out
  const [c, response, term] = [heap.at(0), heap.at(1), heap.at(unit.term)];
  const claimed = proof.subarray(0, scalarBytes);
  if (!compose(heap, batch, true)) return false;
  heap.put(c, claimed);
  heap.put(response, proof.subarray(scalarBytes));
  heap.put(term, batch.publicKey);
  // A zero scalar or an identity makes a step fail. An honest proof has neither.
  const recomputed =
    heap.multiplyBase(t2, response) &&
    heap.multiply(term, c, term) &&
    heap.add(t2, t2, term) &&
    heap.multiply(t3, response, m) &&
    heap.multiply(term, c, z) &&
    heap.add(t3, t3, term);
  if (!recomputed) return false;
  challenge(heap, batch.publicKey);
  return equalBytes(heap.get(heap.at(unit.challenge)), claimed);
}
