import { expect } from "chai";
import fc from "fast-check";
import { sha256, uint32Bytes } from "@whither/crypto";
import { isDiscoveryError, parseZoneName, type Head } from "@whither/protocol";
import {
  bucketHash,
  bucketIndex,
  bucketPrefix,
  isBucketPrefix,
  padEntries,
  prefixOfBucket,
  sortEntries,
  verifyBucket,
} from "./bucket.js";
import { decodeEntry, encodeEntry, type Entry } from "./entry.js";
import { putBucket } from "./epoch.js";
import { BucketTree } from "./tree.js";

const zone = parseZoneName("de@dp-a.example");
const kid = Uint8Array.of(1, 2, 3, 4);
const b = 2;

const entryOf = (n: number): Entry => {
  const digest = sha256(uint32Bytes(n));
  return {
    idx: digest.slice(0, 16),
    since: n + 1,
    masked: digest.slice(16, 28),
    vhash: sha256(digest),
  };
};
const all = Array.from({ length: 200 }, (_, n) => entryOf(n));

function makeZone(entries: readonly Entry[]) {
  const tree = new BucketTree(b);
  const buckets = Array.from({ length: 2 ** b }, (_, index) =>
    sortEntries(entries.filter((e) => bucketIndex(e.idx, b) === index).map(encodeEntry)),
  );
  buckets.forEach((bytes, index) => {
    putBucket({ zone, kid, tree }, { index, entries: bytes });
  });
  Array.from(tree.settle());
  const head: Head = {
    zone,
    epoch: 1,
    serial: 3,
    mapRoot: tree.root(),
    mapSize: entries.length,
    kid,
    b,
    pad: tree.padBytes(),
    manifestSha256: new Uint8Array(32),
    changesRoot: new Uint8Array(32),
    time: 1000,
    prevSha256: new Uint8Array(32),
    notAfter: 2800,
  };
  return { tree, buckets, head };
}

const made = makeZone(all);
const answer = (index: number) => ({
  zone,
  kid,
  b,
  prefix: prefixOfBucket(index, b),
  count: made.buckets[index]!.length / 68,
  entries: padEntries(made.buckets[index]!, made.head.pad),
  siblings: made.tree.path(index),
  head: made.head,
});

function textOfBogus(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isDiscoveryError(error, "BOGUS")) return error.text;
    throw error;
  }
  throw new Error("expected BOGUS");
}

describe("entry", () => {
  it("has the layout idx, since, masked, vhash and decodes to itself", () => {
    const entry = entryOf(5);
    const bytes = encodeEntry(entry);
    expect(bytes).to.have.length(68);
    expect(bytes.subarray(16, 24)).to.deep.equal(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 6));
    expect(decodeEntry(bytes)).to.deep.equal(entry);
  });

  it("refuses another length and a since above 2^53 - 1", () => {
    expect(() => decodeEntry(new Uint8Array(67))).to.throw("INVALID_DATA");
    expect(() => decodeEntry(new Uint8Array(68).fill(255))).to.throw("INVALID_DATA");
    expect(() => encodeEntry({ ...entryOf(1), masked: new Uint8Array(11) })).to.throw(TypeError);
  });
});

describe("bucket prefix", () => {
  it("keeps the first b bits and clears the rest", () => {
    const idx = new Uint8Array(16).fill(0xff);
    const table: [depth: number, first: readonly number[]][] = [
      [0, [0, 0, 0, 0]],
      [1, [0x80, 0, 0, 0]],
      [9, [0xff, 0x80, 0, 0]],
      [30, [0xff, 0xff, 0xff, 0xfc]],
    ];
    for (const [depth, first] of table) {
      const prefix = bucketPrefix(idx, depth);
      expect([...prefix.subarray(0, 4)]).to.deep.equal(first);
      expect(prefix.subarray(4).every((byte) => byte === 0)).to.equal(true);
      expect(isBucketPrefix(prefix, depth)).to.equal(true);
      expect(isBucketPrefix(idx, depth)).to.equal(false);
    }
    expect(isBucketPrefix(new Uint8Array(15), 0)).to.equal(false);
  });

  it("is the inverse of the bucket number", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.nat(), (depth, n) => {
        const index = n % 2 ** depth;
        expect(bucketIndex(prefixOfBucket(index, depth), depth)).to.equal(index);
      }),
    );
  });
});

describe("bucket verification", () => {
  it("proves presence of every entry and absence of every other idx", () => {
    for (let index = 0; index < 2 ** b; index++) {
      const bucket = verifyBucket(answer(index));
      const inside = all.filter((e) => bucketIndex(e.idx, b) === index);
      expect(bucket.count).to.equal(inside.length);
      for (const entry of inside) expect(bucket.find(entry.idx)).to.deep.equal(entry);
      const missing = prefixOfBucket(index, b);
      missing[15] = 1;
      expect(bucket.find(missing)).to.equal(undefined);
      expect(bucket.entryAt(0).idx).to.deep.equal(bucket.bytes.slice(0, 16));
      expect(() => bucket.entryAt(bucket.count)).to.throw(TypeError);
    }
  });

  it("does not let a bucket prove absence in another one", () => {
    const bucket = verifyBucket(answer(0));
    expect(() => bucket.find(prefixOfBucket(1, b))).to.throw(TypeError);
  });

  it("refuses any changed bit of entries, padding and siblings", () => {
    const good = answer(1);
    const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
      const changed = bytes.slice();
      changed[bit >>> 3] = changed[bit >>> 3]! ^ (1 << (bit & 7));
      return changed;
    };
    const bits = (length: number) => fc.nat(length * 8 - 1);
    fc.assert(
      fc.property(bits(good.entries.length), (bit) => {
        textOfBogus(() => verifyBucket({ ...good, entries: flip(good.entries, bit) }));
      }),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(bits(good.siblings.length), (bit) => {
        textOfBogus(() => verifyBucket({ ...good, siblings: flip(good.siblings, bit) }));
      }),
    );
    fc.assert(
      fc.property(bits(32), (bit) => {
        const head = { ...good.head, mapRoot: flip(good.head.mapRoot, bit) };
        textOfBogus(() => verifyBucket({ ...good, head }));
      }),
    );
  });

  const good = answer(2);
  const bytes = made.buckets[2]!;
  const entryRange = (from: number, to?: number): Uint8Array =>
    bytes.subarray(from * 68, to === undefined ? undefined : to * 68);
  const withEntries = (...parts: readonly Uint8Array[]) => {
    const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let offset = 0;
    for (const part of parts) {
      joined.set(part, offset);
      offset += part.length;
    }
    return {
      ...good,
      count: joined.length / 68,
      entries: padEntries(joined, made.head.pad),
    };
  };
  const foreign = all.find((e) => bucketIndex(e.idx, b) === 3)!;
  const smallHead = { ...made.head, mapSize: 127 };
  const table: [what: string, tampered: Parameters<typeof verifyBucket>[0], says: RegExp][] = [
    ["an omitted first entry", withEntries(entryRange(1)), /signed head/],
    ["an omitted last entry", withEntries(entryRange(0, good.count - 1)), /signed head/],
    ["a repeated entry", withEntries(entryRange(0, 1), entryRange(0)), /ascend/],
    [
      "two swapped entries",
      withEntries(entryRange(1, 2), entryRange(0, 1), entryRange(2)),
      /ascend/,
    ],
    ["an added entry", withEntries(entryRange(0), encodeEntry(foreign)), /outside/],
    ["no entries at all", withEntries(), /signed head/],
    ["a lower count", { ...good, count: good.count - 1 }, /padding/],
    ["a higher count", { ...good, count: good.count + 1 }, /ascend|outside|signed head/],
    ["a count beyond the bytes", { ...good, count: 10_000 }, /count/],
    ["a negative count", { ...good, count: -1 }, /count/],
    ["a fractional count", { ...good, count: 1.5 }, /count/],
    ["padding too short", { ...good, entries: good.entries.subarray(0, -4096) }, /octets/],
    ["no padding", { ...good, entries: bytes }, /octets/],
    ["another bucket's prefix", { ...good, prefix: prefixOfBucket(3, b) }, /outside/],
    ["another bucket for the asked prefix", { ...answer(3), prefix: good.prefix }, /outside/],
    ["another zone", { ...good, zone: "gb@dp-a.example" }, /zone/],
    ["another kid", { ...good, kid: Uint8Array.of(9, 9, 9, 9) }, /kid/],
    ["another depth", { ...good, b: 1, prefix: prefixOfBucket(1, 1) }, /depth/],
    [
      "a head of another zone",
      { ...good, head: { ...made.head, zone: parseZoneName("x@y") } },
      /zone/,
    ],
    ["a head of another kid", { ...good, head: { ...made.head, kid: new Uint8Array(4) } }, /kid/],
    ["siblings missing", { ...good, siblings: good.siblings.subarray(32) }, /siblings/],
    ["siblings too many", { ...good, siblings: new Uint8Array(96) }, /siblings/],
    ["buckets too small to hide in", { ...good, head: smallHead }, /fewer than 32/],
    [
      "more entries than the map holds",
      { ...good, head: { ...made.head, mapSize: 1 } },
      /fewer|map size/,
    ],
  ];
  for (const [what, tampered, says] of table) {
    it(`refuses ${what}`, () => {
      expect(textOfBogus(() => verifyBucket(tampered))).to.match(says);
    });
  }

  it("refuses swapped siblings", () => {
    const siblings = new Uint8Array(64);
    siblings.set(good.siblings.subarray(32), 0);
    siblings.set(good.siblings.subarray(0, 32), 32);
    expect(textOfBogus(() => verifyBucket({ ...good, siblings }))).to.match(/signed head/);
  });

  it("binds the bucket hash to zone, kid, depth and prefix", () => {
    const place = { zone: zone as string, kid, b, prefix: good.prefix, entries: bytes };
    const hash = bucketHash(place);
    const others = [
      { ...place, zone: "x@dp-a.example" },
      { ...place, kid: new Uint8Array(4) },
      { ...place, b: 3 },
      { ...place, prefix: new Uint8Array(16) },
      { ...place, entries: entryRange(1) },
    ];
    for (const other of others) expect(bucketHash(other)).not.to.deep.equal(hash);
  });

  it("proves absence in an empty zone", () => {
    const entries = new Uint8Array(0);
    const prefix = new Uint8Array(16);
    const mapRoot = bucketHash({ zone, kid, b: 0, prefix, entries });
    const head = { ...made.head, b: 0, mapSize: 0, pad: 0, mapRoot };
    const bucket = verifyBucket({
      zone,
      kid,
      b: 0,
      prefix,
      count: 0,
      entries,
      siblings: entries,
      head,
    });
    expect(bucket.find(entryOf(1).idx)).to.equal(undefined);
  });
});
