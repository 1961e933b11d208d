// The bodies that have to come next in a transfer, in their order, each known by its hash.

import { equalBytes, sha256 } from "@whither/crypto/node";
import { bogus } from "./transfer-start.js";

export class ExpectedBodies {
  #vhashes: readonly Uint8Array[] = [];
  #next = 0;

  add(vhashes: readonly Uint8Array[]): void {
    this.#vhashes = [...this.#vhashes.slice(this.#next), ...vhashes];
    this.#next = 0;
  }

  /** Hash of a body that is the next one. Throws BOGUS. */
  take(body: Uint8Array): Uint8Array {
    const vhash = this.#vhashes[this.#next];
    if (vhash === undefined || !equalBytes(sha256(body), vhash)) {
      throw bogus("a body is not the one that has to come");
    }
    this.#next += 1;
    return vhash;
  }

  /** Throws BOGUS while one is missing. */
  requireNone(): void {
    if (this.#next < this.#vhashes.length) throw bogus("bodies are missing");
  }
}
