// A registrant against real DPs on a simulated network: the whole ceremony, retries and refusals.

import { expect } from "chai";
import { createDiscoveryProvider, openMappingZone, type MappingZone } from "@whither/authority";
import { loadSodiumVoprf } from "@whither/crypto/node";
import type { ChannelEndpoint, DirectoryFollower } from "@whither/directory";
import {
  DiscoveryError,
  isDiscoveryError,
  parseDpId,
  parseZoneName,
  type Authority,
  type ErrorCode,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import {
  createMemoryNetwork,
  decodeMessage,
  encodeMessage,
  type MemoryNetwork,
} from "@whither/rpc";
import { createInlineVoprf } from "@whither/runtime";
import { createMemoryStore } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  flipSignature,
  makeCredential,
  makeRegistrationParties,
  type SimulatedClock,
} from "@whither/testkit";
import {
  BeginResponseSchema,
  encodeManifest,
  RegisterResponseSchema,
  RegistrationState,
  signedObjectFromWire,
  signedObjectToWire,
  StatusResponseSchema,
  type RegisterResponse,
} from "@whither/wire";
import {
  createRegistry,
  nodeVerifier,
  payloadSha256,
  verifySlot,
  type Delegation,
} from "@whither/zone";
import { agreeToKeyLink, approveKeyLink } from "@whither/ceremony";
import { accountsOf } from "./accounts-file.js";
import { createMsp } from "./msp.js";
import {
  createRegistrant,
  registerCsi,
  type Registrant,
  type RegisterOptions,
} from "./registrant.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { csi, opening, holder, dp, prover, msps, mspSigners, voprfKeys, zoneSigner } = parties;
const sodium = await loadSodiumVoprf();
const dpB = { ...dp, id: parseDpId("dp-b.example"), operator: "Operator B" };
const registry = createRegistry([dp, dpB, prover, ...msps], 1);
const credential = makeCredential(parties);

interface World {
  readonly authorities: Authority[];
  readonly clock: SimulatedClock;
  readonly network: MemoryNetwork;
  readonly zones: ReadonlyMap<string, MappingZone>;
  readonly registrant: Registrant;
  readonly register: (over?: Partial<RegisterOptions>) => ReturnType<Registrant["register"]>;
  readonly options: Parameters<typeof createRegistrant>[0];
  readonly msp: (index: 0 | 1) => RegisterOptions["msp"];
  /** Waits for a promise while the simulated time goes on. */
  readonly during: <T>(work: Promise<T>) => Promise<T>;
}

let seed = 500;
async function makeWorld(names: readonly ("a" | "b")[] = ["a"]): Promise<World> {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(seed++);
  const network = createMemoryNetwork({ clock, random });
  const zones = new Map<string, MappingZone>();
  const authorities: Authority[] = [];
  const directory = {
    delegation: () => Promise.resolve(delegation(authorities)),
    registry: () => Promise.resolve(registry),
  };
  const follower: DirectoryFollower = {
    ...directory,
    current: () => undefined,
    refresh: () => Promise.resolve(),
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  for (const name of names) {
    const dpId = parseDpId(`dp-${name}.example`);
    const zone = parseZoneName(`us@${dpId}`);
    const manifest: SignedObject = {
      payload: encodeManifest({ ...parties.manifest, zone }),
      signatures: [],
    };
    const mapping = await openMappingZone({
      store: createMemoryStore(),
      zone,
      manifest,
      keys: { signer: zoneSigner, voprfSecretKey: voprfKeys.secretKey },
      voprf: createInlineVoprf(sodium, random),
      clock,
      random,
    });
    zones.set(name, mapping);
    const provided = [{ zone: mapping, signer: zoneSigner }];
    const provider = createDiscoveryProvider({ dpId, zones: provided, follower, clock, random });
    provider.start();
    network.serve(`${name}:7354`, {
      services: provider.clientServices,
      clients: { kind: "required" },
    });
    network.serve(`${name}:7364`, { services: provider.publicServices, clients: { kind: "none" } });
    authorities.push(
      authorityOf({ zone, dpId, host: name, manifestSha256: payloadSha256(manifest) }),
    );
  }
  const openChannel = ({ host, port, identity }: ChannelEndpoint) =>
    network.connect(`${host}:${port}`, identity === undefined ? {} : { identity: peer });
  const options = {
    directory,
    caPem: "",
    identity: { certPem: "", keyPem: "" },
    openChannel,
    clock,
    random,
  };
  const registrant = createRegistrant(options);
  const msp = (index: 0 | 1) =>
    createMsp({
      id: msps[index].id,
      signer: mspSigners[index],
      accounts: accountsOf([csi]),
      directory,
      clock,
      random,
      answerStepMs: 0,
    });
  const register: World["register"] = (over = {}) =>
    registrant.register({ csi, opening, credential, holder, msp: msp(0), ...over });
  const during = async <T>(work: Promise<T>): Promise<T> => {
    const progress = { over: false };
    const end = work.catch(() => undefined).finally(() => (progress.over = true));
    for (let steps = 0; !progress.over && steps < 5_000; steps += 1) await clock.advance(100);
    await end;
    return await work;
  };
  return { clock, network, zones, authorities, registrant, register, options, msp, during };
}

const peer = {
  kind: "certificate",
  spkiSha256: fixedBytes("app"),
  names: ["wire.example"],
  certificateDer: new Uint8Array(),
} as const;

function authorityOf(of: {
  zone: ZoneName;
  dpId: Authority["dpId"];
  host: string;
  manifestSha256: Uint8Array;
}): Authority {
  const { zone, dpId, host, manifestSha256 } = of;
  const endpoint = {
    host,
    port: 7354,
    publicPort: 7364,
    spkiSha256: [fixedBytes(host)],
    jurisdiction: "",
    operator: "",
  };
  return {
    zone,
    dpId,
    kind: "mappings",
    relayOnly: false,
    manifestSha256: [manifestSha256],
    endpoints: [endpoint],
  };
}

const delegation = (authorities: readonly Authority[]): Delegation => ({
  zone: "." as Delegation["zone"], // the root
  prefix: "tel:+1" as Delegation["prefix"], // a prefix of the tests' identifier
  disposition: authorities.length > 0 ? "delegated" : "unassigned",
  authorities,
  ttlSeconds: 60,
  notBefore: 0,
  notAfter: 4e9,
  serial: 1,
  relayOnly: false,
  path: [],
});

async function slotOf(zone: MappingZone) {
  const { plaintext } = await zone.lookupForRegistration(csi);
  if (plaintext === undefined) return undefined;
  const nowSeconds = parties.nowSeconds;
  const check = { csi, zone: zone.zone, manifest: zone.manifest, dp, registry, nowSeconds };
  return verifySlot({ ...check, plaintext, verifier: nodeVerifier });
}

async function outcome(call: Promise<unknown>): Promise<ErrorCode | "ok"> {
  try {
    await call;
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

describe("registrant", () => {
  it("registers a CSI and sees it published", async () => {
    const world = await makeWorld();
    const { registered, failed } = await world.register({ preference: 3, tags: ["work"] });
    expect(failed).to.deep.equal([]);
    const [one] = registered;
    expect(one!.promise.by).to.equal(parties.nowSeconds + 60);
    expect(one!.acceptance?.acceptedAt).to.equal(parties.nowSeconds);
    const serial = await world.during(one!.waitPublished());
    expect(serial).to.equal(world.zones.get("a")!.head().serial);
    const slot = await slotOf(world.zones.get("a")!);
    expect(slot!.mappings.map((m) => [m.mspId, m.preference, m.tags])).to.deep.equal([
      ["wire.example", 3, ["work"]],
    ]);
  });

  it("adds a second MSP to what it remembers, reorders, and removes", async () => {
    const world = await makeWorld();
    const zone = world.zones.get("a")!;
    const first = await world.register();
    const second = await world.register({ msp: world.msp(1), previous: first.memory });
    expect((await slotOf(zone))!.presentMsps).to.deep.equal(["wire.example", "video.example"]);
    const base = { csi, holder };
    const swapped = await world.registrant.change({
      ...base,
      previous: second.memory,
      keep: (items) => items.map((item) => ({ ...item, preference: 9 - item.preference })),
    });
    expect((await slotOf(zone))!.presentMsps).to.deep.equal(["video.example", "wire.example"]);
    expect(swapped.registered[0]).to.not.have.property("acceptance");
    const removed = await world.registrant.change({
      ...base,
      previous: swapped.memory,
      keep: () => [],
    });
    await world.during(removed.registered[0]!.waitPublished());
    expect(await slotOf(zone)).to.equal(undefined);
    expect(zone.head().mapSize).to.equal(0);
  });

  it("places one mapping in every zone of the CSI", async () => {
    const world = await makeWorld(["a", "b"]);
    const { registered, mapping, memory } = await world.register();
    expect(registered.map((one) => one.zone)).to.deep.equal(["us@dp-a.example", "us@dp-b.example"]);
    expect([...memory.keys()]).to.have.length(2);
    for (const zone of world.zones.values()) {
      const slot = await slotOf(zone);
      expect(slot!.mappings[0]!.mappingSha256).to.deep.equal(payloadSha256(mapping));
    }
  });

  it("registers where it can and says where it could not", async () => {
    const world = await makeWorld(["a", "b"]);
    world.network.setFaults({ to: "b:7354" }, { partition: "refused" });
    const { registered, failed } = await world.during(world.register());
    expect(registered.map((one) => one.zone)).to.deep.equal(["us@dp-a.example"]);
    expect(failed.map((one) => one.zone)).to.deep.equal(["us@dp-b.example"]);
    expect(failed[0]!.error.code).to.equal("NETWORK");
  });

  /** Of two servers only `a` has the zone; the directory names both, in this order. */
  const namedAs = async (order: readonly ("a" | "b")[]) => {
    const world = await makeWorld(["a", "b"]);
    const [a, b] = world.authorities.splice(0);
    if (a === undefined || b === undefined) throw new TypeError("two servers were made");
    const endpoints = order.flatMap((name) => (name === "a" ? a : b).endpoints);
    world.authorities.push({ ...a, endpoints });
    return world;
  };
  const before = {
    "is not there": { partition: "refused" },
    "says nothing": { partition: "silent" },
    "is a secondary": undefined,
  } as const;

  for (const [what, faults] of Object.entries(before)) {
    it(`goes on to the next server of the zone after one that ${what}`, async () => {
      const world = await namedAs(["b", "a"]);
      world.network.setFaults({ to: "b:7354" }, faults);
      const { registered } = await world.during(world.register());
      expect(registered.map(({ zone }) => zone)).to.deep.equal(["us@dp-a.example"]);
      expect(await slotOf(world.zones.get("a")!)).to.not.equal(undefined);
    });
  }

  it("says of a primary that is not there that it is not, whatever its secondary says", async () => {
    const world = await namedAs(["a", "b"]);
    world.network.setFaults({ to: "a:7354" }, { partition: "refused" });
    expect(await outcome(world.during(world.register()))).to.equal("NETWORK");
  });

  it("registers in the zones it is told", async () => {
    const world = await makeWorld(["a", "b"]);
    const only = parseZoneName("us@dp-b.example");
    expect(
      (await world.register({ zones: [only] })).registered.map((one) => one.zone),
    ).to.deep.equal([only]);
    const nowhere = parseZoneName("us@dp-z.example");
    expect(await outcome(world.register({ zones: [nowhere] }))).to.equal("NOT_AUTHORITATIVE");
  });

  it("makes a new statement when its offer no longer counts", async () => {
    const world = await makeWorld();
    let offers = 0;
    world.network.setFaults(
      { to: "a:7354" },
      {
        tamper: (message, { method, direction }) => {
          if (!method.endsWith("/Begin") || direction !== "response") return message;
          offers += 1;
          if (offers > 1) return message;
          const offer = decodeMessage(BeginResponseSchema, message);
          return encodeMessage(BeginResponseSchema, { ...offer, nonceD: new Uint8Array(48) });
        },
      },
    );
    const { registered } = await world.during(world.register());
    expect(registered).to.have.length(1);
    expect(offers).to.equal(2);
  });

  it("sends the same statement again when the answer was lost", async () => {
    const world = await makeWorld();
    let requests = 0;
    let lost = false;
    world.network.setFaults(
      { to: "a:7354" },
      {
        tamper: (message, { method, direction }) => {
          if (!method.endsWith("/Register")) return message;
          if (direction === "request") requests += 1;
          else if (!lost) {
            lost = true;
            world.network.setFaults({ to: "a:7354" }, { partition: "refused" });
            world.clock.schedule(1, () => world.network.setFaults({ to: "a:7354" }, undefined));
          }
          return message;
        },
      },
    );
    const { registered } = await world.during(world.register());
    expect(lost).to.equal(true);
    expect(requests).to.equal(1); // the second one travelled over the healed link
    const slot = await slotOf(world.zones.get("a")!);
    expect(slot!.statementSha256).to.deep.equal(registered[0]!.statementSha256);
  });

  it("gives up at once when the caller does", async () => {
    const world = await makeWorld();
    world.network.setFaults({ to: "a:7354" }, { partition: "silent" });
    const controller = new AbortController();
    const registering = outcome(world.register({ signal: controller.signal }));
    await world.clock.advance(100);
    controller.abort();
    expect(await registering).to.equal("CANCELLED");
  });

  const receipts: readonly [ErrorCode, string, (response: RegisterResponse) => RegisterResponse][] =
    [
      ["BOGUS", "no acceptance", ({ acceptance: _, ...rest }) => rest],
      [
        "BAD_SIGNATURE",
        "an altered promise",
        (response) => ({
          ...response,
          promise: signedObjectToWire(flipSignature(signedObjectFromWire(response.promise))),
        }),
      ],
    ];
  for (const [code, title, alter] of receipts) {
    it(`${code}: a receipt with ${title}`, async () => {
      const world = await makeWorld();
      world.network.setFaults(
        { to: "a:7354" },
        {
          tamper: (message, { method, direction }) =>
            method.endsWith("/Register") && direction === "response"
              ? encodeMessage(
                  RegisterResponseSchema,
                  alter(decodeMessage(RegisterResponseSchema, message)),
                )
              : message,
        },
      );
      expect(await outcome(world.during(world.register()))).to.equal(code);
    });
  }

  it("BOGUS: a promise that is not kept", async () => {
    const world = await makeWorld();
    const { registered } = await world.register();
    world.network.setFaults(
      { to: "a:7354" },
      {
        tamper: (message, { method, direction }) =>
          method.endsWith("/Status") && direction === "response"
            ? encodeMessage(StatusResponseSchema, { state: RegistrationState.PENDING })
            : message,
      },
    );
    expect(await outcome(world.during(registered[0]!.waitPublished()))).to.equal("BOGUS");
    expect(world.clock.nowSeconds()).to.be.greaterThan(parties.nowSeconds + 60 + 300);
  });

  it("BOGUS: an offer under a manifest that the directory does not name", async () => {
    const world = await makeWorld();
    world.network.setFaults(
      { to: "a:7354" },
      {
        tamper: (message, { method, direction }) => {
          if (!method.endsWith("/Begin") || direction !== "response") return message;
          const offer = decodeMessage(BeginResponseSchema, message);
          return encodeMessage(BeginResponseSchema, { ...offer, manifestSha256: fixedBytes("x") });
        },
      },
    );
    expect(await outcome(world.register())).to.equal("BOGUS");
  });

  it("MANIFEST_WAITS: shows nothing to a DP under a manifest that the one before did not sign", async () => {
    const world = await makeWorld();
    await world.during(world.register());
    const [authority] = world.authorities;
    const zone = world.zones.get("a");
    if (authority === undefined || zone === undefined) throw new TypeError("no zone a");
    const manifest: SignedObject = {
      payload: encodeManifest({ ...parties.manifest, zone: authority.zone, version: 2 }),
      signatures: [],
    };
    await zone.useKeys({
      manifest,
      keys: { signer: zoneSigner, voprfSecretKey: voprfKeys.secretKey },
    });
    await zone.advanceKeys();
    world.authorities[0] = { ...authority, manifestSha256: [payloadSha256(manifest)] };
    const methods: string[] = [];
    world.network.tap(({ kind, method }) => {
      if (kind === "open") methods.push(method);
    });
    expect(await outcome(world.register())).to.equal("MANIFEST_WAITS");
    expect(methods.map((method) => method.split("/").at(-1))).to.deep.equal([
      "Begin",
      "GetManifest",
    ]);
  });

  it("registers once over connections of its own", async () => {
    const world = await makeWorld();
    using registration = await registerCsi({
      ...world.options,
      csi,
      opening,
      credential,
      holder,
      msp: world.msp(0),
    });
    expect(await world.during(registration.registered[0]!.waitPublished())).to.be.greaterThan(0);
  });

  const refusals: readonly [ErrorCode, string, (world: World) => Partial<RegisterOptions>][] = [
    [
      "NOT_REACHABLE_HERE",
      "an MSP that does not reach the holder",
      () => ({
        msp: {
          id: msps[0].id,
          draft: () =>
            Promise.reject(new DiscoveryError("NOT_REACHABLE_HERE", "not reachable at this msp")),
        },
      }),
    ],
    [
      "BAD_MAPPING",
      "an MSP that drafts for another",
      (world) => ({ msp: { id: msps[0].id, draft: (request) => world.msp(1).draft(request) } }),
    ],
    ["BAD_CREDENTIAL", "a credential of another holder", () => ({ holder: parties.otherHolder })],
    ["BAD_OPENING", "a wrong opening", () => ({ opening: fixedBytes("other") })],
  ];
  for (const [code, title, over] of refusals) {
    it(`${code}: ${title}, before any DP is asked`, async () => {
      const world = await makeWorld();
      let calls = 0;
      world.network.tap(() => (calls += 1));
      expect(await outcome(world.register(over(world)))).to.equal(code);
      expect(calls).to.equal(0);
    });
  }

  it("UNASSIGNED: a CSI that nobody serves", async () => {
    const world = await makeWorld([]);
    expect(await outcome(world.register())).to.equal("UNASSIGNED");
  });

  it("INCUMBENT: passes on the DP's refusal", async () => {
    const world = await makeWorld();
    await world.register();
    const { otherHolder } = parties;
    const fields = { holderPublicKey: otherHolder.publicKey };
    const theirs = { holder: otherHolder, credential: makeCredential(parties, { fields }) };
    expect(await outcome(world.register(theirs))).to.equal("INCUMBENT");
  });

  it("brings a second app's link to every zone, with what the first app has there", async () => {
    const world = await makeWorld(["a", "b"]);
    const { memory: previous } = await world.register();
    const { otherHolder } = parties;
    const fields = { holderPublicKey: otherHolder.publicKey };
    const theirs = { holder: otherHolder, credential: makeCredential(parties, { fields }) };
    const approved = approveKeyLink({
      csi,
      holder,
      newPublicKey: otherHolder.publicKey,
      randomBytes: (length) => fixedBytes("link", length),
    });
    const verifier = nodeVerifier;
    const links = [agreeToKeyLink({ approved, csi, holder: otherHolder, verifier })];
    const joined = { ...theirs, msp: world.msp(1), links, previous };
    const { registered, failed, memory } = await world.register(joined);
    expect([registered.length, failed]).to.deep.equal([2, []]);
    for (const { items } of memory.values()) {
      expect(items.map(({ mspId }) => mspId)).to.deep.equal(["wire.example", "video.example"]);
    }
  });
});
