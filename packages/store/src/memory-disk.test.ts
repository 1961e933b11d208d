// What the disk in memory loses, refuses and damages. The store contract is conformance.test.ts.
import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import { createMemoryDisk, type MemoryDisk } from "./memory-disk.js";
import type { Batch, Store } from "./store.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const put = (key: string, value: string): Batch => ({
  puts: [[bytes(key), bytes(value)]],
  deletes: [],
});
const read = (store: Store, key: string): string | undefined => {
  const value = store.get(bytes(key));
  return value === undefined ? undefined : new TextDecoder().decode(value);
};

/** The code of the DiscoveryError that a call ends with. */
async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

/** Sleeps until told to wake. */
function makeSleeper() {
  const waking: (() => void)[] = [];
  return {
    clock: { sleep: () => new Promise<void>((resolve) => void waking.push(resolve)) },
    wake: () => {
      for (const one of waking.splice(0)) one();
    },
  };
}
const noTime = { clock: { sleep: () => Promise.resolve() } };

async function withThree(disk: MemoryDisk): Promise<Store> {
  const store = await disk.open();
  await store.commit(put("a", "1"), { sync: true });
  await store.commit(put("b", "2"), { sync: false });
  await store.commit(put("c", "3"), { sync: false });
  return store;
}

describe("a disk in memory", () => {
  it("takes nothing of a process that has gone, also what waited for its turn", async () => {
    for (const sync of [false, true]) {
      const disk = createMemoryDisk(noTime);
      const before = await withThree(disk);
      const late = codeOf(() => before.commit(put("d", "4"), { sync }));
      disk.cut(0);
      const store = await disk.open();
      await store.commit(put("e", "5"), { sync: true });
      expect(await late).to.equal("STORE");
      expect(["a", "b", "d", "e"].map((key) => read(store, key))).to.deep.equal([
        "1",
        undefined,
        undefined,
        "5",
      ]);
      expect(disk.rows()).to.have.length(2);
    }
  });

  it("keeps what was synced, and of the rest as many commits as the cut leaves, in order", async () => {
    const cases: readonly [number, (string | undefined)[]][] = [
      [0, ["1", undefined, undefined]],
      [1, ["1", "2", undefined]],
      [2, ["1", "2", "3"]],
    ];
    for (const [kept, expected] of cases) {
      const disk = createMemoryDisk(noTime);
      const store = await withThree(disk);
      expect(disk.unsynced()).to.equal(2);
      disk.cut(kept);
      expect(await codeOf(() => store.get(bytes("a")))).to.equal("STORE");
      expect(await codeOf(() => store.commit(put("d", "4"), { sync: true }))).to.equal("STORE");
      const again = await disk.open();
      expect(["a", "b", "c"].map((key) => read(again, key))).to.deep.equal(expected);
      expect(read(again, "d")).to.equal(undefined);
    }
  });

  it("a synced commit makes those before it durable", async () => {
    const disk = createMemoryDisk(noTime);
    const store = await withThree(disk);
    await store.commit(put("d", "4"), { sync: true });
    expect(disk.unsynced()).to.equal(0);
    disk.cut();
    const again = await disk.open();
    expect(["b", "c", "d"].map((key) => read(again, key))).to.deep.equal(["2", "3", "4"]);
  });

  it("a process that ends in order loses nothing, and only one has the store open", async () => {
    const disk = createMemoryDisk(noTime);
    const store = await withThree(disk);
    expect(await codeOf(() => disk.open())).to.equal("STORE_LOCKED");
    await store.close();
    const again = await disk.open();
    expect(read(again, "c")).to.equal("3");
  });

  it("a write under way when the power fails fails, and is there or not", async () => {
    for (const kept of [0, 1]) {
      const { clock, wake } = makeSleeper();
      const disk = createMemoryDisk({ clock });
      const store = await disk.open();
      disk.setFaults({ syncMs: 50 });
      const writing = codeOf(() => store.commit(put("a", "1"), { sync: true }));
      while (disk.unsynced() === 0) await Promise.resolve();
      expect(read(store, "a")).to.equal(undefined);
      disk.cut(kept);
      wake();
      expect(await writing).to.equal("STORE");
      expect(read(await disk.open(), "a")).to.equal(kept === 0 ? undefined : "1");
    }
  });

  it("a full one refuses writes whole, reads on, and takes writes again when there is room", async () => {
    const disk = createMemoryDisk(noTime);
    const store = await withThree(disk);
    disk.setFaults({ full: true });
    expect(await codeOf(() => store.commit(put("d", "4"), { sync: true }))).to.equal("STORE");
    expect(read(store, "c")).to.equal("3");
    disk.setFaults(undefined);
    await store.commit(put("e", "5"), { sync: true });
    disk.cut();
    const again = await disk.open();
    expect([read(again, "d"), read(again, "e")]).to.deep.equal([undefined, "5"]);
  });

  it("damaged rows read as damaged until they are written again or mended", async () => {
    const disk = createMemoryDisk(noTime);
    const store = await withThree(disk);
    const snapshot = store.snapshot();
    disk.damage(bytes("a"), { kind: "changed", value: bytes("x") });
    disk.damage(bytes("b"), { kind: "lost" });
    disk.damage(bytes("c"), { kind: "unreadable" });
    expect([read(store, "a"), read(store, "b")]).to.deep.equal(["x", undefined]);
    expect(await codeOf(() => store.get(bytes("c"), { snapshot }))).to.equal("STORE_CORRUPT");
    const keys: string[] = [];
    const all = async (): Promise<void> => {
      for await (const [key] of store.iterate()) keys.push(new TextDecoder().decode(key));
    };
    expect(await codeOf(all)).to.equal("STORE_CORRUPT");
    expect(keys).to.deep.equal(["a"]);
    await store.commit(put("b", "9"), { sync: true });
    expect([read(store, "b"), disk.damaged()]).to.deep.equal(["9", 2]);
    disk.mend();
    expect([read(store, "a"), read(store, "c")]).to.deep.equal(["1", "3"]);
  });

  it("is empty and sound once it is replaced, which an open one is not", async () => {
    const disk = createMemoryDisk(noTime);
    const store = await withThree(disk);
    disk.damage(bytes("a"), { kind: "lost" });
    expect(await codeOf(() => disk.clear())).to.equal("STORE_LOCKED");
    await store.close();
    await disk.clear();
    expect([disk.rows(), disk.damaged()]).to.deep.equal([[], 0]);
    expect(read(await disk.open(), "b")).to.equal(undefined);
  });
});
