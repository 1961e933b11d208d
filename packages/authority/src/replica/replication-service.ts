// Service `Replication` of replication.proto: what Zone.Transfer and Zone.Watch give to everybody, for the secondaries
// that a zone's operator has named, with transfers, watchers and a rate of their own. Whoever else asks is told nothing,
// not even which zones are here.

import { equalBytes } from "@whither/crypto/node";
import { DiscoveryError } from "@whither/protocol";
import { implementService, type CallContext, type ServiceRegistration } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import type { WatchedStore } from "@whither/store";
import {
  Replication,
  type ReplicationNotifyRequest,
  type ReplicationTransferRequest,
  type ReplicationVaultRequest,
} from "@whither/wire";
import type { ReadableZone } from "../mapping/mapping-zone.js";
import { zoneOf, type ServedZones } from "../zone-service.js";
import { TransferServer } from "./transfer-server.js";
import { VaultServer } from "./vault-source.js";
import type { ZoneWatchers } from "./zone-watchers.js";

/** A secondary that a zone's operator has named. */
export interface ReplicationPeer {
  /** Pins of its client certificate, 32 bytes each: two while one replaces the other. */
  readonly spkiSha256: readonly Uint8Array[];
  /** Whether it may take the primary's place, and so gets the vault, sealed. */
  readonly vault: boolean;
}

export interface ReplicationServiceOptions {
  readonly zones: ServedZones;
  /** Those of a zone by its name, as configured now. */
  readonly peersOf: (zone: string) => readonly ReplicationPeer[];
  /** Whoever waits for heads this way. */
  readonly watchers: ZoneWatchers;
  /** Store of a zone's vault by the zone's name; undefined: it has none, or does not serve. */
  readonly vaultOf: (zone: string) => WatchedStore | undefined;
  readonly clock: Clock;
}

/** The service, for the port that demands client certificates. */
export function createReplicationService(options: ReplicationServiceOptions): ServiceRegistration {
  const { watchers, clock } = options;
  const transfers = new TransferServer({ clock });
  const vaults = new VaultServer(clock);
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
    vault: ({ zone: name, digests }: ReplicationVaultRequest, context) => {
      requirePeer(options, { name, context, needs: ({ vault }) => vault });
      const vault = options.vaultOf(name);
      if (vault === undefined) throw new DiscoveryError("NOT_AUTHORITATIVE", "no vault here");
      return vaults.serve(vault, { ...context, digests });
    },
  });
}

/** Throws PROHIBITED to whom the zone's operator has not named, NOT_AUTHORITATIVE while the zone is down. */
function admittedZone(options: ReplicationServiceOptions, asked: Asked): ReadableZone {
  requirePeer(options, { ...asked, needs: () => true });
  return zoneOf(options.zones, asked.name);
}

interface Asked {
  readonly name: string;
  readonly context: Pick<CallContext, "peer">;
}

/** Throws PROHIBITED to whom the zone's operator has not named for it. */
function requirePeer(
  { peersOf }: Pick<ReplicationServiceOptions, "peersOf">,
  asked: Asked & { readonly needs: (peer: ReplicationPeer) => boolean },
): void {
  const { peer } = asked.context;
  const isPeer =
    peer.kind === "certificate" &&
    peersOf(asked.name).some(
      (one) => one.spkiSha256.some((pin) => equalBytes(pin, peer.spkiSha256)) && asked.needs(one),
    );
  if (!isPeer) throw new DiscoveryError("PROHIBITED", "this client is no secondary of the zone");
}
