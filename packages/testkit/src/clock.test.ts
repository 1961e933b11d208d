// Simulated time that runs until work is done, and clocks of single machines on it.
import { expect } from "chai";
import { createNodeClock, createSimulatedClock } from "./clock.js";

describe("simulated time", () => {
  it("runs from timer to timer until the work is done, and no further", async () => {
    const time = createSimulatedClock();
    const ran: number[] = [];
    for (const ms of [300, 100, 200]) time.schedule(ms, () => ran.push(ms));
    await time.runUntil(time.sleep(250));
    expect(ran).to.deep.equal([100, 200]);
    expect(time.monotonicMs()).to.equal(250);
  });

  it("lets slices of work settle before time moves on, in memory as with files", async () => {
    for (const isInMemory of [false, true]) {
      const time = createSimulatedClock({ isInMemory });
      const slices: number[] = [];
      const work = async (): Promise<void> => {
        for (let n = 0; n < 3; n += 1) {
          await new Promise((resolve) => setImmediate(resolve));
          slices.push(time.monotonicMs());
        }
      };
      time.schedule(10, () => void work());
      time.schedule(20, () => slices.push(time.monotonicMs()));
      await time.advance(30);
      expect(slices, `isInMemory ${String(isInMemory)}`).to.deep.equal([10, 10, 10, 20]);
    }
  });

  it("says when nothing is left that could finish the work", async () => {
    const time = createSimulatedClock();
    let failure = "";
    try {
      await time.runUntil(new Promise(() => undefined));
    } catch (error) {
      failure = String(error);
    }
    expect(failure).to.contain("nothing is left to happen");
  });
});

describe("the clock of one machine", () => {
  it("shows a wall of its own, ahead or behind, and the same passing of time", async () => {
    const time = createSimulatedClock();
    const node = createNodeClock(time, { offsetMs: 60_000 });
    expect(node.nowMs() - time.nowMs()).to.equal(60_000);
    node.setOffset(-60_000);
    expect(node.nowSeconds() - time.nowSeconds()).to.equal(-60);
    await time.runUntil(node.sleep(1_000));
    expect(node.monotonicMs()).to.equal(1_000);
  });

  it("runs nothing any more once the process is dead", async () => {
    const time = createSimulatedClock();
    const node = createNodeClock(time);
    const ran: string[] = [];
    node.schedule(10, () => ran.push("planned"));
    node.kill();
    node.schedule(10, () => ran.push("planned later"));
    await time.advance(100);
    expect(ran).to.deep.equal([]);
    expect(time.pending()).to.equal(0);
  });
});
