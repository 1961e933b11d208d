import { expect } from "chai";
import { sha256, uint32Bytes, utf8 } from "@whither/crypto/node";
import { ManifestMemory } from "@whither/directory";
import { isDiscoveryError, limits, type ErrorCode } from "@whither/protocol";
import { createMemoryNetwork, type LinkFaults } from "@whither/rpc";
import {
  composeKey,
  createMemoryDisk,
  type Damage,
  type MemoryDisk,
  type Store,
} from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { createAdmission } from "../admission.js";
import { createZoneService } from "../zone-service.js";
import type { ReadableZone } from "../mapping/mapping-zone.js";
import { openReplicaZone } from "./open-replica-zone.js";
import { openPrimaryStore } from "./replica-store.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, manifestSha256, dp } = parties;
/** Nobody signs for a root here. */
const noKsks = () => ({ keys: [], threshold: 1 });
const bodyOf = (n: number): Uint8Array => new Uint8Array(1052).fill(n & 255).fill(n >>> 8, 0, 1);

const slots = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    idx: sha256(uint32Bytes(n)).slice(0, 16),
    masked: new Uint8Array(12),
    body: bodyOf(n),
  }));

function setting() {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(1);
  const network = createMemoryNetwork({ clock, random });
  const endpoint = {
    host: "a",
    port: 0,
    publicPort: 1,
    spkiSha256: [sha256(zeros)],
    jurisdiction: "",
    operator: "",
  };
  const authority = {
    zone,
    dpId: dp.id,
    kind: "mappings" as const,
    relayOnly: false,
    manifestSha256: [manifestSha256],
    endpoints: [endpoint],
  };
  const admission = createAdmission({ clock, mspOfSpki: () => undefined });
  const primary = (options: { store?: Store; epoch?: number } = {}) =>
    openTestZone({ parties, clock, random, ...options });
  const serve = (served: ReadableZone, at = "a:1") =>
    network.serve(at, {
      services: [createZoneService({ zones: new Map([[zone, served]]), admission, clock })],
      clients: { kind: "none" },
      spkiSha256: sha256(zeros),
    });
  const makeDisk = () => createMemoryDisk({ clock });
  const replica = async (disk: MemoryDisk = makeDisk(), endpoints = authority.endpoints) =>
    openReplicaZone({
      disk: { open: () => disk.open(), setAside: () => disk.clear() },
      zone,
      authority: () => Promise.resolve({ authority: { ...authority, endpoints }, namedAt: 0 }),
      manifests: await ManifestMemory.open({ path: undefined, clock, ksks: noKsks }),
      openChannel: ({ host, port, pins }) =>
        network.connect(`${host}:${port}`, { from: "replica", ...(pins ? { pins } : {}) }),
      caPem: "",
      clock,
      random,
    });
  const faults = (given: LinkFaults | undefined) => network.setFaults({ to: "a:1" }, given);
  /** Transfers asked for since. */
  const asked = { count: 0 };
  network.tap(({ kind, method }) => {
    if (kind === "open" && method.endsWith("/Transfer")) asked.count += 1;
  });
  return { clock, endpoint, primary, serve, makeDisk, replica, faults, asked };
}

const zeros = new Uint8Array(1);
/** Numbers of tables (zone-table.ts, replica-store.ts). */
const [manifestTable, headTable, bucketTable, bodyTable] = [1, 2, 3, 4] as const;
const [treeTable, evidenceTable] = [241, 242] as const;

async function codeOf(run: () => unknown): Promise<ErrorCode | "ok"> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

/** All that a reader can ask for. */
function everything(served: Pick<ReadableZone, "head" | "bucketResponse">): readonly string[] {
  const { kid, b } = served.head();
  return Array.from({ length: 2 ** b }, (_, n) => {
    const prefix = new Uint8Array(16);
    if (b > 0) new DataView(prefix.buffer).setUint32(0, (n << (32 - b)) >>> 0);
    return Buffer.from(served.bucketResponse({ kid, b, prefix })).toString("hex");
  });
}

describe("replica of a zone", () => {
  it("serves byte for byte what the primary serves, and follows it through a change of depth", async () => {
    const { primary, serve, replica } = setting();
    const served = await primary();
    serve(served);
    await using follower = await replica();
    expect(await codeOf(() => follower.head())).to.equal("UNREACHABLE");
    await follower.refresh();
    await served.loadEntries(slots(600));
    await follower.refresh();
    expect(everything(follower)).to.deep.equal(everything(served));
    const vhashes = slots(600)
      .slice(0, 9)
      .map(({ body }) => sha256(body));
    expect(await follower.bodiesResponse(vhashes)).to.deep.equal(
      await served.bodiesResponse(vhashes),
    );
    for (let n = 0; n < 3; n += 1) {
      await served.runEpoch();
      await follower.refresh();
      expect(everything(follower)).to.deep.equal(everything(served));
    }
    expect(
      await codeOf(() =>
        follower.evaluate({ kid: parties.manifest.voprfKeys[0]!.kid, blinded: [] }),
      ),
    ).to.equal("NOT_AUTHORITATIVE");
    await served.close();
  });

  it("keeps its last good state through every flipped bit and every cut, and is whole again after", async () => {
    const { primary, serve, replica, faults } = setting();
    const served = await primary();
    await served.loadEntries(slots(300));
    serve(served);
    await using follower = await replica();
    await follower.refresh();
    const good = everything(follower);
    const random = createSeededRandom(7);
    for (let n = 0; n < 24; n += 1) {
      await served.runEpoch();
      const messageHit = n % 2;
      let seen = 0;
      faults({
        tamper: (message, { direction }) => {
          if (direction === "request" || seen++ !== messageHit) return message;
          const at = random.uint32() % message.length;
          return n % 3 === 0 ? message.slice(0, at) : message.with(at, (message[at] ?? 0) ^ 1);
        },
      });
      const code = await codeOf(() => follower.refresh());
      if (code === "ok") expect(everything(follower)).to.deep.equal(everything(served));
      else expect(everything(follower).length).to.equal(good.length);
    }
    faults(undefined);
    await follower.refresh();
    expect(everything(follower)).to.deep.equal(everything(served));
    await served.close();
  });

  it("restarts with what it served, without a server, and expires with its head", async () => {
    const { clock, primary, serve, makeDisk, replica, faults } = setting();
    const served = await primary();
    await served.loadEntries(slots(600));
    serve(served);
    const disk = makeDisk();
    const first = await replica(disk);
    await first.refresh();
    await first.close();
    faults({ partition: "refused" });
    await using second = await replica(disk);
    expect(everything(second)).to.deep.equal(everything(served));
    expect(await codeOf(() => second.refresh())).to.equal("NETWORK");
    await clock.advance((limits.headLifetimeSeconds + limits.clockSkewSeconds) * 1000);
    expect(second.status().state).to.equal("serving");
    await clock.advance(1_000);
    expect(second.status().state).to.equal("expired");
    expect(await codeOf(() => second.head())).to.equal("STALE");
    await served.close();
  });

  it("refuses another history under the same key, keeps the proof, and takes a raised epoch", async () => {
    const { clock, primary, serve, makeDisk, replica } = setting();
    const served = await primary();
    const server = serve(served);
    const disk = makeDisk();
    await using follower = await replica(disk);
    await served.runEpoch();
    await follower.refresh();
    const before = everything(follower);
    await server.close();
    await clock.advance(1_000);
    const forked = await primary();
    for (let n = 0; n < 3; n += 1) await forked.runEpoch();
    const other = serve(forked);
    expect(await codeOf(() => follower.refresh())).to.equal("FORKED");
    expect(everything(follower)).to.deep.equal(before);
    expect(disk.rows().filter(([key]) => key[0] === evidenceTable)).to.have.length(1);
    await other.close();
    const restored = await primary({ epoch: 2 });
    serve(restored);
    await follower.refresh();
    expect(follower.head().epoch).to.equal(2);
    for (const one of [served, forked, restored]) await one.close();
  });

  it("asks by itself: at the start, when a head is pushed, and again after failures", async () => {
    const { clock, primary, serve, replica, faults } = setting();
    const served = await primary();
    serve(served);
    await using follower = await replica();
    follower.start();
    await clock.advance(100);
    expect(follower.status().state).to.equal("serving");
    await served.runEpoch();
    await clock.advance(1_000);
    expect(follower.head().serial).to.equal(served.head().serial);
    faults({ partition: "refused" });
    await served.runEpoch();
    await clock.advance(60_000);
    expect(follower.status().failures).to.be.greaterThan(1);
    faults(undefined);
    await clock.advance(limits.failureTtlSecondsMax * 1200);
    expect(follower.head().serial).to.equal(served.head().serial);
    await served.close();
  });

  it("takes a pushed heartbeat as it is, and asks nobody for hours while all hearts beat", async () => {
    const { clock, primary, serve, replica, asked } = setting();
    const served = await primary();
    await served.loadEntries(slots(600));
    served.start();
    serve(served);
    await using follower = await replica();
    follower.start();
    await clock.advance(60_000);
    asked.count = 0;
    await clock.advance(6 * 3_600_000);
    expect(asked.count).to.equal(0);
    expect(everything(follower)).to.deep.equal(everything(served));
    await served.close();
  });

  it("asks when a push is not a heartbeat, and when none comes any more", async () => {
    const { clock, primary, serve, replica, faults, asked } = setting();
    const served = await primary();
    serve(served);
    await using follower = await replica();
    follower.start();
    await clock.advance(60_000);
    asked.count = 0;
    await served.loadEntries(slots(600));
    await clock.advance(1_000);
    expect(asked.count).to.equal(1);
    expect(everything(follower)).to.deep.equal(everything(served));
    // One whose heart stops may keep something back.
    await clock.advance(1.5 * 1.2 * limits.heartbeatSeconds * 1000);
    expect(asked.count).to.equal(2);
    // A watch that breaks off leaves no more than an epoch of silence.
    faults({ partition: "refused" });
    faults(undefined);
    await clock.advance(1.2 * limits.epochSeconds * 1000);
    expect(asked.count).to.equal(3);
    await served.close();
  });

  it("sees within an epoch that the primary is back, though another replica pushes meanwhile", async () => {
    const { clock, endpoint, primary, serve, makeDisk, replica, faults } = setting();
    const served = await primary();
    serve(served);
    await using sibling = await replica();
    serve(sibling, "c:1");
    await using follower = await replica(makeDisk(), [endpoint, { ...endpoint, host: "c" }]);
    for (const one of [sibling, follower]) one.start();
    await clock.advance(60_000);
    faults({ partition: "refused" });
    await clock.advance(600_000);
    faults(undefined);
    await served.runEpoch();
    await clock.advance(1.2 * limits.epochSeconds * 1000);
    expect(follower.head().serial).to.equal(served.head().serial);
    await served.close();
  });

  it("believes no pushed heartbeat that is not signed, and asks instead", async () => {
    const { clock, primary, serve, replica, faults, asked } = setting();
    const served = await primary();
    serve(served);
    await using follower = await replica();
    follower.start();
    await clock.advance(60_000);
    asked.count = 0;
    let isForged = false;
    faults({
      tamper: (message, { method }) => {
        if (!method.endsWith("/Watch") || isForged) return message;
        isForged = true;
        // The signature stands last in the head.
        return message.with(-10, (message.at(-10) ?? 0) ^ 1);
      },
    });
    await served.runEpoch();
    await clock.advance(1_000);
    expect(isForged).to.equal(true);
    expect(asked.count).to.equal(1);
    expect(everything(follower)).to.deep.equal(everything(served));
    await served.close();
  });

  it("becomes the primary with a raised epoch and loses nothing that was replicated", async () => {
    const { primary, serve, makeDisk, replica } = setting();
    const served = await primary();
    await served.loadEntries(slots(600));
    serve(served);
    const disk = makeDisk();
    const follower = await replica(disk);
    await follower.refresh();
    await follower.close();
    await served.close();
    const { kid } = parties.manifest.voprfKeys[0]!;
    let store = await disk.open();
    const another = kid.with(0, (kid[0] ?? 0) ^ 1);
    expect(await codeOf(() => openPrimaryStore(store, { kid: another, epoch: 2 }))).to.equal(
      "CONFIG",
    );
    expect(await codeOf(() => openPrimaryStore(store, { kid, epoch: 1 }))).to.equal("CONFIG");
    const promoted = await primary({
      store: await openPrimaryStore(store, { kid, epoch: 2 }),
      epoch: 2,
    });
    expect(promoted.head()).to.include({ epoch: 2, mapSize: 600 });
    const vhashes = slots(600).map(({ body }) => sha256(body));
    for (let at = 0; at < 600; at += 100)
      await promoted.bodiesResponse(vhashes.slice(at, at + 100));
    await promoted.close();
    // From then on it is a primary's store: no replica takes it, and a restart needs no new epoch.
    await store.close();
    expect(await codeOf(() => replica(disk))).to.equal("CONFIG");
    store = await disk.open();
    for (const since of [kid, another]) {
      const again = await openPrimaryStore(store, { kid: since, epoch: 1 });
      expect(again.get(composeKey(headTable, kid, Uint8Array.of(1)))).to.not.equal(undefined);
    }
  });

  it("does not take a primary's store", async () => {
    const { primary, makeDisk, replica } = setting();
    const disk = makeDisk();
    const store = await disk.open();
    await (await primary({ store })).close();
    await store.close();
    const rows = disk.rows();
    expect(await codeOf(() => replica(disk))).to.equal("CONFIG");
    expect(disk.rows()).to.deep.equal(rows);
    await (await disk.open()).close();
  });
});

describe("a replica on a damaged disk", () => {
  /** A replica of 600 slots, its disk, and a row of a table there. */
  async function filled() {
    const set = setting();
    const served = await set.primary();
    await served.loadEntries(slots(600));
    set.serve(served);
    const disk = set.makeDisk();
    const follower = await set.replica(disk);
    await follower.refresh();
    const rowOf = (table: number) => {
      // A tree's rows lie behind table, kid and generation.
      const row = disk.rows().find(([key]) => key[0] === treeTable && key[9] === table);
      if (row === undefined) throw new TypeError("no such row");
      return row;
    };
    return { ...set, served, disk, follower, rowOf };
  }
  const flipped = (value: Uint8Array) => value.with(-1, (value.at(-1) ?? 0) ^ 1);
  const damages = {
    changed: (value: Uint8Array): Damage => ({ kind: "changed", value: flipped(value) }),
    lost: (): Damage => ({ kind: "lost" }),
    unreadable: (): Damage => ({ kind: "unreadable" }),
  };
  const whereRead = [
    ["a bucket", bucketTable, "changed"],
    ["a bucket", bucketTable, "lost"],
    ["a bucket", bucketTable, "unreadable"],
    ["a body", bodyTable, "changed"],
    ["a body", bodyTable, "unreadable"],
  ] as const;

  for (const [what, table, kind] of whereRead) {
    it(`serves nothing wrong of ${what} ${kind}, goes on with the rest, and fills itself anew`, async () => {
      const { clock, served, disk, follower, rowOf } = await filled();
      follower.start();
      await clock.advance(60_000);
      const [key, value] = rowOf(table);
      disk.damage(key, damages[kind](value));
      const hash = sha256(value);
      const read = () =>
        table === bodyTable
          ? follower.bodiesResponse([hash])
          : Promise.resolve().then(() => everything(follower));
      expect(await codeOf(read)).to.equal("STORE_CORRUPT");
      expect(follower.status().state).to.equal("serving");
      await clock.advance(1_000);
      expect(disk.damaged()).to.equal(0);
      expect(everything(follower)).to.deep.equal(everything(served));
      expect(await codeOf(read)).to.equal("ok");
      await follower.close();
      await served.close();
    });
  }

  it("notices a body that is lost whole when somebody asks for it, and fills itself anew", async () => {
    const { clock, served, disk, follower, rowOf } = await filled();
    follower.start();
    await clock.advance(60_000);
    const [key, value] = rowOf(bodyTable);
    const [hash, unknown] = [sha256(value), sha256(utf8("nobody's"))];
    const read = (vhash: Uint8Array) => codeOf(() => follower.bodiesResponse([vhash]));
    expect(await read(unknown)).to.equal("UNKNOWN_BODY");
    await clock.advance(1_000);
    const { serial } = follower.head();
    disk.damage(key, damages.lost());
    expect(await read(hash)).to.equal("UNKNOWN_BODY");
    // A stranger's question has just been looked into: not again at once.
    await clock.advance(1_000);
    expect(await read(hash)).to.equal("UNKNOWN_BODY");
    await served.runEpoch();
    await clock.advance(10 * 60_000);
    expect(await read(hash)).to.equal("UNKNOWN_BODY");
    await clock.advance(1_000);
    expect(await read(hash)).to.equal("ok");
    expect(follower.head().serial).to.be.above(serial);
    expect(everything(follower)).to.deep.equal(everything(served));
    expect(await read(unknown)).to.equal("UNKNOWN_BODY");
    await follower.close();
    await served.close();
  });

  const whereOpened = [...Object.keys(damages)].flatMap((kind) =>
    [headTable, bucketTable, manifestTable].map((table) => [kind, table] as const),
  ) as readonly (readonly [keyof typeof damages, number])[]; // keys of the const object

  for (const [kind, table] of whereOpened) {
    it(`opens with a row of table ${table} ${kind}, empty, and is whole after a round`, async () => {
      const { served, disk, follower, replica, rowOf } = await filled();
      await follower.close();
      const [key, value] = rowOf(table);
      disk.damage(key, damages[kind](value));
      await using again = await replica(disk);
      expect(again.status().state).to.equal("empty");
      await again.refresh();
      expect(everything(again)).to.deep.equal(everything(served));
      await served.close();
    });
  }

  it("keeps what is undamaged while nobody gives the whole, and takes no older head for it", async () => {
    const { served, disk, follower, faults, rowOf } = await filled();
    await served.runEpoch();
    await follower.refresh();
    const { kid, b, serial } = follower.head();
    const [key, value] = rowOf(bucketTable);
    disk.damage(key, damages.changed(value));
    expect(await codeOf(() => everything(follower))).to.equal("STORE_CORRUPT");
    faults({ partition: "refused" });
    expect(await codeOf(() => follower.refresh())).to.equal("NETWORK");
    const last = new Uint8Array(16).fill(0xc0, 0, 1);
    expect(await codeOf(() => follower.bucketResponse({ kid, b, prefix: last }))).to.equal("ok");
    expect(follower.head().serial).to.equal(serial);
    expect(disk.damaged()).to.equal(1);
    faults(undefined);
    await follower.refresh();
    expect(disk.damaged()).to.equal(0);
    expect(everything(follower)).to.deep.equal(everything(served));
    await follower.close();
    await served.close();
  });

  it("fills itself anew when the head it would replace is not what it was", async () => {
    const { served, disk, follower, rowOf } = await filled();
    // The load itself is no epoch in the journal: the next one can be fetched as such.
    await served.runEpoch();
    await follower.refresh();
    const [key, value] = rowOf(headTable);
    disk.damage(key, damages.changed(value));
    await served.runEpoch();
    expect(await codeOf(() => follower.refresh())).to.equal("CONFLICT_WRITE");
    await follower.refresh();
    expect(disk.damaged()).to.equal(0);
    expect(everything(follower)).to.deep.equal(everything(served));
    await follower.close();
    await served.close();
  });

  it("tries again when the disk has no room for a new store", async () => {
    const { served, disk, follower, rowOf } = await filled();
    const [key, value] = rowOf(bucketTable);
    disk.damage(key, damages.changed(value));
    expect(await codeOf(() => everything(follower))).to.equal("STORE_CORRUPT");
    disk.setFaults({ full: true });
    expect(await codeOf(() => follower.refresh())).to.equal("STORE");
    expect(follower.status().state).to.equal("empty");
    disk.setFaults(undefined);
    await follower.refresh();
    expect(everything(follower)).to.deep.equal(everything(served));
    await follower.close();
    await served.close();
  });
});
