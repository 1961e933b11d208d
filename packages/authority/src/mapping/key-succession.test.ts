import { expect } from "chai";
import fc from "fast-check";
import { portableVoprf, sha256, uint32Bytes, uint64Bytes, utf8 } from "@whither/crypto/node";
import {
  DiscoveryError,
  limits,
  parseCsi,
  type Csi,
  type ErrorCode,
  type Manifest,
  type SignedObject,
} from "@whither/protocol";
import { decodeMessage } from "@whither/rpc";
import { createMemoryDisk, type Row } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  fixedSigner,
  makeRegistrationParties,
  openTestZone,
  type SimulatedClock,
} from "@whither/testkit";
import {
  BodiesResponseSchema,
  BucketResponseSchema,
  encodeManifest,
  GetHeadResponseSchema,
  signedObjectFromWire,
} from "@whither/wire";
import {
  bitPositionsOf,
  bucketPrefix,
  mspBitsOf,
  nodeVerifier,
  openPublicSlot,
  slotIndex,
  slotInput,
  unmaskMspBits,
  verifyBucket,
  verifyHead,
} from "@whither/zone";
import type { MappingZone } from "./mapping-zone.js";
import { openVault } from "./vault.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const hour = 3600;
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, manifest: first } = parties;
const [oldKey] = first.voprfKeys;
const oldKid = oldKey!.kid;
const nextPair = portableVoprf.deriveKeyPair(fixedBytes("voprf 2"), utf8("test"));
const nextKid = sha256(nextPair.publicKey).slice(0, 4);
const nextKey = { kid: nextKid, publicKey: nextPair.publicKey, notAfter: oldKey!.notAfter };
/** Its current key is the next one, and it still names the one before. */
const second: Manifest = { ...first, version: 2, voprfKeys: [nextKey, oldKey!] };
const objectOf = (manifest: Manifest): SignedObject => ({
  payload: encodeManifest(manifest),
  signatures: [],
});
const sha256Of = (manifest: Manifest): Uint8Array => sha256(encodeManifest(manifest));
const signer = parties.zoneSigner;
const oldOnly = { signer, voprfSecretKey: parties.voprfKeys.secretKey };
const both = { ...oldOnly, nextVoprfSecretKey: nextPair.secretKey };
const nextOnly = { signer, voprfSecretKey: nextPair.secretKey };
const secrets = new Map([
  [Buffer.from(oldKid).toString("hex"), parties.voprfKeys.secretKey],
  [Buffer.from(nextKid).toString("hex"), nextPair.secretKey],
]);

const csiOf = (n: number): Csi => parseCsi(`tel:+1415555${String(n).padStart(4, "0")}`);

interface Opening {
  readonly manifest?: Manifest;
  readonly keys?: typeof both | typeof oldOnly;
  readonly followsDirectory?: boolean;
}

/** A zone with a vault whose process may end at any moment: only the two stores outlive it. */
class Bench {
  readonly clock: SimulatedClock = createSimulatedClock({ startMs });
  readonly random = createSeededRandom(23);
  readonly #disks = [1, 2].map(() => createMemoryDisk({ clock: this.clock }));
  #nonces = 0;

  /** As they lie on the disk of the zone. */
  rows(): readonly Row[] {
    return this.#disks[0]!.rows();
  }

  /** The process ends; of what was not synced a part of each disk's is found again. */
  crash(kept: (unsynced: number) => number): void {
    for (const disk of this.#disks) disk.cut(kept(disk.unsynced()));
  }

  async open(options: Opening = {}): Promise<MappingZone> {
    const { manifest = first, keys = oldOnly, followsDirectory = false } = options;
    const key = fixedBytes("vault");
    const { random, clock } = this;
    this.crash((unsynced) => unsynced);
    const [store, vaultStore] = await Promise.all(this.#disks.map((disk) => disk.open()));
    const vault = await openVault({ store: vaultStore!, zone, key, random });
    const manifestObject = objectOf(manifest);
    const common = { parties, clock, random, store: store!, vault, keys, followsDirectory };
    return openTestZone({ ...common, manifest: manifestObject });
  }

  async register(served: MappingZone, csi: Csi, text: string | undefined): Promise<void> {
    const nonceD = new Uint8Array(48);
    nonceD.set(uint64Bytes(this.clock.nowSeconds() + 900));
    nonceD.set(uint32Bytes(++this.#nonces), 8);
    await served.submit({
      slot: await served.lookupForRegistration(csi),
      content:
        text === undefined
          ? undefined
          : { plaintext: utf8(text), registryVersion: 5, bits: mspBitsOf([3]) },
      nonceD,
      statementSha256: statementOf(csi, text),
      acceptedAt: this.clock.nowSeconds(),
    });
  }

  /** What a resolver finds under a kid, every byte verified against a manifest; undefined: proven absent. */
  async read(served: MappingZone, csi: Csi, under: Under): Promise<string | undefined> {
    const { kid, manifest } = under;
    const message = decodeMessage(GetHeadResponseSchema, served.headResponse(kid));
    const head = verifyHead({
      object: signedObjectFromWire(message.head),
      zone,
      manifest,
      manifestSha256: sha256Of(manifest),
      nowSeconds: this.clock.nowSeconds(),
      verifier: nodeVerifier,
    });
    expect(Buffer.from(head.kid).toString("hex")).to.equal(Buffer.from(kid).toString("hex"));
    const secret = secrets.get(Buffer.from(kid).toString("hex"))!;
    const y = portableVoprf.evaluate(secret, slotInput(csi));
    const idx = slotIndex({ y, zone, kid });
    const prefix = bucketPrefix(idx, head.b);
    const bucket = served.bucketResponse({ kid, b: head.b, prefix });
    const answer = decodeMessage(BucketResponseSchema, bucket);
    const entry = verifyBucket({ zone, kid, b: head.b, prefix, ...answer, head }).find(idx);
    if (entry === undefined) return undefined;
    const { vhash, masked } = entry;
    const { registryVersion, bits } = unmaskMspBits({ secret: y, vhash, masked });
    expect(registryVersion).to.equal(5);
    expect(bitPositionsOf(bits)).to.deep.equal([3]);
    const bodies = decodeMessage(BodiesResponseSchema, await served.bodiesResponse([vhash]));
    const body = bodies.bodies[0]!;
    return new TextDecoder().decode(openPublicSlot({ y, zone, kid, idx, body }));
  }
}

interface Under {
  readonly kid: Uint8Array;
  readonly manifest: Manifest;
}

const statementOf = (csi: Csi, text: string | undefined): Uint8Array =>
  sha256(utf8(`${csi} ${text ?? "removed"}`));

async function codeOf(work: () => unknown): Promise<ErrorCode | "ok"> {
  try {
    await work();
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}

const people = Array.from({ length: 40 }, (_, n) => csiOf(n));

async function populated(bench: Bench, options: Opening = {}): Promise<MappingZone> {
  const served = await bench.open(options);
  for (const [n, csi] of people.entries()) await bench.register(served, csi, `person ${n}`);
  await served.runEpoch();
  return served;
}

/** Under the second manifest, the tree of the first kid beside that of the second. */
async function rotated(bench: Bench): Promise<MappingZone> {
  const served = await populated(bench);
  await served.useKeys({ manifest: objectOf(second), keys: both });
  await served.advanceKeys();
  return served;
}

describe("a change of the voprf key", () => {
  it("makes a second tree with the same slots and serves both", async () => {
    const bench = new Bench();
    await using served = await rotated(bench);
    expect(served.manifestSha256).to.deep.equal(sha256Of(second));
    expect(served.head().kid).to.deep.equal(nextKid);
    for (const kid of [nextKid, oldKid]) {
      expect(served.head(kid).mapSize).to.equal(people.length);
      for (const [n, csi] of people.entries()) {
        expect(await bench.read(served, csi, { kid, manifest: second })).to.equal(`person ${n}`);
      }
      expect(await bench.read(served, csiOf(999), { kid, manifest: second })).to.equal(undefined);
    }
  });

  it("writes registrations and removals to both trees, and is published when both have them", async () => {
    const bench = new Bench();
    await using served = await rotated(bench);
    await bench.register(served, csiOf(0), "changed");
    await bench.register(served, csiOf(1), undefined);
    await bench.register(served, csiOf(70), "new");
    const statement = statementOf(csiOf(0), "changed");
    expect(served.status(statement)).to.deep.equal({ kind: "pending" });
    await served.runEpoch();
    const { serial } = served.head();
    expect(served.status(statement)).to.deep.equal({ kind: "published", serial });
    for (const kid of [nextKid, oldKid]) {
      const under = { kid, manifest: second };
      expect(await bench.read(served, csiOf(0), under)).to.equal("changed");
      expect(await bench.read(served, csiOf(1), under)).to.equal(undefined);
      expect(await bench.read(served, csiOf(70), under)).to.equal("new");
      expect(served.head(kid).mapSize).to.equal(people.length);
    }
  });

  it("shows nobody the next tree before the zone is under its manifest", async () => {
    const bench = new Bench();
    await using served = await populated(bench);
    await served.useKeys({ manifest: objectOf(first), keys: both });
    await served.advanceKeys();
    expect(served.succession.next).to.include({ phase: "built", done: 40, total: 40, missing: 0 });
    expect(served.head().kid).to.deep.equal(oldKid);
    expect(await codeOf(() => served.headResponse(nextKid))).to.equal("UNKNOWN_KID");
    const blinded = [fixedBytes("element")];
    expect(await codeOf(() => served.evaluate({ kid: nextKid, blinded }))).to.equal("UNKNOWN_KID");
    const query = { kid: nextKid, b: 0, prefix: new Uint8Array(16) };
    expect(await codeOf(() => served.bucketResponse(query))).to.equal("UNKNOWN_KID");
  });

  it("drops the tree before 72 h after the switch, and it stays dropped", async () => {
    const bench = new Bench();
    {
      await using served = await rotated(bench);
      const [previous] = served.succession.previous;
      expect(previous?.dropAt).to.equal(bench.clock.nowSeconds() + 72 * hour);
      await bench.clock.advance((72 * hour - 1) * 1000);
      await served.advanceKeys();
      expect(served.head(oldKid).kid).to.deep.equal(oldKid);
      await bench.clock.advance(1000);
      await served.advanceKeys();
      expect(await codeOf(() => served.head(oldKid))).to.equal("UNKNOWN_KID");
      expect(served.succession.previous).to.deep.equal([]);
      await bench.register(served, csiOf(70), "new");
    }
    for (const keys of [both, nextOnly]) {
      await using again = await bench.open({ manifest: second, keys });
      expect(await codeOf(() => again.head(oldKid))).to.equal("UNKNOWN_KID");
      expect(again.succession.next).to.equal(undefined);
      const under = { kid: nextKid, manifest: second };
      expect(await bench.read(again, csiOf(70), under)).to.equal("new");
      expect(await bench.read(again, csiOf(7), under)).to.equal("person 7");
    }
    for (const [key] of bench.rows()) {
      expect(Buffer.from(key.subarray(1, 5)).equals(oldKid), `row of table ${key[0]}`).to.equal(
        false,
      );
    }
  });

  it("gives the tree before up at once where the manifest leaves its key out", async () => {
    const bench = new Bench();
    await using served = await populated(bench);
    const compromised = { ...second, voprfKeys: [nextKey] };
    await served.useKeys({ manifest: objectOf(compromised), keys: both });
    await served.advanceKeys();
    expect(await codeOf(() => served.head(oldKid))).to.equal("UNKNOWN_KID");
    const under = { kid: nextKid, manifest: compromised };
    expect(await bench.read(served, csiOf(3), under)).to.equal("person 3");
  });

  it("goes on after a restart at every stage", async () => {
    const bench = new Bench();
    await (await populated(bench)).close();
    await (await bench.open({ keys: both })).close(); // begun, not a row copied
    const made = await bench.open({ keys: both });
    await bench.register(made, csiOf(60), "while it is copied");
    await made.advanceKeys();
    await bench.register(made, csiOf(61), "when it is built");
    await made.close();
    const built = await bench.open({ keys: both });
    expect(built.succession.next?.phase).to.equal("built");
    await built.close();
    const switched = await bench.open({ manifest: second, keys: both });
    await switched.close();
    await using last = await bench.open({ manifest: second, keys: both });
    await last.runEpoch();
    for (const kid of [nextKid, oldKid]) {
      const under = { kid, manifest: second };
      expect(last.head(kid).mapSize).to.equal(people.length + 2);
      expect(await bench.read(last, csiOf(60), under)).to.equal("while it is copied");
      expect(await bench.read(last, csiOf(61), under)).to.equal("when it is built");
    }
  });

  it("forgets a next tree that is not wanted any more", async () => {
    const bench = new Bench();
    await using served = await populated(bench);
    await served.useKeys({ manifest: objectOf(first), keys: both });
    await served.advanceKeys();
    await served.useKeys({ manifest: objectOf(first), keys: oldOnly });
    expect(served.succession.next).to.equal(undefined);
    await served.useKeys({ manifest: objectOf(second), keys: both });
    await served.advanceKeys();
    expect(served.head(nextKid).mapSize).to.equal(people.length);
  });

  it("does not go on to a tree that lacks slots, and says so", async () => {
    const bench = new Bench();
    const served = await bench.open();
    const body = fixedBytes("a slot of before there was a vault", 1052);
    const slot = { idx: fixedBytes("idx", 16), masked: fixedBytes("masked", 12), body };
    await served.loadEntries([slot]);
    await bench.register(served, csiOf(1), "known");
    await served.runEpoch();
    await served.useKeys({ manifest: objectOf(second), keys: both });
    await served.advanceKeys();
    expect(served.head().kid).to.deep.equal(oldKid);
    expect(served.succession.next?.missing).to.equal(1);
    expect(served.succession.problem?.code).to.equal("CONFIG");
    await served.close();
  });
});

describe("a change of the manifest", () => {
  const third: Manifest = { ...first, version: 2, absenceTtlSeconds: 30 };
  const names = (...manifests: readonly Manifest[]) => ({
    manifestSha256: manifests.map(sha256Of),
    ttlSeconds: 600,
  });
  const served = (bench: Bench) => populated(bench, { followsDirectory: true });
  const inForce = (one: MappingZone): number => one.manifest.version;

  it("waits until the directory has named the successor for its TTL and an hour", async () => {
    const bench = new Bench();
    await using one = await served(bench);
    await one.useKeys({ manifest: objectOf(third), keys: oldOnly });
    await one.advanceKeys();
    expect(one.succession.successor).to.include({ namedAt: undefined, switchAt: undefined });
    await one.directoryNames(names(first));
    await bench.clock.advance(2 * hour * 1000);
    await one.directoryNames(names(first, third));
    const switchAt = bench.clock.nowSeconds() + 600 + limits.switchDelaySeconds;
    expect(one.succession.successor?.switchAt).to.equal(switchAt);
    expect(await codeOf(() => one.manifestResponse(sha256Of(third)))).to.equal("ok");
    await bench.clock.advance((600 + hour - 1) * 1000);
    await one.advanceKeys();
    expect(inForce(one)).to.equal(1);
    await bench.clock.advance(1000);
    await one.advanceKeys();
    expect(inForce(one)).to.equal(2);
    expect(one.head().manifestSha256).to.deep.equal(sha256Of(third));
    // Whoever holds a directory that names both asks for both.
    for (const manifest of [first, third]) {
      expect(await codeOf(() => one.manifestResponse(sha256Of(manifest)))).to.equal("ok");
    }
    expect(await codeOf(() => one.manifestResponse(fixedBytes("none")))).to.equal(
      "NOT_AUTHORITATIVE",
    );
  });

  it("counts the wait over a restart, and anew when the directory has not named it between", async () => {
    const bench = new Bench();
    const options = { manifest: third, followsDirectory: true };
    await (await served(bench)).close();
    {
      await using one = await bench.open(options);
      expect(inForce(one)).to.equal(1);
      await one.directoryNames(names(first, third));
    }
    await bench.clock.advance(hour * 1000);
    {
      await using one = await bench.open(options);
      await one.directoryNames(names(first));
      await one.directoryNames(names(first, third));
      await bench.clock.advance(600 * 1000);
      await one.advanceKeys();
      expect(inForce(one)).to.equal(1);
      await bench.clock.advance(hour * 1000);
      await one.close();
    }
    await using one = await bench.open(options);
    expect(inForce(one)).to.equal(2);
  });

  it("does not wait where the directory names the successor alone", async () => {
    const bench = new Bench();
    await using one = await served(bench);
    await one.useKeys({ manifest: objectOf(third), keys: oldOnly });
    await one.directoryNames(names(third));
    expect(inForce(one)).to.equal(2);
  });

  it("switches at the operator's word, and not to what is not there", async () => {
    const bench = new Bench();
    await using one = await served(bench);
    expect(await codeOf(() => one.switchNow())).to.equal("NOT_AVAILABLE");
    await one.useKeys({ manifest: objectOf(second), keys: both });
    expect(await codeOf(() => one.switchNow())).to.equal("NOT_AVAILABLE");
    await one.advanceKeys();
    expect(inForce(one)).to.equal(1);
    await one.switchNow();
    expect(inForce(one)).to.equal(2);
    expect(one.head().kid).to.deep.equal(nextKid);
  });

  it("keeps what is in force where the successor does not fit", async () => {
    const bench = new Bench();
    await using one = await served(bench);
    const before = one.manifestSha256;
    const stranger = fixedSigner("stranger");
    const otherKid = { ...oldKey!, kid: fixedBytes("another kid", 4) };
    const bad: readonly [string, Manifest, typeof both | typeof oldOnly][] = [
      ["a zone key that it does not name", third, { ...oldOnly, signer: stranger }],
      ["a current voprf key that is not there", second, oldOnly],
      ["without the key of the tree that is served", second, nextOnly],
      ["another kid for the tree that is served", { ...third, voprfKeys: [otherKid] }, oldOnly],
      ["another zone", { ...third, zone: "de@dp-a.example" as Manifest["zone"] }, oldOnly],
      ["not yet valid", { ...third, notBefore: startMs / 1000 + hour }, oldOnly],
    ];
    for (const [what, manifest, keys] of bad) {
      const code = await codeOf(() => one.useKeys({ manifest: objectOf(manifest), keys }));
      expect(code, what).to.equal("CONFIG");
    }
    expect(one.manifestSha256).to.deep.equal(before);
    expect(one.succession).to.deep.include({ successor: undefined, next: undefined });
    await bench.register(one, csiOf(80), "goes on");
    await one.runEpoch();
    const under = { kid: oldKid, manifest: first };
    expect(await bench.read(one, csiOf(80), under)).to.equal("goes on");
  });

  it("does not go back to the manifest before", async () => {
    const bench = new Bench();
    await using one = await populated(bench);
    await one.useKeys({ manifest: objectOf(third), keys: oldOnly });
    await one.advanceKeys();
    expect(inForce(one)).to.equal(2);
    const back = one.useKeys({ manifest: objectOf(first), keys: oldOnly });
    expect(await codeOf(() => back)).to.equal("CONFIG");
  });

  it("cannot replace the voprf key without a vault", async () => {
    const { clock, random } = new Bench();
    await using one = await openTestZone({ parties, clock, random });
    const use = one.useKeys({ manifest: objectOf(second), keys: both });
    expect(await codeOf(() => use)).to.equal("CONFIG");
  });
});

/** What may happen while a key is replaced, in any order. */
type Step =
  | { readonly kind: "register" | "remove"; readonly n: number }
  | { readonly kind: "epoch" | "next" }
  /** The tree is made so many turns of the event loop further. */
  | { readonly kind: "turns"; readonly count: number }
  | { readonly kind: "crash"; readonly keptShare: number };

const configurations: readonly Opening[] = [
  { manifest: first, keys: oldOnly },
  { manifest: first, keys: both },
  { manifest: second, keys: both },
];

/** A zone under one configuration after the other, and what must be in it. */
class Model {
  readonly #bench = new Bench();
  readonly #held = new Map<Csi, string>();
  #served: MappingZone | undefined;
  #making: Promise<unknown> = Promise.resolve();
  #configuration = 0;
  #texts = 0;

  async run(steps: readonly Step[]): Promise<void> {
    this.#served = await this.#bench.open(configurations[0]);
    for (const step of steps) await this.#step(step);
    while (this.#configuration < configurations.length - 1) await this.#step({ kind: "next" });
    await this.#compare();
  }

  get #zone(): MappingZone {
    return this.#served!;
  }

  async #step(step: Step): Promise<void> {
    switch (step.kind) {
      case "register":
      case "remove": {
        const csi = csiOf(step.n);
        const text = step.kind === "remove" ? undefined : `text ${(this.#texts += 1)}`;
        if (text === undefined && !this.#held.has(csi)) return;
        await this.#register(csi, text);
        if (text === undefined) this.#held.delete(csi);
        else this.#held.set(csi, text);
        return;
      }
      case "epoch":
        await this.#zone.runEpoch();
        return;
      case "next": {
        this.#configuration = Math.min(this.#configuration + 1, configurations.length - 1);
        const { manifest = first, keys = oldOnly } = configurations[this.#configuration]!;
        await this.#zone.useKeys({ manifest: objectOf(manifest), keys });
        this.#make();
        return;
      }
      case "turns":
        for (let turn = 0; turn < step.count; turn += 1) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        return;
      case "crash":
        this.#bench.crash((unsynced) => Math.floor(unsynced * step.keptShare));
        this.#served = await this.#bench.open(configurations[this.#configuration]);
        this.#make();
    }
  }

  /** What the registrar does: a change of trees in between is no failure. */
  async #register(csi: Csi, text: string | undefined): Promise<void> {
    for (;;) {
      const code = await codeOf(() => this.#bench.register(this.#zone, csi, text));
      if (code === "ok") return;
      expect(code).to.equal("CONFLICT_WRITE");
    }
  }

  /** In the background of the steps that follow; a crash ends it. */
  #make(): void {
    this.#making = this.#zone.advanceKeys().catch(() => undefined);
  }

  async #compare(): Promise<void> {
    await this.#making;
    await this.#zone.advanceKeys();
    await this.#zone.runEpoch();
    expect(this.#zone.manifest.version).to.equal(2);
    for (const kid of [nextKid, oldKid]) {
      expect(this.#zone.head(kid).mapSize).to.equal(this.#held.size);
      for (let n = 0; n < modelPeople; n += 1) {
        const text = await this.#bench.read(this.#zone, csiOf(n), { kid, manifest: second });
        expect(text, csiOf(n)).to.equal(this.#held.get(csiOf(n)));
      }
    }
    await this.#zone.close();
  }
}

const modelPeople = 24;

describe("a change of the voprf key, whatever comes between", () => {
  const n = fc.nat({ max: modelPeople - 1 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("register" as const), n }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("remove" as const), n }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("epoch" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("next" as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant("turns" as const), count: fc.nat({ max: 30 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("crash" as const),
        keptShare: fc.constantFrom(0, 0.5, 1),
      }),
    },
  );

  it("leaves both trees with just what was accepted", async function () {
    this.timeout(60_000);
    const steps = fc.array(step, { minLength: 20, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, (all) => new Model().run(all)),
      { numRuns: 12 },
    );
  });
});
