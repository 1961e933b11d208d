// Before a zone serves, and again and again while it does: whether a secondary was promoted in its place meanwhile.
// Without a probe the directory cannot be asked where the zone's other servers are.

import { requireNoLaterEpoch, type ProvidedZone } from "@whither/authority";
import type { DirectoryFollower } from "@whither/directory";
import { isDiscoveryError, type Authority, type Csi } from "@whither/protocol";
import { openChannel } from "@whither/rpc";
import { deadlineSignal, type Clock, type Logger } from "@whither/runtime";

/** For the directory and the servers together; a zone does not wait longer for those that say nothing. */
const fenceMs = 5_000;

export interface ZoneFenceOptions {
  readonly follower: DirectoryFollower;
  /** Pin of the certificate that this process shows at the moment. */
  readonly ownSpkiSha256: () => Uint8Array;
  readonly caPem: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Throws ROLLBACK when the zone goes on elsewhere in a later epoch. */
export type ZoneFence = (provided: ProvidedZone) => Promise<void>;

export function createZoneFence(options: ZoneFenceOptions): ZoneFence {
  return async ({ zone, probe }) => {
    if (probe === undefined) return;
    using deadline = deadlineSignal(options.clock, fenceMs);
    const { signal } = deadline;
    const authority = await authorityOf(options, { zone: zone.zone, probe, signal });
    if (authority === undefined) return;
    const ownSpkiSha256 = options.ownSpkiSha256();
    await requireNoLaterEpoch({ ...options, ownSpkiSha256, zone, authority, openChannel, signal });
  };
}

/** Undefined while the directory is not to be had: a zone does not stop for that. */
async function authorityOf(
  { follower, logger }: ZoneFenceOptions,
  of: { readonly zone: string; readonly probe: Csi; readonly signal: AbortSignal },
): Promise<Authority | undefined> {
  const { zone, probe, signal } = of;
  try {
    const { authorities } = await follower.delegation(probe, { signal });
    return authorities.find((authority) => authority.zone === zone);
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    logger.warn("other servers not asked", { zone, error });
    return undefined;
  }
}
