import { expect } from "chai";
import { createSigner, loadSodiumVoprf, type Signer } from "@whither/crypto/node";
import {
  composeStatement,
  encodeRegisterRequest,
  verifyReceipt,
  type HolderSlot,
  type StatementWish,
} from "@whither/ceremony";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  parseCsi,
  type Csi,
  type ErrorCode,
  type SignedObject,
} from "@whither/protocol";
import { createClient, createMemoryNetwork, type Client } from "@whither/rpc";
import { createInlineVoprf, createLogger } from "@whither/runtime";
import { createMemoryStore, type Store } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  flipSignature,
  makeCredential,
  makeMapping,
  makeRegistrationParties,
  type RegistrationParties,
} from "@whither/testkit";
import { encodeManifest, Registrar, RegistrationState, signedObjectFromWire } from "@whither/wire";
import {
  bitPositionsOf,
  nodeVerifier,
  readMapping,
  verifySlot,
  type Delegation,
} from "@whither/zone";
import type { MappingZone } from "./mapping/mapping-zone.js";
import { openMappingZone } from "./mapping/open-mapping-zone.js";
import {
  createRegistrarService,
  type RegistrarOptions,
  type RegistrarZone,
} from "./registrar-service.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, manifest, csi, registry, dp } = parties;
const sodium = await loadSodiumVoprf();
const manifestObject: SignedObject = { payload: encodeManifest(manifest), signatures: [] };
const otherCsi = parseCsi("tel:+14155550124");

const delegation = (over: Partial<Delegation["authorities"][number]> = {}): Delegation => ({
  zone: "." as Delegation["zone"], // the root
  prefix: "tel:+1" as Delegation["prefix"], // a prefix of the tests' identifiers
  disposition: "delegated",
  authorities: [
    {
      zone,
      dpId: dp.id,
      kind: "mappings",
      relayOnly: false,
      manifestSha256: [],
      endpoints: [],
      ...over,
    },
  ],
  ttlSeconds: 60,
  notBefore: 0,
  notAfter: 4e9,
  serial: 1,
  relayOnly: false,
  path: [],
});

interface Bench {
  readonly client: Client<typeof Registrar>;
  readonly mapping: MappingZone;
  readonly clock: ReturnType<typeof createSimulatedClock>;
  readonly lines: string[];
  readonly store: Store;
}

let seed = 100;
/** A DP whose process begins now on this store. */
async function startDp(
  options: {
    readonly store?: Store;
    readonly delegation?: Delegation;
    readonly registry?: typeof registry;
    readonly wrap?: (zone: MappingZone) => RegistrarZone;
    readonly admitUnproved?: RegistrarOptions["admitUnproved"];
  } = {},
): Promise<Bench> {
  const { store = createMemoryStore() } = options;
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(seed++);
  const mapping = await openMappingZone({
    store,
    zone,
    manifest: manifestObject,
    keys: { signer: parties.zoneSigner, voprfSecretKey: parties.voprfKeys.secretKey },
    voprf: createInlineVoprf(sodium, random),
    clock,
    random,
  });
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ level: "debug", clock, destination });
  const service = createRegistrarService({
    dpId: dp.id,
    zones: [{ zone: options.wrap?.(mapping) ?? mapping, signer: parties.zoneSigner }],
    directory: {
      delegation: () => Promise.resolve(options.delegation ?? delegation()),
      registry: () => Promise.resolve(options.registry ?? registry),
    },
    clock,
    random,
    logger,
    ...(options.admitUnproved === undefined ? {} : { admitUnproved: options.admitUnproved }),
  });
  const network = createMemoryNetwork({ clock, random });
  network.serve("dpd:7354", { services: [service], clients: { kind: "required" } });
  const channel = network.connect("dpd:7354", {
    identity: {
      kind: "certificate",
      spkiSha256: fixedBytes("spki"),
      names: ["wire.example"],
      certificateDer: new Uint8Array(),
    },
  });
  return { client: createClient(Registrar, channel), mapping, clock, lines, store };
}

/** The zone with some of its methods watched. */
function watched(mapping: MappingZone, over: Partial<RegistrarZone>): RegistrarZone {
  return {
    zone: mapping.zone,
    manifest: mapping.manifest,
    manifestSha256: mapping.manifestSha256,
    status: (hash) => mapping.status(hash),
    isSpent: (nonce) => mapping.isSpent(nonce),
    lookupForRegistration: (of, options) => mapping.lookupForRegistration(of, options),
    submit: (submission) => mapping.submit(submission),
    ...over,
  };
}

interface Ask {
  readonly msp?: 0 | 1;
  readonly csi?: Csi;
  readonly holder?: Signer;
  readonly previous?: HolderSlot;
  readonly nonceD?: Uint8Array;
  readonly tamper?: (mapping: SignedObject) => SignedObject;
  readonly wish?: Partial<StatementWish>;
}

/** Makes a finished request: with `msp` it adds that MSP's mapping, without it changes what stands. */
async function prepare({ client }: Bench, ask: Ask) {
  const world: RegistrationParties = { ...parties, csi: ask.csi ?? csi };
  const holder = ask.holder ?? parties.holder;
  const nonceD = ask.nonceD ?? (await client.begin({ zone })).nonceD;
  const base = { holder, zone, nonceD, nowSeconds: parties.nowSeconds };
  const memory = ask.previous === undefined ? {} : { previous: ask.previous };
  if (ask.msp === undefined) {
    const statement = composeStatement({ ...base, ...memory, ...ask.wish });
    return {
      request: encodeRegisterRequest({ zone, csi: world.csi, statement: statement.object }),
      statement,
    };
  }
  const credential = makeCredential(world, { fields: { holderPublicKey: holder.publicKey } });
  const made = makeMapping(world, { credential, msp: ask.msp, holder });
  const { mapping: record, sha256: mappingSha256 } = readMapping(made);
  const mapping = ask.tamper?.(made) ?? made;
  const { opening } = world;
  const countersigned = {
    kind: "countersigned",
    mapping,
    credential,
    opening,
    record,
    mappingSha256,
  } as const;
  const statement = composeStatement({
    ...base,
    ...memory,
    added: { mapping: countersigned },
    ...ask.wish,
  });
  const request = encodeRegisterRequest({
    zone,
    csi: world.csi,
    statement: statement.object,
    added: { mapping, credential, opening },
  });
  return { request, statement, mappingSha256 };
}

async function register(bench: Bench, ask: Ask) {
  const prepared = await prepare(bench, ask);
  const response = await bench.client.register(prepared.request);
  return { ...prepared, response };
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

async function slotOf({ mapping }: Bench, of: Csi = csi) {
  const { plaintext } = await mapping.lookupForRegistration(of);
  if (plaintext === undefined) return undefined;
  const check = { csi: of, zone, manifest, dp, registry, nowSeconds: parties.nowSeconds };
  return verifySlot({ ...check, plaintext, verifier: nodeVerifier }).presentMsps;
}

describe("Registrar: Begin", () => {
  it("offers a nonce of the zone for 15 minutes with the manifest's hash", async () => {
    const { client } = await startDp();
    const offer = await client.begin({ zone });
    expect(offer.nonceD).to.have.length(48);
    expect(offer.expires).to.equal(BigInt(parties.nowSeconds + 900));
    expect(offer.manifestSha256).to.deep.equal(parties.manifestSha256);
  });

  it("NOT_AUTHORITATIVE: a zone it does not serve", async () => {
    const { client } = await startDp();
    expect(await outcome(client.begin({ zone: "gb@dp-b.example" }))).to.equal("NOT_AUTHORITATIVE");
  });

  it("INVALID_DATA: no zone's name", async () => {
    const { client } = await startDp();
    expect(await outcome(client.begin({ zone: "" }))).to.equal("INVALID_DATA");
  });
});

describe("Registrar: Register and Status", () => {
  it("takes a first mapping: durable, receipted, and in the next head", async () => {
    const bench = await startDp();
    const { statement, mappingSha256, response } = await register(bench, { msp: 0 });
    const statementSha256 = statement.sha256;
    verifyReceipt({
      manifest,
      statementSha256,
      mappingSha256: mappingSha256!,
      acceptance: signedObjectFromWire(response.acceptance),
      promise: signedObjectFromWire(response.promise),
      nowSeconds: parties.nowSeconds,
      verifier: nodeVerifier,
    });
    const status = () => bench.client.status({ zone, statementSha256 });
    expect((await status()).state).to.equal(RegistrationState.PENDING);
    await bench.mapping.runEpoch();
    const published = await status();
    expect(published.state).to.equal(RegistrationState.PUBLISHED);
    expect(published.serial).to.equal(BigInt(bench.mapping.head().serial));
    expect(bench.mapping.head().mapSize).to.equal(1);
    expect(await slotOf(bench)).to.deep.equal(["wire.example"]);
  });

  it("writes the compact bits of the slot's MSPs under the registry's version", async () => {
    let bits: Uint8Array | undefined;
    const bench = await startDp({
      wrap: (mapping) =>
        watched(mapping, {
          submit: (submission) => {
            expect(submission.content?.registryVersion).to.equal(registry.version);
            bits = submission.content?.bits;
            return mapping.submit(submission);
          },
        }),
    });
    const { statement } = await register(bench, { msp: 0 });
    await register(bench, { msp: 1, previous: statement.slot });
    expect(bitPositionsOf(bits!)).to.deep.equal([0, 5]);
  });

  it("adds a second MSP before and after the epoch of the first", async () => {
    for (const publish of [false, true]) {
      const bench = await startDp();
      const { statement } = await register(bench, { msp: 0 });
      if (publish) await bench.mapping.runEpoch();
      await register(bench, { msp: 1, previous: statement.slot });
      expect(await slotOf(bench)).to.deep.equal(["wire.example", "video.example"]);
      await bench.mapping.runEpoch();
      expect(bench.mapping.head().mapSize).to.equal(1);
    }
  });

  it("removes a slot from the tree", async () => {
    const bench = await startDp();
    const { statement } = await register(bench, { msp: 0 });
    await bench.mapping.runEpoch();
    await register(bench, { previous: statement.slot, wish: { keep: () => [] } });
    await bench.mapping.runEpoch();
    expect(bench.mapping.head().mapSize).to.equal(0);
    expect(await slotOf(bench)).to.equal(undefined);
  });

  it("does not let an older statement bring a removed slot back", async () => {
    const bench = await startDp();
    const first = await register(bench, { msp: 0 });
    const withheld = await prepare(bench, { msp: 1, previous: first.statement.slot });
    const removal = await prepare(bench, {
      previous: withheld.statement.slot,
      wish: { keep: () => [] },
    });
    // The removal names what stands; the withheld mapping's commitment is the same.
    await bench.client.register(removal.request);
    await bench.mapping.runEpoch();
    expect(await outcome(bench.client.register(withheld.request))).to.equal("STALE_SEQUENCE");
    const again = await prepare(bench, { msp: 0, previous: removal.statement.slot });
    expect(await outcome(bench.client.register(again.request))).to.equal("ok");
  });

  it("answers UNKNOWN for a statement it never accepted", async () => {
    const { client } = await startDp();
    const { state } = await client.status({ zone, statementSha256: fixedBytes("x") });
    expect(state).to.equal(RegistrationState.UNKNOWN);
    expect(await outcome(client.status({ zone, statementSha256: new Uint8Array(31) }))).to.equal(
      "INVALID_DATA",
    );
  });
});

describe("Registrar: the same request again", () => {
  it("is answered alike and changes nothing, across a restart too", async () => {
    const bench = await startDp();
    const { request, response } = await register(bench, { msp: 0 });
    const again = await bench.client.register(request);
    expect(again.acceptance).to.deep.equal(response.acceptance);
    await bench.mapping.runEpoch();
    await bench.mapping.close();
    const restarted = await startDp({ store: bench.store });
    const { serial } = restarted.mapping.head();
    expect((await restarted.client.register(request)).acceptance).to.deep.equal(
      response.acceptance,
    );
    await restarted.mapping.runEpoch();
    expect(restarted.mapping.head().mapSize).to.equal(1);
    expect(restarted.mapping.head().serial).to.be.greaterThan(serial);
  });

  it("is answered alike for a removal, across a restart too", async () => {
    const bench = await startDp();
    const { statement } = await register(bench, { msp: 0 });
    const { request } = await register(bench, {
      previous: statement.slot,
      wish: { keep: () => [] },
    });
    expect(await outcome(bench.client.register(request))).to.equal("ok");
    await bench.mapping.runEpoch();
    await bench.mapping.close();
    const restarted = await startDp({ store: bench.store });
    expect(await outcome(restarted.client.register(request))).to.equal("ok");
    expect(await slotOf(restarted)).to.equal(undefined);
  });

  it("registers once when it is sent many times at once", async () => {
    let submissions = 0;
    const bench = await startDp({
      wrap: (mapping) =>
        watched(mapping, {
          submit: (submission) => {
            submissions += 1;
            return mapping.submit(submission);
          },
        }),
    });
    const { request } = await prepare(bench, { msp: 0 });
    const all = await Promise.all([1, 2, 3, 4].map(() => bench.client.register(request)));
    expect(all).to.have.length(4);
    expect(submissions).to.equal(1);
  });
});

describe("Registrar: refusals", () => {
  it("REPLAYED: one offer for two identifiers", async () => {
    const bench = await startDp();
    const { nonceD } = await bench.client.begin({ zone });
    await register(bench, { msp: 0, nonceD });
    expect(await outcome(register(bench, { msp: 0, csi: otherCsi, nonceD }))).to.equal("REPLAYED");
    expect(await slotOf(bench, otherCsi)).to.equal(undefined);
  });

  it("REPLAYED: one offer for two identifiers at once; one of them stands", async () => {
    const bench = await startDp();
    const { nonceD } = await bench.client.begin({ zone });
    const one = await prepare(bench, { msp: 0, nonceD });
    const two = await prepare(bench, { msp: 0, csi: otherCsi, nonceD });
    const outcomes = await Promise.all(
      [one, two].map(({ request }) => outcome(bench.client.register(request))),
    );
    expect(outcomes.toSorted()).to.deep.equal(["REPLAYED", "ok"]);
  });

  it("BAD_OFFER: an offer from before a restart", async () => {
    const bench = await startDp();
    const { request } = await prepare(bench, { msp: 0 });
    const restarted = await startDp({ store: bench.store });
    expect(await outcome(restarted.client.register(request))).to.equal("BAD_OFFER");
  });

  it("BAD_OFFER: an offer used after 15 minutes", async () => {
    const bench = await startDp();
    const { statement } = await register(bench, { msp: 0 });
    const { request } = await prepare(bench, {
      previous: statement.slot,
      wish: { exclusive: true },
    });
    await bench.clock.advance(limits.offerSeconds * 1000);
    expect(await outcome(bench.client.register(request))).to.equal("BAD_OFFER");
  });

  it("INCUMBENT: a second holder key with a good credential", async () => {
    const bench = await startDp();
    await register(bench, { msp: 0 });
    const second = register(bench, { msp: 0, holder: parties.otherHolder });
    expect(await outcome(second)).to.equal("INCUMBENT");
    expect(await slotOf(bench)).to.deep.equal(["wire.example"]);
  });

  it("INCUMBENT: of two first claims at once, one stands", async () => {
    const bench = await startDp();
    const claims = await Promise.all(
      [parties.holder, parties.otherHolder].map((holder) => prepare(bench, { msp: 0, holder })),
    );
    const outcomes = await Promise.all(
      claims.map(({ request }) => outcome(bench.client.register(request))),
    );
    expect(outcomes.toSorted()).to.deep.equal(["INCUMBENT", "ok"]);
  });

  it("BAD_SIGNATURE: a forged mapping, before anybody looks at the slot", async () => {
    let looked = 0;
    const bench = await startDp({
      wrap: (mapping) =>
        watched(mapping, {
          lookupForRegistration: (of, options) => {
            looked += 1;
            return mapping.lookupForRegistration(of, options);
          },
        }),
    });
    const forged = register(bench, { msp: 0, tamper: (mapping) => flipSignature(mapping) });
    expect(await outcome(forged)).to.equal("BAD_SIGNATURE");
    expect(looked).to.equal(0);
  });

  const elsewhere: readonly [string, Delegation][] = [
    ["the directory names another zone", delegation({ zone: "gb@dp-a.example" as typeof zone })],
    ["the directory names another DP", delegation({ dpId: "dp-b.example" as typeof dp.id })],
    ["the prefix is a sub-directory's", delegation({ kind: "directory" })],
    ["nobody serves the prefix", { ...delegation(), disposition: "unassigned", authorities: [] }],
  ];
  for (const [title, named] of elsewhere) {
    it(`NOT_AUTHORITATIVE: ${title}`, async () => {
      const bench = await startDp({ delegation: named });
      expect(await outcome(register(bench, { msp: 0 }))).to.equal("NOT_AUTHORITATIVE");
    });
  }

  it("NOT_AUTHORITATIVE: the DP has left the registry", async () => {
    const without = makeRegistrationParties({
      dp: { id: "dp-z.example" as typeof dp.id },
    }).registry;
    const bench = await startDp({ registry: without });
    expect(await outcome(register(bench, { msp: 0 }))).to.equal("NOT_AUTHORITATIVE");
  });

  it("passes on that the directory cannot be asked", async () => {
    const bench = await startDp();
    const service = createRegistrarService({
      dpId: dp.id,
      zones: [{ zone: bench.mapping, signer: parties.zoneSigner }],
      directory: {
        delegation: () => Promise.reject(new DiscoveryError("UNREACHABLE", "no root answers")),
        registry: () => Promise.resolve(registry),
      },
      clock: bench.clock,
      random: createSeededRandom(1),
    });
    const network = createMemoryNetwork({ clock: bench.clock, random: createSeededRandom(2) });
    network.serve("dpd:1", { services: [service], clients: { kind: "none" } });
    const client = createClient(Registrar, network.connect("dpd:1"));
    expect(await outcome(register({ ...bench, client }, { msp: 0 }))).to.equal("UNREACHABLE");
  });

  it("CANCELLED: work that waited for its turn until its client had left", async () => {
    let submissions = 0;
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const bench = await startDp({
      wrap: (mapping) =>
        watched(mapping, {
          submit: async (submission) => {
            submissions += 1;
            await released;
            await mapping.submit(submission);
          },
        }),
    });
    const first = await prepare(bench, { msp: 0 });
    const second = await prepare(bench, { msp: 1, previous: first.statement.slot });
    const running = bench.client.register(first.request);
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = outcome(bench.client.register(second.request, { signal }));
    await bench.clock.advance(10);
    controller.abort();
    release();
    await running;
    expect(await waiting).to.equal("CANCELLED");
    await bench.clock.advance(10);
    expect(submissions).to.equal(1);
    expect(await slotOf(bench)).to.deep.equal(["wire.example"]);
  });

  it("charges a guess to who proves nothing, before the slot is looked at, whether one is there or not", async () => {
    let left = 2;
    const bench = await startDp({
      admitUnproved: ({ peer }) => {
        expect(peer.kind).to.equal("certificate");
        if (left === 0) throw new DiscoveryError("LIMITED", "too many new contacts");
        left -= 1;
        return () => (left += 1);
      },
    });
    const { statement } = await register(bench, { msp: 0 });
    expect(left, "a mapping is proved").to.equal(2);
    const changed = await register(bench, { previous: statement.slot, wish: { exclusive: true } });
    expect(left, "a change by the holder is given back").to.equal(2);
    const holder = createSigner(fixedBytes("nobody's key"));
    const guess = async (of: Csi) => {
      const { request } = await prepare(bench, { csi: of, holder, wish: { keep: () => [] } });
      return await outcome(bench.client.register(request));
    };
    expect([await guess(csi), left]).to.deep.equal(["BAD_STATEMENT", 1]);
    expect([await guess(otherCsi), left]).to.deep.equal(["BAD_STATEMENT", 0]);
    expect(await guess(csi)).to.equal("LIMITED");
    expect(await outcome(bench.client.register(changed.request))).to.equal("LIMITED");
  });

  it("logs outcome, zone and code, never an identifier", async () => {
    const bench = await startDp();
    await register(bench, { msp: 0 });
    await outcome(register(bench, { msp: 0, holder: parties.otherHolder }));
    const log = bench.lines.join("\n");
    expect(log).to.include("registration accepted").and.include("INCUMBENT");
    expect(log).to.not.include("4155550123");
  });
});
