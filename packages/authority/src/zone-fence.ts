// Whether a zone goes on elsewhere: a secondary that was promoted signs in a higher epoch under the same zone key. A
// primary that comes back from before that must not publish, register or answer: it would split the zone in two.

import { equalBytes } from "@whither/crypto/node";
import type { OpenChannel } from "@whither/directory";
import { DiscoveryError, isDiscoveryError, roles, type Authority } from "@whither/protocol";
import { createClient } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import { Zone, decodeHead, signedObjectFromWire } from "@whither/wire";
import { nodeVerifier, verifySigned } from "@whither/zone";
import type { MappingZone } from "./mapping/mapping-zone.js";

/** What another server may take to say what it serves. */
const askMs = 2_000;

export interface FenceOptions {
  readonly zone: Pick<MappingZone, "head" | "manifest" | "zone">;
  /** What the signed directory says of the zone. */
  readonly authority: Pick<Authority, "endpoints">;
  /** Pin of this server, which the directory may list too. */
  readonly ownSpkiSha256: Uint8Array;
  readonly openChannel: OpenChannel;
  readonly caPem: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Asks the zone's other servers, all at once. Throws ROLLBACK if one serves a later epoch; silence proves nothing. */
export async function requireNoLaterEpoch(options: FenceOptions): Promise<void> {
  const { zone, authority, ownSpkiSha256 } = options;
  const others = authority.endpoints.filter(
    ({ publicPort, spkiSha256 }) =>
      publicPort > 0 && !spkiSha256.some((pin) => equalBytes(pin, ownSpkiSha256)),
  );
  const epochs = await Promise.all(others.map((server) => epochAt(server, options)));
  const latest = Math.max(0, ...epochs.map((epoch) => epoch ?? 0));
  const own = zone.head().epoch;
  if (latest <= own) return;
  const text = `the zone goes on in epoch ${latest}, here it is ${own}`;
  throw new DiscoveryError("ROLLBACK", text, { upstream: zone.zone });
}

/** Epoch of a head that this zone's key has signed, however long ago; undefined for every other answer. */
async function epochAt(
  { host, publicPort: port, spkiSha256: pins }: Authority["endpoints"][number],
  { zone, openChannel, caPem, clock, signal }: FenceOptions,
): Promise<number | undefined> {
  const channel = openChannel({ host, port, pins, caPem });
  try {
    const request = { zone: zone.zone };
    const client = createClient(Zone, channel);
    const { head } = await client.getHead(request, { timeoutMs: askMs, signal });
    const object = signedObjectFromWire(head);
    verifySigned({
      type: "head",
      role: roles.zone,
      zone: zone.zone,
      object,
      keys: zone.manifest.zoneKeys.map(({ publicKey }) => publicKey),
      atSeconds: clock.nowSeconds(),
      verifier: nodeVerifier,
    });
    return decodeHead(object.payload).epoch;
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    return undefined;
  } finally {
    channel.close();
  }
}
