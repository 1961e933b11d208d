// The newest head that has been seen of each part: nothing older of it is ever accepted again, whoever
// serves it and wherever it is delegated.

import { DiscoveryError, limits, type ZoneName } from "@whither/protocol";
import { equalBytes } from "@whither/crypto/node";
import { compareMarks, type NodeTrust, type ZoneMark } from "@whither/zone";

export interface PartMark extends ZoneMark {
  readonly zone: ZoneName;
}

export class PartMarks {
  readonly #marks = new Map<ZoneName, ZoneMark>();

  /** The one used longest ago first. */
  list(): readonly PartMark[] {
    return [...this.#marks].map(([zone, mark]) => ({ zone, ...mark }));
  }

  /** Takes what was seen before a restart, unless something newer has been seen. */
  restore({ zone, epoch, serial, digest }: PartMark): void {
    const known = this.#marks.get(zone);
    if (known === undefined || compareMarks({ epoch, serial }, known) > 0) {
      this.#keep(zone, { epoch, serial, digest });
    }
  }

  get(zone: ZoneName): ZoneMark | undefined {
    return this.#marks.get(zone);
  }

  /**
   * Takes a verified head; true if it is newer. Throws ROLLBACK or FORKED: two answers may have been verified
   * against the same mark at the same time.
   */
  accept({ zone, head }: Pick<NodeTrust, "head" | "zone">): boolean {
    const known = this.#marks.get(zone);
    const order = known === undefined ? 1 : compareMarks(head, known);
    if (order < 0) throw new DiscoveryError("ROLLBACK", "directory: older than one already seen");
    if (known !== undefined && order === 0 && !equalBytes(head.digest, known.digest)) {
      throw new DiscoveryError("FORKED", "directory: two digests with one serial");
    }
    const { epoch, serial, digest } = head;
    this.#keep(zone, { epoch, serial, digest });
    return order > 0;
  }

  #keep(zone: ZoneName, mark: ZoneMark): void {
    this.#marks.delete(zone);
    this.#marks.set(zone, mark);
    for (const oldest of this.#marks.keys()) {
      if (this.#marks.size <= limits.partMarksMax) break;
      this.#marks.delete(oldest);
    }
  }
}
