import { expect } from "chai";
import fc from "fast-check";
import {
  DiscoveryError,
  parseCsi,
  parseZoneName,
  type Csi,
  type ErrorCode,
} from "@whither/protocol";
import { createInlineVoprf } from "@whither/runtime";
import { createMemoryStore, type Store } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { loadSodiumVoprf, sha256, uint64Bytes, utf8 } from "@whither/crypto/node";
import { mspBitsOf } from "@whither/zone";
import type { MappingZone } from "./mapping-zone.js";
import { openVault, type Vault } from "./vault.js";

const random = createSeededRandom(11);
const key = random.bytes(32);
const clock = createSimulatedClock();
const parties = makeRegistrationParties({ nowSeconds: clock.nowSeconds() });
const { zone } = parties;
const csiOf = (n: number): Csi => parseCsi(`tel:+1415555${String(n).padStart(4, "0")}`);
const vaultOn = (store: Store, under = key): Promise<Vault> =>
  openVault({ store, zone, key: under, random });

async function held(vault: Vault): Promise<readonly string[]> {
  const csis: string[] = [];
  for await (const { csi } of vault.rows()) csis.push(csi);
  return csis.sort();
}

async function marked(vault: Vault): Promise<readonly string[]> {
  const csis: string[] = [];
  for await (const csi of vault.unsettled()) csis.push(csi);
  return csis.sort();
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

describe("the vault", () => {
  it("holds what was begun, over a restart, until it is removed", async () => {
    const store = createMemoryStore();
    const vault = await vaultOn(store);
    for (const n of [1, 2]) {
      await vault.begin(csiOf(n), { removes: false });
      await vault.settle(csiOf(n), { present: true });
    }
    await vault.begin(csiOf(1), { removes: true });
    await vault.settle(csiOf(1), { present: false });
    const again = await vaultOn(store);
    expect(await held(again)).to.deep.equal([csiOf(2)]);
    expect(await marked(again)).to.deep.equal([]);
    for await (const { tags } of again.rows()) expect(tags).to.deep.equal([new Uint8Array(0)]);
  });

  it("names what was begun and not settled", async () => {
    const store = createMemoryStore();
    const vault = await vaultOn(store);
    await vault.begin(csiOf(1), { removes: false });
    await vault.begin(csiOf(2), { removes: false });
    await vault.settle(csiOf(2), { present: true });
    await vault.begin(csiOf(2), { removes: true });
    expect(await marked(await vaultOn(store))).to.deep.equal([csiOf(1), csiOf(2)]);
  });

  it("shows no identifier and no plain hash of one in its store", async () => {
    const store = createMemoryStore();
    const vault = await vaultOn(store);
    const csi = csiOf(7);
    await vault.begin(csi, { removes: false });
    const needles = [utf8(csi), utf8(csi.slice(4)), sha256(utf8(csi))].map((one) =>
      Buffer.from(one),
    );
    for await (const [rowKey, value] of store.iterate()) {
      const row = Buffer.concat([rowKey, value]);
      for (const needle of needles) expect(row.includes(needle)).to.equal(false);
    }
  });

  it("refuses a foreign key, another zone's vault, and damaged rows", async () => {
    const store = createMemoryStore();
    const vault = await vaultOn(store);
    await vault.begin(csiOf(1), { removes: false });
    expect(await codeOf(() => vaultOn(store, random.bytes(32)))).to.equal("CONFIG");
    const another = parseZoneName("another@dp-z.example");
    const opened = (): Promise<Vault> => openVault({ store, zone: another, key, random });
    expect(await codeOf(opened)).to.equal("CONFIG");
    for await (const [rowKey, value] of store.iterate({ gte: Uint8Array.of(2), limit: 1 })) {
      const puts = [[rowKey, value.map((byte, at) => (at === 20 ? byte ^ 1 : byte))] as const];
      await store.commit({ puts, deletes: [] }, { sync: true });
    }
    expect(await codeOf(async () => held(await vaultOn(store)))).to.equal("STORE_CORRUPT");
    await store.commit({ puts: [], deletes: [Uint8Array.of(1)] }, { sync: true });
    expect(await codeOf(() => vaultOn(store))).to.equal("STORE_CORRUPT");
  });

  it("is a set, whatever the order of changes", async () => {
    const change = fc.record({ n: fc.integer({ min: 0, max: 5 }), removes: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 30 }), async (changes) => {
        const store = createMemoryStore();
        const vault = await vaultOn(store);
        const model = new Set<string>();
        for (const { n, removes } of changes) {
          await vault.begin(csiOf(n), { removes });
          await vault.settle(csiOf(n), { present: !removes });
          if (removes) model.delete(csiOf(n));
          else model.add(csiOf(n));
        }
        expect(await held(await vaultOn(store))).to.deep.equal([...model].sort());
      }),
      { numRuns: 50 },
    );
  });
});

describe("a zone with a vault", () => {
  let nonces = 0;
  const change = async (served: MappingZone, csi: Csi, text: string | undefined): Promise<void> => {
    const nonceD = new Uint8Array(48);
    nonceD.set(uint64Bytes(clock.nowSeconds() + 900));
    nonceD[20] = ++nonces;
    const bits = mspBitsOf([3]);
    await served.submit({
      slot: await served.lookupForRegistration(csi),
      content: text === undefined ? undefined : { plaintext: utf8(text), registryVersion: 5, bits },
      nonceD,
      statementSha256: sha256(utf8(`${csi} ${text ?? "removed"}`)),
      acceptedAt: clock.nowSeconds(),
    });
  };

  it("has the identifier in the vault before the registration is in the store", async () => {
    const store = createMemoryStore();
    const vaultStore = createMemoryStore();
    const order: string[] = [];
    const recording = (name: string, inner: Store): Store => ({
      get: (...args) => inner.get(...args),
      getMany: (...args) => inner.getMany(...args),
      iterate: (range) => inner.iterate(range),
      snapshot: () => inner.snapshot(),
      close: () => inner.close(),
      [Symbol.asyncDispose]: () => inner.close(),
      commit: async (batch, options) => {
        await inner.commit(batch, options);
        order.push(`${name}${options.sync ? " synced" : ""}`);
      },
    });
    const vault = await openVault({ store: recording("vault", vaultStore), zone, key, random });
    const served = await openTestZone({
      parties,
      clock,
      random,
      vault,
      store: recording("zone", store),
    });
    order.length = 0;
    await change(served, csiOf(1), "first");
    expect(order).to.deep.equal(["vault synced", "zone synced", "vault"]);
    order.length = 0;
    await change(served, csiOf(1), "second");
    expect(order).to.deep.equal(["zone synced"]);
    order.length = 0;
    await change(served, csiOf(1), undefined);
    expect(order).to.deep.equal(["vault synced", "zone synced", "vault"]);
    expect(await held(vault)).to.deep.equal([]);
    await served.close();
  });

  it("sweeps at the start what a crash left between vault and journal, and nothing else", async () => {
    const store = createMemoryStore();
    const vaultStore = createMemoryStore();
    const before = await openTestZone({
      parties,
      clock,
      random,
      store,
      vault: await vaultOn(vaultStore),
    });
    await change(before, csiOf(1), "kept");
    await before.close();
    const vault = await vaultOn(vaultStore);
    await vault.begin(csiOf(2), { removes: false }); // and the process ended
    await vault.begin(csiOf(1), { removes: true }); // and the process ended
    const after = await openTestZone({ parties, clock, random, store, vault });
    expect(await held(vault)).to.deep.equal([csiOf(1)]);
    expect(await marked(vault)).to.deep.equal([]);
    await after.close();
  });

  it("refuses the registration and nothing more when the vault cannot be written", async () => {
    const vault = await vaultOn(createMemoryStore());
    const failing: Vault = {
      ...vault,
      begin: () => Promise.reject(new DiscoveryError("STORE", "disk full")),
    };
    const served = await openTestZone({ parties, clock, random, vault: failing });
    expect(await codeOf(() => change(served, csiOf(1), "lost"))).to.equal("STORE");
    const slot = await served.lookupForRegistration(csiOf(1));
    expect(slot.plaintext).to.equal(undefined);
    expect(served.status(sha256(utf8(`${csiOf(1)} lost`))).kind).to.equal("unknown");
    await served.close();
  });

  it("answers every query without it", async () => {
    const touched = (): never => {
      throw new Error("a query touched the vault");
    };
    const vault = await vaultOn(createMemoryStore());
    const sealed: Vault = { ...vault, begin: touched, settle: touched, rows: touched };
    const served = await openTestZone({ parties, clock, random, vault: sealed });
    const { kid, b } = served.head();
    served.headResponse(kid);
    served.manifestResponse(served.manifestSha256);
    served.bucketResponse({ kid, b, prefix: new Uint8Array(16) });
    const voprf = createInlineVoprf(await loadSodiumVoprf(), random);
    const { blinded } = await voprf.blind([utf8("anything")]);
    expect((await served.evaluate({ kid, blinded })).evaluated).to.have.length(1);
    await served.close();
  });
});
