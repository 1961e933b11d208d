// VOPRF on @noble/curves: runs wherever JavaScript does, and is the oracle for the fast backend
// (`node/voprf-sodium.ts`). noble works on big integers, whose secrets cannot be overwritten.
import { ristretto255, ristretto255_oprf } from "@noble/curves/ed25519.js";
import { expectLength, wipe } from "./bytes.js";
import type { RandomBytes } from "./bytes.js";
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
} from "./voprf.js";
import type { EvaluateInput, FinalizeInput, Voprf } from "./voprf.js";

const { Point } = ristretto255;
const { Fn } = Point;
const { oprf, voprf } = ristretto255_oprf;

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

/** The scalar of 64 random bytes; zero, which no one will live to see, is refused. */
function scalarOf(random: Uint8Array): bigint {
  const scalar = Fn.create(littleEndian(random));
  if (Fn.is0(scalar)) throw new TypeError("random bytes: expected a non-zero scalar");
  return scalar;
}

/**
 * noble draws a scalar as `1 + (number mod (order - 1))`. Handing it the scalar less one injects
 * the scalar itself, so that noble's own VOPRF runs unchanged on given randomness.
 */
function drawing(scalar: bigint): (length?: number) => Uint8Array {
  return (length = 48) => {
    const bytes = new Uint8Array(length);
    bytes.set(Fn.toBytes(scalar - 1n));
    return bytes;
  };
}

function isElement(element: Uint8Array): boolean {
  if (element.length !== elementBytes) return false;
  try {
    return !Point.fromBytes(element).equals(Point.ZERO);
  } catch {
    return false; // not canonical
  }
}

function checkElements(elements: readonly Uint8Array[]): void {
  if (!elements.every(isElement)) throw invalidElement();
}

function blind(inputs: readonly Uint8Array[], randomBytes: RandomBytes) {
  checkBatchSize(inputs.length);
  inputs.forEach(checkInput);
  const random = drawScalars(inputs.length, randomBytes);
  const items = inputs.map((input, index) => {
    const start = index * scalarRandomBytes;
    const scalar = scalarOf(random.subarray(start, start + scalarRandomBytes));
    return voprf.blind(input, drawing(scalar));
  });
  wipe(random);
  return {
    blinds: items.map((item) => item.blind),
    blinded: items.map((item) => item.blinded),
  };
}

function evaluateBlinded({ secretKey, publicKey, blinded, randomBytes }: EvaluateInput) {
  checkSecretScalar(secretKey, "secret key");
  expectLength(publicKey, elementBytes, "public key");
  checkBatchSize(blinded.length);
  checkElements([publicKey, ...blinded]);
  const random = drawScalars(1, randomBytes);
  const scalar = scalarOf(random);
  wipe(random);
  return voprf.blindEvaluateBatch(secretKey, publicKey, [...blinded], drawing(scalar));
}

function finalize(input: FinalizeInput): readonly Uint8Array[] {
  checkFinalizeInput(input);
  const { publicKey, inputs, blinds, blinded, evaluated, proof } = input;
  checkElements([publicKey, ...blinded]);
  const items = inputs.map((bytes, index) => ({
    input: bytes,
    blind: blinds[index]!,
    blinded: blinded[index]!,
    evaluated: evaluated[index]!,
  }));
  try {
    return voprf.finalizeBatch(items, publicKey, proof);
  } catch {
    throw wrongProof(); // all else was checked: the elements of the answer, or its proof
  }
}

function publicKeyOf(secretKey: Uint8Array): Uint8Array {
  checkSecretScalar(secretKey, "secret key");
  return Point.BASE.multiply(Fn.fromBytes(secretKey)).toBytes();
}

export const portableVoprf: Voprf = {
  blind,
  evaluateBlinded,
  finalize,
  publicKeyOf,
  checkElements,
  evaluate(secretKey, input) {
    checkSecretScalar(secretKey, "secret key");
    checkInput(input);
    // A blind of one leaves the hashed input as it is; the last two steps are the same in mode 0x00.
    const { blind: one, blinded: element } = voprf.blind(input, drawing(1n));
    return oprf.finalize(input, one, oprf.blindEvaluate(secretKey, element));
  },
  deriveKeyPair(seed, info) {
    expectLength(seed, voprfSeedBytes, "seed");
    checkInput(info);
    return voprf.deriveKeyPair(seed, info);
  },
  generateKeyPair(randomBytes) {
    const random = drawScalars(1, randomBytes);
    const secretKey = Fn.toBytes(scalarOf(random));
    wipe(random);
    return { secretKey, publicKey: publicKeyOf(secretKey) };
  },
};
