import { create } from "@bufbuild/protobuf";
import { expect } from "chai";
import fc from "fast-check";
import { sha256, uint32Bytes, utf8 } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  parseCsi,
  type ErrorCode,
} from "@whither/protocol";
import { silentLogger } from "@whither/runtime";
import { createMemoryStore, watchCommits, type Row, type Store } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  makeRegistrationParties,
} from "@whither/testkit";
import { ReplicationVaultResponseSchema, type ReplicationVaultResponse } from "@whither/wire";
import { openVault } from "../mapping/vault.js";
import type { FollowedServer } from "./primary-link.js";
import { VaultFollower, type VaultFollowerOptions } from "./vault-follower.js";
import { digestsOf, partOf } from "./vault-parts.js";
import { VaultServer } from "./vault-source.js";

const { zone } = makeRegistrationParties();
const key = fixedBytes("vault");
const csiOf = (n: number) => parseCsi(`tel:+1415555${String(n).padStart(4, "0")}`);
const server: FollowedServer = { host: "a", port: 1, spkiSha256: [], way: "replication" };
type Part = NonNullable<Parameters<typeof create<typeof ReplicationVaultResponseSchema>>[1]>;

async function rowsOf(store: Store): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for await (const row of store.iterate()) rows.push(row);
  return rows;
}

async function putAll(store: Store, rows: readonly Row[]): Promise<void> {
  await store.commit({ puts: rows, deletes: [] }, { sync: true });
}

/** A primary's vault and a secondary's, in one process; `sent` counts what goes from one to the other. */
function setting() {
  const clock = createSimulatedClock();
  const vault = watchCommits(createMemoryStore());
  const own = createMemoryStore();
  const vaults = new VaultServer(clock);
  const sent = { rows: 0, changes: 0 };
  const link = { isUp: true, cut: (): void => undefined };
  const open: VaultFollowerOptions["open"] = async function* (_server, { digests, signal }) {
    if (!link.isUp) throw new DiscoveryError("NETWORK", "the server is away");
    const broken = new AbortController();
    link.cut = () => broken.abort();
    const both = AbortSignal.any([signal, broken.signal]);
    for await (const init of vaults.serve(vault, { digests, signal: both, draining: never() })) {
      const part = create(ReplicationVaultResponseSchema, init);
      if (part.part.case === "rows") sent.rows += part.part.value.rows.length;
      if (part.part.case === "change") sent.changes += 1;
      yield part;
    }
  };
  const follower = (over: Partial<VaultFollowerOptions> = {}) =>
    new VaultFollower({
      ...{ zone, store: own, servers: [server], open, clock, logger: silentLogger },
      ...over,
    });
  /** Once it has had all its turns. */
  const same = async (following: VaultFollower): Promise<void> => {
    for (let turn = 0; turn < 1_000 && !following.isSettled; turn += 1) await clock.advance(0);
    await clock.settle();
    expect(await rowsOf(own)).to.deep.equal(await rowsOf(vault));
  };
  return { clock, vault, own, vaults, sent, link, follower, same };
}

const never = (): AbortSignal => new AbortController().signal;

async function codeOf(run: () => Promise<unknown>): Promise<ErrorCode | "ok"> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

describe("the vault of a secondary", () => {
  it("becomes the primary's, hears of every registration and removal, and opens with its key alone", async () => {
    const { vault, own, follower, same } = setting();
    const random = createSeededRandom(2);
    const at = await openVault({ store: vault, zone, key, random });
    for (let n = 0; n < 30; n += 1) {
      await at.begin(csiOf(n), { removes: false });
      await at.settle(csiOf(n), { present: true });
    }
    await using following = follower();
    following.start();
    await same(following);
    expect(following.isSettled).to.equal(true);
    await at.begin(csiOf(30), { removes: false });
    await same(following);
    await at.settle(csiOf(30), { present: true });
    await at.begin(csiOf(3), { removes: true });
    await at.settle(csiOf(3), { present: false });
    await same(following);
    const taken = await openVault({ store: own, zone, key, random });
    const csis: string[] = [];
    for await (const row of taken.rows()) csis.push(row.csi);
    const all = Array.from({ length: 31 }, (_, n) => csiOf(n)).filter((_, n) => n !== 3);
    expect(csis.sort()).to.deep.equal(all);
    const wrong = { store: own, zone, key: fixedBytes("another"), random };
    expect(await codeOf(() => openVault(wrong))).to.equal("CONFIG");
  });

  it("is told what waits when the server drains, and then the stream ends", async () => {
    const { vault, vaults } = setting();
    const draining = new AbortController();
    const digests = await digestsOf(vault);
    const stream = vaults.serve(vault, { digests, signal: never(), draining: draining.signal });
    const cases: (string | undefined)[] = [];
    const read = async (): Promise<void> => {
      const step = await stream.next();
      cases.push(step.done === true ? "end" : step.value.part?.case);
    };
    await read();
    await read();
    const next = read();
    await putAll(vault, [[sha256(uint32Bytes(1)), utf8("x")]]);
    await next;
    await putAll(vault, [[sha256(uint32Bytes(2)), utf8("x")]]);
    draining.abort();
    await read();
    await read();
    expect(cases).to.deep.equal(["start", "settled", "change", "change", "end"]);
  });

  it("is sent what differs when it comes back, and goes on by itself", async () => {
    const { clock, vault, sent, link, follower, same } = setting();
    const rows = Array.from({ length: 2_000 }, (_, n): Row => [sha256(uint32Bytes(n)), utf8("x")]);
    await putAll(vault, rows);
    await using following = follower();
    following.start();
    await same(following);
    expect(sent.rows).to.equal(2_000);
    link.isUp = false;
    link.cut();
    await clock.settle();
    expect(following.isSettled).to.equal(false);
    await putAll(vault, [[rows[7]![0], utf8("y")]]);
    await vault.commit({ puts: [], deletes: [rows[9]![0]] }, { sync: true });
    sent.rows = 0;
    link.isUp = true;
    await clock.advance(2 * limits.failureTtlSecondsMax * 1000);
    await same(following);
    expect(sent.rows).to.be.within(1, 60);
  });

  it("is the same after any history, whatever was there before", async () => {
    const row = fc
      .tuple(fc.nat(40), fc.nat(3))
      .map(([n, v]): Row => [sha256(uint32Bytes(n)), Uint8Array.of(v + 1)]);
    const rows = fc.array(row, { maxLength: 40 });
    const batch = fc.record({ puts: fc.array(row, { maxLength: 3 }), deletes: rows });
    await fc.assert(
      fc.asyncProperty(rows, rows, fc.array(batch, { maxLength: 6 }), async (a, b, batches) => {
        const { clock, vault, own, follower, same } = setting();
        await putAll(vault, a);
        await putAll(own, b);
        await using following = follower();
        following.start();
        for (const { puts, deletes } of batches) {
          const gone = deletes.map(([one]) => one);
          await vault.commit({ puts, deletes: gone }, { sync: true });
          await clock.advance(0);
        }
        await same(following);
      }),
      { numRuns: 60 },
    );
  });

  const [low, high] = [sha256(uint32Bytes(1)), sha256(uint32Bytes(2))].toSorted((a, b) =>
    Buffer.compare(a, b),
  );
  const start = (...keys: readonly Uint8Array[]): Part => ({
    part: { case: "start", value: { parts: Uint8Array.from(keys.map(partOf)) } },
  });
  const rowsPart = (...rows: readonly Row[]): Part => ({
    part: { case: "rows", value: { rows: rows.map(([k, value]) => ({ key: k, value })) } },
  });
  const change = (k: Uint8Array, value: Uint8Array): Part => ({
    part: { case: "change", value: { puts: [{ key: k, value }], deletes: [] } },
  });
  const one = utf8("x");
  const settled: Part = { part: { case: "settled", value: {} } };
  const lies: readonly (readonly [string, readonly Part[]])[] = [
    ["no start", [rowsPart([low!, one])]],
    ["a row of a part that was not named", [start(low!), rowsPart([high!, one])]],
    ["rows out of order", [start(low!, high!), rowsPart([high!, one], [low!, one])]],
    ["a row twice", [start(low!), rowsPart([low!, one]), rowsPart([low!, one])]],
    ["an empty key", [start(low!), rowsPart([new Uint8Array(0), one])]],
    ["a long key", [start(), settled, change(new Uint8Array(65), one)]],
    ["a long value", [start(), settled, change(low!, new Uint8Array(8 * 1024 + 1))]],
    ["an empty value", [start(), settled, change(low!, new Uint8Array(0))]],
    ["a change before the rows are complete", [start(low!), change(low!, one)]],
    ["a second start", [start(low!), settled, start(low!)]],
    ["nothing in a message", [{}]],
  ];
  for (const [what, parts] of lies) {
    it(`refuses ${what}, and keeps what it had`, async () => {
      const { own, follower } = setting();
      const before: Row = [utf8("kept"), utf8("as it is")];
      await putAll(own, [before]);
      const open = async function* (): AsyncGenerator<ReplicationVaultResponse> {
        await Promise.resolve();
        for (const part of parts) yield create(ReplicationVaultResponseSchema, part);
      };
      await using following = follower({ open });
      expect(await codeOf(() => following.follow(server))).to.equal("INVALID_DATA");
      expect(await rowsOf(own)).to.deep.equal([before]);
    });
  }

  it("ends a stream that is read too slowly, and bounds how many there are", async () => {
    const { clock, vault, vaults } = setting();
    const { signal } = new AbortController();
    const digests = await digestsOf(createMemoryStore());
    const streams = Array.from({ length: limits.vaultStreamsMax }, () =>
      vaults.serve(vault, { digests, signal, draining: never() }),
    );
    for (const stream of streams) await stream.next();
    const next = () => vaults.serve(vault, { digests, signal, draining: never() }).next();
    expect(await codeOf(next)).to.equal("OVERLOADED");
    await clock.advance(limits.transferStallMs);
    for (const stream of streams) {
      await stream.next().catch(() => undefined);
      expect(await codeOf(() => stream.next())).to.equal("DEADLINE");
    }
    expect(await codeOf(next)).to.equal("ok");
  });

  it("wants whole digests", async () => {
    const { vault, vaults } = setting();
    const { signal } = new AbortController();
    const stream = vaults.serve(vault, { digests: new Uint8Array(31), signal, draining: never() });
    expect(await codeOf(() => stream.next())).to.equal("INVALID_DATA");
  });
});
