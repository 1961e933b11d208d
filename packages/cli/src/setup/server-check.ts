// Asks the directory that is about to be configured, and believes it only under the anchors.

import { createDirectoryFollower, type OpenChannel } from "@whither/directory";
import { parseDirectorySource } from "@whither/resolver";
import { systemRandom, type Clock } from "@whither/runtime";
import type { Anchors } from "@whither/zone";

export interface CheckedServer {
  readonly epoch: number;
  readonly serial: number;
  readonly dps: number;
  readonly msps: number;
}

/**
 * Fetches root keys, head and registry of a directory and verifies them. Throws what a lookup would: UNREACHABLE,
 * NETWORK, BOGUS, KEY_MISSING, EXPIRED, CLOCK_SKEW, CONFIG …
 */
export async function checkServer(options: {
  readonly anchors: Anchors;
  /** `host:port`, `dns:domain` or a path, as the configuration holds it. */
  readonly directory: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly openChannel?: OpenChannel | undefined;
}): Promise<CheckedServer> {
  const { anchors, directory, clock, signal, openChannel } = options;
  const random = systemRandom;
  await using follower = createDirectoryFollower({
    anchors,
    source: parseDirectorySource(directory, { clock, random }),
    clock,
    random,
    mirror: false,
    ...(openChannel === undefined ? {} : { openChannel }),
  });
  const registry = await follower.registry({ signal });
  const head = follower.current()?.head;
  if (head === undefined) throw new TypeError("a verified registry has a head");
  const { epoch, serial } = head;
  return { epoch, serial, dps: registry.dps().length, msps: registry.msps().length };
}
