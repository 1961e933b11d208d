// That the disk of a replica has changed or lost a row, until the replica has filled itself anew (docs/adr 35).

import { isDiscoveryError } from "@whither/protocol";

/** Whether a row was found that is not what it was. */
export class Damage {
  #isThere = false;
  #listener = (): void => undefined;

  get isThere(): boolean {
    return this.#isThere;
  }

  note(): void {
    if (this.#isThere) return;
    this.#isThere = true;
    this.#listener();
  }

  mended(): void {
    this.#isThere = false;
  }

  onNote(listener: () => void): void {
    this.#listener = listener;
  }
}

/** The store's, not what a server says of its own; one writer finds another value only where a disk changed it. */
export function isOwnDamage(error: unknown): boolean {
  const isDamage =
    isDiscoveryError(error, "STORE_CORRUPT") || isDiscoveryError(error, "CONFLICT_WRITE");
  return isDamage && error.upstream === undefined;
}
