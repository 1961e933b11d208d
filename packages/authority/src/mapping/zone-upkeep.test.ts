import { expect } from "chai";
import { sha256, uint32Bytes, uint64Bytes } from "@whither/crypto/node";
import { createMemoryStore, openJournal, type Store } from "@whither/store";
import { dropBuckets, dropOldRows } from "./zone-upkeep.js";
import {
  bucketKey,
  encodeReceipt,
  journalPrefix,
  nonceKey,
  present,
  receiptKey,
  receiptTimeKey,
} from "./zone-table.js";

const now = 1_800_000_000;
const day = 86_400;

async function rowsOf(store: Store): Promise<number> {
  let rows = 0;
  for await (const _ of store.iterate()) rows += 1;
  return rows;
}

describe("zone upkeep", () => {
  it("drops nonces and receipts past their time, and no others", async () => {
    const store = createMemoryStore();
    const journal = await openJournal({ store, prefix: journalPrefix(Uint8Array.of(1, 2, 3, 4)) });
    const nonceOf = (expires: number): Uint8Array => {
      const nonce = new Uint8Array(48);
      nonce.set(uint64Bytes(expires));
      return nonceKey(nonce);
    };
    const statements = [now - 92 * day, now - 90 * day].map((acceptedAt, n) => ({
      acceptedAt,
      hash: sha256(uint32Bytes(n)),
    }));
    await store.commit(
      {
        puts: [
          [nonceOf(now - 301), present],
          [nonceOf(now - 299), present],
          [nonceOf(now + 900), present],
          ...statements.flatMap(({ acceptedAt, hash }) => [
            [receiptKey(hash), encodeReceipt({ acceptedAt, serial: 3 })] as const,
            [receiptTimeKey(acceptedAt, hash), present] as const,
          ]),
        ],
        deletes: [],
      },
      { sync: true },
    );
    await dropOldRows({ store, journal, serial: 3, nowSeconds: now });
    expect(store.get(nonceOf(now - 301))).to.equal(undefined);
    expect(store.get(nonceOf(now - 299))).to.deep.equal(present);
    expect(store.get(nonceOf(now + 900))).to.deep.equal(present);
    expect(store.get(receiptKey(statements[0]!.hash))).to.equal(undefined);
    expect(store.get(receiptKey(statements[1]!.hash))).to.have.length(16);
    expect(await rowsOf(store)).to.equal(4);
  });

  it("keeps a bounded journal", async () => {
    const store = createMemoryStore();
    const journal = await openJournal({ store, prefix: journalPrefix(Uint8Array.of(1, 2, 3, 4)) });
    const puts = Array.from(
      { length: 3000 },
      (_, n) => journal.row({ sequence: BigInt(n + 1), value: present }).put,
    );
    await store.commit({ puts, deletes: [] }, { sync: true });
    await dropOldRows({ store, journal, serial: 3000, nowSeconds: now });
    expect((await journal.first())?.sequence).to.equal(120n);
    expect((await journal.last())?.sequence).to.equal(3000n);
  });

  it("drops the buckets of one depth only", async () => {
    const store = createMemoryStore();
    const kid = Uint8Array.of(1, 2, 3, 4);
    const keys = [1, 2].flatMap((b) => [0, 1].map((index) => bucketKey({ kid, b, index })));
    await store.commit(
      { puts: keys.map((key) => [key, present] as const), deletes: [] },
      { sync: true },
    );
    await dropBuckets(store, { kid, b: 1 });
    expect(keys.map((key) => store.get(key) !== undefined)).to.deep.equal([
      false,
      false,
      true,
      true,
    ]);
  });
});
