import { createSimulatedClock } from "@whither/testkit";
import { expect } from "chai";
import { createKeyedBuckets } from "./keyed-buckets.js";

const make = (keysMax: number) => {
  const clock = createSimulatedClock();
  const limitOf = (key: string) =>
    key === "large" ? { ratePerSecond: 10, burst: 100 } : undefined;
  const buckets = createKeyedBuckets({ ratePerSecond: 1, burst: 5, keysMax, clock, limitOf });
  return { clock, buckets };
};

describe("keyed buckets", () => {
  it("limits each key by itself", () => {
    const { buckets } = make(10);
    expect(buckets.tryTake("a", 5).ok).to.be.true;
    expect(buckets.tryTake("a", 1).ok).to.be.false;
    expect(buckets.tryTake("b", 5).ok).to.be.true;
  });

  it("gives a key the limit that is named for it", () => {
    const { buckets } = make(10);
    expect(buckets.tryTake("large", 100).ok).to.be.true;
    expect(buckets.tryTake("small", 6).ok).to.be.false;
  });

  it("does not let a flood of new keys reset a spent one", () => {
    const { buckets } = make(4);
    buckets.tryTake("spent", 5);
    for (let n = 0; n < 1_000; n += 1) buckets.tryTake(`flood-${n}`, 1);
    expect(buckets.tryTake("spent", 1).ok).to.be.false;
    expect(buckets.stats().keys).to.equal(4);
  });

  it("puts keys without room on one shared bucket and counts them", () => {
    const { buckets } = make(2);
    buckets.tryTake("a", 1);
    buckets.tryTake("b", 1);
    expect(buckets.tryTake("c", 3).ok).to.be.true;
    expect(buckets.tryTake("d", 3).ok).to.be.false;
    expect(buckets.stats()).to.deep.equal({ keys: 2, overflows: 2 });
  });

  it("makes room by dropping a bucket that is full again", async () => {
    const { clock, buckets } = make(2);
    buckets.tryTake("a", 1);
    buckets.tryTake("b", 5);
    await clock.advance(1_000);
    expect(buckets.tryTake("c", 5).ok).to.be.true;
    expect(buckets.stats()).to.deep.equal({ keys: 2, overflows: 0 });
    expect(buckets.tryTake("b", 2).ok, "b keeps its debt").to.be.false;
  });

  it("finds a free place behind many long debts", async () => {
    const { clock, buckets } = make(40);
    for (let n = 0; n < 39; n += 1) buckets.force(`debtor-${n}`, 1_000);
    buckets.tryTake("idle", 1);
    await clock.advance(5_000);
    const tries = Array.from({ length: 5 }, (_, n) => buckets.tryTake(`new-${n}`, 1));
    expect(tries.every((taken) => taken.ok)).to.be.true;
    expect(buckets.level("debtor-0")).to.be.below(0);
    expect(buckets.stats().overflows, "one of five got the free place").to.equal(4);
  });

  it("charges, gives back and shows by key", () => {
    const { buckets } = make(10);
    buckets.force("a", 7);
    expect(buckets.level("a")).to.equal(-2);
    buckets.refund("a", 3);
    expect(buckets.level("a")).to.equal(1);
    expect(buckets.level("b")).to.equal(5);
  });

  it("refuses to keep no keys", () => {
    expect(() => make(0)).to.throw(TypeError, "keysMax");
  });
});
