import { expect } from "chai";
import fc from "fast-check";
import { inOrder } from "./in-order.js";

describe("work in order", () => {
  it("yields in the order of the items, whatever finishes first, within the bound", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 0, max: 12 }),
        fc.integer({ min: 1, max: 5 }),
        async (scheduler, count, concurrency) => {
          let running = 0;
          let most = 0;
          const work = async (item: number): Promise<number> => {
            running += 1;
            most = Math.max(most, running);
            await scheduler.schedule(Promise.resolve());
            running -= 1;
            return item * 2;
          };
          const items = Array.from({ length: count }, (_, at) => at);
          const results: number[] = [];
          const all = (async () => {
            for await (const result of inOrder(items, { concurrency, work })) results.push(result);
          })();
          await scheduler.waitFor(all);
          expect(results).to.deep.equal(items.map((item) => item * 2));
          expect(most).to.be.at.most(concurrency);
        },
      ),
    );
  });

  it("ends with the first failure and leaves none unhandled", async () => {
    const work = (item: number): Promise<number> =>
      item === 1 ? Promise.reject(new Error("second")) : Promise.resolve(item);
    const results: number[] = [];
    let message = "";
    try {
      for await (const result of inOrder([0, 1, 2], { concurrency: 3, work })) results.push(result);
    } catch (error) {
      message = String(error);
    }
    expect(results).to.deep.equal([0]);
    expect(message).to.equal("Error: second");
  });
});
