// What the federation may answer about a slot at any time: the reference that every answer is held against.
// It knows what was asked for, what was promised and since when it must be seen; nothing of the product.

/** One statement that was sent: what the slot holds once it counts. Times are true seconds. */
export interface Version {
  /** MSPs, sorted and joined by a space; "" for a slot that is not there. */
  readonly msps: string;
  /** Earliest time at which anybody may see it. */
  readonly from: number;
  /** From then on nobody who asks anew may see anything older; Infinity while that is open or in doubt. */
  certain: number;
}

export class SlotReference {
  /** In the order of their seq: what came later counts, if it counts at all. */
  #versions: Version[] = [{ msps: "", from: 0, certain: 0 }];

  /** A statement on its way: it may count from now on. */
  sent(msps: string, now: number): Version {
    const version: Version = { msps, from: now, certain: Infinity };
    this.#versions.push(version);
    return version;
  }

  /** It has been seen published, or proven to have been. */
  published(version: Version, now: number): void {
    version.certain = Math.min(version.certain, now);
    // A day is the longest that anybody may show something older.
    const isOld = (one: Version): boolean => one.certain < now - 26 * 3_600;
    const newest = this.#versions.findLastIndex(isOld);
    if (newest > 0) this.#versions = this.#versions.slice(newest);
  }

  /** What may be shown by whoever asked between `begun` and `ended` and may be `ageSeconds` behind. */
  possible(at: { readonly begun: number; readonly ended: number; readonly ageSeconds: number }) {
    const { begun, ended, ageSeconds } = at;
    const seen = new Set<string>();
    let isOver = false;
    for (const version of this.#versions.toReversed()) {
      if (isOver) break;
      if (version.from <= ended) seen.add(version.msps);
      isOver = version.certain <= begun - ageSeconds;
    }
    return seen;
  }
}

export function mspText(msps: Iterable<string>): string {
  return [...msps].sort().join(" ");
}
