import { createSimulatedClock } from "@whither/testkit";
import { expect } from "chai";
import fc from "fast-check";
import { createTokenBucket } from "./token-bucket.js";

const make = (ratePerSecond: number, burst: number) => {
  const clock = createSimulatedClock();
  return { clock, bucket: createTokenBucket({ ratePerSecond, burst, clock }) };
};

describe("token bucket", () => {
  it("gives its burst at once, then its rate", async () => {
    const { clock, bucket } = make(50, 125);
    expect(bucket.tryTake(125).ok).to.be.true;
    expect(bucket.tryTake(1)).to.deep.equal({ ok: false, retryAfterSeconds: 1 });
    await clock.advance(20);
    expect(bucket.tryTake(1).ok).to.be.true;
    expect(bucket.tryTake(1).ok).to.be.false;
  });

  it("takes nothing when it refuses", () => {
    const { bucket } = make(1, 10);
    expect(bucket.tryTake(4).ok).to.be.true;
    expect(bucket.tryTake(7)).to.deep.equal({ ok: false, retryAfterSeconds: 1 });
    expect(bucket.tryTake(6).ok).to.be.true;
  });

  it("says in how many seconds the amount will be there", async () => {
    const { clock, bucket } = make(20 / 86_400, 2_000);
    expect(bucket.tryTake(2_000).ok).to.be.true;
    const { retryAfterSeconds } = bucket.tryTake(1);
    expect(retryAfterSeconds).to.equal(4_320);
    await clock.advance(retryAfterSeconds * 1000);
    expect(bucket.tryTake(1).ok).to.be.true;
  });

  it("never has more than a full bucket, and says so", async () => {
    const { clock, bucket } = make(1, 10);
    await clock.advance(1_000_000);
    expect(bucket.tryTake(11)).to.deep.equal({ ok: false, retryAfterSeconds: Infinity });
    expect(bucket.level()).to.equal(10);
  });

  it("goes into debt for what is charged afterwards, which later takings wait for", async () => {
    const { clock, bucket } = make(250, 2_000);
    bucket.force(2_500);
    expect(bucket.level()).to.equal(-500);
    expect(bucket.tryTake(0)).to.deep.equal({ ok: false, retryAfterSeconds: 2 });
    await clock.advance(2_000);
    expect(bucket.tryTake(0).ok).to.be.true;
    expect(bucket.tryTake(1).ok).to.be.false;
  });

  it("takes back what was not used, up to a full bucket", () => {
    const { bucket } = make(1, 10);
    bucket.tryTake(8);
    bucket.refund(5);
    expect(bucket.level()).to.equal(7);
    bucket.refund(100);
    expect(bucket.level()).to.equal(10);
  });

  it("is not moved by an older reading of the clock", () => {
    const { bucket } = make(1, 10);
    bucket.tryTake(10, 5_000);
    expect(bucket.tryTake(1, 6_000).ok).to.be.true;
    expect(bucket.tryTake(1, 1_000).ok).to.be.false;
    expect(bucket.tryTake(1, 6_500).ok).to.be.false;
  });

  it("never gives more than burst + rate × time, whatever the requests", () => {
    const steps = fc.array(fc.tuple(fc.nat(3_000), fc.nat(40)), { maxLength: 200 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 60 }),
        steps,
        (rate, burst, all) => {
          const { bucket } = make(rate, burst);
          let nowMs = 0;
          let given = 0;
          for (const [waitMs, amount] of all) {
            nowMs += waitMs;
            if (bucket.tryTake(amount, nowMs).ok) given += amount;
            expect(given).to.be.at.most(burst + (rate * nowMs) / 1000 + 1e-6);
          }
        },
      ),
    );
  });

  for (const options of [
    { ratePerSecond: 0, burst: 1 },
    { ratePerSecond: 1, burst: Number.NaN },
    { ratePerSecond: -1, burst: 1 },
    { ratePerSecond: Infinity, burst: 1 },
  ]) {
    it(`refuses a rate of ${options.ratePerSecond} with a burst of ${options.burst}`, () => {
      const clock = createSimulatedClock();
      expect(() => createTokenBucket({ ...options, clock })).to.throw(TypeError);
    });
  }

  for (const amount of [-1, Number.NaN, Infinity]) {
    it(`refuses to take ${amount}`, () => {
      const { bucket } = make(1, 10);
      expect(() => bucket.tryTake(amount)).to.throw(TypeError);
      expect(() => bucket.force(amount)).to.throw(TypeError);
      expect(() => bucket.refund(amount)).to.throw(TypeError);
    });
  }
});
