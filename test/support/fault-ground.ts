// A small federation of real processes whose every link can fail, one person in it, and a resolver that asks: who is
// there and who is not, over and over, until both answers are right again. A wrong answer ends the test at once.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDiscoveryError, type Csi, type ErrorCode } from "@whither/protocol";
import { createResolver, parseCsi, type Resolver } from "@whither/resolver";
import { createScope, systemClock, type Scope } from "@whither/runtime";
import { FaultProxy } from "./fault-proxy.js";
import { makeFederation, RunningFederation, type FederationFiles } from "./federation.js";
import { registerPeople } from "./people.js";
import { whitherctlHere } from "./processes.js";
import { rootZoneYaml } from "./root-zone.js";

const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true, name: E.164 }",
  "tel:+49": "{ zones: [de@dp-a.example], name: Germany }",
});
const zone = "de@dp-a.example";
const msps = [{ id: "video.example" }, { id: "wire.example" }];
export const dpId = "dp-a.example";
export const replicaId = "replica.example";

/** What an honest federation may answer while something of it is broken. All else, BOGUS too, is wrong. */
const failures: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "DEADLINE",
  "NETWORK",
  "OVERLOADED",
  "UNREACHABLE",
]);

const rightly: ReadonlySet<Outcome> = new Set<Outcome>(["found", "found, stale"]);

/** Pause of who asks over and over: leaves the machine to the daemons. Nothing is concluded from it. */
const askEveryMs = 20;

/** How a question ended: as registered, that but stale, not as registered, nobody, or a failure. */
export type Outcome = "found" | "found, stale" | "found otherwise" | "none" | ErrorCode;

export interface FaultLinks {
  readonly root: FaultProxy;
  /** To the DP's port for clients with a certificate. */
  readonly clients: FaultProxy;
  /** To the DP's public port. */
  readonly open: FaultProxy;
  /** To the replica's public port, where there is a replica. */
  readonly replica: FaultProxy | undefined;
}

export class FaultGround implements AsyncDisposable {
  readonly federation: RunningFederation;
  readonly links: FaultLinks;
  readonly known: Csi = parseCsi("tel:+4930901820001");
  readonly #scope: Scope;
  #resolver: Resolver;
  #strangers = 0;

  constructor(of: {
    readonly federation: RunningFederation;
    readonly links: FaultLinks;
    readonly resolver: Resolver;
    readonly scope: Scope;
  }) {
    this.federation = of.federation;
    this.links = of.links;
    this.#resolver = of.resolver;
    this.#scope = of.scope;
  }

  static async start(options: { readonly hasReplica: boolean }): Promise<FaultGround> {
    const scope = createScope();
    try {
      return await open(scope, options);
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  get files(): FederationFiles {
    return this.federation.files;
  }

  get resolver(): Resolver {
    return this.#resolver;
  }

  /** A resolver that knows nothing, in the place of the one there was. */
  async freshResolver(): Promise<void> {
    await this.#resolver.close();
    this.#resolver = await openResolver(this.files);
  }

  /** One more person, as she is, published, and at the replica too. */
  async register(csi: Csi): Promise<void> {
    await registerPeople(this.files, [{ csi, msps }]);
    if (this.links.replica !== undefined) await this.replicaCaughtUp();
  }

  /** How a question ends, right or wrong: for a test that judges by itself. */
  async outcome(csi: Csi, options: { readonly timeoutMs?: number } = {}): Promise<Outcome> {
    return await outcomeOf(this.#resolver, csi, options);
  }

  /** A number that nobody registered and nobody asked for. */
  stranger(): Csi {
    this.#strangers += 1;
    return parseCsi(`+4930901820${String(999 - this.#strangers)}`);
  }

  /** Throws for an answer that is wrong, whatever is broken. */
  async ask(who: "known" | "stranger", options: { readonly timeoutMs?: number } = {}) {
    const csi = who === "known" ? this.known : this.stranger();
    const outcome = await outcomeOf(this.#resolver, csi, options);
    const isRight = who === "known" ? rightly.has(outcome) : outcome === "none";
    const isFailure = failures.has(outcome as ErrorCode); // a set of codes: anything else is not in it
    if (!isRight && !isFailure) throw new Error(`${who}: a wrong answer: ${outcome}`);
    return outcome;
  }

  /** Both at once. */
  async askBoth(options: { readonly timeoutMs?: number } = {}): Promise<readonly Outcome[]> {
    return await Promise.all([this.ask("known", options), this.ask("stranger", options)]);
  }

  /** Asks until both answers are right and fresh, and gives the milliseconds that it took. */
  async recovered(): Promise<number> {
    const startMs = systemClock.monotonicMs();
    while ((await this.askBoth()).join() !== "found,none") await systemClock.sleep(askEveryMs);
    return Math.round(systemClock.monotonicMs() - startMs);
  }

  /** Until the replica is where its primary is. An honest one may be an epoch behind, and then answers as of then. */
  async replicaCaughtUp(): Promise<void> {
    if (await this.isReplicaBehind()) {
      await systemClock.sleep(askEveryMs);
      await this.replicaCaughtUp();
    }
  }

  /** Whether the replica serves another epoch than its primary. */
  async isReplicaBehind(): Promise<boolean> {
    const [serial, ofReplica] = await Promise.all([
      this.#serialAt(dpId),
      this.#serialAt(replicaId),
    ]);
    return serial !== ofReplica;
  }

  async #serialAt(id: string): Promise<string> {
    const config = this.files.path(`${id}.yaml`);
    const { status, stdout, stderr } = await whitherctlHere([
      "zone-serial",
      zone,
      "--config",
      config,
    ]);
    if (status !== 0) throw new Error(`${id}: ${stderr}`);
    return stdout.trim();
  }

  /** People who ask until told to stop; a wrong answer is thrown by `stop`. */
  askOnAndOn(options: { readonly timeoutMs?: number } = {}): {
    readonly stop: () => Promise<void>;
  } {
    const told = new AbortController();
    const asking = (async () => {
      while (!told.signal.aborted) {
        await this.askBoth(options);
        await systemClock.sleep(askEveryMs);
      }
    })();
    asking.catch(() => undefined); // it is thrown by `stop`
    return {
      stop: async () => {
        told.abort();
        await asking;
      },
    };
  }

  heal(): void {
    for (const link of Object.values(this.links) as (FaultProxy | undefined)[]) link?.heal();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resolver.close();
    await this.#scope.close();
  }
}

async function open(scope: Scope, options: { readonly hasReplica: boolean }): Promise<FaultGround> {
  const directory = await mkdtemp(join(tmpdir(), "whither-faults-"));
  scope.defer(() => rm(directory, { recursive: true, force: true }));
  const files = await makeFiles(directory, options);
  const [dp] = files.dps;
  if (dp === undefined) throw new TypeError("no dp");
  const link = async (port: number, upstreamPort: number): Promise<FaultProxy> =>
    scope.use(await FaultProxy.start({ port, upstreamPort, clock: systemClock }));
  const [replica] = files.replicas;
  const links = {
    root: await link(files.rootFrontPort, files.rootPort),
    clients: await link(dp.front.port, dp.port),
    open: await link(dp.front.publicPort, dp.publicPort),
    replica: replica && (await link(replica.front.publicPort, replica.publicPort)),
  };
  const federation = scope.use(await RunningFederation.start(files));
  const ground = new FaultGround({ federation, links, resolver: await openResolver(files), scope });
  await ground.register(ground.known);
  return ground;
}

async function makeFiles(
  directory: string,
  { hasReplica }: { readonly hasReplica: boolean },
): Promise<FederationFiles> {
  const replica = { id: replicaId, operator: "Operator R", jurisdiction: "FR" };
  return await makeFederation({
    directory,
    plan: {
      dps: [{ id: dpId, operator: "Operator A", jurisdiction: "DE", zones: [zone] }],
      replicas: hasReplica ? [{ ...replica, zone, probe: "tel:+4930123456" }] : [],
      msps: [
        { id: "wire.example", operator: "Operator W", bit: 0 },
        { id: "video.example", operator: "Operator V", bit: 1 },
      ],
      rootZone,
      isFronted: true,
      // Who asks here asks without a pause.
      dpdConfig: [
        "limits:",
        "  requests_per_second: 100000",
        "  requests_burst: 100000",
        "  cpu_ms_per_second: 100000",
        "  cpu_burst_ms: 100000",
        "  public_bytes_per_minute: 1024MiB",
      ].join("\n"),
    },
  });
}

async function openResolver(files: FederationFiles): Promise<Resolver> {
  return await createResolver({
    anchors: files.anchors,
    directory: `127.0.0.1:${files.rootFrontPort}`,
    identity: {
      cert: files.path("pki", "wire.example.pem"),
      key: files.path("pki", "wire.example-key.pem"),
    },
  });
}

async function outcomeOf(
  resolver: Resolver,
  csi: Csi,
  options: { readonly timeoutMs?: number },
): Promise<Outcome> {
  try {
    const answer = await resolver.lookup(csi, { refresh: true, ...options });
    if (answer.status === "none") return "none";
    if (answer.status !== "found") throw new Error(`one DP, and ${answer.status}`);
    if (answer.mappings.map(({ msp }) => msp).join() !== msps.map(({ id }) => id).join()) {
      return "found otherwise";
    }
    return answer.warnings.some(({ code }) => code === "STALE") ? "found, stale" : "found";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}
