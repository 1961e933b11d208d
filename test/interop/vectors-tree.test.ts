// Derives tree, heads, answers and messages of test/vectors/whither-v1.json again from the inputs, with nothing but
// proto/README.md, the .proto files and public primitives: the page and the vectors suffice. None of our own code.

import { expect } from "chai";
import { cat, hash, hex, hmacSha256, unhex, type Bytes } from "./page-primitives.js";
import type { Message, Value } from "./proto-text.js";
import {
  bitsOf,
  bucketHash,
  bucketsAt,
  drawn,
  depthAfter,
  entriesAt,
  entriesOf,
  filler,
  inner,
  prefixOf,
  proto,
  sortedHex,
  v,
  wire,
  zone,
} from "./vectors.js";

/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-member-access,
   @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-argument,
   @typescript-eslint/no-unsafe-call -- the vectors are read as a
   stranger reads them: JSON of a shape that each test states by using it */

describe("vectors: epochs", () => {
  let b = 0;
  for (const [at, epoch] of v.epochs.entries()) {
    const serial = Number(at) + 1;
    const head = epoch.head.fields;
    const { all, added } = entriesAt(serial);
    const before = b;
    b = depthAfter(b, all.size);
    const depth = b;
    const buckets = bucketsAt(serial, depth);

    it(`serial ${serial}: depth ${depth}, buckets, inner nodes and root`, () => {
      expect(head.b).to.equal(depth).and.to.be.at.least(before);
      const hashes = buckets.map(({ prefix, entries }) => bucketHash(depth, prefix, entries));
      expect(epoch.buckets).to.deep.equal(
        buckets.map(({ prefix, entries }, number) => ({
          prefix: hex(prefix),
          count: entries.length / 68,
          entries_sha256: hex(hash("sha256", entries)),
          hash: hex(hashes[number]!),
        })),
      );
      const levels: Bytes[][] = [];
      let level = hashes;
      while (level.length > 1) {
        const pairs = level;
        level = Array.from({ length: pairs.length / 2 }, (_, i) =>
          inner(pairs[2 * i]!, pairs[2 * i + 1]!),
        );
        levels.push(level);
      }
      expect(epoch.inner).to.deep.equal(levels.map((hashed) => hashed.map(hex)));
      expect(head.map_root).to.equal(hex(level[0]!));
    });

    it(`serial ${serial}: size, pad, changes, chain and times of the head`, () => {
      const largest = Math.max(...buckets.map(({ entries }) => entries.length));
      const zeros = new Uint8Array(68);
      const rows = sortedHex([...added.keys()]).flatMap((idx) => [
        unhex(idx),
        zeros,
        added.get(idx)!,
      ]);
      expect(epoch.changes).to.equal(added.size);
      expect(epoch.changes_bytes ?? hex(cat(...rows))).to.equal(hex(cat(...rows)));
      const previous = at === 0 ? "00".repeat(32) : v.epochs[at - 1].head.payload_sha256;
      expect(head).to.deep.equal({
        zone,
        epoch: 1,
        serial,
        map_root: head.map_root,
        map_size: all.size,
        kid: v.kid,
        b: depth,
        pad: Math.ceil(largest / 4096) * 4096,
        manifest_sha256: v.manifest.payload_sha256,
        changes_root: hex(hash("sha256", ...rows)),
        time: head.time,
        prev_sha256: previous,
        not_after: Number(head.time) + 1800,
      });
      expect(epoch.changes_root).to.equal(head.changes_root);
    });
  }
});

describe("vectors: lookups", () => {
  for (const one of v.lookups.buckets) {
    const epoch = v.epochs[one.serial - 1];
    const head = epoch.head.fields;

    it(`bucket answer at depth ${one.b} proves ${one.proves} of ${one.csi}`, () => {
      const prefix = prefixOf(one.idx, head.b);
      const request = { zone, kid: v.kid, b: head.b, prefix: hex(prefix) };
      expect(one.request).to.equal(hex(proto.encode("BucketRequest", request)));
      const answer = proto.decode("BucketResponse", unhex(one.response));
      expect(answer["head"]).to.deep.equal(wire(epoch.head));
      const entries = unhex(answer["entries"] as string);
      const count = answer["count"] as number;
      expect([count, entries.length]).to.deep.equal([one.count, one.pad]);
      expect(entries.length).to.equal(head.pad);
      expect(entries.subarray(68 * count).every((byte) => byte === 0)).to.equal(true);
      const found = entriesOf(entries.subarray(0, 68 * count));
      const order = found.map(({ idx }) => idx);
      expect(order).to.deep.equal(sortedHex([...new Set(order)]));
      expect(order.every((idx) => bitsOf(idx, head.b) === bitsOf(one.idx, head.b))).to.equal(true);
      if (head.b > 0) expect(head.map_size / 2 ** head.b).to.be.at.least(32);
      expect(answer["siblings"]).to.equal(one.siblings);
      let node = bucketHash(head.b, prefix, entries.subarray(0, 68 * count));
      for (let level = 0; level < head.b; level += 1) {
        const sibling = unhex(one.siblings.slice(64 * level, 64 * level + 64));
        const isRight = bitsOf(one.idx, head.b - level).endsWith("1");
        node = isRight ? inner(sibling, node) : inner(node, sibling);
      }
      expect(hex(node)).to.equal(head.map_root);
      expect(order.includes(one.idx) ? "presence" : "absence").to.equal(one.proves);
    });
  }

  for (const one of v.lookups.bodies) {
    it(`bodies of ${one.vhashes.length} slots at serial ${one.serial}, the wanted one among them`, () => {
      const { b } = v.epochs[one.serial - 1].head.fields;
      const wanted: string = v.slot.idx;
      const bits = bitsOf(wanted, b);
      const bucket = bucketsAt(one.serial, b).find(
        ({ prefix }) => bitsOf(hex(prefix), b) === bits,
      )!;
      const secret = unhex(one.local_secret);
      expect(one.local_secret).to.equal(hex(drawn("local secret")));
      const decoys = entriesOf(bucket.entries)
        .filter(({ idx }) => idx !== wanted)
        .map(({ idx, vhash }) => {
          const hmac = hex(hmacSha256(secret, cat(unhex(wanted), unhex(idx))));
          return { idx, hmac, vhash };
        })
        .sort((a, z) => (a.hmac < z.hmac ? -1 : 1))
        .slice(0, 31);
      expect(one.decoys).to.deep.equal(decoys);
      const vhashes = sortedHex([v.slot.vhash, ...decoys.map(({ vhash }) => vhash)]);
      expect(one.vhashes).to.deep.equal(vhashes);
      const request = { zone, vhashes: vhashes.join("") };
      expect(one.request).to.equal(hex(proto.encode("BodiesRequest", request)));
      if (one.response === undefined) return;
      const held = new Map([0, 1].map((at) => [hex(filler(at).vhash), hex(filler(at).body)]));
      held.set(v.slot.vhash, v.slot.body);
      const bodies = vhashes.map((vhash): Value => held.get(vhash)!);
      expect(one.response).to.equal(hex(proto.encode("BodiesResponse", { bodies })));
    });
  }

  it("holds a whole BodiesResponse", () => {
    expect(v.lookups.bodies.filter((one: any) => "response" in one)).to.have.length(1);
  });
});

describe("vectors: stream messages", () => {
  const error = {
    number: 49184,
    text: "body: not in the current epoch",
    upstream: zone,
    retry_after_s: 1,
  };
  const part = (name: string, bytes: string) => proto.decode(name, unhex(bytes));
  const { request, response } = v.evaluation;
  const expected: Record<string, Message> = {
    ExchangeRequest: { id: 1, evaluate: part("EvaluateRequest", request) },
    ExchangeResponse: { id: 1, evaluate: part("EvaluateResponse", response) },
    FetchRequest: { id: 300, head: { zone, kid: "" } },
    FetchResponse: { id: 300, error },
    ErrorDetail: error,
  };
  for (const [name, { bytes, fields }] of Object.entries<any>(v.stream_messages)) {
    it(name, () => {
      expect(fields).to.deep.equal(expected[name]);
      expect(bytes).to.equal(hex(proto.encode(name, expected[name]!)));
    });
  }
});
