import { expect } from "chai";
import { createScope } from "./scope.js";

describe("scope", () => {
  it("closes what it owns in reverse order, however it is closed", async () => {
    const closed: string[] = [];
    const scope = createScope();
    const store = scope.use({ close: () => void closed.push("store"), name: "store" });
    expect(store.name).to.equal("store");
    scope.use({
      [Symbol.asyncDispose]: async () => {
        await Promise.resolve();
        closed.push("pool");
      },
    });
    scope.use({ [Symbol.dispose]: () => void closed.push("timer") });
    scope.defer(() => void closed.push("deferred"));
    await scope.close();
    expect(closed).to.deep.equal(["deferred", "timer", "pool", "store"]);
  });

  it("waits for one before it closes the next", async () => {
    const closed: string[] = [];
    const scope = createScope();
    scope.defer(() => void closed.push("first opened"));
    scope.defer(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      closed.push("last opened");
    });
    await scope.close();
    expect(closed).to.deep.equal(["last opened", "first opened"]);
  });

  it("closes the rest when one fails, and then says what failed", async () => {
    const closed: string[] = [];
    const scope = createScope();
    scope.defer(() => void closed.push("a"));
    scope.defer(() => {
      throw new Error("b failed");
    });
    scope.defer(() => void closed.push("c"));
    const error: unknown = await scope.close().catch((reason: unknown) => reason);
    expect(closed).to.deep.equal(["c", "a"]);
    expect((error as Error).message).to.equal("b failed");
  });

  it("reports several failures together", async () => {
    const scope = createScope();
    for (const name of ["a", "b"]) scope.defer(() => Promise.reject(new Error(name)));
    const error: unknown = await scope.close().catch((reason: unknown) => reason);
    expect(
      (error as AggregateError).errors.map((one: unknown) => (one as Error).message),
    ).to.deep.equal(["b", "a"]);
  });

  it("closes once, and takes nothing in afterwards", async () => {
    let count = 0;
    const scope = createScope();
    scope.defer(() => void (count += 1));
    await Promise.all([scope.close(), scope.close()]);
    expect(count).to.equal(1);
    expect(() => scope.defer(() => undefined)).to.throw(TypeError, "after its close");
  });
});
