// A verifier for many simulated processes that are shown the same signatures: each triple of key, message and
// signature is judged once. The verdict is a function of those octets alone, so that nobody gets another one than by
// verifying anew; what a process does with it stays its own.

import { sha256 } from "@whither/crypto/node";
import { nodeVerifier, type SignatureVerifier } from "@whither/zone";

/** Verdicts of one generation; two generations are kept, so at most twice as many of about 100 bytes each. */
const verdictsPerGeneration = 4_096;

/** A verifier that remembers good and bad verdicts of `verifier`. */
export function shareVerdicts(verifier: SignatureVerifier = nodeVerifier): SignatureVerifier {
  let young = new Map<string, boolean>();
  let old = new Map<string, boolean>();
  return {
    verify: (check) => {
      const key = keyOf(check);
      let verdict = young.get(key);
      if (verdict !== undefined) return verdict;
      verdict = old.get(key) ?? verifier.verify(check);
      if (young.size >= verdictsPerGeneration) {
        old = young;
        young = new Map();
      }
      young.set(key, verdict);
      return verdict;
    },
  };
}

/** Every part by its length, so that no two triples run together to the same octets. */
function keyOf({ publicKey, message, signature }: Parameters<SignatureVerifier["verify"]>[0]) {
  const lengths = Uint32Array.of(publicKey.length, message.length, signature.length);
  const hash = sha256(new Uint8Array(lengths.buffer), publicKey, message, signature);
  return Buffer.from(hash).toString("latin1");
}
