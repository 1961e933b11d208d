// Signature verifications of one zone's part of a query: charged to its budget, and not repeated for a
// signature that this process has already found good. Ed25519 itself is crypto's.

import { sha256 } from "@whither/crypto/node";
import type { SignatureVerifier } from "@whither/zone";
import { LRUCache } from "lru-cache";
import type { Spend } from "./budget.js";
import type { CacheUse } from "./cache-shares.js";

/** A key of 32 characters, the cache's own records. */
const verdictBytes = 200;

export class Verdicts {
  readonly #good: LRUCache<string, true>;
  readonly #verifier: SignatureVerifier;
  readonly #bytesMax: number;

  constructor(verifier: SignatureVerifier, { cacheBytes }: { readonly cacheBytes: number }) {
    this.#verifier = verifier;
    this.#bytesMax = cacheBytes;
    this.#good = new LRUCache({ max: Math.max(1, Math.floor(cacheBytes / verdictBytes)) });
  }

  get use(): CacheUse {
    const entries = this.#good.size;
    return { entries, bytes: entries * verdictBytes, bytesMax: this.#bytesMax };
  }

  clear(): void {
    this.#good.clear();
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
