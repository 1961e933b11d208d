// The verifiable oblivious PRF of whither: ristretto255-SHA512 in mode VOPRF (RFC 9497, mode 0x01).
// The contract of both backends and the checks they share; no curve arithmetic happens here.
import { DiscoveryError, limits } from "@whither/protocol";
import { expectLength } from "./bytes.js";
import type { RandomBytes } from "./bytes.js";
import { isCanonicalScalar, isZero } from "./curve25519.js";

export const elementBytes = 32;
export const scalarBytes = 32;
export const proofBytes = 64;
export const voprfOutputBytes = 64;
export const voprfSeedBytes = 32;

/** Random bytes taken for one scalar: 64, read little-endian and reduced by the group order. */
export const scalarRandomBytes = 64;

/** RFC 9497 section 1.2: inputs carry a two-byte length. */
const inputBytesMax = 0xffff;

export interface VoprfKeyPair {
  /** 32-byte non-zero scalar. Whoever holds it can test every identifier. */
  readonly secretKey: Uint8Array;
  /** 32-byte ristretto255 element. */
  readonly publicKey: Uint8Array;
}

export interface BlindedBatch {
  /** 32-byte scalars that the client keeps to itself and wipes after `finalize`. */
  readonly blinds: readonly Uint8Array[];
  /** 32-byte ristretto255 elements for the server, in the order of the inputs. */
  readonly blinded: readonly Uint8Array[];
}

export interface EvaluateInput extends VoprfKeyPair {
  /** 1..512 elements as received. */
  readonly blinded: readonly Uint8Array[];
  /** Asked once for 64 bytes, the nonce of the proof. */
  readonly randomBytes: RandomBytes;
}

export interface EvaluatedBatch {
  /** 32-byte ristretto255 elements, in the order of `blinded`. */
  readonly evaluated: readonly Uint8Array[];
  /** 64 bytes: one DLEQ proof for the whole batch. */
  readonly proof: Uint8Array;
}

export interface FinalizeInput {
  /** The key that the zone's manifest names, not one the server sent along. */
  readonly publicKey: Uint8Array;
  readonly inputs: readonly Uint8Array[];
  readonly blinds: readonly Uint8Array[];
  readonly blinded: readonly Uint8Array[];
  readonly evaluated: readonly Uint8Array[];
  readonly proof: Uint8Array;
}

/** One backend. Equal inputs and randomness give equal bytes on every backend. */
export interface Voprf {
  /** Client: hides each input behind a fresh scalar. Asks once for 64 random bytes an input. */
  blind(inputs: readonly Uint8Array[], randomBytes: RandomBytes): BlindedBatch;
  /** Server: evaluates a batch and proves that `publicKey` is the key. Throws INVALID_ELEMENT. */
  evaluateBlinded(input: EvaluateInput): EvaluatedBatch;
  /** Client: 64-byte outputs in the order of the inputs. Throws BOGUS unless the proof holds. */
  finalize(input: FinalizeInput): readonly Uint8Array[];
  /** Holder of the key: the output for an input it knows, 64 bytes. */
  evaluate(secretKey: Uint8Array, input: Uint8Array): Uint8Array;
  /** RFC 9497 section 3.2.1, from a 32-byte seed. */
  deriveKeyPair(seed: Uint8Array, info: Uint8Array): VoprfKeyPair;
  generateKeyPair(randomBytes: RandomBytes): VoprfKeyPair;
  publicKeyOf(secretKey: Uint8Array): Uint8Array;
  /** Throws INVALID_ELEMENT unless each is canonical and not the identity. */
  checkElements(elements: readonly Uint8Array[]): void;
}

/** Throws INVALID_DATA for an empty batch and TOO_LARGE for one above 512. */
export function checkBatchSize(count: number): void {
  if (count === 0) throw new DiscoveryError("INVALID_DATA", "expected at least one element");
  if (count > limits.evaluateElementsMax) {
    throw new DiscoveryError(
      "TOO_LARGE",
      `expected at most ${limits.evaluateElementsMax} elements, got ${count}`,
    );
  }
}

/** Throws TOO_LARGE for an input above 65535 bytes. */
export function checkInput(input: Uint8Array): void {
  if (input.length > inputBytesMax) {
    throw new DiscoveryError("TOO_LARGE", `expected at most ${inputBytesMax} bytes of input`);
  }
}

/** Throws TypeError unless 32 bytes are a non-zero scalar below the group order. */
export function checkSecretScalar(scalar: Uint8Array, name: string): void {
  if (!isCanonicalScalar(scalar) || isZero(scalar)) {
    throw new TypeError(`${name}: expected a canonical non-zero scalar`);
  }
}

export function invalidElement(): DiscoveryError {
  return new DiscoveryError("INVALID_ELEMENT", "not a canonical element, or the identity");
}

export function wrongProof(): DiscoveryError {
  return new DiscoveryError("BOGUS", "voprf proof does not verify");
}

/** Fresh bytes for that many scalars. */
export function drawScalars(count: number, randomBytes: RandomBytes): Uint8Array {
  const bytes = randomBytes(count * scalarRandomBytes);
  expectLength(bytes, count * scalarRandomBytes, "random bytes");
  return bytes;
}

/**
 * Throws TypeError where the client's own lists do not fit together, and BOGUS where the server's
 * answer cannot be one: a wrong count, length or proof scalar.
 */
export function checkFinalizeInput(input: FinalizeInput): void {
  const { publicKey, inputs, blinds, blinded, evaluated, proof } = input;
  expectLength(publicKey, elementBytes, "public key");
  checkBatchSize(inputs.length);
  if (blinds.length !== inputs.length || blinded.length !== inputs.length) {
    throw new TypeError("expected as many blinds and blinded elements as inputs");
  }
  inputs.forEach(checkInput);
  for (const blind of blinds) checkSecretScalar(blind, "blind");
  for (const element of blinded) expectLength(element, elementBytes, "blinded element");
  if (
    evaluated.length !== inputs.length ||
    evaluated.some((element) => element.length !== elementBytes) ||
    proof.length !== proofBytes ||
    !isCanonicalScalar(proof.subarray(0, scalarBytes)) ||
    !isCanonicalScalar(proof.subarray(scalarBytes))
  ) {
    throw wrongProof();
  }
}

/** Elements one after another in one array: one transfer to a worker in place of hundreds. */
export function joinElements(elements: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(elements.length * elementBytes);
  elements.forEach((element, index) => {
    expectLength(element, elementBytes, "element");
    joined.set(element, index * elementBytes);
  });
  return joined;
}

/** The elements of `joinElements`, as views of its memory. Throws INVALID_DATA for a part of one. */
export function splitElements(joined: Uint8Array): Uint8Array[] {
  if (joined.length % elementBytes !== 0) {
    throw new DiscoveryError("INVALID_DATA", "expected whole elements of 32 bytes");
  }
  return Array.from({ length: joined.length / elementBytes }, (_, index) =>
    joined.subarray(index * elementBytes, (index + 1) * elementBytes),
  );
}
