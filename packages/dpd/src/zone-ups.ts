// Which of a zone's problems is whose: a disk that takes no writes is one to make room on, a refused file one to mend.

import { isDiscoveryError, type DiscoveryError } from "@whither/protocol";

export interface ZoneUps {
  /** 0: its disk takes no writes. */
  readonly store: 0 | 1;
  /** 0: a change of manifest or VOPRF key does not go on, or its files are refused. */
  readonly succession: 0 | 1;
}

/** A change of keys that stands still because the disk is full is the disk's problem. */
export function zoneUps(problems: readonly (DiscoveryError | undefined)[]): ZoneUps {
  const there = problems.filter((one) => one !== undefined);
  const isOfDisk = (one: DiscoveryError): boolean => isDiscoveryError(one, "STORE");
  return {
    store: there.some(isOfDisk) ? 0 : 1,
    succession: there.every(isOfDisk) ? 1 : 0,
  };
}
