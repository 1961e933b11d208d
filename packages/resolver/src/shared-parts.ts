// What many cached answers say alike, held once: the serial and key that prove them, the DPs that answered, the hop
// that tells of the cache. In one epoch of a zone only the mappings tell its contacts' answers apart.

import { LRUCache } from "lru-cache";

/** Parts looked for; one that is not among them any more is held again beside itself, which costs bytes only. */
const partsMax = 1_024;
/** A character of a part's text stands for so many bytes of its objects, as the heap has them. */
const bytesPerCharacter = 3;

export class SharedParts {
  readonly #held = new LRUCache<string, object>({ max: partsMax });

  /** An equal part that is held already, for 0 bytes, or this one for what it costs. Parts are plain data. */
  share<T extends object>(part: T): { readonly part: T; readonly bytes: number } {
    const text = JSON.stringify(part);
    const held = this.#held.get(text);
    if (held !== undefined) return { part: held as T, bytes: 0 }; // the same text: the same data
    this.#held.set(text, part);
    return { part, bytes: bytesPerCharacter * text.length };
  }

  clear(): void {
    this.#held.clear();
  }
}
