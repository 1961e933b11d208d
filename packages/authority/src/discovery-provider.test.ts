import { expect } from "chai";
import { sha256 } from "@whither/crypto/node";
import type { DirectoryFollower } from "@whither/directory";
import { DiscoveryError, parseCsi, type Authority, type ErrorCode } from "@whither/protocol";
import { createClient, createMemoryNetwork, type Peer } from "@whither/rpc";
import { silentLogger, type Logger } from "@whither/runtime";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { Discovery, encodeManifest, Registrar, Zone } from "@whither/wire";
import { createRegistry, type Delegation, type Registry } from "@whither/zone";
import { defaultAdmissionLimits } from "./admission.js";
import { createDiscoveryProvider } from "./discovery-provider.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const mspSpki = new Uint8Array(32).fill(5);
const parties = makeRegistrationParties({
  nowSeconds: startMs / 1000,
  msps: [{ spkiSha256: [mspSpki] }, {}],
});
const { zone, dp, registry, manifestSha256 } = parties;

const peerOf = (spkiSha256: Uint8Array): Extract<Peer, { kind: "certificate" }> => ({
  kind: "certificate",
  spkiSha256,
  names: [],
  certificateDer: new Uint8Array(0),
});

/** The directory as a test has it: a registry or none, and a manifest hash. */
interface Directory {
  registry: Registry | undefined;
  manifestSha256: Uint8Array;
}

function followerOf(directory: Directory): DirectoryFollower {
  const unreached = new DiscoveryError("UNREACHABLE", "no directory");
  const close = (): Promise<void> => Promise.resolve();
  return {
    registry: () =>
      directory.registry === undefined
        ? Promise.reject(unreached)
        : Promise.resolve(directory.registry),
    delegation: (): Promise<Delegation> => {
      if (directory.registry === undefined) return Promise.reject(unreached);
      const authority: Authority = {
        zone,
        dpId: dp.id,
        kind: "mappings",
        relayOnly: false,
        manifestSha256: [directory.manifestSha256],
        endpoints: [],
      };
      return Promise.resolve({
        zone: "." as Delegation["zone"], // the root
        prefix: "tel:+1" as Delegation["prefix"], // encloses the probe
        disposition: "delegated",
        authorities: [authority],
        ttlSeconds: 3600,
        notBefore: 0,
        notAfter: startMs,
        serial: 1,
        relayOnly: false,
        path: [],
      });
    },
    current: () => undefined,
    refresh: close,
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function provide(directory: Directory) {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(1);
  const events: string[] = [];
  const note = (event: string): void => void events.push(event);
  const logger: Logger = { ...silentLogger, warn: note, error: note };
  const served = await openTestZone({ parties, clock, random, followsDirectory: true });
  const provider = createDiscoveryProvider({
    dpId: dp.id,
    zones: [{ zone: served, signer: parties.zoneSigner, probe: parseCsi("tel:+14155550199") }],
    follower: followerOf(directory),
    limits: { ...defaultAdmissionLimits, requestsBurst: 3, requestsPerSecond: 1 },
    clock,
    random,
    logger,
  });
  const network = createMemoryNetwork({ clock, random });
  network.serve("dp:1", { services: provider.clientServices, clients: { kind: "required" } });
  network.serve("dp:2", { services: provider.publicServices, clients: { kind: "none" } });
  const as = (spki: Uint8Array) => network.connect("dp:1", { identity: peerOf(spki) });
  return { clock, provider, served, events, as, open: network.connect("dp:2") };
}

async function codeOf(run: () => Promise<unknown>): Promise<ErrorCode | "ok"> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}

describe("discovery provider", () => {
  it("serves queries without a directory, refuses registrations, and goes on looking", async () => {
    const directory: Directory = { registry: undefined, manifestSha256 };
    const { clock, provider, events, as, open } = await provide(directory);
    provider.start();
    await clock.advance(1000);
    expect(events).to.deep.equal(["directory not reached"]);
    expect(await codeOf(() => createClient(Zone, open).getHead({ zone }))).to.equal("ok");
    const registrar = createClient(Registrar, as(new Uint8Array(32)));
    expect(await codeOf(() => registrar.begin({ zone }))).to.equal("ok");
    directory.registry = registry;
    await clock.advance(60_000);
    expect(events).to.deep.equal(["directory not reached"]);
    await provider.close();
  });

  it("says loudly that the directory names another manifest, or not this dp", async () => {
    const other = await provide({ registry, manifestSha256: new Uint8Array(32) });
    other.provider.start();
    await other.clock.settle();
    expect(other.events).to.deep.equal(["manifest not delegated"]);
    await other.provider.close();
    const empty = await provide({ registry: createRegistry([], 1), manifestSha256 });
    empty.provider.start();
    await empty.clock.settle();
    expect(empty.events).to.deep.equal(["dp not registered"]);
    await empty.provider.close();
  });

  it("tells a zone which manifests the directory names, and how long they may be held", async () => {
    const directory: Directory = { registry, manifestSha256 };
    const { clock, provider, served, events } = await provide(directory);
    const manifest = { ...parties.manifest, version: 2 };
    const payload = encodeManifest(manifest);
    const keys = { signer: parties.zoneSigner, voprfSecretKey: parties.voprfKeys.secretKey };
    provider.start();
    await served.useKeys({ manifest: { payload, signatures: [] }, keys });
    await clock.advance(60_000);
    expect(served.manifest.version).to.equal(1);
    directory.manifestSha256 = sha256(payload); // and the one in force no longer
    await clock.advance(60_000);
    expect(served.manifest.version).to.equal(2);
    expect(events).to.deep.equal([]);
    await provider.close();
  });

  it("counts the certificates that the registry names for an MSP as that MSP", async () => {
    const { clock, provider } = await provide({ registry, manifestSha256 });
    const client = () =>
      provider.admission.identify({ peer: peerOf(mspSpki), address: "192.0.2.1" });
    expect(client().class).to.equal("client");
    provider.start();
    await clock.settle();
    expect(client()).to.deep.equal({ class: "msp", key: parties.msps[0].id });
    await provider.close();
  });

  it("counts an MSP whose accreditation has ended as any other client", async () => {
    const ended = { ...parties.msps[0], accreditedTo: startMs / 1000 };
    const directory = { registry: createRegistry([dp, ended], 1), manifestSha256 };
    const { clock, provider } = await provide(directory);
    provider.start();
    await clock.settle();
    const context = { peer: peerOf(mspSpki), address: "192.0.2.1" };
    expect(provider.admission.identify(context).class).to.equal("client");
    await provider.close();
  });

  it("bounds registrations and evaluations of a client together", async () => {
    const { provider, as } = await provide({ registry, manifestSha256 });
    const channel = as(new Uint8Array(32).fill(9));
    const registrar = createClient(Registrar, channel);
    const discovery = createClient(Discovery, channel);
    expect(await codeOf(() => registrar.begin({ zone }))).to.equal("ok");
    expect(await codeOf(() => registrar.begin({ zone }))).to.equal("ok");
    expect(await codeOf(() => discovery.evaluate({ zone }))).to.equal("INVALID_DATA");
    expect(await codeOf(() => discovery.evaluate({ zone }))).to.equal("LIMITED");
    expect(await codeOf(() => registrar.begin({ zone }))).to.equal("LIMITED");
    await provider.close();
  });
});
