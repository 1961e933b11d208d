// The newest head that has been seen of each part: nothing older of it is ever accepted again, whoever
// serves it and wherever it is delegated.

import { DiscoveryError, limits, type ZoneName } from "@whither/protocol";
import { equalBytes } from "@whither/crypto/node";
import { compareMarks, type NodeTrust, type ZoneMark } from "@whither/zone";

export class PartMarks {
  readonly #marks = new Map<ZoneName, ZoneMark>();

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
    this.#marks.delete(zone);
    this.#marks.set(zone, { epoch, serial, digest });
    for (const oldest of this.#marks.keys()) {
      if (this.#marks.size <= limits.partMarksMax) break;
      this.#marks.delete(oldest);
    }
    return order > 0;
  }
}
