// The hashing of RFC 9497 for ristretto255-SHA512: contexts, hash to group and scalar, the
// transcripts of the proof. Bytes in, bytes out; curve arithmetic lives in `voprf-sodium.ts`.
import { concatBytes, uint16Bytes, uint8Bytes, utf8 } from "../bytes.js";
import { sha512 } from "./hashes.js";

/** RFC 9497 section 3.1. whither speaks this mode alone. */
const modeVoprf = 1;

/** RFC 9497 sections 3.1 and 4.1: "OPRFV1-" ‖ mode ‖ "-" ‖ suite. */
const contextOf = (mode: number): Uint8Array =>
  concatBytes(utf8("OPRFV1-"), uint8Bytes(mode), utf8("-ristretto255-SHA512"));

const withLength = (bytes: Uint8Array): Uint8Array => concatBytes(uint16Bytes(bytes.length), bytes);

/** RFC 9380 section 5.3.1: expand_message_xmd with SHA-512 to 64 bytes, for one domain and mode. */
export function createExpander(
  domain: string,
  mode = modeVoprf,
): (message: Uint8Array) => Uint8Array {
  const tag = concatBytes(utf8(domain), contextOf(mode));
  const tagWithLength = concatBytes(tag, uint8Bytes(tag.length));
  const zeroBlock = new Uint8Array(128); // the input block of SHA-512
  const outputLength = uint16Bytes(64);
  const [zero, one] = [uint8Bytes(0), uint8Bytes(1)];
  return (message) =>
    // 64 bytes are one block, so the chain ends at b_1.
    sha512(sha512(zeroBlock, message, outputLength, zero, tagWithLength), one, tagWithLength);
}

/** 64 uniform bytes for the ristretto255 map. */
export const hashToGroupBytes = createExpander("HashToGroup-");
/** 64 uniform bytes, to be reduced by the group order. */
const hashToScalarBytes = createExpander("HashToScalar-");
/** 64 uniform bytes, to be reduced by the group order (section 3.2.1). */
export const deriveKeyBytes = createExpander("DeriveKeyPair");

/** Section 3.2.1: what `deriveKeyBytes` hashes for one counter. */
export function deriveInput(seed: Uint8Array, info: Uint8Array, counter: number): Uint8Array {
  return concatBytes(seed, withLength(info), uint8Bytes(counter));
}

const seedDomain = withLength(concatBytes(utf8("Seed-"), contextOf(modeVoprf)));
const seedLength = uint16Bytes(64);
const elementLength = uint16Bytes(32);
const compositeLabel = utf8("Composite");
const challengeLabel = utf8("Challenge");
const finalizeLabel = utf8("Finalize");

/** Section 2.2.1: the seed of a batch's weights, with its length prefix. */
export function compositeSeed(publicKey: Uint8Array): Uint8Array {
  return concatBytes(seedLength, sha512(elementLength, publicKey, seedDomain));
}

export interface CompositeTerm {
  /** From `compositeSeed`. */
  readonly seed: Uint8Array;
  readonly index: number;
  readonly blinded: Uint8Array;
  readonly evaluated: Uint8Array;
}

/** Section 2.2.1: 64 bytes, to be reduced: the weight of one element of the batch. */
export function compositeWeightBytes({ seed, index, blinded, evaluated }: CompositeTerm) {
  return hashToScalarBytes(
    concatBytes(
      seed,
      uint16Bytes(index),
      elementLength,
      blinded,
      elementLength,
      evaluated,
      compositeLabel,
    ),
  );
}

/** Section 2.2.1: 64 bytes, to be reduced: the challenge over pk, M, Z, t2 and t3. */
export function challengeBytes(elements: readonly Uint8Array[]): Uint8Array {
  return hashToScalarBytes(concatBytes(...elements.map(withLength), challengeLabel));
}

/** Section 3.3.2: the 64-byte output for an input and its unblinded element. */
export function outputOf(input: Uint8Array, unblinded: Uint8Array): Uint8Array {
  return sha512(uint16Bytes(input.length), input, elementLength, unblinded, finalizeLabel);
}
