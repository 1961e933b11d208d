import { expect } from "chai";
import fc from "fast-check";
import { SegmentedCache } from "./segmented-cache.js";

interface Sized {
  readonly bytes: number;
}

function cacheOf(bytesMax: number): SegmentedCache<Sized> {
  return new SegmentedCache({ bytesMax, bytesOf: ({ bytes }) => bytes });
}

describe("segmented cache", () => {
  it("gives what was set, until it is deleted or replaced", () => {
    const cache = cacheOf(100);
    cache.set("a", { bytes: 10 });
    expect(cache.get("a")).to.deep.equal({ bytes: 10 });
    cache.set("a", { bytes: 30 });
    expect([cache.peek("a"), cache.use.bytes, cache.use.entries]).to.deep.equal([
      { bytes: 30 },
      30,
      1,
    ]);
    expect([cache.delete("a"), cache.delete("a"), cache.use.bytes]).to.deep.equal([true, false, 0]);
    expect([cache.get("a"), cache.peek("a")]).to.deep.equal([undefined, undefined]);
  });

  it("keeps nothing that is larger than itself, not even the older value of its key", () => {
    const cache = cacheOf(100);
    cache.set("a", { bytes: 10 });
    cache.set("a", { bytes: 101 });
    expect([cache.get("a"), cache.use.bytes]).to.deep.equal([undefined, 0]);
  });

  it("lets a scan evict what was asked for once, and nothing that was asked for again", () => {
    const cache = cacheOf(1_000);
    for (let n = 0; n < 80; n++) cache.set(`known ${n}`, { bytes: 10 });
    for (let n = 0; n < 80; n++) cache.get(`known ${n}`);
    for (let n = 0; n < 100_000; n++) cache.set(`random ${n}`, { bytes: 10 });
    const kept = Array.from({ length: 80 }, (_, n) => cache.peek(`known ${n}`)).filter(
      (value) => value !== undefined,
    );
    expect(kept).to.have.length(80);
    expect(cache.peek("random 0")).to.equal(undefined);
    expect(cache.use.entries).to.equal(100);
  });

  it("lets what was used least begin anew when too much is asked for again", () => {
    const cache = cacheOf(1_000);
    for (let n = 0; n < 100; n++) {
      cache.set(`known ${n}`, { bytes: 10 });
      cache.get(`known ${n}`);
    }
    expect(cache.use.entries).to.equal(100);
    for (let n = 0; n < 20; n++) cache.set(`random ${n}`, { bytes: 10 });
    const isKept = (n: number): boolean => cache.peek(`known ${n}`) !== undefined;
    expect([isKept(0), isKept(19), isKept(20), isKept(99)]).to.deep.equal([
      false,
      false,
      true,
      true,
    ]);
  });

  it("never counts more bytes than it may, whatever is done to it, and counts them right", () => {
    const key = fc.integer({ min: 0, max: 30 }).map(String);
    const step = fc.oneof(
      fc.record({ do: fc.constant("set" as const), key, bytes: fc.integer({ min: 1, max: 400 }) }),
      fc.record({ do: fc.constantFrom("get" as const, "delete" as const), key }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.array(step), (bytesMax, steps) => {
        const cache = cacheOf(bytesMax);
        const latest = new Map<string, number>();
        for (const one of steps) {
          if (one.do === "set") {
            cache.set(one.key, { bytes: one.bytes });
            latest.set(one.key, one.bytes);
          } else if (one.do === "get") cache.get(one.key);
          else cache.delete(one.key);
          if (one.do === "delete") latest.delete(one.key);
          expect(cache.use.bytes).to.be.at.most(bytesMax);
        }
        const held = cache.keys().map((each) => cache.peek(each)?.bytes);
        expect(held).to.deep.equal(cache.keys().map((each) => latest.get(each)));
        expect(held.reduce((sum: number, bytes) => sum + (bytes ?? 0), 0)).to.equal(
          cache.use.bytes,
        );
        expect(held).to.have.length(cache.use.entries);
      }),
    );
  });
});
