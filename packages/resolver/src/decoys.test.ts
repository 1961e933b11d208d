import { expect } from "chai";
import fc from "fast-check";
import { createCipheriv } from "node:crypto";
import { compareBytes, concatBytes, hmacSha256 } from "@whither/crypto/node";
import { createSeededRandom, fixedBytes } from "@whither/testkit";
import { encodeEntry, type Entry, type VerifiedBucket } from "@whither/zone";
import { bodiesToAsk } from "./decoys.js";

function bucketOf(count: number, seed: number): VerifiedBucket {
  const random = createSeededRandom(seed);
  const entries = Array.from({ length: count }, (): Entry => ({
    idx: random.bytes(16),
    since: 1,
    masked: random.bytes(12),
    vhash: random.bytes(32),
  })).sort((a, b) => compareBytes(a.idx, b.idx));
  const bytes = concatBytes(...entries.map(encodeEntry));
  return { count, bytes, find: () => undefined, entryAt: (i) => entries[i]! };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("decoys", () => {
  it("hide the wanted body among 31 others, or among all there are; ascending, none twice", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 90 }), fc.nat(1_000), fc.nat(), (count, seed, pick) => {
        const bucket = bucketOf(count, seed);
        const wanted = bucket.entryAt(pick % count);
        const asked = bodiesToAsk({ bucket, wanted, secret: fixedBytes("secret") }).map(hex);
        expect(asked).to.have.length(Math.min(32, count));
        expect(asked).to.include(hex(wanted.vhash));
        expect(asked).to.deep.equal([...new Set(asked)].sort());
      }),
    );
  });

  it("are the entries whose idx is lowest under AES-256 with the HMAC of the wanted one as key", () => {
    const bucket = bucketOf(80, 3);
    const wanted = bucket.entryAt(40);
    const key = hmacSha256(fixedBytes("secret"), wanted.idx);
    const rank = ({ idx }: Entry): string =>
      createCipheriv("aes-256-ecb", key, null).setAutoPadding(false).update(idx, undefined, "hex");
    const others = Array.from({ length: 80 }, (_, i) => bucket.entryAt(i)).filter(
      (entry) => entry !== wanted,
    );
    const lowest = others.sort((a, b) => (rank(a) < rank(b) ? -1 : 1)).slice(0, 31);
    const expected = [wanted, ...lowest].map(({ vhash }) => hex(vhash)).sort();
    expect(bodiesToAsk({ bucket, wanted, secret: fixedBytes("secret") }).map(hex)).to.deep.equal(
      expected,
    );
  });

  it("are the same each time for one secret, others for another secret or another wanted entry", () => {
    const bucket = bucketOf(200, 1);
    const ask = (position: number, secret: string) =>
      bodiesToAsk({ bucket, wanted: bucket.entryAt(position), secret: fixedBytes(secret) }).map(
        hex,
      );
    expect(ask(5, "one")).to.deep.equal(ask(5, "one"));
    expect(ask(5, "one")).not.to.deep.equal(ask(5, "two"));
    expect(ask(6, "one")).not.to.deep.equal(ask(5, "one"));
  });

  it("spread over the bucket: no place is preferred", () => {
    const bucket = bucketOf(64, 2);
    const hits = new Map<string, number>();
    for (let n = 0; n < 400; n++) {
      const secret = fixedBytes(`secret ${n}`);
      for (const vhash of bodiesToAsk({ bucket, wanted: bucket.entryAt(0), secret })) {
        hits.set(hex(vhash), (hits.get(hex(vhash)) ?? 0) + 1);
      }
    }
    const counts = Array.from(
      { length: 63 },
      (_, i) => hits.get(hex(bucket.entryAt(i + 1).vhash)) ?? 0,
    );
    // 31 of 63 in each of 400 draws: mean 197, standard deviation 10.
    expect(Math.min(...counts)).to.be.above(147);
    expect(Math.max(...counts)).to.be.below(247);
  });
});
