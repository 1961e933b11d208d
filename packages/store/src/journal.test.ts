import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import { openJournal, type Journal, type JournalReadOptions } from "./journal.js";
import { composeKey } from "./keys.js";
import { createMemoryStore } from "./memory-store.js";
import type { Store } from "./store.js";

const key = (text: string): Uint8Array => new TextEncoder().encode(text);
const prefix = composeKey(9);
const lazy = { sync: false };

let store: Store;
let journal: Journal;
beforeEach(async () => {
  store = createMemoryStore();
  // Neighbours on both sides: the journal must not stray.
  const puts = [[composeKey(8), key("below")] as const, [composeKey(10), key("above")] as const];
  await store.commit({ puts, deletes: [] }, lazy);
  journal = await openJournal({ store, prefix });
});

async function rows(options?: JournalReadOptions): Promise<string[]> {
  const found: string[] = [];
  for await (const { sequence, value } of journal.read(options)) {
    found.push(`${sequence}:${new TextDecoder().decode(value)}`);
  }
  return found;
}

const fill = (count: number): Promise<bigint[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => journal.append(key(`r${n + 1}`), lazy)));

describe("journal", () => {
  it("numbers rows from 1 in the order of the calls", async () => {
    expect(await fill(3)).to.deep.equal([1n, 2n, 3n]);
    expect(await rows()).to.deep.equal(["1:r1", "2:r2", "3:r3"]);
  });

  it("goes on where it was when it is opened again", async () => {
    await fill(2);
    journal = await openJournal({ store, prefix });
    expect(await journal.append(key("r3"), lazy)).to.equal(3n);
  });

  it("is read from any number on, as of a snapshot if told", async () => {
    await fill(4);
    const snapshot = store.snapshot();
    await fill(1);
    expect(await rows({ from: 3n, snapshot })).to.deep.equal(["3:r3", "4:r4"]);
    expect(await rows({ from: 2n, limit: 2 })).to.deep.equal(["2:r2", "3:r3"]);
    expect(await rows({ from: 99n })).to.deep.equal([]);
  });

  it("writes a row and other changes in one batch, or neither", async () => {
    const batch = { puts: [[key("x"), key("1")] as const], deletes: [] };
    await journal.append(key("r1"), { sync: true, batch });
    expect(store.get(key("x"))).to.deep.equal(key("1"));
    const expect_ = [{ key: key("x"), value: key("other") }];
    const failing = journal.append(key("r2"), { ...lazy, batch: { ...batch, expect: expect_ } });
    const error: unknown = await failing.catch((reason: unknown) => reason);
    expect(isDiscoveryError(error, "CONFLICT_WRITE")).to.be.true;
    expect(await rows()).to.deep.equal(["1:r1"]);
  });

  it("never overwrites a row", async () => {
    await fill(1);
    const { put, expect: expectation } = journal.row({ sequence: 1n, value: key("other") });
    const committing = store.commit({ puts: [put], deletes: [], expect: [expectation] }, lazy);
    const error: unknown = await committing.catch((reason: unknown) => reason);
    expect(isDiscoveryError(error, "CONFLICT_WRITE")).to.be.true;
    expect(await rows()).to.deep.equal(["1:r1"]);
  });

  it("takes numbers of the caller's, and counts on from them", async () => {
    const { put, expect: expectation } = journal.row({ sequence: 2n ** 63n, value: key("head") });
    await store.commit({ puts: [put], deletes: [], expect: [expectation] }, lazy);
    expect(journal.next()).to.equal(2n ** 63n + 1n);
    expect((await journal.last())?.sequence).to.equal(2n ** 63n);
  });

  it("is trimmed from the old end, in more than one step", async () => {
    await fill(2_500);
    expect(await journal.trim(2_400n)).to.equal(2_399);
    expect((await journal.first())?.sequence).to.equal(2_400n);
    expect(await rows({ from: 1n, limit: 1 })).to.deep.equal(["2400:r2400"]);
    expect(await journal.trim(2_400n)).to.equal(0);
  });

  it("keeps its last row however far it is trimmed, so that no number comes twice", async () => {
    await fill(5);
    expect(await journal.trim(100n)).to.equal(4);
    journal = await openJournal({ store, prefix });
    expect(await journal.append(key("next"), lazy)).to.equal(6n);
    expect(store.get(composeKey(8))).to.deep.equal(key("below"));
    expect(store.get(composeKey(10))).to.deep.equal(key("above"));
  });

  it("is empty at first", async () => {
    expect([await journal.first(), await journal.last(), journal.next()]).to.deep.equal([
      undefined,
      undefined,
      1n,
    ]);
    expect(await journal.trim(10n)).to.equal(0);
  });

  it("calls a key of another length under its prefix corrupt", async () => {
    await store.commit({ puts: [[composeKey(9, key("odd")), key("")]], deletes: [] }, lazy);
    const error: unknown = await rows().catch((reason: unknown) => reason);
    expect(isDiscoveryError(error, "STORE_CORRUPT")).to.be.true;
  });
});
