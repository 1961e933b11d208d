import { expect } from "chai";
import { isDiscoveryError } from "@whither/protocol";
import { createKeyedQueue } from "./registrar-queue.js";

/** A piece of work that ends when told. */
function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe("createKeyedQueue", () => {
  it("runs work of one key in order and of different keys side by side", async () => {
    const queue = createKeyedQueue();
    const ran: string[] = [];
    const [a, b] = [gate(), gate()];
    const first = queue.run("k", async () => {
      await a.opened;
      ran.push("first");
    });
    const second = queue.run("k", async () => {
      ran.push("second");
      return Promise.resolve();
    });
    const other = queue.run("other", async () => {
      ran.push("other");
      b.open();
      return Promise.resolve();
    });
    await b.opened;
    expect(ran).to.deep.equal(["other"]);
    a.open();
    await Promise.all([first, second, other]);
    expect(ran).to.deep.equal(["other", "first", "second"]);
  });

  it("goes on after work that failed, whose failure is its own", async () => {
    const queue = createKeyedQueue();
    const failed = queue.run("k", () => Promise.reject(new Error("mine")));
    const next = queue.run("k", () => Promise.resolve(2));
    expect(await failed.catch((error: unknown) => String(error))).to.equal("Error: mine");
    expect(await next).to.equal(2);
  });

  it("OVERLOADED: more than its bound for one key; room again afterwards", async () => {
    const queue = createKeyedQueue(2);
    const wait = gate();
    const held = [1, 2].map(() => queue.run("k", () => wait.opened));
    const over = await queue.run("k", () => Promise.resolve()).catch((error: unknown) => error);
    expect(isDiscoveryError(over, "OVERLOADED")).to.equal(true);
    expect(await queue.run("other", () => Promise.resolve("free"))).to.equal("free");
    wait.open();
    await Promise.all(held);
    expect(await queue.run("k", () => Promise.resolve("again"))).to.equal("again");
  });
});
