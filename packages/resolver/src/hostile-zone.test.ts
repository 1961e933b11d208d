import { expect } from "chai";
import { portableVoprf, utf8 } from "@whither/crypto";
import { DiscoveryError, parseCsi, type ErrorCode, type Head } from "@whither/protocol";
import {
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeRegistrationParties,
  type makeSlot,
} from "@whither/testkit";
import { encodeSignedObject, type BucketResponse } from "@whither/wire";
import { codeOf, contactOf, ScriptedZone, scriptedWorld, type Lies } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds } = parties;

function flipped(bytes: Uint8Array, at: number, bit = 1): Uint8Array {
  const copy = bytes.slice();
  copy[at] = copy[at]! ^ bit;
  return copy;
}

function zoneOf(lies: Lies = {}, knobs: Parameters<typeof contactOf>[1] = {}): ScriptedZone {
  const zone = new ScriptedZone({ parties, contacts: [contactOf(parties, knobs)], fillers: 600 });
  Object.assign(zone.lies, lies);
  return zone;
}

/** What a lookup of this zone ends with. */
async function outcome(zone: ScriptedZone, form: "verbose" | "compact" = "verbose") {
  const { resolver } = await scriptedWorld({ zones: [zone] });
  return { code: await codeOf(resolver.lookup(csi, { form })), resolver };
}

const entries = (
  change: (entries: Uint8Array, count: number) => Partial<BucketResponse>,
): Lies => ({
  bucket: (bucket) => ({ ...bucket, ...change(bucket.entries, bucket.count) }),
});

describe("a DP that tampers with a bucket is BOGUS in either form", () => {
  const cases: readonly [string, Lies][] = [
    ["flips a bit of an idx", entries((bytes) => ({ entries: flipped(bytes, 15) }))],
    ["flips a bit of masked bits", entries((bytes) => ({ entries: flipped(bytes, 30) }))],
    ["flips a bit of a vhash", entries((bytes) => ({ entries: flipped(bytes, 60) }))],
    [
      "writes into the padding",
      entries((bytes) => ({ entries: flipped(bytes, bytes.length - 1) })),
    ],
    [
      "omits the last entry",
      entries((bytes, n) => ({ entries: omit(bytes, n - 1, n), count: n - 1 })),
    ],
    [
      "omits the first entry",
      entries((bytes, n) => ({ entries: omit(bytes, 0, n), count: n - 1 })),
    ],
    ["counts one less than it sends", entries((_, n) => ({ count: n - 1 }))],
    ["counts one more than it sends", entries((_, n) => ({ count: n + 1 }))],
    ["counts beyond the message", entries(() => ({ count: 4_000_000_000 }))],
    ["repeats an entry", entries((bytes) => ({ entries: overwrite(bytes, 1, 0) }))],
    ["reorders two entries", entries((bytes) => ({ entries: swap(bytes, 3, 4) }))],
    ["sends a shorter bucket", entries((bytes) => ({ entries: bytes.slice(0, -1) }))],
    ["sends a longer bucket", entries((bytes) => ({ entries: longer(bytes) }))],
    ["flips a bit of a sibling", { bucket: (b) => ({ ...b, siblings: flipped(b.siblings, 40) }) }],
    ["leaves a sibling out", { bucket: (b) => ({ ...b, siblings: b.siblings.slice(32) }) }],
    ["adds a sibling", { bucket: (b) => ({ ...b, siblings: longer(b.siblings, 32) }) }],
    ["sends nothing at all", entries(() => ({ entries: new Uint8Array(), count: 0 }))],
  ];
  for (const [title, lies] of cases) {
    it(title, async () => {
      for (const form of ["verbose", "compact"] as const) {
        expect((await outcome(zoneOf(lies), form)).code).to.equal("BOGUS");
      }
    });
  }

  it("serves another prefix's bucket", async () => {
    const zone = zoneOf();
    const seen: BucketResponse[] = [];
    zone.lies.bucket = (bucket) => seen[0] ?? (seen.push(bucket), bucket);
    const { resolver } = await scriptedWorld({ zones: [zone] });
    // 50 other identifiers: some of them lie in another bucket than the first.
    const codes = new Set<string>();
    for (let n = 0; n < 8; n++) {
      codes.add(await codeOf(resolver.lookup(parseCsi(`+1415555010${n}`))));
    }
    expect([...codes].sort()).to.deep.equal(["BOGUS", "ok"]);
  });
});

function omit(bytes: Uint8Array, at: number, count: number): Uint8Array {
  const left = bytes.slice();
  left.copyWithin(at * 68, (at + 1) * 68, count * 68);
  left.fill(0, (count - 1) * 68, count * 68);
  return left;
}

function overwrite(bytes: Uint8Array, to: number, from: number): Uint8Array {
  return bytes.slice().copyWithin(to * 68, from * 68, (from + 1) * 68);
}

function swap(bytes: Uint8Array, a: number, b: number): Uint8Array {
  const swapped = overwrite(bytes, a, b);
  swapped.set(bytes.subarray(a * 68, (a + 1) * 68), b * 68);
  return swapped;
}

function longer(bytes: Uint8Array, by = 4096): Uint8Array {
  const longer = new Uint8Array(bytes.length + by);
  longer.set(bytes);
  return longer;
}

describe("a DP that lies with a head is caught", () => {
  const other = { zone: "gb@dp-a.example" as Head["zone"] };
  const cases: readonly [string, ErrorCode, (head: Head) => Head][] = [
    ["of another zone", "BOGUS", (head) => ({ ...head, ...other })],
    ["of another kid", "BOGUS", (head) => ({ ...head, kid: fixedBytes("other kid", 4) })],
    ["of another manifest", "BOGUS", (head) => ({ ...head, manifestSha256: fixedBytes("m") })],
    ["of another depth", "DEPTH_CHANGED", (head) => ({ ...head, b: 3 })],
    ["with another root", "BOGUS", (head) => ({ ...head, mapRoot: fixedBytes("root") })],
    ["with buckets too small to hide in", "BOGUS", (head) => ({ ...head, mapSize: 100 })],
    ["that lives too long", "BOGUS", (head) => ({ ...head, notAfter: head.time + 1801 })],
    ["from the future", "CLOCK_SKEW", (head) => later(head, 301)],
    ["that has expired", "EXPIRED", (head) => later(head, -2_101)],
  ];
  for (const [title, code, lie] of cases) {
    it(title, async () => {
      const zone = zoneOf();
      const honest = zone.head;
      zone.serveAgain(honest, zone.sign(lie(honest)));
      expect((await outcome(zone)).code).to.equal(code);
    });
  }

  it("unsigned, signed by another key, or with a flipped signature", async () => {
    const zone = zoneOf();
    const signed = zone.signedHead;
    const stranger = {
      ...signed,
      signatures: [{ ...signed.signatures[0]!, keyId: fixedBytes("k", 8) }],
    };
    for (const [object, code] of [
      [{ ...signed, signatures: [] }, "KEY_MISSING"],
      [stranger, "KEY_MISSING"],
      [flipSignature(signed), "BOGUS"],
      [{ ...signed, payload: flipped(signed.payload, signed.payload.length - 3) }, "BOGUS"],
    ] as const) {
      zone.serveAgain(zone.head, object);
      expect((await outcome(zone)).code).to.equal(code);
    }
  });

  it("an older one than this resolver has seen is ROLLBACK, with both heads as evidence", async () => {
    const zone = zoneOf();
    const { resolver, clock } = await scriptedWorld({ zones: [zone] });
    const [head, signed] = [zone.head, zone.signedHead];
    zone.publish(nowSeconds + 60);
    await clock.advance(60_000);
    await resolver.lookup(csi, { form: "compact" });
    const newest = zone.signedHead;
    zone.serveAgain(head, signed);
    const code = await codeOf(resolver.lookup(csi, { refresh: true, form: "compact" }));
    expect(code).to.equal("ROLLBACK");
    const [evidence] = resolver.evidence();
    expect(evidence).to.include({ code: "ROLLBACK", zone: "us@dp-a.example" });
    expect(evidence!.objects).to.deep.equal([newest, signed].map(encodeSignedObject));
  });

  it("one that has expired is EXPIRED, also when this resolver accepted it in its time", async () => {
    for (const form of ["verbose", "compact"] as const) {
      const zone = zoneOf();
      const { resolver, clock } = await scriptedWorld({ zones: [zone] });
      await resolver.lookup(csi, { form });
      await clock.advance(2_090_000);
      expect(await codeOf(resolver.lookup(csi, { refresh: true, form }))).to.equal("ok");
      await clock.advance(20_000);
      expect(await codeOf(resolver.lookup(csi, { refresh: true, form }))).to.equal("EXPIRED");
    }
  });

  it("another one with the same serial is FORKED, with evidence, and stays so", async () => {
    const zone = zoneOf();
    const { resolver } = await scriptedWorld({ zones: [zone] });
    await resolver.lookup(csi);
    const forked = { ...zone.head, changesRoot: fixedBytes("fork") };
    zone.serveAgain(forked, zone.sign(forked));
    for (let time = 0; time < 2; time++) {
      expect(await codeOf(resolver.lookup(csi, { refresh: true }))).to.equal("FORKED");
    }
    expect(resolver.evidence()).to.have.length(1);
  });

  it("and what the zone had proven absent before is asked for again, what is there is not", async () => {
    for (const form of ["verbose", "compact"] as const) {
      const zone = zoneOf();
      const { resolver } = await scriptedWorld({ zones: [zone] });
      const ask = (one: typeof csi) => resolver.lookup<"verbose" | "compact">(one, { form });
      expect((await ask(csi)).status).to.equal("found");
      const absent = ["+14155550190", "+14155550191"].map((text) => parseCsi(text));
      for (const one of absent) expect((await ask(one)).status).to.equal("none");
      const [head, signed] = [zone.head, zone.signedHead];
      const forked = { ...head, changesRoot: fixedBytes("fork") };
      zone.serveAgain(forked, zone.sign(forked));
      expect(await codeOf(resolver.lookup(csi, { refresh: true, form }))).to.equal("FORKED");
      for (const one of absent) expect(await codeOf(ask(one))).to.equal("FORKED");
      expect((await ask(csi)).status).to.equal("found");
      zone.serveAgain(head, signed);
      expect((await ask(parseCsi("+14155550192"))).status).to.equal("none");
    }
  });
});

function later(head: Head, seconds: number): Head {
  return { ...head, time: head.time + seconds, notAfter: head.notAfter + seconds };
}

describe("a DP that lies elsewhere is caught", () => {
  const cases: readonly [string, ErrorCode, Lies][] = [
    ["a wrong DLEQ proof", "BOGUS", { evaluate: (e) => ({ ...e, proof: flipped(e.proof, 0) }) }],
    ["a proof of zeros", "BOGUS", { evaluate: (e) => ({ ...e, proof: new Uint8Array(64) }) }],
    ["no proof", "BOGUS", { evaluate: (e) => ({ ...e, proof: new Uint8Array() }) }],
    [
      "the identity evaluated",
      "BOGUS",
      { evaluate: (e) => ({ ...e, evaluated: new Uint8Array(32) }) },
    ],
    [
      "a non-canonical element",
      "BOGUS",
      { evaluate: (e) => ({ ...e, evaluated: new Uint8Array(32).fill(255) }) },
    ],
    ["an element too few", "BOGUS", { evaluate: (e) => ({ ...e, evaluated: new Uint8Array() }) }],
    [
      "an element too many",
      "BOGUS",
      { evaluate: (e) => ({ ...e, evaluated: longer(e.evaluated, 32) }) },
    ],
    [
      "part of an element",
      "INVALID_DATA",
      { evaluate: (e) => ({ ...e, evaluated: longer(e.evaluated, 1) }) },
    ],
    [
      "another manifest than the directory's",
      "BOGUS",
      { manifest: (m) => flipped(m, m.length - 1) },
    ],
    [
      "a body of another hash",
      "BOGUS",
      { bodies: (b) => ({ ...b, bodies: b.bodies.map((x) => flipped(x, 20)) }) },
    ],
    ["a body too few", "BOGUS", { bodies: (b) => ({ ...b, bodies: b.bodies.slice(1) }) }],
    [
      "bodies in another order",
      "BOGUS",
      { bodies: (b) => ({ ...b, bodies: b.bodies.toReversed() }) },
    ],
    ["no bodies", "BOGUS", { bodies: (b) => ({ ...b, bodies: [] }) }],
  ];
  for (const [title, code, lies] of cases) {
    it(title, async () => {
      expect((await outcome(zoneOf(lies))).code).to.equal(code);
    });
  }

  it("another VOPRF key than the manifest's", async () => {
    const keys = portableVoprf.deriveKeyPair(fixedBytes("other"), utf8("test"));
    const zone = new ScriptedZone({
      parties: { ...parties, voprfKeys: keys },
      contacts: [contactOf(parties)],
      fillers: 100,
    });
    expect((await outcome(zone)).code).to.equal("BOGUS");
  });

  it("compact bits that differ from the slot, with evidence; the compact form cannot see it", async () => {
    for (const bits of [[], [5], [0, 5], [63]]) {
      const zone = zoneOf({}, { bits });
      const { code, resolver } = await outcome(zone);
      expect(code).to.equal("BOGUS");
      expect(resolver.evidence()[0]).to.include({ text: "compact bits differ from the slot" });
      expect(
        resolver
          .evidence()[0]!
          .objects.map((o) => o.length)
          .slice(0, 1),
      ).to.deep.equal([68]);
      expect(await codeOf(resolver.lookup(csi, { form: "compact" }))).to.equal("ok");
    }
  });

  const slots: readonly [string, Parameters<typeof makeSlot>[1]][] = [
    ["a statement of another zone", { statement: { signedForZone: "gb@dp-b.example" } }],
    ["a statement by another key", { statement: { holder: fixedSigner("thief") } }],
    ["a mapping without the MSP's signature", { mapping: { signedBy: ["holder"] } }],
    ["a mapping without the holder's signature", { mapping: { signedBy: ["msp"] } }],
    ["an acceptance unsigned", { acceptance: { unsigned: true } }],
    ["a mapping left out", { count: 2, tamper: (all) => all.slice(1) }],
  ];
  for (const [title, knobs] of slots) {
    it(`a slot with ${title}`, async () => {
      expect((await outcome(zoneOf({}, { ...knobs, bits: [0] }))).code).to.equal("BOGUS");
    });
  }

  it("shows such a slot only with checkingDisabled, marked, and never caches it", async () => {
    const zone = zoneOf({}, { acceptance: { unsigned: true } });
    const { resolver } = await scriptedWorld({ zones: [zone] });
    const answer = await resolver.lookup(csi, { checkingDisabled: true });
    expect(answer.mappings.map(({ msp }) => msp)).to.deep.equal(["wire.example"]);
    expect(answer.proof.verified).to.equal(false);
    expect(answer.warnings.map(({ code }) => code)).to.deep.equal(["UNVALIDATED"]);
    expect(answer.errors.map(({ code }) => code)).to.deep.equal(["BOGUS"]);
    expect(await codeOf(resolver.lookup(csi))).to.equal("BOGUS");
  });

  it("answers of another kind than asked, or none", async () => {
    const crossed = zoneOf();
    crossed.lies.bucket = () => ({}) as BucketResponse;
    expect((await outcome(crossed)).code).to.be.oneOf(["INVALID_DATA", "BOGUS"]);
    for (const kind of ["bucket", "bodies", "head", "manifest", "evaluate"] as const) {
      const zone = zoneOf({ silent: (asked) => asked === kind });
      const { resolver, clock } = await scriptedWorld({ zones: [zone] });
      const result = codeOf(resolver.lookup(csi, { timeoutMs: 1_000 }));
      await clock.advance(999);
      await clock.advance(2);
      expect(await result).to.equal("DEADLINE");
    }
  });
});

describe("what one refresh mends, and what it does not", () => {
  it("learns the new depth when the tree has grown", async () => {
    const zone = new ScriptedZone({ parties, contacts: [], fillers: 500 });
    const { resolver } = await scriptedWorld({ zones: [zone] });
    expect((await resolver.lookup(csi)).status).to.equal("none");
    const b = zone.head.b;
    zone.grow(600);
    zone.publish(nowSeconds, [contactOf(parties)]);
    expect(zone.head.b).to.be.above(b);
    expect((await resolver.lookup(csi, { refresh: true })).status).to.equal("found");
  });

  it("asks a bucket anew when a body is gone", async () => {
    const zone = zoneOf();
    const { resolver } = await scriptedWorld({ zones: [zone] });
    await resolver.lookup(csi, { form: "compact" });
    const renewed = contactOf(parties, { statement: { fields: { seq: 2 } } });
    zone.dropBodies();
    zone.publish(nowSeconds, [renewed]);
    expect((await resolver.lookup(csi)).status).to.equal("found");
  });

  for (const code of ["DEPTH_CHANGED", "UNKNOWN_KID", "UNKNOWN_BODY"] as const) {
    it(`gives up when ${code} remains, after one refresh`, async () => {
      const kind = code === "UNKNOWN_BODY" ? "bodies" : "bucket";
      const zone = zoneOf({
        fail: (asked) => (asked === kind ? new DiscoveryError(code, "always") : undefined),
      });
      expect((await outcome(zone)).code).to.equal(code);
      expect(zone.asked.filter((asked) => asked.kind === kind)).to.have.length(2);
    });
  }
});

describe("a local clock that is wrong is named", () => {
  it("by this resolver alone: what only it can know is no word of a server's", async () => {
    for (const code of ["CLOCK_SKEW", "CANCELLED", "DEADLINE", "BUDGET", "CONFIG"] as const) {
      for (const step of ["evaluate", "bucket"] as const) {
        const fail = (kind: unknown) =>
          kind === step ? new DiscoveryError(code, "says the server") : undefined;
        expect((await outcome(zoneOf({ fail }))).code, code).to.equal("INTERNAL");
      }
    }
  });

  it("a day behind: CLOCK_SKEW", async () => {
    const zone = zoneOf();
    const { resolver, clock } = await scriptedWorld({ zones: [zone] });
    clock.shiftWall(-86_400_000);
    expect(await codeOf(resolver.lookup(csi))).to.equal("CLOCK_SKEW");
  });

  it("set back a day after heads were seen: CLOCK_SKEW before anything is asked", async () => {
    const zone = zoneOf();
    const { resolver, clock } = await scriptedWorld({ zones: [zone] });
    await resolver.lookup(csi);
    clock.shiftWall(-86_400_000);
    const error = await resolver.lookup(csi, { refresh: true }).catch((caught: unknown) => caught);
    expect((error as DiscoveryError).code).to.equal("CLOCK_SKEW");
    expect((error as DiscoveryError).text).to.equal("the local clock is at least 86400 s behind");
  });

  it("a day ahead: the text names the clock; with two zones it is CLOCK_SKEW", async () => {
    const zone = zoneOf();
    const { resolver, clock } = await scriptedWorld({ zones: [zone] });
    clock.shiftWall(86_400_000);
    const error = await resolver.lookup(csi).catch((caught: unknown) => caught);
    expect((error as DiscoveryError).text).to.equal("head: expired, or the local clock is ahead");
    const theirs = makeRegistrationParties({ manifest: { zone: "us@dp-b.example" as never } });
    const other = new ScriptedZone({
      parties: { ...theirs, zone: "us@dp-b.example" as never },
      contacts: [],
      host: "dp-b.example",
    });
    const two = await scriptedWorld({ zones: [zoneOf(), other] });
    two.clock.shiftWall(86_400_000);
    expect(await codeOf(two.resolver.lookup(csi))).to.equal("CLOCK_SKEW");
  });
});
