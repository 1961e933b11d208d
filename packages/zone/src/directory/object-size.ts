// How large one object of a directory may be.

import { DiscoveryError, type SignedObject } from "@whither/protocol";

/** Largest payload of one signed object, in bytes: a node of 8 authorities with 13 endpoints fits. */
const directoryObjectBytesMax = 192 * 1024;

/** Throws TOO_LARGE before anything is hashed. */
export function checkObjectSize(record: string, { payload }: SignedObject): void {
  if (payload.length > directoryObjectBytesMax) {
    throw new DiscoveryError("TOO_LARGE", `${record}: over ${directoryObjectBytesMax} bytes`);
  }
}
