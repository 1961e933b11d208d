// A whole federation in one process: signed root, DPs with their real zones, MSPs, provers and resolvers on
// one simulated network, with one simulated clock and seeded randomness. The engines are the daemons' own;
// only sockets, disks and time are not.

import { createDirectoryService, type DirectoryService } from "@whither/authority";
import { loadSodiumVoprf, type Signer, type Voprf } from "@whither/crypto/node";
import type { ChannelEndpoint, OpenChannel } from "@whither/directory";
import { parseDpId, type KeyPeriod, type MspRecord, type ProverRecord } from "@whither/protocol";
import {
  createMemoryNetwork,
  type Channel,
  type MemoryConnectOptions,
  type MemoryNetwork,
  type MemoryServer,
  type TapRecord,
} from "@whither/rpc";
import { createResolver, type Resolver, type ResolverOptions } from "@whither/resolver";
import { createInlineVoprf, type Clock } from "@whither/runtime";
import type { Anchors, Directory, DirectoryObjects } from "@whither/zone";
import { createSimulatedClock, type SimulatedClock } from "./clock.js";
import { makeRootFixture, rootSourceText, type RootFixture } from "./directory-fixtures.js";
import { EventLog } from "./event-log.js";
import { signFederationDirectory, unverifiedDirectory } from "./federation-directory.js";
import { FederationDp, type FederationZone } from "./federation-dp.js";
import { testIdentity } from "./federation-identity.js";
import { directoryFaults, dpFaults, type DirectoryLies, type DpLies } from "./federation-lies.js";
import {
  makeDpIdentity,
  makeMsp,
  makeProver,
  makeReplicaIdentity,
  peerNamed,
  registrySourceOf,
  type DpIdentity,
  type DpSpec,
  type MspSpec,
  type ProverSpec,
  type Signing,
} from "./federation-parties.js";
import {
  FederationPeople,
  type CredentialOptions,
  type Person,
  type Registration,
  type RegistrationOptions,
} from "./federation-people.js";
import { createSeededRandom, type SeededRandom } from "./random.js";
import { shareVerdicts } from "./shared-verdicts.js";

const rootHost = "root.example";
const rootPort = 7363;

/** Three DPs of different operators, three MSPs and a prover; +49, +44, everything else, e-mail and handles. */
const defaultDps: readonly DpSpec[] = [
  { id: "dp-a.example", zones: ["de"] },
  { id: "dp-b.example", zones: ["gb"] },
  { id: "dp-c.example", zones: ["rest", "mail"] },
];
const defaultMsps: readonly MspSpec[] = [
  { id: "wire.example" },
  { id: "video.example" },
  { id: "chat.example" },
];
const defaultProvers: readonly ProverSpec[] = [{ id: "prover.example" }];
const defaultPrefixes: readonly string[] = [
  `"tel:": { zones: [rest@dp-c.example] }`,
  `"tel:+49": { zones: [de@dp-a.example] }`,
  `"tel:+44": { zones: [gb@dp-b.example] }`,
  `"tel:+999": { unassigned: true }`,
  `"mailto:": { zones: [mail@dp-c.example] }`,
  `"acct:": { zones: [mail@dp-c.example] }`,
];

export interface FederationOptions {
  /** 1 unless told; a failing seed becomes a case. */
  readonly seed?: number;
  /** Milliseconds since the Unix epoch at the start; 2027-01-15T08:00:00Z unless told. */
  readonly startMs?: number;
  /** Whether nothing of the test touches files or sockets: time then passes faster. Default: false. */
  readonly isInMemory?: boolean;
  readonly dps?: readonly DpSpec[];
  readonly msps?: readonly MspSpec[];
  readonly provers?: readonly ProverSpec[];
  /** Lines under `prefixes:` of root.zone.yaml. */
  readonly prefixes?: readonly string[];
  /** Whole text of root.zone.yaml instead. */
  readonly rootZone?: string;
}

export interface FederationResolverOptions extends Pick<
  ResolverOptions,
  "statePath" | "keepCaches" | "ownMsp" | "cacheBytes" | "verifier" | "watch"
> {
  /** Whether it holds the whole directory, and then from the start. Default: true. */
  readonly mirror?: boolean;
  /** Name it connects as, for faults, taps and limits; an MSP's name makes it that MSP. */
  readonly client?: string;
  /** Without a client certificate nothing can be evaluated. Default: true. */
  readonly certificate?: boolean;
  /** Whether to wait for the mirror, or for its failure. Default: true. */
  readonly wait?: boolean;
  readonly log?: EventLog;
  /** Its machine's clock; the federation's unless told. */
  readonly clock?: Clock;
}

/**
 * Makes and starts a federation. `await using` closes it with all its resolvers.
 *
 * ```ts
 * await using federation = await createFederation({ seed: 7 });
 * await federation.register({ csi: parseCsi("+4930123456"), msps: ["wire.example", "video.example"] });
 * await federation.publish();                                   // the next epoch of every zone
 * const resolver = await federation.resolver({ mirror: false }); // walks; `true` holds the directory
 * const answer = await resolver.lookup(parseCsi("+4930123456")); // found: wire.example, video.example
 *
 * federation.tamper("dp-a.example", { bucket: (b) => ({ ...b, count: 0 }) });
 * await resolver.lookup(parseCsi("+4930123456"), { refresh: true }); // throws BOGUS
 * federation.tamper("dp-a.example", undefined);
 * ```
 *
 * Time stands still unless `clock.advance` moves it (`publish` does by 1 s). Whatever waits for time, such as
 * a time-out or a retry, is run with `during`.
 */
export async function createFederation(options: FederationOptions = {}): Promise<Federation> {
  const voprf = await loadSodiumVoprf();
  const federation = new Federation(options, voprf);
  for (const host of federation.hosts) await host.start();
  return federation;
}

/** Made by `createFederation`. */
export class Federation implements AsyncDisposable {
  readonly clock: SimulatedClock;
  readonly random: SeededRandom;
  readonly network: MemoryNetwork;
  readonly root: RootFixture;
  readonly anchors: Anchors;
  readonly directoryAddress = `${rootHost}:${rootPort}`;
  readonly dps: readonly FederationDp[];
  /** Processes that follow zones of the DPs. */
  readonly replicas: readonly FederationDp[];
  /** Registered or not, with the keys they sign with. */
  readonly msps: readonly Signing<MspRecord>[];
  readonly provers: readonly Signing<ProverRecord>[];
  readonly people: FederationPeople;
  /** Certificate and key for options that demand one; the network looks at names only. */
  readonly identity = testIdentity();
  readonly #voprf: Voprf;
  readonly #verifier = shareVerdicts();
  readonly #isInMemory: boolean;
  readonly #service: DirectoryService;
  readonly #registered: {
    readonly msps: readonly MspRecord[];
    readonly provers: readonly ProverRecord[];
  };
  readonly #resolvers = new Set<Resolver>();
  readonly #manifests = new Map<string, readonly Uint8Array[]>();
  /** Keys that parties sign with and that are registered instead of the first, by id. */
  readonly #signers = new Map<string, Signer>();
  readonly #keys = new Map<string, readonly KeyPeriod[]>();
  #rootZone: string;
  #server: MemoryServer | undefined;

  constructor(options: FederationOptions, voprf: Voprf) {
    const {
      seed = 1,
      startMs,
      isInMemory = false,
      dps = defaultDps,
      prefixes = defaultPrefixes,
    } = options;
    const { msps = defaultMsps, provers = defaultProvers } = options;
    this.#voprf = voprf;
    this.#isInMemory = isInMemory;
    this.clock = createSimulatedClock({
      isInMemory,
      ...(startMs === undefined ? {} : { startMs }),
    });
    this.random = createSeededRandom(seed);
    this.network = createMemoryNetwork({ clock: this.clock, random: this.random });
    const nowSeconds = this.clock.nowSeconds();
    this.root = makeRootFixture({ nowSeconds });
    this.anchors = this.root.anchors;
    const identities = dps.map((spec) => makeDpIdentity(spec, nowSeconds));
    this.msps = msps.map((spec, place) => makeMsp(spec, { place, nowSeconds }));
    this.provers = provers.map((spec) => makeProver(spec, nowSeconds));
    this.#registered = {
      msps: this.msps.flatMap(({ record }, at) =>
        msps[at]?.unregistered === true ? [] : [record],
      ),
      provers: this.provers.flatMap(({ record }, at) =>
        provers[at]?.unregistered === true ? [] : [record],
      ),
    };
    const host = (identity: DpIdentity): FederationDp =>
      new FederationDp({
        identity,
        anchors: this.anchors,
        directory: { host: rootHost, port: rootPort },
        network: this.network,
        openChannel: this.openChannel(identity.record.id),
        clock: this.clock,
        random: this.random,
        voprf,
        verifier: this.#verifier,
      });
    this.dps = identities.map(host);
    this.replicas = identities.flatMap((identity, at) =>
      (dps[at]?.replicas ?? []).map((spec) => host(makeReplicaIdentity(spec, identity))),
    );
    this.#rootZone = options.rootZone ?? rootSourceText(prefixes);
    this.#service = createDirectoryService(unverifiedDirectory(this.#sign(undefined, undefined)));
    this.startDirectory();
    this.people = new FederationPeople(this);
  }

  /** What the root serves now. */
  get directory(): Directory {
    return this.#service.directory;
  }

  /** All processes. */
  get hosts(): readonly FederationDp[] {
    return [...this.dps, ...this.replicas];
  }

  /** The process of a DP or of a replica. */
  host(id: string): FederationDp {
    return found(
      this.hosts.find(({ record }) => record.id === parseDpId(id)),
      id,
    );
  }

  dp(id: string): FederationDp {
    return found(
      this.dps.find(({ record }) => record.id === parseDpId(id)),
      id,
    );
  }

  /** A running zone by its whole name, `de@dp-a.example`. */
  zone(name: string): FederationZone {
    const { zones } = this.dp(name.slice(name.indexOf("@") + 1));
    return found(
      zones.find(({ zone }) => zone === name),
      name,
    );
  }

  msp(id: string): Signing<MspRecord> {
    return this.#rekeyed(this.msps, id);
  }

  prover(id: string): Signing<ProverRecord> {
    return this.#rekeyed(this.provers, id);
  }

  /** An MSP or a prover signs with this key from now on. */
  signWith(id: string, signer: Signer): void {
    this.#signers.set(id, signer);
  }

  /** Names these keys of an MSP or a prover, from the next signature of the directory on. */
  nameKeys(id: string, keys: readonly KeyPeriod[]): void {
    this.#keys.set(id, keys);
  }

  /** Connects as `client`: with a certificate of that name where an identity is asked for, and pinned. */
  openChannel(client = "client"): OpenChannel {
    return ({ host, port, pins, identity }: ChannelEndpoint): Channel => {
      const options: MemoryConnectOptions = {
        from: client,
        ...(pins === undefined ? {} : { pins }),
        ...(identity === undefined ? {} : { identity: peerNamed(client) }),
      };
      return this.network.connect(`${host}:${port}`, options);
    };
  }

  /** A resolver on this network; closed with the federation. */
  async resolver(options: FederationResolverOptions = {}): Promise<Resolver> {
    const {
      client = "resolver",
      certificate = true,
      mirror = true,
      wait = true,
      log = new EventLog(),
      ...given
    } = options;
    const { certPem: cert, keyPem: key } = this.identity;
    const resolver = await createResolver({
      anchors: this.anchors,
      directory: this.directoryAddress,
      mirror,
      ...(certificate ? { identity: { cert, key } } : {}),
      clock: this.clock,
      verifier: this.#verifier,
      ...given,
      random: this.random,
      voprf: createInlineVoprf(this.#voprf, this.random),
      openChannel: this.openChannel(client),
      logger: log,
    });
    this.#resolvers.add(resolver);
    if (mirror && wait) {
      const events = ["directory mirrored", "mirror loaded", "directory refresh failed"];
      if (!events.some((event) => log.last(event) !== undefined)) {
        await log.settled(this.clock, events);
      }
    }
    return resolver;
  }

  /** Registers through the real ceremony; see `FederationPeople.register`. */
  register(options: RegistrationOptions): Promise<Registration> {
    return this.people.register(options);
  }

  /** A prover's credential; see `FederationPeople.credential`. */
  credential(options: CredentialOptions): ReturnType<FederationPeople["credential"]> {
    return this.people.credential(options);
  }

  person(csi: Person["csi"]): Person {
    return this.people.person(csi);
  }

  /** A second later every running zone publishes what waits, or a fresh head. */
  async publish(): Promise<void> {
    await this.clock.advance(1_000);
    for (const dp of this.dps) {
      if (!dp.isRunning) continue;
      for (const { mapping } of dp.zones) await mapping.runEpoch();
    }
  }

  /** Moves time in steps of 100 ms until the work is done: at most `timeoutMs` (10 min) of simulated time. */
  async during<T>(work: Promise<T>, timeoutMs = 600_000): Promise<T> {
    const progress = { over: false };
    const end = (): void => void (progress.over = true);
    work.then(end, end);
    for (let ms = 0; !progress.over && ms < timeoutMs; ms += 100) {
      await this.clock.advance(100);
      // In memory only modules are waited for, which are loaded once.
      if (!this.#isInMemory || ms % 1_000 === 0) await aMomentOfRealTime();
    }
    if (!progress.over) throw new Error(`not done after ${timeoutMs} ms of simulated time`);
    return await work;
  }

  /** What a DP or a replica tells anybody from now on; undefined: the truth. */
  tamper(host: string, lies: DpLies | undefined): void {
    const { clientAddress, publicAddress } = this.host(host).identity;
    const faults = lies === undefined ? undefined : dpFaults(lies);
    for (const to of [clientAddress, publicAddress]) this.network.setFaults({ to }, faults);
  }

  /** What the directory server tells anybody from now on. */
  tamperDirectory(lies: DirectoryLies | undefined): void {
    const faults = lies === undefined ? undefined : directoryFaults(lies);
    this.network.setFaults({ to: this.directoryAddress }, faults);
  }

  /** Hears every message that arrives anywhere; returns the way to stop. */
  tap(listener: (record: TapRecord) => void): () => void {
    return this.network.tap(listener);
  }

  /** Stops a DP and starts it again on the same stores. */
  async restart(dp: string): Promise<void> {
    await this.dp(dp).stop();
    await this.dp(dp).start();
  }

  async stopDirectory(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }

  startDirectory(): void {
    this.#server ??= this.network.serve(this.directoryAddress, {
      services: [this.#service.service],
      clients: { kind: "none" },
    });
  }

  /** Names these manifests of a zone, newest first, from the next signature of the directory on. */
  nameManifests(zone: string, manifestSha256: readonly Uint8Array[]): void {
    this.#manifests.set(zone, manifestSha256);
  }

  /** The directory as the root would sign it now, the next serial after the one served. */
  signDirectory(change: { readonly prefixes?: readonly string[] } = {}): DirectoryObjects {
    return this.#sign(this.directory, change.prefixes);
  }

  /** Serves these objects, right or wrong, from now on; a newly signed directory unless told. */
  replaceDirectory(objects: DirectoryObjects = this.signDirectory()): void {
    this.#service.replace(unverifiedDirectory(objects));
  }

  async close(): Promise<void> {
    for (const resolver of this.#resolvers) await resolver.close();
    this.people.close();
    for (const host of [...this.replicas, ...this.dps]) if (host.isRunning) await host.stop();
    await this.stopDirectory();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #rekeyed<R extends MspRecord | ProverRecord>(of: readonly Signing<R>[], id: string): Signing<R> {
    const { record, signer } = found(
      of.find((one) => one.record.id === id),
      id,
    );
    return { record: this.#withKeys(record), signer: this.#signers.get(id) ?? signer };
  }

  #withKeys<R extends MspRecord | ProverRecord>(record: R): R {
    const keys = this.#keys.get(record.id);
    return keys === undefined ? record : { ...record, keys };
  }

  #sign(previous: Directory | undefined, prefixes: readonly string[] | undefined) {
    return signFederationDirectory({
      root: this.root,
      registry: registrySourceOf({
        dps: this.dps.map(({ identity }) => identity),
        replicas: this.replicas.map(({ identity }) => identity),
        msps: this.#registered.msps.map((record) => this.#withKeys(record)),
        provers: this.#registered.provers.map((record) => this.#withKeys(record)),
        manifests: this.#manifests,
      }),
      rootZone: prefixes === undefined ? this.#rootZone : rootSourceText(prefixes),
      previous,
      nowSeconds: this.clock.nowSeconds(),
    });
  }
}

function found<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new TypeError(`the federation has no ${name}`);
  return value;
}

/**
 * Files are read and modules are loaded in real time, of which simulated time knows nothing: without a pause it
 * runs out while a slow disk still works.
 */
function aMomentOfRealTime(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 2);
  });
}
