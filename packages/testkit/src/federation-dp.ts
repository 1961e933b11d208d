// One process of a simulated federation, a DP's or that of a replica: its real zones and services on stores in
// memory, which outlast a restart as disks do.

import {
  createDiscoveryProvider,
  defaultAdmissionLimits,
  openMappingZone,
  openReplicaZone,
  type DiscoveryProvider,
  type MappingZone,
  openVault,
  type ConfiguredKeys,
  type ReplicaZone,
  type Vault,
} from "@whither/authority";
import type { Voprf } from "@whither/crypto/node";
import {
  believedKsks,
  createDirectoryFollower,
  ManifestMemory,
  type DirectoryFollower,
  type OpenChannel,
} from "@whither/directory";
import { DiscoveryError, type DpRecord, type ZoneName } from "@whither/protocol";
import type { Channel, MemoryNetwork, MemoryServer } from "@whither/rpc";
import { createInlineVoprf, type Random, type VoprfEngine } from "@whither/runtime";
import { createMemoryDisk, type MemoryDisk, type Store } from "@whither/store";
import type { Anchors, SignatureVerifier } from "@whither/zone";
import { createNodeClock, type NodeClock, type SimulatedClock } from "./clock.js";
import { EventLog } from "./event-log.js";
import type { DpIdentity, FollowedZone, ZoneIdentity } from "./federation-parties.js";
import { fixedBytes } from "./registration-fixtures.js";
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
  readonly verifier: SignatureVerifier;
}

/** A zone as its operator sees it: identity and keys, disk, and the running zone. */
export interface FederationZone extends ZoneIdentity {
  readonly store: Store;
  readonly vaultStore: Store | undefined;
  /** The zone in service. Whoever submits to it directly is a DP that breaks its own rules. */
  readonly mapping: MappingZone;
}

/** What a process holds and loses when it is killed. */
interface Running {
  readonly clock: NodeClock;
  readonly channels: Set<Channel>;
  readonly provider: DiscoveryProvider;
  readonly follower: DirectoryFollower;
  readonly engine: VoprfEngine;
  readonly zones: readonly FederationZone[];
  readonly replicas: readonly ReplicaZone[];
  readonly servers: readonly MemoryServer[];
}

/** What the zones of a process share. */
interface Machine {
  readonly clock: NodeClock;
  readonly engine: VoprfEngine;
  readonly follower: DirectoryFollower;
  readonly openChannel: OpenChannel;
}

export class FederationDp {
  readonly identity: DpIdentity;
  /** Events that the DP has logged, over restarts. */
  readonly log = new EventLog();
  readonly #parts: FederationDpParts;
  /** By zone; they outlast every process. */
  readonly disks: ReadonlyMap<string, MemoryDisk>;
  /** As a file of each process: outlasts them all. */
  readonly #manifests: Promise<ManifestMemory>;
  readonly #configured = new Map<string, ConfiguredKeys>();
  #offsetMs = 0;
  #running: Running | undefined;

  constructor(parts: FederationDpParts) {
    this.identity = parts.identity;
    this.#parts = parts;
    const { clock, anchors } = parts;
    const ksks = () => believedKsks(this.#running?.follower, anchors);
    this.#manifests = ManifestMemory.open({ path: undefined, clock, ksks });
    const { zones, follows } = parts.identity;
    this.disks = new Map(
      [
        ...zones.flatMap(({ zone, probe }) =>
          probe === undefined ? [zone] : [zone, vaultOf(zone)],
        ),
        ...follows.map(({ of }) => of.zone),
      ].map((name) => [name, createMemoryDisk({ clock: parts.clock })]),
    );
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

  /** Zones that it follows. Throws TypeError while it is stopped. */
  get replicas(): readonly ReplicaZone[] {
    return this.#need().replicas;
  }

  get provider(): DiscoveryProvider {
    return this.#need().provider;
  }

  /** Configures another manifest and keys of a zone: for the running process, and for every later one. */
  async configure(zone: string, configured: ConfiguredKeys): Promise<void> {
    const running = this.zones.find((one) => one.zone === zone);
    await running?.mapping.useKeys(configured);
    this.#configured.set(zone, configured);
  }

  /** The machine's wall clock from now on: ahead of the true time, or behind it. */
  shiftClock(offsetMs: number): void {
    this.#offsetMs = offsetMs;
    this.#running?.clock.setOffset(offsetMs);
  }

  /**
   * Opens the zones on their stores and serves them; resolves when the DP holds the directory, or with `wait`
   * false as soon as it serves. Throws what opening throws: then nothing runs.
   */
  async start({ wait = true }: { readonly wait?: boolean } = {}): Promise<void> {
    if (this.#running !== undefined) throw new TypeError(`${this.record.id} is running`);
    const { network, random, identity } = this.#parts;
    const clock = createNodeClock(this.#parts.clock, { offsetMs: this.#offsetMs });
    const channels = new Set<Channel>();
    const engine = this.#engine();
    const openChannel: OpenChannel = (endpoint) => {
      const channel = this.#parts.openChannel(endpoint);
      channels.add(channel);
      return channel;
    };
    const follower = this.#follow(clock, openChannel);
    const machine = { clock, engine, follower, openChannel };
    const { zones, replicas } = await this.#openZones(machine).catch((error: unknown) => {
      // As a process that ends: its locks are free.
      clock.kill();
      for (const channel of channels) channel.close();
      for (const disk of this.disks.values()) disk.cut(disk.unsynced());
      throw error;
    });
    const provider = createDiscoveryProvider({
      dpId: this.record.id,
      zones: zones.map(({ mapping, probe }) => ({
        zone: mapping,
        get signer() {
          return mapping.signer;
        },
        probe,
      })),
      replicas,
      follower,
      limits: { ...defaultAdmissionLimits, ...identity.limits },
      clock,
      random,
      logger: this.log,
    });
    const { spkiSha256, clientAddress, publicAddress } = identity;
    const common = { spkiSha256, logger: this.log };
    const servers = [
      network.serve(clientAddress, {
        ...common,
        services: provider.clientServices,
        clients: { kind: "required" },
      }),
      network.serve(publicAddress, {
        ...common,
        services: provider.publicServices,
        clients: { kind: "none" },
      }),
    ];
    if (wait) {
      const events = ["directory mirrored", "directory refresh failed"];
      await this.log.settled(this.#parts.clock, events);
    }
    provider.start();
    this.#running = { clock, channels, provider, follower, engine, zones, replicas, servers };
    if (wait) await this.#parts.clock.settle();
  }

  async stop(): Promise<void> {
    const running = this.#need();
    this.#running = undefined;
    await Promise.all(running.servers.map((server) => server.close()));
    await running.provider.close();
    await running.follower.close();
    await running.engine.close();
    const stores = running.zones.flatMap(({ store, vaultStore }) =>
      [store, vaultStore ?? []].flat(),
    );
    await Promise.all(stores.map((store) => store.close()));
  }

  /**
   * Ends the process between two instructions: calls break off, timers never come, and of what its stores had
   * not synced the first `kept` commits of each are found at the next start.
   */
  crash(options: { readonly kept?: (unsynced: number) => number } = {}): void {
    const { clock, channels, servers } = this.#need();
    this.#running = undefined;
    clock.kill();
    for (const server of servers) server.kill();
    for (const channel of channels) channel.close();
    for (const disk of this.disks.values()) disk.cut(options.kept?.(disk.unsynced()) ?? 0);
  }

  #follow(clock: NodeClock, openChannel: OpenChannel): DirectoryFollower {
    const { anchors, directory, random, verifier } = this.#parts;
    return createDirectoryFollower({
      anchors,
      source: { kind: "server", ...directory },
      openChannel,
      clock,
      random,
      verifier,
      mirror: true,
      logger: this.log,
    });
  }

  async #openZones(machine: Machine): Promise<Pick<Running, "zones" | "replicas">> {
    const zones: FederationZone[] = [];
    for (const zone of this.identity.zones) zones.push(await this.#openZone(zone, machine));
    const replicas: ReplicaZone[] = [];
    for (const zone of this.identity.follows) replicas.push(await this.#openReplica(zone, machine));
    return { zones, replicas };
  }

  async #openZone(identity: ZoneIdentity, { engine, clock }: Machine): Promise<FederationZone> {
    const { zone, manifestObject: manifest, signer, voprfKeys, fillers, probe } = identity;
    const { random } = this.#parts;
    const store = await this.#disk(zone).open();
    const kept = probe === undefined ? undefined : await this.#openVault(zone);
    const first = { manifest, keys: { signer, voprfSecretKey: voprfKeys.secretKey } };
    const mapping = await openMappingZone({
      store,
      zone,
      ...(this.#configured.get(zone) ?? first),
      vault: kept?.vault,
      followsDirectory: probe !== undefined,
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
    return { ...identity, store, vaultStore: kept?.vaultStore, mapping };
  }

  async #openReplica(
    { of, probe, secretKeys: scalars }: FollowedZone,
    { engine, clock, follower, openChannel }: Machine,
  ): Promise<ReplicaZone> {
    const { zone } = of;
    const disk = this.#disk(zone);
    const secretKeys = scalars.map((secretKey, n) => ({ secretKey, from: `voprf key ${n}` }));
    return await openReplicaZone({
      disk: { open: () => disk.open(), setAside: () => disk.clear() },
      zone,
      authority: async ({ signal }) => {
        const { authorities, notBefore } = await follower.delegation(probe, { signal });
        const authority = authorities.find((one) => one.zone === zone);
        if (authority !== undefined) return { authority, namedAt: notBefore };
        throw new DiscoveryError("NOT_AUTHORITATIVE", "the directory does not name the zone");
      },
      ownSpkiSha256: () => this.identity.spkiSha256,
      ...(secretKeys.length === 0 ? {} : { evaluation: { voprf: engine, secretKeys } }),
      manifests: await this.#manifests,
      openChannel,
      caPem: "",
      clock,
      random: this.#parts.random,
      verifier: this.#parts.verifier,
      logger: this.log,
    });
  }

  async #openVault(zone: ZoneName): Promise<{ readonly vault: Vault; readonly vaultStore: Store }> {
    const vaultStore = await this.#disk(vaultOf(zone)).open();
    const { random } = this.#parts;
    const key = fixedBytes(`vault ${zone}`);
    return { vault: await openVault({ store: vaultStore, zone, key, random }), vaultStore };
  }

  #disk(zone: string): MemoryDisk {
    const disk = this.disks.get(zone);
    if (disk === undefined) throw new TypeError(`${this.record.id} has no ${zone}`);
    return disk;
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

/** Name of the disk of a zone's vault. */
function vaultOf(zone: string): string {
  return `vault of ${zone}`;
}
