// A discovery provider put together: its zones, what it knows of the directory, admission and services. Knows
// no socket and no file, so that a process and a test on a simulated network run the same thing.

import { equalBytes, type Signer } from "@whither/crypto";
import type { DirectoryFollower } from "@whither/directory";
import {
  isDiscoveryError,
  type Csi,
  type DpId,
  type MspId,
  type MspRecord,
} from "@whither/protocol";
import type { ServerInterceptor, ServiceRegistration } from "@whither/rpc";
import {
  silentLogger,
  type Clock,
  type Logger,
  type Random,
  type Scheduled,
} from "@whither/runtime";
import type { WatchedStore } from "@whither/store";
import { isAccredited, type Registry } from "@whither/zone";
import { createAdmission, type Admission, type AdmissionLimits } from "./admission.js";
import { createDiscoveryService } from "./discovery-service.js";
import type { MappingZone, ReadableZone } from "./mapping/mapping-zone.js";
import type { ReplicaZone } from "./replica/replica-zone.js";
import { createReplicationService, type ReplicationPeer } from "./replica/replication-service.js";
import { createRegistrarService } from "./registrar-service.js";
import { ZoneWatchers } from "./replica/zone-watchers.js";
import { createZoneService, zoneOf } from "./zone-service.js";

/** How often the registry is looked at again; from a mirror this costs nothing. */
const registryRefreshMs = 60_000;
/** CPU time of a registration: six signatures and one evaluation of the identifier. */
const registerCpuMs = 4;
const registerMethod = "/whither.v1.Registrar/Register";

export interface ProvidedZone {
  readonly zone: MappingZone;
  /** The zone key, for acceptances and promises. */
  readonly signer: Signer;
  /** An identifier that lies in the zone, real or not, by which to see what the directory says of it. */
  readonly probe?: Csi | undefined;
}

export interface DiscoveryProviderOptions {
  readonly dpId: DpId;
  readonly zones: readonly ProvidedZone[];
  /** Zones followed from their primaries; nobody registers at them. */
  readonly replicas?: readonly ReplicaZone[];
  /** Secondaries of a zone by its name, as configured now; none unless told. */
  readonly secondariesOf?: (zone: string) => readonly ReplicationPeer[];
  /** Store of a zone's vault, for secondaries that may take its place. */
  readonly vaultOf?: (zone: string) => WatchedStore | undefined;
  readonly follower: DirectoryFollower;
  readonly limits?: AdmissionLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Logger;
}

export interface DiscoveryProvider extends AsyncDisposable {
  /** `Zone`: for the listener without client certificates. */
  readonly publicServices: readonly ServiceRegistration[];
  /** `Discovery`, `Registrar` and `Replication`: for the listener that demands them. */
  readonly clientServices: readonly ServiceRegistration[];
  readonly admission: Admission;
  /** Serves a further zone from now on. */
  addZone(zone: ProvidedZone): void;
  /** Serves a zone no longer; closing it is its owner's. */
  removeZone(name: string): void;
  /** Pushes a zone's head to everybody who watches it. Returns how many; throws NOT_AUTHORITATIVE. */
  notify(name: string): number;
  /** Publishes epochs and follows the registry from now on. */
  start(): void;
  /** Waits for epochs under way. Zones, follower and stores stay their owner's to close. */
  close(): Promise<void>;
}

export function createDiscoveryProvider(options: DiscoveryProviderOptions): DiscoveryProvider {
  const { dpId, replicas = [], follower, clock, random, logger = silentLogger } = options;
  const provided = new Map(options.zones.map((one) => [one.zone.zone as string, one]));
  const zones: Iterable<ProvidedZone> = { [Symbol.iterator]: () => provided.values() };
  const parties = new RegistryWatch({ ...options, zones }, logger);
  const admission = createAdmission({
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    clock,
    logger,
    mspOfSpki: (spki) => parties.mspOfSpki(spki),
  });
  const readable: readonly ReadableZone[] = [...options.zones.map(({ zone }) => zone), ...replicas];
  const served = new Map(readable.map((zone) => [zone.zone as string, zone]));
  const watchers = new ZoneWatchers(clock);
  // Apart: strangers who fill the places of the public port take none of a secondary.
  const secondaries = new ZoneWatchers(clock);
  let started = false;
  const close = async (): Promise<void> => {
    parties.close();
    const open = [...[...provided.values()].map(({ zone }) => zone), ...replicas];
    await Promise.all(open.map((zone) => zone.close()));
  };
  return {
    publicServices: [createZoneService({ zones: served, admission, watchers, clock, logger })],
    clientServices: [
      createDiscoveryService({ zones: served, admission, logger }),
      createRegistrarService({
        dpId,
        zones,
        directory: follower,
        clock,
        random,
        logger,
        admitUnproved: (caller) => {
          const client = admission.identify(caller);
          admission.admitContacts(client, 1);
          return () => admission.refundContacts(client, 1);
        },
        interceptors: [registrationInterceptor(admission)],
      }),
      createReplicationService({
        zones: served,
        peersOf: options.secondariesOf ?? (() => []),
        watchers: secondaries,
        vaultOf: options.vaultOf ?? (() => undefined),
        clock,
      }),
    ],
    admission,
    addZone(one) {
      provided.set(one.zone.zone, one);
      served.set(one.zone.zone, one.zone);
      if (started) one.zone.start();
    },
    removeZone(name) {
      provided.delete(name);
      served.delete(name);
    },
    notify(name) {
      const zone = zoneOf(served, name);
      return watchers.notify(zone) + secondaries.notify(zone);
    },
    start() {
      started = true;
      for (const { zone } of zones) zone.start();
      for (const replica of replicas) replica.start();
      parties.start();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Bounds registrations per client as evaluations are. */
function registrationInterceptor(admission: Admission): ServerInterceptor {
  return async (context, next) => {
    const client = admission.identify(context);
    admission.admitRequest(client);
    if (context.method === registerMethod) admission.reserveCpu(client, registerCpuMs);
    await next(context);
  };
}

interface RegistryWatchOptions extends Pick<
  DiscoveryProviderOptions,
  "clock" | "dpId" | "follower"
> {
  /** Those served at the time of each look. */
  readonly zones: Iterable<ProvidedZone>;
}

/** The newest registry seen, by certificate; and whether the directory names the zones as they are. */
class RegistryWatch {
  readonly #options: RegistryWatchOptions;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  #registry: Registry | undefined;
  #bySpki: ReadonlyMap<string, MspRecord> = new Map();
  #timer: Scheduled | undefined;

  constructor(options: RegistryWatchOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
  }

  mspOfSpki(spkiSha256: Uint8Array): MspId | undefined {
    const msp = this.#bySpki.get(spkiText(spkiSha256));
    const isOne = msp !== undefined && isAccredited(msp, this.#options.clock.nowSeconds());
    return isOne ? msp.id : undefined;
  }

  start(): void {
    void this.#look();
  }

  close(): void {
    this.#stop.abort();
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { follower, clock } = this.#options;
    const { signal } = this.#stop;
    try {
      this.#take(await follower.registry({ signal }));
      await this.#checkDelegations();
    } catch (error) {
      // Queries go on; registrations say UNREACHABLE themselves until a directory has been seen.
      if (!signal.aborted) this.#logger.warn("directory not reached", { error });
    }
    if (signal.aborted) return;
    this.#timer = clock.schedule(registryRefreshMs, () => void this.#look());
  }

  #take(registry: Registry): void {
    if (registry === this.#registry) return;
    this.#registry = registry;
    this.#bySpki = new Map(
      registry.msps().flatMap((msp) => msp.spkiSha256.map((spki) => [spkiText(spki), msp])),
    );
    // Who only follows the zones of others need not be in the registry.
    const ownsZones = [...this.#options.zones].length > 0;
    if (ownsZones && registry.dp(this.#options.dpId) === undefined) {
      this.#logger.error("dp not registered", { dp: this.#options.dpId });
    }
  }

  /** A zone that the directory does not name, or names with another manifest, is of use to nobody. */
  async #checkDelegations(): Promise<void> {
    const { follower, zones } = this.#options;
    const { signal } = this.#stop;
    for (const { zone, probe } of zones) {
      if (probe === undefined) continue;
      try {
        const { authorities, ttlSeconds } = await follower.delegation(probe, { signal });
        const named = authorities.find((authority) => authority.zone === zone.zone);
        const { manifestSha256 = [] } = named ?? {};
        await zone.directoryNames({ manifestSha256, ttlSeconds });
        const isNamed = named?.manifestSha256.some((hash) => equalBytes(hash, zone.manifestSha256));
        if (isNamed !== true) this.#logger.error("manifest not delegated", { zone: zone.zone });
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
        this.#logger.warn("delegation not checked", { zone: zone.zone, error });
      }
    }
  }
}

function spkiText(spki: Uint8Array): string {
  return Buffer.from(spki).toString("base64url");
}
