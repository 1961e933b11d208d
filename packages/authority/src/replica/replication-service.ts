// Service `Replication` of replication.proto: what Zone.Transfer and Zone.Watch give to everybody, for the secondaries
// that a zone's operator has named, with transfers, watchers and a rate of their own. Whoever else asks is told nothing,
// not even which zones are here.

import { equalBytes } from "@whither/crypto/node";
import { DiscoveryError } from "@whither/protocol";
import { implementService, type CallContext, type ServiceRegistration } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import {
  Replication,
  type ReplicationNotifyRequest,
  type ReplicationTransferRequest,
} from "@whither/wire";
import type { ReadableZone } from "../mapping/mapping-zone.js";
import { zoneOf, type ServedZones } from "../zone-service.js";
import { TransferServer } from "./transfer-server.js";
import type { ZoneWatchers } from "./zone-watchers.js";

/** A secondary that a zone's operator has named. */
export interface ReplicationPeer {
  /** Pins of its client certificate, 32 bytes each: two while one replaces the other. */
  readonly spkiSha256: readonly Uint8Array[];
}

export interface ReplicationServiceOptions {
  readonly zones: ServedZones;
  /** Those of a zone by its name, as configured now. */
  readonly peersOf: (zone: string) => readonly ReplicationPeer[];
  /** Whoever waits for heads this way. */
  readonly watchers: ZoneWatchers;
  readonly clock: Clock;
}

/** The service, for the port that demands client certificates. */
export function createReplicationService(options: ReplicationServiceOptions): ServiceRegistration {
  const { watchers, clock } = options;
  const transfers = new TransferServer({ clock });
  return implementService(Replication, {
    transfer: async function* ({ from }: ReplicationTransferRequest, context) {
      if (from === undefined)
        throw new DiscoveryError("INVALID_DATA", "transfer: expected a place");
      const zone = admittedZone(options, { name: from.zone, context });
      const tree = zone.holdTree(from.kid);
      for await (const part of transfers.serve({ tree, from }, context)) yield { part };
    },
    // The same bytes as of Zone.Watch: the two messages are alike.
    notify: ({ zone: name }: ReplicationNotifyRequest, context) =>
      watchers.watch(admittedZone(options, { name, context }), context),
  });
}

/** Throws PROHIBITED to whom the zone's operator has not named, NOT_AUTHORITATIVE while the zone is down. */
function admittedZone(
  { zones, peersOf }: ReplicationServiceOptions,
  of: { readonly name: string; readonly context: Pick<CallContext, "peer"> },
): ReadableZone {
  const { peer } = of.context;
  const isPeer =
    peer.kind === "certificate" &&
    peersOf(of.name).some(({ spkiSha256 }) =>
      spkiSha256.some((pin) => equalBytes(pin, peer.spkiSha256)),
    );
  if (!isPeer) throw new DiscoveryError("PROHIBITED", "this client is no secondary of the zone");
  return zoneOf(zones, of.name);
}
