import { createSeededRandom } from "@whither/testkit";
import { expect } from "chai";
import { randomBelow, systemRandom, type Random } from "./random.js";

describe("systemRandom", () => {
  it("gives as many bytes as asked, not the same twice", () => {
    expect(systemRandom.bytes(0)).to.have.length(0);
    expect(systemRandom.bytes(32)).to.have.length(32);
    expect(systemRandom.bytes(32)).to.not.deep.equal(systemRandom.bytes(32));
  });

  for (const n of [-1, 1.5, 65_537, Number.NaN]) {
    it(`refuses to give ${n} bytes`, () => {
      expect(() => systemRandom.bytes(n)).to.throw(TypeError, "0..65536");
    });
  }
});

describe("randomBelow", () => {
  it("draws again where a remainder would favour small numbers", () => {
    const draws = [0xffff_ffff, 0xffff_fffe, 7];
    const random: Random = { bytes: () => new Uint8Array(), uint32: () => draws.shift() ?? 0 };
    // 2^32 = 3 * 1431655765 + 1: only 0xffffffff is beyond the last whole multiple.
    expect(randomBelow(random, 3)).to.equal(0xffff_fffe % 3);
    expect(draws).to.deep.equal([7]);
  });

  it("reaches every value of a range and none outside", () => {
    const random = createSeededRandom(1);
    const seen = new Set(Array.from({ length: 300 }, () => randomBelow(random, 6)));
    expect([...seen].sort()).to.deep.equal([0, 1, 2, 3, 4, 5]);
  });

  for (const below of [0, -1, 1.5, 2 ** 32 + 1]) {
    it(`refuses the bound ${below}`, () => {
      expect(() => randomBelow(systemRandom, below)).to.throw(TypeError, "bound");
    });
  }
});

describe("seeded random", () => {
  it("repeats itself for a seed and differs for the next", () => {
    const draw = (seed: number) => Buffer.from(createSeededRandom(seed).bytes(16)).toString("hex");
    expect(draw(7)).to.equal(draw(7));
    expect(draw(7)).to.not.equal(draw(8));
  });
});
