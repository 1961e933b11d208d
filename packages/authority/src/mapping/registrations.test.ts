import { expect } from "chai";
import fc from "fast-check";
import { sha256, toHex, uint32Bytes, uint64Bytes, utf8 } from "@whither/crypto/node";
import { limits, parseCsi, type Csi } from "@whither/protocol";
import { decodeMessage } from "@whither/rpc";
import { createMemoryStore, type Store } from "@whither/store";
import {
  codeOf,
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  makeRegistrationParties,
  makeSlot,
  openTestZone,
} from "@whither/testkit";
import {
  BucketResponseSchema,
  decodeSlotBody,
  GetHeadResponseSchema,
  signedObjectFromWire,
} from "@whither/wire";
import {
  bucketPrefix,
  mspBitsOf,
  nodeVerifier,
  payloadSha256,
  verifyBucket,
  verifyHead,
} from "@whither/zone";
import { backupZone } from "../backup/backup-zone.js";
import { restoreZone } from "../backup/restore-zone.js";
import type { ListedSlot, MappingZone } from "./mapping-zone.js";
import { openedSlot } from "./opened-slot.js";
import { removalReasonBytesMax } from "./removal-rows.js";
import { openVault } from "./vault.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const people = Array.from({ length: 6 }, (_, n) => parseCsi(`tel:+1415555${1000 + n}`));
const [anna, bert, cora] = people as [Csi, Csi, Csi, ...Csi[]]; // six, above
const partiesOf = (csi: Csi) => makeRegistrationParties({ nowSeconds: startMs / 1000, csi });
const parties = partiesOf(anna);
const { zone, manifest, manifestSha256 } = parties;

/** A zone whose process may end: only its two stores outlive it. */
class Bench {
  readonly clock = createSimulatedClock({ startMs });
  readonly stores = { zone: createMemoryStore(), vault: createMemoryStore() };
  readonly #random = createSeededRandom(41);
  #nonces = 0;

  async open(): Promise<MappingZone> {
    const { clock, stores } = this;
    const random = this.#random;
    const vault = await openVault({ store: stores.vault, zone, key: fixedBytes("v"), random });
    return openTestZone({ parties, clock, random, store: stores.zone, vault });
  }

  /** Resolves to the statement's hash, by which a holder asks what became of it. */
  async register(served: MappingZone, csi: Csi, count: 1 | 2 = 2): Promise<Uint8Array> {
    const { plaintext } = makeSlot(partiesOf(csi), { count });
    const nonceD = new Uint8Array(48);
    nonceD.set(uint64Bytes(this.clock.nowSeconds() + 900));
    nonceD.set(uint32Bytes(++this.#nonces), 8);
    const statementSha256 = payloadSha256(decodeSlotBody(plaintext).statement);
    await served.submit({
      slot: await served.lookupForRegistration(csi),
      content: { plaintext, registryVersion: 5, bits: mspBitsOf([3]) },
      nonceD,
      statementSha256,
      acceptedAt: this.clock.nowSeconds(),
    });
    return statementSha256;
  }

  /** What a reader finds, head and path verified: presence or absence. */
  async isPresent(served: MappingZone, csi: Csi): Promise<boolean> {
    const { idx } = await served.lookupForRegistration(csi);
    const message = decodeMessage(GetHeadResponseSchema, served.headResponse());
    const object = signedObjectFromWire(message.head);
    const nowSeconds = this.clock.nowSeconds();
    const check = { object, zone, manifest, manifestSha256, nowSeconds, verifier: nodeVerifier };
    const head = verifyHead(check);
    const { kid, b } = head;
    const prefix = bucketPrefix(idx, b);
    const answer = decodeMessage(BucketResponseSchema, served.bucketResponse({ kid, b, prefix }));
    return verifyBucket({ zone, kid, b, prefix, ...answer, head }).find(idx) !== undefined;
  }
}

async function placesOf(
  served: MappingZone,
  range: { readonly after?: Uint8Array; readonly limit: number },
): Promise<readonly ListedSlot[]> {
  const found: ListedSlot[] = [];
  for await (const one of served.registrations.list(range)) found.push(one);
  return found;
}

async function holdsText(store: Store, bytes: Uint8Array): Promise<boolean> {
  const wanted = Buffer.from(bytes);
  for await (const [key, value] of store.iterate()) {
    if (Buffer.from(key).includes(wanted) || Buffer.from(value).includes(wanted)) return true;
  }
  return false;
}

describe("the registrations of a zone, for its operator", () => {
  it("are listed page by page in the order of their places, what waits included", async () => {
    const bench = new Bench();
    await using served = await bench.open();
    for (const csi of people.slice(0, 4)) await bench.register(served, csi);
    await served.runEpoch();
    await bench.register(served, people[4]!);
    await served.registrations.invalidate(anna, "test");
    const all = await placesOf(served, { limit: 100 });
    const places = all.map(({ idx }) => toHex(idx));
    expect(places).to.deep.equal([...places].sort());
    const looked = await Promise.all(
      people.slice(0, 5).map((csi) => served.lookupForRegistration(csi)),
    );
    expect(new Set(places)).to.deep.equal(new Set(looked.map(({ idx }) => toHex(idx))));
    const stateOf = (at: number) => all.find(({ idx }) => toHex(idx) === toHex(looked[at]!.idx));
    expect(stateOf(1)).to.include({ state: "active", since: served.head().serial });
    expect(stateOf(4), "in no head yet").to.include({ state: "pending", since: 0 });
    expect(stateOf(0), "its removal is not").to.include({ state: "pending", since: 0 });
    const paged: ListedSlot[] = [];
    for (let after: Uint8Array | undefined; ;) {
      const page = await placesOf(served, { limit: 2, ...(after === undefined ? {} : { after }) });
      paged.push(...page);
      after = page.at(-1)?.idx;
      if (page.length < 2) break;
    }
    expect(paged).to.deep.equal(all);
  });

  it("are listed from one epoch, and never more than the bound", async () => {
    const bench = new Bench();
    await using served = await bench.open();
    const entries = Array.from({ length: limits.listedSlotsMax + 50 }, (_, n) => {
      const vhash = sha256(uint32Bytes(n));
      return { idx: vhash.slice(0, 16), masked: new Uint8Array(12), vhash };
    });
    await served.loadEntries(entries.sort((a, b) => Buffer.compare(a.idx, b.idx)));
    const listed: string[] = [];
    for await (const { idx } of served.registrations.list({ limit: 2 ** 31 })) {
      listed.push(toHex(idx));
      if (listed.length !== 5) continue;
      await bench.register(served, anna);
      await served.runEpoch();
    }
    expect(listed).to.deep.equal(
      entries.slice(0, limits.listedSlotsMax).map(({ idx }) => toHex(idx)),
    );
  });

  it("are found by an identifier, with all that is held of it", async () => {
    const bench = new Bench();
    await using served = await bench.open();
    const { registrations } = served;
    expect(await registrations.find(anna)).to.include({
      state: "none",
      since: 0,
      isInVault: false,
    });
    await bench.register(served, anna);
    expect(await registrations.find(anna)).to.include({ state: "pending", isInVault: true });
    await served.runEpoch();
    const held = await registrations.find(anna);
    const { serial } = served.head();
    expect(held).to.include({
      state: "active",
      since: serial,
      isInVault: true,
      removal: undefined,
    });
    expect(held.receipt).to.deep.equal({ acceptedAt: startMs / 1000, serial });
    const opened = openedSlot(held.slot);
    expect(
      opened?.mappings.map(({ mapping, item }) => [mapping.mspId, item.preference]),
    ).to.have.length(2);
    expect(opened?.statement.holderPublicKey).to.deep.equal(parties.holder.publicKey);
  });

  it("end by the operator's word with the next epoch, and may begin again", async () => {
    const bench = new Bench();
    await using served = await bench.open();
    for (const csi of [anna, bert]) await bench.register(served, csi);
    await served.runEpoch();
    expect(await served.registrations.invalidate(anna, "notice 4711")).to.be.true;
    expect(await bench.isPresent(served, anna), "until the next epoch").to.be.true;
    await served.runEpoch();
    expect(await bench.isPresent(served, anna)).to.be.false;
    expect(await bench.isPresent(served, bert)).to.be.true;
    expect(served.head().mapSize).to.equal(1);
    const held = await served.registrations.find(anna);
    expect(held).to.include({ state: "none", isInVault: false });
    expect(held.removal).to.deep.equal({
      kind: "invalidated",
      at: startMs / 1000,
      reason: "notice 4711",
    });
    expect(await served.registrations.invalidate(anna, "again"), "nothing there").to.be.false;
    await bench.register(served, anna, 1);
    await served.runEpoch();
    expect(await bench.isPresent(served, anna)).to.be.true;
  });

  it("want a reason that fits the records", async () => {
    const bench = new Bench();
    await using served = await bench.open();
    await bench.register(served, anna);
    const { registrations } = served;
    for (const reason of ["", "é".repeat(removalReasonBytesMax / 2 + 1)]) {
      expect(await codeOf(() => registrations.invalidate(anna, reason))).to.equal("INVALID_DATA");
    }
    expect(await registrations.invalidate(anna, "é".repeat(removalReasonBytesMax / 2))).to.be.true;
  });

  it("are erased with body, opening, vault row and receipt; an opaque place is left", async () => {
    const bench = new Bench();
    const { stores } = bench;
    let served = await bench.open();
    const statement = await bench.register(served, anna);
    await bench.register(served, bert);
    await served.runEpoch();
    const { slot } = await served.registrations.find(anna);
    const { vhash, idx } = slot;
    expect(await holdsText(stores.zone, statement)).to.be.true;
    expect(await served.registrations.erase(anna)).to.be.true;
    expect(await bench.isPresent(served, anna), "published already").to.be.false;
    expect(await codeOf(() => served.bodiesResponse([vhash!]))).to.equal("UNKNOWN_BODY");
    await served.close();
    served = await bench.open();
    expect(await bench.isPresent(served, anna), "after a restart").to.be.false;
    expect(await bench.isPresent(served, bert)).to.be.true;
    expect(served.status(statement)).to.deep.equal({ kind: "unknown" });
    expect(await holdsText(stores.zone, statement)).to.be.false;
    expect(await holdsText(stores.zone, utf8(anna))).to.be.false;
    expect(await served.registrations.find(anna)).to.include({ state: "none", isInVault: false });
    expect(await holdsText(stores.zone, idx)).to.be.true;
    expect((await served.registrations.find(anna)).removal).to.include({
      kind: "erased",
      reason: "",
    });
    expect(await served.registrations.erase(anna)).to.be.false;
    await served.close();
  });

  it("that were erased are in no backup made since", async () => {
    const bench = new Bench();
    const { stores, clock } = bench;
    await using served = await bench.open();
    for (const csi of [anna, bert]) await bench.register(served, csi);
    await served.runEpoch();
    await served.registrations.erase(anna);
    const source = backupZone({ store: stores.zone, vault: stores.vault }, { zone, clock });
    const restored = new Bench();
    const target = {
      store: restored.stores.zone,
      openVault: () => Promise.resolve(restored.stores.vault),
    };
    await restoreZone({ source, open: () => Promise.resolve(target), clock });
    await using again = await restored.open();
    for (const [csi, isThere] of [
      [anna, false],
      [bert, true],
    ] as const) {
      expect(await restored.isPresent(again, csi)).to.equal(isThere);
      expect((await again.registrations.find(csi)).isInVault).to.equal(isThere);
    }
  });

  it("are erased from among what waits for the next epoch, too", async () => {
    const bench = new Bench();
    await using served = await bench.open();
    const statement = await bench.register(served, anna);
    expect(await served.registrations.erase(anna)).to.be.true;
    expect(await bench.isPresent(served, anna)).to.be.false;
    expect(await holdsText(bench.stores.zone, statement)).to.be.false;
  });

  it("that come while one is removed are removed after them, or stand", async () => {
    const bench = new Bench();
    await using served = await bench.open();
    await bench.register(served, anna);
    await served.runEpoch();
    const outcomes = await Promise.all([
      codeOf(() => bench.register(served, anna, 1)),
      codeOf(() => served.registrations.invalidate(anna, "test")),
    ]);
    await served.runEpoch();
    const held = await served.registrations.find(anna);
    expect(outcomes[1]).to.equal("ok");
    // Who is second sees what the first has written, or is told to look again.
    expect([outcomes[0], held.state]).to.be.deep.oneOf([
      ["ok", "none"],
      ["CONFLICT_WRITE", "none"],
    ]);
    expect(await bench.isPresent(served, anna)).to.equal(held.state === "active");
  });

  it("agree with their proofs and the vault after any sequence of acts and restarts", async () => {
    const act = fc.oneof(
      fc.record({
        what: fc.constantFrom("register", "invalidate", "erase"),
        who: fc.constantFrom(anna, bert, cora),
      }),
      fc.record({ what: fc.constantFrom("epoch", "restart"), who: fc.constant(anna) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 12 }), async (acts) => {
        const bench = new Bench();
        let served = await bench.open();
        const registered = new Set<Csi>();
        for (const { what, who } of acts) {
          if (what === "register") await bench.register(served, who, 1);
          if (what === "invalidate") await served.registrations.invalidate(who, "test");
          if (what === "erase") await served.registrations.erase(who);
          if (what === "epoch") await served.runEpoch();
          if (what === "restart") {
            await served.close();
            served = await bench.open();
          }
          if (what === "register") registered.add(who);
          else if (what === "invalidate" || what === "erase") registered.delete(who);
        }
        await served.runEpoch();
        expect(served.head().mapSize).to.equal(registered.size);
        for (const csi of [anna, bert, cora]) {
          expect(await bench.isPresent(served, csi)).to.equal(registered.has(csi));
          const { isInVault } = await served.registrations.find(csi);
          expect(isInVault).to.equal(registered.has(csi));
        }
        await served.close();
      }),
      { numRuns: 25 },
    );
  });
});
