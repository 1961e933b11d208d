import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import { createCommitQueue } from "./commit-queue.js";
import type { Batch, CommitOptions } from "./store.js";

const key = (text: string): Uint8Array => new TextEncoder().encode(text);
const put = (name: string, bytes = 1): Batch => ({
  puts: [[key(name), new Uint8Array(bytes)]],
  deletes: [],
});

/** A backend that notes its writes; each ends when the test says so. */
function makeBackend() {
  const writes: { readonly batches: number; readonly sync: boolean }[] = [];
  const ends: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  const queue = createCommitQueue({
    get: () => undefined,
    write: (batches: readonly Batch[], { sync }: CommitOptions) => {
      writes.push({ batches: batches.length, sync });
      return new Promise((resolve, reject) => ends.push({ resolve, reject }));
    },
  });
  return { writes, ends, queue };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("commit queue", () => {
  it("writes together what waits while a write is under way, and orders nothing anew", async () => {
    const { writes, ends, queue } = makeBackend();
    const order: number[] = [];
    const commit = (n: number) =>
      queue.commit(put(`k${n}`), { sync: true }).then(() => order.push(n));
    const first = commit(0);
    await settle();
    const rest = [1, 2, 3, 4, 5].map(commit);
    await settle();
    expect(writes).to.deep.equal([{ batches: 1, sync: true }]);
    ends[0]?.resolve();
    await first;
    await settle();
    expect(writes[1]).to.deep.equal({ batches: 5, sync: true });
    ends[1]?.resolve();
    await Promise.all(rest);
    expect(order).to.deep.equal([0, 1, 2, 3, 4, 5]);
  });

  it("resolves a synced commit only when its write has ended", async () => {
    const { ends, queue } = makeBackend();
    let done = false;
    const committing = queue.commit(put("a"), { sync: true }).then(() => (done = true));
    await settle();
    expect(done).to.be.false;
    ends[0]?.resolve();
    await committing;
  });

  it("syncs a group if one of it asks, and none otherwise", async () => {
    const { writes, ends, queue } = makeBackend();
    const group = [false, true, false].map((sync, n) => queue.commit(put(`k${n}`), { sync }));
    await settle();
    ends[0]?.resolve();
    await Promise.all(group);
    const lazy = queue.commit(put("b"), { sync: false });
    await settle();
    ends[1]?.resolve();
    await lazy;
    expect(writes.map((write) => write.sync)).to.deep.equal([true, false]);
  });

  it("rejects the whole group when its write fails, and goes on with the next", async () => {
    const { ends, queue } = makeBackend();
    const group = Promise.allSettled([
      queue.commit(put("a"), { sync: true }),
      queue.commit(put("b"), { sync: false }),
    ]);
    await settle();
    ends[0]?.reject(new Error("disk full"));
    expect((await group).map((one) => one.status)).to.deep.equal(["rejected", "rejected"]);
    const next = queue.commit(put("c"), { sync: true });
    await settle();
    ends[1]?.resolve();
    await next;
  });

  it("writes no batch of a refused commit, and refuses it without waiting for the write", async () => {
    const { writes, ends, queue } = makeBackend();
    const good = queue.commit(put("a"), { sync: true });
    const bad = queue.commit(
      { ...put("b"), expect: [{ key: key("x"), value: key("y") }] },
      { sync: true },
    );
    const error: unknown = await bad.catch((reason: unknown) => reason);
    expect(isDiscoveryError(error, "CONFLICT_WRITE")).to.be.true;
    ends[0]?.resolve();
    await good;
    expect(writes).to.deep.equal([{ batches: 1, sync: true }]);
  });

  it("bounds a group by 4 MiB and by 1024 commits", async () => {
    const { writes, ends, queue } = makeBackend();
    const large = [1, 2, 3].map((n) => queue.commit(put(`l${n}`, 3 * 1024 * 1024), { sync: true }));
    const small = Array.from({ length: 1_500 }, (_, n) =>
      queue.commit(put(`s${n}`), { sync: true }),
    );
    for (let n = 0; n < 6; n += 1) {
      await settle();
      ends[n]?.resolve();
    }
    await Promise.all([...large, ...small]);
    expect(writes.map((write) => write.batches)).to.deep.equal([1, 1, 1024, 477]);
  });
});
