import { expect } from "chai";
import fc from "fast-check";
import { divideCache } from "./cache-shares.js";

describe("cache shares", () => {
  it("never add up to more than the whole, and waste next to nothing", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1024 * 1024, max: 16 * 1024 ** 3 }), (cacheBytes) => {
        const shares = Object.values<number>({ ...divideCache(cacheBytes) });
        const sum = shares.reduce((total, share) => total + share, 0);
        expect(sum).to.be.within(cacheBytes - shares.length, cacheBytes);
      }),
    );
  });
});
