// The contract of store.ts as tests, run against every backend: what one passes, all pass.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDiscoveryError, type ErrorCode } from "@whither/protocol";
import { expect } from "chai";
import fc from "fast-check";
import { compareKeys, keyText } from "./keys.js";
import { openLevelStore } from "./level-store.js";
import { systemClock } from "@whither/runtime";
import { createMemoryDisk } from "./memory-disk.js";
import { createMemoryStore } from "./memory-store.js";
import type { Range, Row, Store } from "./store.js";
import { openSubStore } from "./sub-store.js";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const key = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : new TextDecoder().decode(value);
const put = (name: string, value: string): Row => [key(name), key(value)];
const sync = { sync: true };
const lazy = { sync: false };

async function all(store: Store, range?: Range): Promise<string[]> {
  const rows: string[] = [];
  for await (const [name, value] of store.iterate(range)) rows.push(`${text(name)}=${text(value)}`);
  return rows;
}

async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(isDiscoveryError(error, code), String(error)).to.be.true;
}

interface Backend {
  readonly name: string;
  open(directory: string): Promise<Store>;
}
const backends: readonly Backend[] = [
  { name: "LevelDB", open: (directory) => openLevelStore({ path: join(directory, "db") }) },
  { name: "memory", open: () => Promise.resolve(createMemoryStore()) },
  { name: "a view of a store", open: () => Promise.resolve(viewBetweenOthers()) },
  { name: "disk in memory", open: () => createMemoryDisk({ clock: systemClock }).open() },
];

/** A view with rows of others before, behind and around it, which closes its store as the others do. */
function viewBetweenOthers(): Store {
  const store = createMemoryStore();
  const others = [bytes(6, 255), bytes(7), bytes(8), bytes(7, 0), bytes(7, 2)];
  void store.commit({ puts: others.map((other) => [other, bytes(1)]), deletes: [] }, lazy);
  const view = openSubStore(store, bytes(7, 1));
  return { ...view, close: () => store.close() };
}

for (const backend of backends) {
  describe(`store contract: ${backend.name}`, () => {
    let directory = "";
    let store: Store;
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), "whither-store-"));
      store = await backend.open(directory);
    });
    afterEach(async () => {
      await store.close();
      await rm(directory, { recursive: true });
    });
    const seed = (...names: string[]): Promise<void> =>
      store.commit({ puts: names.map((name) => put(name, `v${name}`)), deletes: [] }, lazy);

    describe("point reads", () => {
      it("give what was committed last, and undefined for what is not there", async () => {
        await seed("a");
        await store.commit({ puts: [put("a", "new"), put("empty", "")], deletes: [] }, sync);
        expect(text(store.get(key("a")))).to.equal("new");
        expect(store.get(key("empty"))).to.have.length(0);
        expect(store.get(key("b"))).to.be.undefined;
      });

      it("give plain bytes that are the caller's to change", async () => {
        await seed("a");
        const value = store.get(key("a"));
        expect(Object.getPrototypeOf(value)).to.equal(Uint8Array.prototype);
        value?.fill(0);
        expect(text(store.get(key("a")))).to.equal("va");
      });

      it("of many keys come in the order asked", async () => {
        await seed("a", "b");
        const values = await store.getMany([key("b"), key("x"), key("a"), key("b")]);
        expect(values.map(text)).to.deep.equal(["vb", undefined, "va", "vb"]);
        expect(await store.getMany([])).to.deep.equal([]);
      });

      it("tell keys apart by every byte, and accept any byte", async () => {
        const keys = [bytes(0), bytes(0, 0), bytes(255), bytes(255, 0), bytes(128), bytes(127)];
        const puts = keys.map((name, n): Row => [name, bytes(n)]);
        await store.commit({ puts, deletes: [] }, lazy);
        expect(keys.map((name) => store.get(name)?.[0])).to.deep.equal([0, 1, 2, 3, 4, 5]);
      });
    });

    describe("iteration", () => {
      beforeEach(() => seed("b", "d", "a", "c", "aa"));

      const cases: readonly (readonly [string, Range, string])[] = [
        ["everything in key order", {}, "a aa b c d"],
        ["from a key on, inclusive", { gte: key("b") }, "b c d"],
        ["up to a key, exclusive", { lt: key("b") }, "a aa"],
        ["between keys that are not there", { gte: key("ab"), lt: key("cc") }, "b c"],
        ["backwards", { reverse: true }, "d c b aa a"],
        ["the last of a range", { lt: key("c"), reverse: true, limit: 1 }, "b"],
        ["a few", { limit: 2 }, "a aa"],
        ["none", { limit: 0 }, ""],
        ["an empty range", { gte: key("c"), lt: key("c") }, ""],
        ["a range turned round", { gte: key("d"), lt: key("a") }, ""],
      ];
      for (const [title, range, names] of cases) {
        it(`gives ${title}`, async () => {
          const rows = await all(store, range);
          expect(rows.map((row) => row.split("=")[0]).join(" ")).to.equal(names);
        });
      }

      it("shows the state of its first step, whatever is committed meanwhile", async () => {
        const rows: string[] = [];
        for await (const [name] of store.iterate()) {
          rows.push(text(name) ?? "");
          await store.commit(
            { puts: [put(`z${rows.length}`, ""), put("b", "x")], deletes: [key("d")] },
            lazy,
          );
        }
        expect(rows).to.deep.equal(["a", "aa", "b", "c", "d"]);
      });

      it("can be left at any row", async () => {
        for await (const [name] of store.iterate()) {
          expect(text(name)).to.equal("a");
          break;
        }
        await store.commit({ puts: [put("e", "")], deletes: [] }, lazy);
      });

      it("lets the consumer's own error through", async () => {
        const own = new RangeError("mine");
        const walk = async (): Promise<void> => {
          for await (const [name] of store.iterate()) if (text(name) === "b") throw own;
        };
        expect(await walk().catch((error: unknown) => error)).to.equal(own);
      });

      it("passes over more rows than one step reads", async () => {
        const names = Array.from({ length: 1_000 }, (_, n) => `m${String(n).padStart(4, "0")}`);
        await seed(...names);
        const rows = await all(store, { gte: key("m"), lt: key("n") });
        expect(rows).to.deep.equal(names.map((name) => `${name}=v${name}`));
      });
    });

    describe("commits", () => {
      it("apply deletes before puts, and of two puts the later", async () => {
        await seed("a", "b");
        const puts = [put("a", "1"), put("c", "1"), put("c", "2")];
        await store.commit({ puts, deletes: [key("a"), key("b"), key("none")] }, lazy);
        expect(await all(store)).to.deep.equal(["a=1", "c=2"]);
      });

      it("take effect in the order they were called", async () => {
        const values = Array.from({ length: 200 }, (_, n) => String(n));
        await Promise.all(
          values.map((value, n) =>
            store.commit({ puts: [put("a", value)], deletes: [] }, { sync: n % 7 === 0 }),
          ),
        );
        expect(text(store.get(key("a")))).to.equal("199");
      });

      it("with nothing in them succeed", async () => {
        await store.commit({ puts: [], deletes: [] }, sync);
        expect(await all(store)).to.deep.equal([]);
      });

      it("refuse an empty key", async () => {
        for (const batch of [
          { puts: [put("", "x")], deletes: [] },
          { puts: [], deletes: [key("")] },
        ]) {
          const error: unknown = await store.commit(batch, lazy).catch((reason: unknown) => reason);
          expect(error).to.be.instanceOf(TypeError);
        }
      });

      it("of many rows are whole", async () => {
        const puts = Array.from({ length: 5_000 }, (_, n) => put(`k${n}`, "x".repeat(100)));
        await store.commit({ puts, deletes: [] }, sync);
        expect(await all(store)).to.have.length(5_000);
      });
    });

    describe("compare-and-commit", () => {
      const change = (from: string | undefined, to: string) => ({
        puts: [put("a", to)],
        deletes: [],
        expect: [{ key: key("a"), value: from === undefined ? undefined : key(from) }],
      });

      it("commits where every expectation holds", async () => {
        await store.commit(change(undefined, "1"), lazy);
        await store.commit(change("1", "2"), lazy);
        expect(text(store.get(key("a")))).to.equal("2");
      });

      const conflicts: readonly (readonly [string, string | undefined])[] = [
        ["absence", undefined],
        ["another value", "vb"],
        ["the beginning of the value", "v"],
        ["an empty value", ""],
      ];
      for (const [title, from] of conflicts) {
        it(`writes nothing where ${title} is expected and a value is there`, async () => {
          await seed("a");
          await expectCode(store.commit(change(from, "x"), lazy), "CONFLICT_WRITE");
          expect(await all(store)).to.deep.equal(["a=va"]);
        });
      }

      it("writes nothing where one of several expectations fails", async () => {
        await seed("a", "b");
        const expect_ = [
          { key: key("a"), value: key("va") },
          { key: key("b"), value: undefined },
        ];
        const commit = store.commit(
          { puts: [put("c", "")], deletes: [key("a")], expect: expect_ },
          sync,
        );
        await expectCode(commit, "CONFLICT_WRITE");
        expect(await all(store)).to.deep.equal(["a=va", "b=vb"]);
      });

      it("lets exactly one of many win that start together", async () => {
        const tries = await Promise.allSettled(
          Array.from({ length: 50 }, (_, n) => store.commit(change(undefined, String(n)), sync)),
        );
        expect(tries.filter((one) => one.status === "fulfilled")).to.have.length(1);
        expect(text(store.get(key("a")))).to.equal("0");
      });

      it("sees the commits called before it, in one group too", async () => {
        await Promise.all([
          store.commit(change(undefined, "1"), sync),
          store.commit(change("1", "2"), sync),
          store.commit({ puts: [], deletes: [key("a")] }, sync),
          store.commit(change(undefined, "3"), sync),
          expectCode(store.commit(change("2", "4"), sync), "CONFLICT_WRITE"),
        ]);
        expect(text(store.get(key("a")))).to.equal("3");
      });

      it("counts without losing one, under retries", async () => {
        const increment = async (): Promise<void> => {
          for (;;) {
            const current = store.get(key("a"));
            try {
              await store.commit(
                change(text(current), String(Number(text(current) ?? 0) + 1)),
                lazy,
              );
              return;
            } catch (error) {
              if (!isDiscoveryError(error, "CONFLICT_WRITE")) throw error;
            }
          }
        };
        await Promise.all(Array.from({ length: 20 }, increment));
        expect(text(store.get(key("a")))).to.equal("20");
      });
    });

    describe("snapshots", () => {
      it("show the store as it was to every way of reading", async () => {
        await seed("a", "b");
        const snapshot = store.snapshot();
        await store.commit({ puts: [put("a", "new"), put("c", "")], deletes: [key("b")] }, lazy);
        expect(text(store.get(key("a"), { snapshot }))).to.equal("va");
        expect(store.get(key("c"), { snapshot })).to.be.undefined;
        expect((await store.getMany([key("b")], { snapshot })).map(text)).to.deep.equal(["vb"]);
        expect(await all(store, { snapshot })).to.deep.equal(["a=va", "b=vb"]);
        expect(await all(store)).to.deep.equal(["a=new", "c="]);
        await snapshot.close();
      });

      it("are apart from one another", async () => {
        await seed("a");
        const first = store.snapshot();
        await store.commit({ puts: [put("a", "2")], deletes: [] }, lazy);
        const second = store.snapshot();
        await store.commit({ puts: [put("a", "3")], deletes: [] }, lazy);
        const read = (snapshot: typeof first) => text(store.get(key("a"), { snapshot }));
        expect([read(first), read(second)]).to.deep.equal(["va", "2"]);
        await first.close();
        expect(read(second)).to.equal("2");
        await second.close();
      });

      it("are refused once closed, and where they are another store's", async () => {
        const snapshot = store.snapshot();
        await snapshot.close();
        await snapshot.close();
        expect(() => store.get(key("a"), { snapshot })).to.throw(TypeError, "closed");
        const other = createMemoryStore();
        const foreign = other.snapshot();
        expect(() => store.get(key("a"), { snapshot: foreign })).to.throw(TypeError);
        await other.close();
      });
    });

    describe("close", () => {
      it("waits for commits under way", async () => {
        const committing = store.commit({ puts: [put("a", "1")], deletes: [] }, sync);
        await store.close();
        await committing;
      });

      it("refuses everything afterwards, and is harmless twice", async () => {
        await store.close();
        await store.close();
        await expectCode(store.commit({ puts: [], deletes: [] }, lazy), "STORE");
        await expectCode(store.getMany([key("a")]), "STORE");
        await expectCode(all(store), "STORE");
        expect(() => store.get(key("a"))).to.throw("STORE: the store is closed");
        expect(() => store.snapshot()).to.throw("STORE: the store is closed");
      });
    });

    it("behaves as a sorted map does, whatever the sequence of batches", async () => {
      const name = fc.uint8Array({ minLength: 1, maxLength: 2 });
      const batch = fc.record({
        puts: fc.array(fc.tuple(name, fc.uint8Array({ maxLength: 3 })), { maxLength: 100 }),
        deletes: fc.array(name, { maxLength: 20 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(batch, { maxLength: 6 }), fc.boolean(), async (batches, hold) => {
          const before: Uint8Array[] = [];
          for await (const [old] of store.iterate()) before.push(old);
          await store.commit({ puts: [], deletes: before }, lazy);
          const model = new Map<string, Row>();
          for (const { puts, deletes } of batches) {
            const snapshot = hold ? store.snapshot() : undefined;
            await store.commit({ puts, deletes }, lazy);
            for (const gone of deletes) model.delete(keyText(gone));
            for (const row of puts) model.set(keyText(row[0]), row);
            await snapshot?.close();
          }
          const expected = [...model.values()].sort((a, b) => compareKeys(a[0], b[0]));
          const rows: Row[] = [];
          for await (const row of store.iterate()) rows.push(row);
          expect(rows).to.deep.equal(expected);
        }),
        { numRuns: 40 },
      );
    });
  });
}
