// Signature verifications of one zone's part of a query: charged to its budget, and not repeated for a
// signature that this process has already found good. Ed25519 itself is crypto's.

import { sha256 } from "@whither/crypto/node";
import type { SignatureVerifier } from "@whither/zone";
import { LRUCache } from "lru-cache";
import type { Spend } from "./budget.js";

/** Verdicts kept at most: about 10 MB. */
const verdictsMax = 65_536;

export class Verdicts {
  readonly #good = new LRUCache<string, true>({ max: verdictsMax });
  readonly #verifier: SignatureVerifier;

  constructor(verifier: SignatureVerifier) {
    this.#verifier = verifier;
  }

  /** A verifier that charges `spend`. Only good verdicts are kept: a bad one ends its query anyway. */
  charged(spend: Spend): SignatureVerifier {
    return {
      verify: (check) => {
        const { publicKey, message, signature } = check;
        const key = Buffer.from(sha256(publicKey, signature, message)).toString("latin1");
        if (this.#good.get(key) === true) return true;
        spend("verification");
        const verdict = this.#verifier.verify(check);
        if (verdict) this.#good.set(key, true);
        return verdict;
      },
    };
  }
}
