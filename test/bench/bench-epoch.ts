// `epoch`: publishing 1,000 changes into a zone of 1,000,000 slots on LevelDB, against the bare work on a copy:
// read the touched buckets, put the entries in, hash, rehash the tree, one synced batch of the same bytes.

import { parseCsi } from "@whither/protocol";
import { hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Level } from "level";
import type { MappingZone } from "@whither/authority";
import { systemClock, systemRandom } from "@whither/runtime";
import {
  openLevelStore,
  type Batch,
  type CommitOptions,
  type Row,
  type Store,
} from "@whither/store";
import {
  generateFillers,
  makeRegistrationParties,
  openTestZone,
  type RegistrationParties,
} from "@whither/testkit";
import { interleave, peakMemoryMib, spreadOf, type Work } from "./measure.js";
import { ratioOf, type BenchReport } from "./report.js";
import type { BenchOptions } from "./main.js";

const changes = 1_000;
const entryBytes = 68;
const bodyPlaintextBytes = 1_200;
const cacheBytes = 64 * 1024 * 1024;

export async function benchEpoch({ quick }: BenchOptions): Promise<BenchReport> {
  const slots = quick ? 50_000 : 1_000_000;
  const directory = mkdtempSync(join(tmpdir(), "whither-bench-"));
  const parties = makeRegistrationParties({ nowSeconds: systemClock.nowSeconds() });
  try {
    const store = recording(await openLevelStore({ path: join(directory, "zone"), cacheBytes }));
    const zone = await openTestZone({ parties, clock: systemClock, random: systemRandom, store });
    await zone.loadEntries(generateFillers({ count: slots, seed: "epoch" }));
    const bare = await BareZone.copy(store, join(directory, "bare"));
    const delays: number[] = [];
    const [ours, ceiling] = await interleave(
      [
        { name: "epoch", run: async () => await epoch({ zone, store, parties, delays }) },
        { name: "bare work", run: () => bare.apply(store.last) },
      ],
      { rounds: quick ? 1 : 7 },
    );
    const { b, mapSize } = zone.head();
    await zone.close();
    await store.close();
    await bare.close();
    if (ours === undefined || ceiling === undefined) throw new TypeError("two sides were measured");
    const blocks = spreadOf(delays.slice(1));
    const ms = (operations: number): number => 1000 / operations;
    const context = { name: "", lowest: 0, highest: 0, direction: "at most" } as const;
    return {
      name: "epoch",
      title: `publishing ${changes.toLocaleString("en")} changes, against the bare reads, hashes and synced batch`,
      layout: "one process; zone and bare copy each on a LevelDB of its own, same disk, same cache",
      parameters: { slots: mapSize, depth: b, changes, "octets of the batch": store.last.bytes },
      sides: [ours, ceiling],
      ratios: [
        ratioOf({ name: "time to ceiling", ours, ceiling, target: 1.3, direction: "at most" }),
        {
          ...context,
          name: "milliseconds of an epoch",
          value: ms(ours.rate.median),
          lowest: ms(ours.rate.max),
          highest: ms(ours.rate.min),
          target: 250,
        },
        {
          ...context,
          name: "longest event-loop block, ms (worst round)",
          value: blocks.max,
          lowest: blocks.min,
          highest: blocks.max,
          target: 10,
        },
      ],
      peakMib: { bench: peakMemoryMib() },
      notes: [
        "operations are epochs; the epoch also signs the head and makes it durable in a second synced write, the bare work does not",
      ],
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Registers new slots, then times the epoch that publishes them. */
async function epoch(at: {
  readonly zone: MappingZone;
  readonly store: RecordingStore;
  readonly parties: RegistrationParties;
  readonly delays: number[];
}): Promise<Work> {
  const { zone, store, delays } = at;
  await Promise.all(Array.from({ length: changes }, (_, n) => submitOne(zone, n)));
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  store.record();
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  await zone.runEpoch();
  const seconds = (performance.now() - startMs) / 1e3;
  const used = process.cpuUsage(cpuBefore);
  delay.disable();
  delays.push(Math.max(0, delay.max / 1e6 - 1)); // less the resolution: what is left is the block
  return { operations: 1, seconds, cpuSeconds: (used.user + used.system) / 1e6 };
}

/** Each of another identifier: one has one registration at a time. */
async function submitOne(zone: MappingZone, n: number): Promise<void> {
  const nowSeconds = systemClock.nowSeconds();
  const nonceD = systemRandom.bytes(48);
  Buffer.from(nonceD.buffer).writeBigUInt64BE(BigInt(nowSeconds + 900));
  await zone.submit({
    slot: {
      csi: parseCsi(`+1415${5_550_000 + n}`),
      kid: zone.head().kid,
      others: [],
      y: systemRandom.bytes(64),
      idx: systemRandom.bytes(16),
      vhash: undefined,
      plaintext: undefined,
    },
    content: {
      plaintext: new Uint8Array(bodyPlaintextBytes).fill(7),
      registryVersion: 1,
      bits: new Uint8Array(8),
    },
    nonceD,
    statementSha256: systemRandom.bytes(32),
    acceptedAt: nowSeconds,
  });
}

/** What the last epoch wrote in its first batch. */
interface EpochBatch {
  readonly puts: readonly Row[];
  readonly deletes: readonly Uint8Array[];
  readonly bytes: number;
}

interface RecordingStore extends Store {
  readonly last: EpochBatch;
  /** From now on the first commit counts as the epoch's. */
  record(): void;
}

/** The store with a memory of one commit. */
function recording(store: Store): RecordingStore {
  let last: EpochBatch = { puts: [], deletes: [], bytes: 0 };
  let isWaiting = false;
  return {
    get: (key, options) => store.get(key, options),
    getMany: (keys, options) => store.getMany(keys, options),
    iterate: (range) => store.iterate(range),
    snapshot: () => store.snapshot(),
    commit: (batch: Batch, options: CommitOptions) => {
      if (isWaiting) {
        isWaiting = false;
        const bytes = batch.puts.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
        last = { puts: batch.puts, deletes: batch.deletes, bytes };
      }
      return store.commit(batch, options);
    },
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
    get last() {
      return last;
    },
    record() {
      isWaiting = true;
    },
  };
}

const bucketTable = 3;

/** A copy of the zone's rows in a bare LevelDB, and its tree as bare hashes. */
class BareZone {
  readonly #level: Level<Uint8Array, Uint8Array>;
  readonly #hashes: Buffer;
  readonly #b: number;

  private constructor(level: Level<Uint8Array, Uint8Array>, b: number) {
    this.#level = level;
    this.#b = b;
    this.#hashes = Buffer.alloc(2 ** (b + 1) * 32);
  }

  static async copy(store: Store, path: string): Promise<BareZone> {
    const level = new Level<Uint8Array, Uint8Array>(path, {
      keyEncoding: "view",
      valueEncoding: "view",
      cacheSize: cacheBytes,
      compression: false,
    });
    await level.open();
    let batch: { type: "put"; key: Uint8Array; value: Uint8Array }[] = [];
    let b = 0;
    for await (const [key, value] of store.iterate({ gte: new Uint8Array(0) })) {
      if (key[0] === bucketTable) b = key[5] ?? 0;
      batch.push({ type: "put", key, value });
      if (batch.length === 512) {
        await level.batch(batch);
        batch = [];
      }
    }
    await level.batch(batch, { sync: true });
    return new BareZone(level, b);
  }

  /** The epoch's changes again, with as little as it takes. */
  async apply({ puts, deletes }: EpochBatch): Promise<Work> {
    const touched = puts.filter(([key]) => key[0] === bucketTable);
    if (touched.some(([key]) => key[5] !== this.#b)) throw new TypeError("bench: depth changed");
    const cpuBefore = process.cpuUsage();
    const startMs = performance.now();
    let level = new Set<number>();
    const rows = touched.map(([key, value]): Row => {
      const index = Buffer.from(key.buffer, key.byteOffset).readUInt32BE(6);
      const entries = insert(this.#level.getSync(key), value);
      this.#hashes.write(hash("sha256", entries, "hex"), (2 ** this.#b + index) * 32, "hex");
      level.add((2 ** this.#b + index) >>> 1);
      return [key, entries];
    });
    while (level.size > 0) {
      const above = new Set<number>();
      for (const node of level) {
        const children = this.#hashes.subarray(2 * node * 32, 2 * node * 32 + 64);
        this.#hashes.write(hash("sha256", children, "hex"), node * 32, "hex");
        if (node > 1) above.add(node >>> 1);
      }
      level = above;
    }
    const others = puts.filter(([key]) => key[0] !== bucketTable);
    await this.#level.batch(
      [
        ...[...rows, ...others].map(([key, value]) => ({ type: "put", key, value }) as const),
        ...deletes.map((key) => ({ type: "del", key }) as const),
      ],
      { sync: true },
    );
    const seconds = (performance.now() - startMs) / 1e3;
    const used = process.cpuUsage(cpuBefore);
    return { operations: 1, seconds, cpuSeconds: (used.user + used.system) / 1e6 };
  }

  close(): Promise<void> {
    return this.#level.close();
  }
}

/** The bucket with the entries of `after` that it lacks, at their places: a copy like the epoch's own. */
function insert(before: Uint8Array | undefined, after: Uint8Array): Uint8Array {
  const merged = Buffer.alloc(after.length);
  let read = 0;
  for (let at = 0; at < after.length; at += entryBytes) {
    const idx = after.subarray(at, at + 16);
    const isOld =
      before !== undefined &&
      read < before.length &&
      Buffer.compare(before.subarray(read, read + 16), idx) === 0;
    merged.set(after.subarray(at, at + entryBytes), at);
    if (isOld) read += entryBytes;
  }
  return merged;
}
