import { expect } from "chai";
import fc from "fast-check";
import { sha256, uint32Bytes, uint64Bytes, utf8 } from "@whither/crypto/node";
import { DiscoveryError, parseCsi, type Csi, type ErrorCode } from "@whither/protocol";
import { decodeMessage } from "@whither/rpc";
import { createMemoryStore, prefixRange, type Store } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
  type SimulatedClock,
} from "@whither/testkit";
import { GetHeadResponseSchema, signedObjectFromWire } from "@whither/wire";
import {
  headMarkOf,
  mspBitsOf,
  nodeVerifier,
  verifyHead,
  verifyHeadSequence,
  type HeadMark,
} from "@whither/zone";
import type { MappingZone } from "../mapping/mapping-zone.js";
import { openVault, type Vault } from "../mapping/vault.js";
import { bodyTablePrefix } from "../mapping/zone-table.js";
import { passBackup, readBackup, writeBackup, type BackupRow } from "./backup-file.js";
import { backupZone } from "./backup-zone.js";
import { restoreZone, type RestoredZone } from "./restore-zone.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, manifest, manifestSha256 } = parties;
const random = createSeededRandom(22);
const vaultKey = random.bytes(32);
const csiOf = (n: number): Csi => parseCsi(`tel:+1415555${String(n).padStart(4, "0")}`);

/** A zone in service with its vault, and what an operator does to it. */
interface Bench {
  readonly clock: SimulatedClock;
  readonly store: Store;
  readonly vaultStore: Store;
  readonly vault: Vault;
  readonly served: MappingZone;
}

async function openBench(
  stores: { readonly store: Store; readonly vaultStore: Store },
  clock = createSimulatedClock({ startMs }),
): Promise<Bench> {
  const vault = await openVault({ store: stores.vaultStore, zone, key: vaultKey, random });
  const served = await openTestZone({ parties, store: stores.store, vault, clock, random });
  return { ...stores, clock, vault, served };
}

const newBench = (): Promise<Bench> =>
  openBench({ store: createMemoryStore(), vaultStore: createMemoryStore() });

let nonces = 0;
async function register({ served, clock }: Bench, n: number): Promise<void> {
  const nonceD = new Uint8Array(48);
  nonceD.set(uint64Bytes(clock.nowSeconds() + 900));
  nonceD.set(uint32Bytes(++nonces), 8);
  await served.submit({
    slot: await served.lookupForRegistration(csiOf(n)),
    content: { plaintext: utf8(`mapping ${n}`), registryVersion: 5, bits: mspBitsOf([3]) },
    nonceD,
    statementSha256: sha256(uint32Bytes(nonces)),
    acceptedAt: clock.nowSeconds(),
  });
}

const parts = ({ store, vaultStore: vault, clock }: Bench): AsyncGenerator<Uint8Array> =>
  backupZone({ store, vault }, { zone, clock });

async function whole(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

interface Restored {
  readonly store: Store;
  readonly vaultStore: Store;
  readonly restored: RestoredZone;
}

async function restore(
  source: AsyncIterable<Uint8Array>,
  options: { readonly clock: SimulatedClock; readonly epoch?: number },
): Promise<Restored> {
  const store = createMemoryStore();
  const vaultStore = createMemoryStore();
  const open = () => Promise.resolve({ store, openVault: () => Promise.resolve(vaultStore) });
  return { store, vaultStore, restored: await restoreZone({ source, open, ...options }) };
}

function markOf({ served, clock }: Bench): HeadMark {
  const { head } = decodeMessage(GetHeadResponseSchema, served.headResponse());
  const object = signedObjectFromWire(head);
  const nowSeconds = clock.nowSeconds();
  const verifier = nodeVerifier;
  const of = { object, zone, manifest, manifestSha256, nowSeconds, verifier };
  return headMarkOf(object, verifyHead(of));
}

async function found({ served }: Bench, n: number): Promise<boolean> {
  return (await served.lookupForRegistration(csiOf(n))).plaintext !== undefined;
}

async function codeOf(work: () => Promise<unknown>): Promise<ErrorCode | "ok"> {
  try {
    await work();
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}

describe("backup and restore of a zone", () => {
  it("brings back the moment at which the backup began, in an epoch that no reader has seen", async () => {
    const bench = await newBench();
    for (const n of [1, 2, 3]) await register(bench, n);
    await bench.served.runEpoch();
    await register(bench, 4); // accepted, in no head yet
    const source = parts(bench);
    const first = await source.next();
    await register(bench, 5);
    await bench.served.runEpoch();
    await bench.served.runEpoch();
    const seen = markOf(bench);
    const rest = await whole(source);
    const file = new Uint8Array(Buffer.concat([first.value ?? new Uint8Array(), rest]));
    await bench.clock.advance(60_000);

    const { restored, ...stores } = await restore(inPieces(file, 1000), bench);
    expect(restored).to.deep.include({ zone, madeAt: startMs / 1000, slots: 3, hasVault: true });
    const again = await openBench(stores, bench.clock);
    const numbers = [1, 2, 3, 4, 5];
    const there = await Promise.all(numbers.map((n) => found(again, n)));
    expect(there).to.deep.equal([true, true, true, true, false]);
    const { epoch, mapSize } = again.served.head();
    expect([epoch, mapSize], "what waited is published").to.deep.equal([restored.epoch, 4]);
    const csis: Csi[] = [];
    for await (const { csi } of again.vault.rows()) csis.push(csi);
    expect(csis.sort()).to.deep.equal(numbers.slice(0, 4).map(csiOf));
    // A resolver that has seen the heads after the backup takes the new one.
    verifyHeadSequence({ seen, next: markOf(again) });
    await register(again, 6);
    await again.served.runEpoch();
    verifyHeadSequence({ seen, next: markOf(again) });
  });

  it("gets beyond the first restore with the second of the same file", async () => {
    const bench = await newBench();
    const file = await whole(parts(bench));
    const first = await restore(inPieces(file, 1000), bench);
    await bench.clock.advance(1_000);
    const second = await restore(inPieces(file, 1000), bench);
    expect(second.restored.epoch).to.be.above(first.restored.epoch);
    // And a backup of what was restored is restored above it, whatever the clock says.
    const served = await openBench(second, bench.clock);
    const early = createSimulatedClock({ startMs: 0 });
    const third = await restore(parts(served), { clock: early });
    expect(third.restored.epoch).to.equal(second.restored.epoch + 1);
  });

  it("takes an epoch that is told, and none that is not above the backup's", async () => {
    const bench = await newBench();
    const { restored, store } = await restore(parts(bench), { clock: bench.clock, epoch: 7 });
    expect(restored.epoch).to.equal(7);
    const reopened = await openTestZone({ parties, store, clock: bench.clock, random });
    expect(reopened.head().epoch).to.equal(7);
    const low = codeOf(() => restore(parts(bench), { clock: bench.clock, epoch: 1 }));
    expect(await low).to.equal("CONFIG");
  });

  it("holds neither the VOPRF key nor the vault's, nor an identifier", async () => {
    const bench = await newBench();
    await register(bench, 1);
    await bench.served.runEpoch();
    const file = Buffer.from(await whole(parts(bench)));
    for (const secret of [
      parties.voprfKeys.secretKey,
      vaultKey,
      utf8(csiOf(1)),
      utf8("4155550001"),
    ])
      expect(file.includes(Buffer.from(secret))).to.be.false;
  });

  it("refuses a file with any byte changed, cut off or added", async () => {
    const bench = await newBench();
    for (const n of [1, 2]) await register(bench, n);
    await bench.served.runEpoch();
    const file = await whole(parts(bench));
    const refused = async (bytes: Uint8Array): Promise<void> => {
      const restoring = codeOf(() => restore(inPieces(bytes, 777), bench));
      expect(await restoring).to.equal("STORE_CORRUPT");
      const passing = codeOf(() => whole(passBackup(inPieces(bytes, 777))));
      expect(await passing).to.equal("STORE_CORRUPT");
    };
    const place = fc.nat(file.length - 1);
    const property = fc.asyncProperty(place, fc.integer({ min: 1, max: 255 }), async (at, bits) => {
      const flipped = file.slice();
      flipped[at] = (flipped[at] ?? 0) ^ bits;
      await refused(flipped);
      await refused(file.slice(0, at));
    });
    await fc.assert(property, { numRuns: 60 });
    await refused(new Uint8Array(Buffer.concat([file, Uint8Array.of(0)])));
    await refused(new Uint8Array(0));
    expect(await whole(passBackup(inPieces(file, 777)))).to.deep.equal(file);
  });

  it("refuses rows that do not lead to a signed head, under whatever digest", async () => {
    const bench = await newBench();
    for (const n of [1, 2]) await register(bench, n);
    await bench.served.runEpoch();
    const { header, rows } = await readBackup(parts(bench));
    const all: BackupRow[] = [];
    for await (const row of rows()) all.push(row);
    const kid = bench.served.head().kid;
    const isBody = ({ part, row: [key] }: BackupRow): boolean =>
      part === "store" && Buffer.from(key).subarray(0, 5).equals(bodyTablePrefix(kid));
    const remade = async (change: (row: BackupRow) => readonly BackupRow[]) => {
      async function* changed(): AsyncGenerator<BackupRow> {
        await Promise.resolve();
        yield* all.flatMap(change);
      }
      return codeOf(() => restore(writeBackup(header, changed()), bench));
    };
    expect(await remade((row) => [row])).to.equal("ok");
    const flip = ({ part, row: [key, value] }: BackupRow): BackupRow => {
      const other = value.slice();
      other[other.length - 1] = (other[other.length - 1] ?? 0) ^ 1;
      return { part, row: [key, other] };
    };
    expect(await remade((row) => (isBody(row) ? [] : [row])), "no bodies").to.equal(
      "STORE_CORRUPT",
    );
    expect(await remade((row) => [isBody(row) ? flip(row) : row])).to.equal("STORE_CORRUPT");
    for (const table of [2, 3]) {
      const ofTable = ({ part, row: [key] }: BackupRow): boolean =>
        part === "store" && key[0] === table;
      const without = await remade((row) => (ofTable(row) ? [] : [row]));
      expect(without, `without table ${table}`).to.equal("STORE_CORRUPT");
      const flipped = await remade((row) => [ofTable(row) ? flip(row) : row]);
      expect(flipped, `table ${table} changed`).to.equal("STORE_CORRUPT");
    }
  });

  it("reads what it wrote in pieces of any size, and writes pieces of 256 KiB at most", async () => {
    const row = fc.record({
      part: fc.constantFrom("store" as const, "vault" as const),
      row: fc.tuple(
        fc.uint8Array({ minLength: 1, maxLength: 80 }),
        fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(300_000).fill(7))),
      ),
    });
    const property = fc.asyncProperty(
      fc.array(row, { maxLength: 8 }),
      fc.integer({ min: 1, max: 5_000 }),
      async (rows, size) => {
        async function* given(): AsyncGenerator<BackupRow> {
          await Promise.resolve();
          yield* rows;
        }
        const pieces: Uint8Array[] = [];
        for await (const piece of writeBackup({ zone, madeAt: 5 }, given())) pieces.push(piece);
        expect(Math.max(...pieces.map(({ length }) => length))).to.be.at.most(256 * 1024);
        const bytes = new Uint8Array(Buffer.concat(pieces));
        const read = await readBackup(inPieces(bytes, size));
        expect(read.header).to.deep.equal({ zone, madeAt: 5 });
        const back: BackupRow[] = [];
        for await (const one of read.rows()) back.push(one);
        expect(back).to.deep.equal(rows);
      },
    );
    await fc.assert(property, { numRuns: 20 });
  });

  it("lets go of the snapshot when the reader leaves", async () => {
    const bench = await newBench();
    let open = 0;
    const counting: Store = Object.assign(Object.create(bench.store) as Store, {
      snapshot: () => {
        open += 1;
        const snapshot = bench.store.snapshot();
        return Object.assign(snapshot, {
          close: () => {
            open -= 1;
            return Promise.resolve();
          },
        });
      },
      iterate: () => bench.store.iterate(prefixRange(Uint8Array.of(1))),
    });
    const clock = bench.clock;
    const source = backupZone({ store: counting, vault: undefined }, { zone, clock });
    await source.next();
    expect(open).to.equal(1);
    await source.return();
    expect(open).to.equal(0);
  });
});
