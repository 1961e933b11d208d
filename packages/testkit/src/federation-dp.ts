// One DP of a simulated federation: its real zones and services on stores in memory, which outlast a
// restart as disks do.

import {
  createDiscoveryProvider,
  defaultAdmissionLimits,
  openMappingZone,
  type DiscoveryProvider,
  type MappingZone,
} from "@whither/authority";
import type { Voprf } from "@whither/crypto/node";
import {
  createDirectoryFollower,
  type DirectoryFollower,
  type OpenChannel,
} from "@whither/directory";
import type { DpRecord } from "@whither/protocol";
import type { MemoryNetwork, MemoryServer } from "@whither/rpc";
import { createInlineVoprf, type Random, type VoprfEngine } from "@whither/runtime";
import { createMemoryStore, type Store } from "@whither/store";
import type { Anchors } from "@whither/zone";
import type { SimulatedClock } from "./clock.js";
import { EventLog } from "./event-log.js";
import type { DpIdentity, ZoneIdentity } from "./federation-parties.js";
import { fillerBodyBytes, generateFillers } from "./generator.js";

/** CPU time a DP is charged for an element, whatever this machine takes: limits are reached alike everywhere. */
const cpuMsPerElement = 0.25;

export interface FederationDpParts {
  readonly identity: DpIdentity;
  readonly anchors: Anchors;
  readonly directory: { readonly host: string; readonly port: number };
  readonly network: MemoryNetwork;
  readonly openChannel: OpenChannel;
  readonly clock: SimulatedClock;
  readonly random: Random;
  readonly voprf: Voprf;
}

/** A zone as its operator sees it: identity and keys, disk, and the running zone. */
export interface FederationZone extends ZoneIdentity {
  readonly store: Store;
  /** The zone in service. Whoever submits to it directly is a DP that breaks its own rules. */
  readonly mapping: MappingZone;
}

interface Running {
  readonly provider: DiscoveryProvider;
  readonly follower: DirectoryFollower;
  readonly engine: VoprfEngine;
  readonly zones: readonly FederationZone[];
  readonly servers: readonly MemoryServer[];
}

export class FederationDp {
  readonly identity: DpIdentity;
  /** Events that the DP has logged, over restarts. */
  readonly log = new EventLog();
  readonly #parts: FederationDpParts;
  readonly #stores: ReadonlyMap<string, Store>;
  #running: Running | undefined;

  constructor(parts: FederationDpParts) {
    this.identity = parts.identity;
    this.#parts = parts;
    this.#stores = new Map(parts.identity.zones.map(({ zone }) => [zone, createMemoryStore()]));
  }

  get record(): DpRecord {
    return this.identity.record;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Throws TypeError while the DP is stopped. */
  get zones(): readonly FederationZone[] {
    return this.#need().zones;
  }

  get provider(): DiscoveryProvider {
    return this.#need().provider;
  }

  /** Opens the zones on their stores and serves them; resolves when the DP holds the directory. */
  async start(): Promise<void> {
    if (this.#running !== undefined) throw new TypeError(`${this.record.id} is running`);
    const { anchors, directory, network, openChannel, clock, random, identity } = this.#parts;
    const follower = createDirectoryFollower({
      anchors,
      source: { kind: "server", ...directory },
      openChannel,
      clock,
      random,
      mirror: true,
      logger: this.log,
    });
    const engine = this.#engine();
    const zones: FederationZone[] = [];
    for (const zone of identity.zones) zones.push(await this.#openZone(zone, engine));
    const provider = createDiscoveryProvider({
      dpId: this.record.id,
      zones: zones.map(({ mapping, signer }) => ({ zone: mapping, signer })),
      follower,
      limits: { ...defaultAdmissionLimits, ...identity.limits },
      clock,
      random,
      logger: this.log,
    });
    const { spkiSha256, clientAddress, publicAddress } = identity;
    const servers = [
      network.serve(clientAddress, {
        services: provider.clientServices,
        clients: { kind: "required" },
        spkiSha256,
        logger: this.log,
      }),
      network.serve(publicAddress, {
        services: provider.publicServices,
        clients: { kind: "none" },
        spkiSha256,
        logger: this.log,
      }),
    ];
    await this.log.settled(clock, ["directory mirrored", "directory refresh failed"]);
    provider.start();
    await clock.settle();
    this.#running = { provider, follower, engine, zones, servers };
  }

  async stop(): Promise<void> {
    const running = this.#need();
    this.#running = undefined;
    await Promise.all(running.servers.map((server) => server.close()));
    await running.provider.close();
    await running.follower.close();
    await running.engine.close();
  }

  async #openZone(identity: ZoneIdentity, engine: VoprfEngine): Promise<FederationZone> {
    const { zone, manifestObject, signer, voprfKeys, fillers } = identity;
    const { clock, random } = this.#parts;
    const store = this.#stores.get(zone) ?? createMemoryStore();
    const mapping = await openMappingZone({
      store,
      zone,
      manifest: manifestObject,
      keys: { signer, voprfSecretKey: voprfKeys.secretKey },
      voprf: engine,
      clock,
      random,
      logger: this.log,
    });
    if (fillers > 0 && mapping.head().mapSize === 0) {
      const seed = `federation ${zone}`;
      await mapping.loadEntries(
        generateFillers({ count: fillers, seed, bodyBytes: fillerBodyBytes }),
      );
    }
    return { ...identity, store, mapping };
  }

  #engine(): VoprfEngine {
    const engine = createInlineVoprf(this.#parts.voprf, this.#parts.random);
    return {
      ...engine,
      evaluate: async (request, options) => {
        const work = await engine.evaluate(request, options);
        return { ...work, cpuMs: request.blinded.length * cpuMsPerElement };
      },
    };
  }

  #need(): Running {
    if (this.#running === undefined) throw new TypeError(`${this.record.id} is stopped`);
    return this.#running;
  }
}
