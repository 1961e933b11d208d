import { expect } from "chai";
import fc from "fast-check";
import { sha256, uint32Bytes, uint64Bytes } from "@whither/crypto/node";
import {
  DiscoveryError,
  parseCsi,
  type Csi,
  type ErrorCode,
  type Head,
  type SignedObject,
} from "@whither/protocol";
import { decodeMessage } from "@whither/rpc";
import { silentLogger, type Logger } from "@whither/runtime";
import {
  createMemoryDisk,
  createMemoryStore,
  prefixRange,
  type Batch,
  type CommitOptions,
  type Row,
  type Store,
} from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
  type SimulatedClock,
} from "@whither/testkit";
import {
  BodiesResponseSchema,
  BucketResponseSchema,
  encodeManifest,
  encodeSignedObject,
  GetHeadResponseSchema,
  signedObjectFromWire,
} from "@whither/wire";
import {
  bucketPrefix,
  depthFor,
  headMarkOf,
  mspBitsOf,
  nodeVerifier,
  openPublicSlot,
  unmaskMspBits,
  verifyBucket,
  verifyHead,
  verifyHeadSequence,
  type HeadMark,
} from "@whither/zone";
import type { MappingZone, PublishedMark } from "./mapping-zone.js";
import {
  bucketTablePrefix,
  headTablePrefix,
  pendingTablePrefix,
  signedHeadKey,
} from "./zone-table.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, manifest, manifestSha256 } = parties;
const kid = manifest.voprfKeys[0]!.kid;

/** A zone whose process may be ended at any moment: only the store outlives it. */
interface Bench {
  readonly store: Store;
  readonly clock: SimulatedClock;
  open(options?: {
    epoch?: number;
    logger?: Logger;
    manifest?: SignedObject;
    published?: PublishedMark;
  }): Promise<MappingZone>;
}

let seed = 1;
function makeBench(store: Store = createMemoryStore()): Bench {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(seed++);
  return {
    store,
    clock,
    open: (options = {}) => openTestZone({ parties, store, clock, random, ...options }),
  };
}

const csiOf = (n: number): Csi => parseCsi(`tel:+1415555${String(n).padStart(4, "0")}`);
let nonces = 0;
const nextNonce = (clock: SimulatedClock): Uint8Array => {
  const nonce = new Uint8Array(48);
  nonce.set(uint64Bytes(clock.nowSeconds() + 900));
  nonce.set(uint32Bytes(++nonces), 8);
  return nonce;
};
const statementOf = (text: string): Uint8Array => sha256(new TextEncoder().encode(text));

async function register(
  bench: Bench,
  served: MappingZone,
  entry: { csi: Csi; text: string | undefined; nonceD?: Uint8Array },
): Promise<void> {
  const { csi, text } = entry;
  await served.submit({
    slot: await served.lookupForRegistration(csi),
    content:
      text === undefined
        ? undefined
        : {
            plaintext: new TextEncoder().encode(text),
            registryVersion: 5,
            bits: mspBitsOf([3]),
          },
    nonceD: entry.nonceD ?? nextNonce(bench.clock),
    statementSha256: statementOf(text ?? "removed"),
    acceptedAt: bench.clock.nowSeconds(),
  });
}

const textOf = async (served: MappingZone, csi: Csi): Promise<string | undefined> => {
  const { plaintext } = await served.lookupForRegistration(csi);
  return plaintext === undefined ? undefined : new TextDecoder().decode(plaintext);
};

/** What a resolver would get: head, bucket and body, each verified. */
async function resolve(
  bench: Bench,
  served: MappingZone,
  csi: Csi,
): Promise<{ head: Head; mark: HeadMark; text: string | undefined; bits: string }> {
  const headMessage = decodeMessage(GetHeadResponseSchema, served.headResponse());
  const object = signedObjectFromWire(headMessage.head);
  const head = verifyHead({
    object,
    zone,
    manifest,
    manifestSha256,
    nowSeconds: bench.clock.nowSeconds(),
    verifier: nodeVerifier,
  });
  const { y, idx } = await served.lookupForRegistration(csi);
  const { kid, b } = head;
  const prefix = bucketPrefix(idx, b);
  const answer = decodeMessage(BucketResponseSchema, served.bucketResponse({ kid, b, prefix }));
  expect(signedObjectFromWire(answer.head)).to.deep.equal(object);
  const bucket = verifyBucket({ zone, kid, b, prefix, ...answer, head });
  const entry = bucket.find(idx);
  const mark = headMarkOf(object, head);
  if (entry === undefined) return { head, mark, text: undefined, bits: "" };
  const { vhash, masked } = entry;
  const bodies = decodeMessage(BodiesResponseSchema, await served.bodiesResponse([vhash]));
  const body = bodies.bodies[0]!;
  const { registryVersion, bits } = unmaskMspBits({ secret: y, vhash, masked });
  return {
    head,
    mark,
    text: new TextDecoder().decode(openPublicSlot({ y, zone, kid, idx, body })),
    bits: `${registryVersion}:${Buffer.from(bits).toString("hex")}`,
  };
}

async function codeOf(run: () => unknown): Promise<ErrorCode | "ok"> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}

/** A store whose commits can be made to fail before or after they take effect. */
function makeFailingStore(
  inner: Store,
): Store & { failing: (n: number, when: "before" | "after") => void } {
  let commits = 0;
  let at = Infinity;
  let when: "before" | "after" = "before";
  return {
    failing: (n, moment) => {
      commits = 0;
      at = n;
      when = moment;
    },
    get: (key, options) => inner.get(key, options),
    getMany: (keys, options) => inner.getMany(keys, options),
    iterate: (range) => inner.iterate(range),
    snapshot: () => inner.snapshot(),
    close: () => inner.close(),
    [Symbol.asyncDispose]: () => inner.close(),
    async commit(batch: Batch, options: CommitOptions) {
      commits += 1;
      if (commits === at && when === "before") throw new DiscoveryError("STORE", "disk full");
      await inner.commit(batch, options);
      if (commits === at) throw new DiscoveryError("STORE", "power lost");
    },
  };
}

describe("mapping zone", () => {
  it("serves a signed head over nothing when new, and proves absence", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    const { head, text } = await resolve(bench, served, csiOf(1));
    expect(text).to.equal(undefined);
    expect(head).to.include({ serial: 1, epoch: 1, mapSize: 0, b: 0, pad: 0 });
    expect(head.notAfter - head.time).to.equal(1800);
  });

  it("publishes a registration with the next epoch and says so in its receipt", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    await register(bench, served, { csi: csiOf(1), text: "first" });
    expect((await resolve(bench, served, csiOf(1))).text).to.equal(undefined);
    expect(served.status(statementOf("first"))).to.deep.equal({ kind: "pending" });
    expect(served.status(statementOf("never"))).to.deep.equal({ kind: "unknown" });
    await served.runEpoch();
    const seen = await resolve(bench, served, csiOf(1));
    expect(seen.text).to.equal("first");
    expect(seen.bits).to.equal("5:1000000000000000");
    expect(seen.head).to.include({ serial: 2, mapSize: 1, pad: 4096 });
    expect(served.status(statementOf("first"))).to.deep.equal({ kind: "published", serial: 2 });
    expect((await resolve(bench, served, csiOf(2))).text).to.equal(undefined);
  });

  it("lets a second registration before the epoch see the first", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    await register(bench, served, { csi: csiOf(1), text: "first" });
    expect(await textOf(served, csiOf(1))).to.equal("first");
    await register(bench, served, { csi: csiOf(1), text: "second" });
    expect(await textOf(served, csiOf(1))).to.equal("second");
    await served.runEpoch();
    expect((await resolve(bench, served, csiOf(1))).text).to.equal("second");
    expect(served.status(statementOf("first"))).to.deep.equal({ kind: "published", serial: 2 });
  });

  it("refuses a spent nonce, also after a restart, and a decision about an older slot", async () => {
    const bench = makeBench();
    const nonceD = nextNonce(bench.clock);
    {
      await using served = await bench.open();
      const slot = await served.lookupForRegistration(csiOf(1));
      await register(bench, served, { csi: csiOf(1), text: "first", nonceD });
      const again = register(bench, served, { csi: csiOf(2), text: "replay", nonceD });
      expect(await codeOf(() => again)).to.equal("REPLAYED");
      const late = served.submit({
        slot,
        content: undefined,
        nonceD: nextNonce(bench.clock),
        statementSha256: statementOf("late"),
        acceptedAt: bench.clock.nowSeconds(),
      });
      expect(await codeOf(() => late)).to.equal("CONFLICT_WRITE");
    }
    await using served = await bench.open();
    expect(served.isSpent(nonceD)).to.equal(true);
    const again = register(bench, served, { csi: csiOf(2), text: "replay", nonceD });
    expect(await codeOf(() => again)).to.equal("REPLAYED");
  });

  it("takes one of two submissions at once for one slot or with one nonce", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    const outcomes = await Promise.all(
      ["a", "b"].map((text) => codeOf(() => register(bench, served, { csi: csiOf(1), text }))),
    );
    expect(outcomes.sort()).to.deep.equal(["CONFLICT_WRITE", "ok"]);
    const nonceD = nextNonce(bench.clock);
    const replays = await Promise.all(
      [2, 3].map((n) =>
        codeOf(() => register(bench, served, { csi: csiOf(n), text: `n${n}`, nonceD })),
      ),
    );
    expect(replays.sort()).to.deep.equal(["REPLAYED", "ok"]);
  });

  it("removes a slot and its body in the same epoch", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    await register(bench, served, { csi: csiOf(1), text: "first" });
    await served.runEpoch();
    const { vhash } = await served.lookupForRegistration(csiOf(1));
    await register(bench, served, { csi: csiOf(1), text: undefined });
    expect((await resolve(bench, served, csiOf(1))).text).to.equal("first");
    await served.runEpoch();
    const seen = await resolve(bench, served, csiOf(1));
    expect(seen.text).to.equal(undefined);
    expect(seen.head.mapSize).to.equal(0);
    expect(await codeOf(() => served.bodiesResponse([vhash!]))).to.equal("UNKNOWN_BODY");
  });

  it("encodes a bucket's answer once an epoch, however many bodies are read meanwhile", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    await register(bench, served, { csi: csiOf(1), text: "first" });
    await served.runEpoch();
    const { vhash } = await served.lookupForRegistration(csiOf(1));
    const query = { kid: served.head().kid, b: 0, prefix: new Uint8Array(16) };
    const answer = served.bucketResponse(query);
    await served.bodiesResponse([vhash!]);
    expect(served.bucketResponse(query)).to.equal(answer);
    await register(bench, served, { csi: csiOf(2), text: "second" });
    await served.runEpoch();
    expect(served.bucketResponse(query)).not.to.deep.equal(answer);
  });

  it("refuses requests of another kid, depth or with bits behind the prefix", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    const { kid } = served.head();
    const prefix = new Uint8Array(16);
    const ask = (query: Parameters<MappingZone["bucketResponse"]>[0]) =>
      codeOf(() => served.bucketResponse(query));
    expect(await ask({ kid, b: 0, prefix })).to.equal("ok");
    expect(await ask({ kid: new Uint8Array(4), b: 0, prefix })).to.equal("UNKNOWN_KID");
    expect(await ask({ kid, b: 1, prefix })).to.equal("DEPTH_CHANGED");
    const behind = Uint8Array.of(...new Uint8Array(15), 1);
    expect(await ask({ kid, b: 0, prefix: behind })).to.equal("INVALID_DATA");
    expect(await ask({ kid, b: 0, prefix: new Uint8Array(15) })).to.equal("INVALID_DATA");
    expect(await codeOf(() => served.manifestResponse(new Uint8Array(32)))).to.equal(
      "NOT_AUTHORITATIVE",
    );
    const evaluate = served.evaluate({ kid: new Uint8Array(4), blinded: [new Uint8Array(32)] });
    expect(await codeOf(() => evaluate)).to.equal("UNKNOWN_KID");
    const identity = served.evaluate({ kid, blinded: [new Uint8Array(32)] });
    expect(await codeOf(() => identity)).to.equal("INVALID_ELEMENT");
  });
});

describe("mapping zone timing", () => {
  it("publishes within epoch_s of a change, and a fresh head every 10 min otherwise", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    served.start();
    await bench.clock.advance(120_000);
    expect(served.head().serial).to.equal(1);
    await register(bench, served, { csi: csiOf(1), text: "first" });
    await bench.clock.advance(30_000);
    expect(served.head()).to.include({ serial: 2, mapSize: 1 });
    const times = new Set<number>();
    for (let minute = 0; minute < 60; minute++) {
      await bench.clock.advance(60_000);
      const { time } = served.head();
      expect(bench.clock.nowSeconds() - time).to.be.at.most(600);
      times.add(time);
    }
    expect(times.size).to.be.within(6, 8);
  });

  it("never lets serial or time go back, whatever the clock does", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("shift" as const), ms: fc.integer({ min: -1e8, max: 1e8 }) }),
      fc.record({ kind: fc.constant("register" as const), n: fc.nat(5) }),
      fc.record({ kind: fc.constant("epoch" as const) }),
      fc.record({ kind: fc.constant("restart" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const bench = makeBench();
        let served = await bench.open();
        const markNow = (): HeadMark => {
          const message = decodeMessage(GetHeadResponseSchema, served.headResponse());
          return headMarkOf(signedObjectFromWire(message.head), served.head());
        };
        let seen = markNow();
        for (const each of steps) {
          if (each.kind === "shift") bench.clock.shiftWall(each.ms);
          else if (each.kind === "register") {
            await register(bench, served, { csi: csiOf(each.n), text: `v${nonces}` });
          } else if (each.kind === "epoch") await served.runEpoch();
          else {
            await served.close();
            served = await bench.open();
          }
          const next = markNow();
          verifyHeadSequence({ seen, next, nextPrevSha256: served.head().prevSha256 });
          seen = next;
        }
        await served.close();
      }),
      { numRuns: 20 },
    );
  });

  it("warns when the clock is behind the last head", async () => {
    const bench = makeBench();
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (event: string) => warnings.push(event) };
    await using served = await bench.open({ logger });
    bench.clock.shiftWall(-3_600_000);
    await served.runEpoch();
    expect(warnings).to.deep.equal(["clock behind head"]);
    expect(served.head().time).to.equal(startMs / 1000);
  });

  it("begins a new history when the epoch number is raised", async () => {
    const bench = makeBench();
    await (await bench.open()).close();
    await using served = await bench.open({ epoch: 4 });
    expect(served.head()).to.include({ epoch: 4, serial: 2 });
    expect(served.head().prevSha256).to.deep.equal(new Uint8Array(32));
  });
});

describe("mapping zone after a crash", () => {
  it("keeps every accepted registration at every point where a process may end", async () => {
    // Commits of the run below, each failing before or after it took effect.
    for (let point = 1; point <= 9; point++) {
      for (const when of ["before", "after"] as const) {
        const store = makeFailingStore(createMemoryStore());
        const bench = makeBench(store);
        const accepted: number[] = [];
        let seen: HeadMark | undefined;
        store.failing(point, when);
        await codeOf(async () => {
          const served = await bench.open();
          for (const n of [1, 2]) {
            await register(bench, served, { csi: csiOf(n), text: `slot ${n}` });
            accepted.push(n);
            await served.runEpoch();
            seen = (await resolve(bench, served, csiOf(n))).mark;
          }
        });
        store.failing(Infinity, when);
        await using served = await bench.open();
        await served.runEpoch();
        for (const n of accepted) {
          const { text, mark } = await resolve(bench, served, csiOf(n));
          expect(text, `commit ${point} ${when}`).to.equal(`slot ${n}`);
          if (seen !== undefined) verifyHeadSequence({ seen, next: mark });
        }
      }
    }
  });

  it("signs an unsigned head verbatim, however late", async () => {
    const store = makeFailingStore(createMemoryStore());
    const bench = makeBench(store);
    const first = await bench.open();
    await register(bench, first, { csi: csiOf(1), text: "first" });
    store.failing(2, "before");
    expect(await codeOf(() => first.runEpoch())).to.equal("STORE");
    expect((await resolve(bench, first, csiOf(1))).text).to.equal(undefined);
    store.failing(Infinity, "before");
    bench.clock.shiftWall(300_000);
    await using served = await bench.open();
    expect(served.head()).to.include({ serial: 2, time: startMs / 1000, mapSize: 1 });
    expect((await resolve(bench, served, csiOf(1))).text).to.equal("first");
  });

  it("goes on in the same process after the second write failed", async () => {
    const store = makeFailingStore(createMemoryStore());
    const bench = makeBench(store);
    await using served = await bench.open();
    await register(bench, served, { csi: csiOf(1), text: "first" });
    store.failing(2, "before");
    expect(await codeOf(() => served.runEpoch())).to.equal("STORE");
    store.failing(Infinity, "before");
    expect(await textOf(served, csiOf(1))).to.equal("first");
    await register(bench, served, { csi: csiOf(1), text: "second" });
    await served.runEpoch();
    expect(served.head()).to.include({ serial: 3, mapSize: 1 });
    expect((await resolve(bench, served, csiOf(1))).text).to.equal("second");
  });

  it("goes on in the same process after the first write failed", async () => {
    const store = makeFailingStore(createMemoryStore());
    const bench = makeBench(store);
    await using served = await bench.open();
    await register(bench, served, { csi: csiOf(1), text: "first" });
    store.failing(1, "before");
    expect(await codeOf(() => served.runEpoch())).to.equal("STORE");
    store.failing(Infinity, "before");
    await served.runEpoch();
    expect((await resolve(bench, served, csiOf(1))).text).to.equal("first");
  });

  it("refuses to start on buckets that do not lead to the head", async () => {
    const damage: [what: string, change: (key: Uint8Array, value: Uint8Array) => Partial<Batch>][] =
      [
        ["a lost bucket", (key) => ({ deletes: [key] })],
        [
          "a changed bit",
          (key, value) => ({ puts: [[key, value.map((x, i) => (i === 20 ? x ^ 1 : x))]] }),
        ],
        ["a cut row", (key, value) => ({ puts: [[key, value.subarray(1)]] })],
      ];
    for (const [what, change] of damage) {
      const bench = makeBench();
      const served = await bench.open();
      await register(bench, served, { csi: csiOf(1), text: "first" });
      await served.runEpoch();
      await served.close();
      for await (const [key, value] of bench.store.iterate({
        gte: bucketTablePrefix(kid),
        limit: 1,
      })) {
        const batch = { puts: [], deletes: [], ...change(key, value) };
        await bench.store.commit(batch, { sync: true });
      }
      expect(await codeOf(() => bench.open()), what).to.equal("STORE_CORRUPT");
    }
  });

  it("signs nothing over a bucket that was damaged while it ran", async () => {
    for (const damage of ["lost", "changed"] as const) {
      const clock = createSimulatedClock({ startMs });
      const disk = createMemoryDisk({ clock });
      const bench = { ...makeBench(await disk.open()), clock };
      await using served = await bench.open();
      await register(bench, served, { csi: csiOf(1), text: "first" });
      await served.runEpoch();
      await register(bench, served, { csi: csiOf(2), text: "second" });
      for (const [key, value] of disk.rows()) {
        if (key[0] !== bucketTablePrefix(kid)[0]) continue;
        const flipped = value.map((byte, at) => (at === 3 ? byte ^ 1 : byte));
        disk.damage(
          key,
          damage === "lost" ? { kind: "lost" } : { kind: "changed", value: flipped },
        );
      }
      expect(await codeOf(() => served.runEpoch()), damage).to.equal("STORE_CORRUPT");
      expect(served.head()).to.include({ serial: 2, mapSize: 1 });
      disk.mend();
      await served.runEpoch();
      expect(served.head()).to.include({ serial: 3, mapSize: 2 });
      expect((await resolve(bench, served, csiOf(1))).text).to.equal("first");
    }
  });

  it("refuses a lost or foreign head", async () => {
    const bench = makeBench();
    const served = await bench.open();
    await register(bench, served, { csi: csiOf(1), text: "first" });
    await served.runEpoch();
    await served.close();
    const headKey = signedHeadKey(kid);
    const good = bench.store.get(headKey)!;
    await bench.store.commit({ puts: [], deletes: [headKey] }, { sync: true });
    expect(await codeOf(() => bench.open())).to.equal("STORE_CORRUPT");
    const bad = good.map((byte, i) => (i === 30 ? byte ^ 1 : byte));
    await bench.store.commit({ puts: [[headKey, bad]], deletes: [] }, { sync: true });
    expect(await codeOf(() => bench.open())).to.equal("STORE_CORRUPT");
    await bench.store.commit({ puts: [[headKey, good]], deletes: [] }, { sync: true });
    expect(await codeOf(() => bench.open())).to.equal("ok");
  });

  it("calls a damaged change that waits, or head, a damaged store, whichever octet it is", async () => {
    const bench = makeBench();
    const before = await bench.open();
    await register(bench, before, { csi: csiOf(1), text: "waits" });
    await before.close();
    const rows: Row[] = [];
    for await (const row of bench.store.iterate()) rows.push(row);
    const openWith = async (row: Row, at: number): Promise<ErrorCode | "ok"> => {
      const store = createMemoryStore();
      const bad = row[1].map((byte, n) => (n === at ? byte ^ 1 : byte));
      await store.commit({ puts: [...rows, [row[0], bad]], deletes: [] }, { sync: true });
      return codeOf(() => makeBench(store).open());
    };
    for (const row of rows.filter(([key]) => key[0] === pendingTablePrefix(kid)[0])) {
      // A body is long and all alike.
      const places = [...row[1].keys()].filter((at) => at < 130 || at % 97 === 0);
      for (const at of [...places, row[1].length - 1]) {
        expect(await openWith(row, at), `octet ${at}`).to.equal("STORE_CORRUPT");
      }
    }
    const [head] = rows.filter(([key]) => key[0] === headTablePrefix[0]);
    const codes = new Set<string>();
    for (const at of head![1].keys()) codes.add(await openWith(head!, at));
    // A tag of the encoding says nothing that is signed: without it the head is the same.
    expect([...codes].sort()).to.deep.equal(["STORE_CORRUPT", "ok"]);
  });

  it("refuses a lost head also where there is no slot: a serial is given once", async () => {
    const bench = makeBench();
    const served = await bench.open();
    await served.runEpoch();
    await served.close();
    await bench.store.commit({ puts: [], deletes: [signedHeadKey(kid)] }, { sync: true });
    expect(await codeOf(() => bench.open())).to.equal("STORE_CORRUPT");
  });

  it("refuses a store that ends before a head that was published, until a new epoch begins", async () => {
    const bench = makeBench();
    const served = await bench.open();
    await register(bench, served, { csi: csiOf(1), text: "first" });
    await served.runEpoch();
    await served.close();
    const { epoch, serial } = served.head();
    for (const published of [
      { kid, epoch, serial: serial + 1 },
      { kid, epoch: epoch + 1, serial: 1 },
      { kid: kid.map((byte) => byte ^ 1), epoch, serial: 1 },
    ]) {
      expect(await codeOf(() => bench.open({ published }))).to.equal("STORE_CORRUPT");
      const { head } = decodeMessage(GetHeadResponseSchema, served.headResponse());
      expect(bench.store.get(signedHeadKey(kid)), "nothing was signed").to.deep.equal(
        encodeSignedObject(signedObjectFromWire(head)),
      );
    }
    await (await bench.open({ published: { kid, epoch, serial } })).close();
    const published = { kid, epoch, serial: serial + 1 };
    await using again = await bench.open({ published, epoch: epoch + 1 });
    expect(again.head().epoch).to.equal(epoch + 1);
  });

  it("refuses an empty store where a head was published", async () => {
    const published = { kid, epoch: 1, serial: 1 };
    expect(await codeOf(() => makeBench().open({ published }))).to.equal("STORE_CORRUPT");
  });

  it("publishes at once when the manifest is another one than the head's", async () => {
    const bench = makeBench();
    await (await bench.open()).close();
    const payload = encodeManifest({ ...manifest, version: 2 });
    await using served = await bench.open({ manifest: { payload, signatures: [] } });
    expect(served.head()).to.include({ serial: 2 });
    expect(served.head().manifestSha256).to.deep.equal(sha256(payload));
  });
});

describe("loading a zone", () => {
  const slots = (count: number) =>
    Array.from({ length: count }, (_, n) => {
      const digest = sha256(uint32Bytes(n));
      return {
        idx: digest.slice(0, 16),
        masked: digest.slice(16, 28),
        body: new Uint8Array(1052)
          .fill(n & 255)
          .map((byte, i) => (i < 4 ? (n >>> (8 * i)) & 255 : byte)),
      };
    });

  it("builds the tree at the depth where the rule ends, and it survives a restart", async () => {
    const bench = makeBench();
    const served = await bench.open();
    await register(bench, served, { csi: csiOf(1), text: "waiting" });
    await served.loadEntries(slots(1500));
    expect(served.head()).to.include({ serial: 2, mapSize: 1500, b: depthFor(1500) });
    const wanted = slots(1500)[77]!;
    const found = await served.bodiesResponse([sha256(wanted.body)]);
    expect(decodeMessage(BodiesResponseSchema, found).bodies[0]).to.deep.equal(wanted.body);
    await served.runEpoch();
    const root = served.head().mapRoot;
    await served.close();
    await using again = await bench.open();
    expect(again.head().mapRoot).to.deep.equal(root);
    expect((await resolve(bench, again, csiOf(1))).text).to.equal("waiting");
    expect(again.head().mapSize).to.equal(1501);
  });

  it("refuses a zone with slots, and two slots with one idx", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    const [one] = slots(1);
    expect(await codeOf(() => served.loadEntries([one!, one!]))).to.equal("INVALID_DATA");
    await served.loadEntries(slots(3));
    expect(await codeOf(() => served.loadEntries(slots(3)))).to.equal("CONFIG");
  });

  it("leaves nothing of a load that did not end", async () => {
    const bench = makeBench();
    const served = await bench.open();
    const [one] = slots(1);
    expect(await codeOf(() => served.loadEntries([...slots(700), one!]))).to.equal("INVALID_DATA");
    await served.close();
    await using again = await bench.open();
    expect(again.head()).to.include({ mapSize: 0, b: 0 });
    expect(await codeOf(() => again.bodiesResponse([sha256(one!.body)]))).to.equal("UNKNOWN_BODY");
    await again.loadEntries(slots(700));
    expect(again.head()).to.include({ mapSize: 700, b: 2 });
  });

  it("changes its depth in one epoch and drops the old buckets", async () => {
    const bench = makeBench();
    await using served = await bench.open();
    await served.loadEntries(slots(1023));
    expect(served.head().b).to.equal(2);
    await register(bench, served, { csi: csiOf(1), text: "one more" });
    await served.runEpoch();
    expect(served.head().b).to.equal(3);
    expect((await resolve(bench, served, csiOf(1))).text).to.equal("one more");
    let rows = 0;
    for await (const [key] of bench.store.iterate({
      ...prefixRange(bucketTablePrefix(kid)),
    })) {
      expect(key[5]).to.equal(3);
      rows += 1;
    }
    expect(rows).to.equal(8);
  });
});
