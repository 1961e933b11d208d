import { expect } from "chai";
import {
  DiscoveryError,
  parseCsi,
  parseMspId,
  parseZoneName,
  type ErrorCode,
} from "@whither/protocol";
import { createSigner } from "@whither/crypto/node";
import {
  fixedBytes,
  makeCredential,
  makeRegistrationParties,
  makeSlot,
  type RegistrationParties,
} from "@whither/testkit";
import { createRegistry, payloadSha256 } from "@whither/zone";
import type { LookupOptions } from "./options.js";
import { failureStatus } from "./failure.js";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi } = parties;
const nobody = parseCsi("+14155550199");

async function worldOf(knobs: Parameters<typeof contactOf>[1] = {}, fillers = 600) {
  const zone = new ScriptedZone({ parties, contacts: [contactOf(parties, knobs)], fillers });
  return { zone, ...(await scriptedWorld({ zones: [zone] })) };
}

describe("lookup: one honest zone", () => {
  it("finds both MSPs in the holder's order, with everything the answer promises", async () => {
    const { resolver, zone } = await worldOf({ count: 2 });
    const answer = await resolver.lookup(csi);
    expect(answer).to.include({
      status: "found",
      form: "verbose",
      attested: "signatures",
      privacy: "blind",
      ttlSeconds: 3600,
      registryVersion: 1,
      leftOut: 0,
    });
    expect(answer.complete).to.deep.equal({ answered: 1, asked: 1 });
    expect(answer.mappings).to.deep.equal([
      {
        msp: "wire.example",
        preference: 1,
        tags: [],
        level: 1,
        establishedAt: parties.nowSeconds,
        notAfter: parties.nowSeconds + 40 * 86_400,
        directoryUrl: "https://wire.example/mimi",
      },
      {
        msp: "video.example",
        preference: 2,
        tags: [],
        level: 1,
        establishedAt: parties.nowSeconds,
        notAfter: parties.nowSeconds + 40 * 86_400,
        directoryUrl: "https://video.example/mimi",
      },
    ]);
    expect(answer.choice).to.equal(answer.mappings[0]);
    const kid = Buffer.from(zone.kid).toString("hex");
    const part = {
      dp: "dp-a.example",
      zone: "us@dp-a.example",
      outcome: "present",
      serial: 1,
      kid,
    };
    expect(answer.dps).to.deep.equal([part]);
    expect(answer.proof).to.deep.equal({
      kind: "presence",
      verified: true,
      zone: "us@dp-a.example",
      serial: 1,
      kid,
    });
    expect([answer.warnings, answer.errors]).to.deep.equal([[], []]);
    expect(answer.stats.rpcs).to.equal(5);
    expect(answer.stats.bytesIn).to.be.within(8_000, 100_000);
    expect(answer.stats.bytesOut).to.be.within(1_000, 3_000);
  });

  it("shows the compact form as the DP's word, without order or choice", async () => {
    const { resolver, zone } = await worldOf({ count: 2 });
    const answer = await resolver.lookup(csi, { form: "compact" });
    expect(answer).to.include({
      status: "found",
      form: "compact",
      attested: "dp",
      choice: undefined,
    });
    expect(answer.mappings).to.deep.equal([
      { msp: "wire.example", directoryUrl: "https://wire.example/mimi" },
      { msp: "video.example", directoryUrl: "https://video.example/mimi" },
    ]);
    expect(zone.asked.map(({ kind }) => kind)).not.to.include("bodies");
    expect(answer.stats.bytesIn).to.be.below(26 * 1024);
  });

  it("proves that nobody has an identifier, in an empty zone too", async () => {
    const { resolver } = await worldOf();
    const empty = new ScriptedZone({ parties, contacts: [] });
    const other = await scriptedWorld({ zones: [empty] });
    for (const answer of [await resolver.lookup(nobody), await other.resolver.lookup(csi)]) {
      expect(answer).to.include({ status: "none", choice: undefined, ttlSeconds: 60 });
      expect(answer.mappings).to.deep.equal([]);
      expect(answer.proof.kind).to.equal("absence");
    }
  });

  it("says in words what each server was told", async () => {
    const { resolver } = await worldOf();
    const heard: string[] = [];
    const { hops } = await resolver.lookup(csi, { onHop: ({ told }) => heard.push(told) });
    expect(hops.map(({ from, told, verdict }) => [from, told, verdict])).to.deep.equal([
      ["dp-a.example:7364", "the zone's name, no identity", "verified"],
      ["dp-a.example:7364", "the zone's name, no identity", "verified"],
      ["dp-a.example:7354", "1 blinded element, who asks", "verified"],
      ["dp-a.example:7364", "2 bits of an index, no identity", "verified"],
      ["dp-a.example:7364", "32 body hashes, no identity", "verified"],
    ]);
    expect(heard).to.deep.equal(hops.map(({ told }) => told));
    const [hop] = (await resolver.lookup(csi)).hops;
    expect(hop).to.include({ from: "cache", told: "nothing: answered from the cache" });
  });

  it("gives an answer that JSON shows whole", async () => {
    const { resolver } = await worldOf();
    await resolver.lookup(csi);
    const cached = JSON.parse(JSON.stringify(await resolver.lookup(csi))) as Record<
      string,
      unknown
    >;
    expect(cached).to.include({ status: "found", ttlSeconds: 3600 });
    expect(cached["mappings"]).to.have.length(1);
  });
});

describe("lookup: filter, flags and choice (requirements 7 and 10)", () => {
  const withStatement = (fields: Parameters<typeof contactOf>[1]) =>
    worldOf({ count: 2, ...fields });
  const cases: readonly [
    string,
    Parameters<typeof contactOf>[1],
    LookupOptions<"verbose">,
    string[],
  ][] = [
    ["one MSP wanted", {}, { msps: ["video.example"] }, ["video.example"]],
    ["an MSP wanted that is not there", {}, { msps: ["other.example"] }, []],
    [
      "EXCLUSIVE: only the first",
      { statement: { fields: { exclusive: true } } },
      {},
      ["wire.example"],
    ],
    [
      "EXCLUSIVE and another MSP wanted",
      { statement: { fields: { exclusive: true } } },
      { msps: ["video.example"] },
      [],
    ],
    [
      "SAME_APP_ONLY for a querier without MSP",
      { statement: { fields: { sameAppOnly: true } } },
      {},
      [],
    ],
    [
      "SAME_APP_ONLY for a querier of that MSP",
      { statement: { fields: { sameAppOnly: true } } },
      { ownMsp: "video.example" },
      ["video.example"],
    ],
  ];
  for (const [title, knobs, options, expected] of cases) {
    it(title, async () => {
      const { resolver } = await withStatement(knobs);
      // The second time from the cache, which must apply the same rules.
      for (let time = 0; time < 2; time++) {
        const answer = await resolver.lookup(csi, options);
        expect(answer.mappings.map(({ msp }) => msp)).to.deep.equal(expected);
        expect(answer.status).to.equal(expected.length > 0 ? "found" : "none");
        expect(answer.leftOut).to.equal(2 - expected.length);
        expect(answer.proof.kind).to.equal("presence");
      }
    });
  }

  it("keeps the choice when the holder's order changes, until it disappears", async () => {
    const { zone, resolver, clock } = await worldOf({ count: 2 });
    expect((await resolver.lookup(csi)).choice?.msp).to.equal("wire.example");
    const mappings = makeSlot(parties, { count: 2 }).mappings;
    const reordered = makeSlot(parties, {
      count: 2,
      statement: {
        fields: {
          seq: 2,
          items: mappings.map(({ mapping }, i) => ({
            mappingSha256: payloadSha256(mapping),
            preference: 2 - i,
            tags: [],
          })),
        },
      },
    });
    zone.publish(parties.nowSeconds + 4_000, [
      { csi, plaintext: reordered.plaintext, bits: [0, 5] },
    ]);
    await clock.advance(4_000_000);
    const after = await resolver.lookup(csi);
    expect(after.mappings.map(({ msp }) => msp)).to.deep.equal(["video.example", "wire.example"]);
    expect(after.choice?.msp).to.equal("wire.example");
    resolver.choose(csi, parseMspId("video.example"));
    expect((await resolver.lookup(csi)).choice?.msp).to.equal("video.example");
    resolver.choose(csi, undefined);
    expect((await resolver.lookup(csi)).choice?.msp).to.equal("video.example");
  });
});

describe("lookup: what does not count is left out or warned of", () => {
  it("drops an expired mapping and says why", async () => {
    const short = { fields: { notAfter: parties.nowSeconds + 100 } };
    const { zone, resolver, clock } = await worldOf({ mapping: short });
    const { ttlSeconds } = await resolver.lookup(csi);
    expect(ttlSeconds).to.equal(100);
    zone.publish(parties.nowSeconds + 600);
    await clock.advance(600_000);
    const answer = await resolver.lookup(csi);
    expect(answer.status).to.equal("none");
    expect(answer.proof.kind).to.equal("presence");
    expect(answer.errors.map(({ code, upstream }) => [code, upstream])).to.deep.equal([
      ["EXPIRED", "wire.example"],
    ]);
  });

  it("warns when the holder's key is another one than before", async () => {
    const { zone, resolver, clock } = await worldOf();
    await resolver.lookup(csi);
    const other = createSigner(fixedBytes("second holder"));
    const credential = makeCredential(parties, { fields: { holderPublicKey: other.publicKey } });
    const taken = makeSlot(parties, {
      credential,
      mapping: { holder: other },
      statement: { holder: other, fields: { holderPublicKey: other.publicKey } },
    });
    zone.publish(parties.nowSeconds + 3_700, [{ csi, plaintext: taken.plaintext, bits: [0] }]);
    await clock.advance(3_700_000);
    const changed = await resolver.lookup(csi);
    expect(changed.warnings.map(({ code }) => code)).to.deep.equal(["HOLDER_KEY_CHANGED"]);
  });

  it("warns VANISHED when an identifier is absent before its mappings end", async () => {
    const { zone, resolver, clock } = await worldOf({}, 0);
    await resolver.lookup(csi);
    zone.remove(csi);
    zone.publish(parties.nowSeconds + 3_700);
    await clock.advance(3_700_000);
    const answer = await resolver.lookup(csi);
    expect(answer.status).to.equal("none");
    expect(answer.warnings.map(({ code }) => code)).to.deep.equal(["VANISHED"]);
  });

  it("warns VANISHED when what stands there instead counts for nothing and is another key's", async () => {
    const { zone, resolver, clock } = await worldOf({}, 0);
    await resolver.lookup(csi);
    const other = createSigner(fixedBytes("key of nobody"));
    const empty = makeSlot(parties, {
      statement: { holder: other, fields: { holderPublicKey: other.publicKey, items: [], seq: 2 } },
      tamper: () => [],
    });
    zone.publish(parties.nowSeconds + 3_700, [{ csi, plaintext: empty.plaintext, bits: [] }]);
    await clock.advance(3_700_000);
    const answer = await resolver.lookup(csi);
    expect(answer.status).to.equal("none");
    expect(answer.warnings.map(({ code }) => code)).to.deep.equal(["VANISHED"]);
  });

  it("does not call it VANISHED when the holder signed an empty statement", async () => {
    const { zone, resolver, clock } = await worldOf({}, 0);
    await resolver.lookup(csi);
    const empty = makeSlot(parties, {
      statement: { fields: { items: [], seq: 2 } },
      tamper: () => [],
    });
    zone.publish(parties.nowSeconds + 3_700, [{ csi, plaintext: empty.plaintext, bits: [] }]);
    await clock.advance(3_700_000);
    const answer = await resolver.lookup(csi);
    expect([answer.status, answer.warnings, answer.proof.kind]).to.deep.equal([
      "none",
      [],
      "presence",
    ]);
    const compact = await resolver.lookup(csi, { form: "compact" });
    expect(compact.warnings.map(({ code }) => code)).to.deep.equal(["VERBOSE_ONLY"]);
  });
});

/** The same people at a second DP, whose keys and zone are its own. */
function secondDp(options: Partial<RegistrationParties> = {}): RegistrationParties {
  const other = makeRegistrationParties({
    manifest: { zone: parseZoneName("us@dp-b.example") },
    dp: { id: "dp-b.example" as never, operator: "Operator B" },
  });
  return { ...other, zone: parseZoneName("us@dp-b.example"), ...options };
}

describe("lookup: several DPs (requirement 9)", () => {
  const first = () => new ScriptedZone({ parties, contacts: [contactOf(parties)] });
  const second = (contacts: Parameters<typeof contactOf>[1] | undefined) => {
    const theirs = secondDp();
    return new ScriptedZone({
      parties: theirs,
      contacts: contacts === undefined ? [] : [contactOf(theirs, contacts)],
      host: "dp-b.example",
    });
  };
  const registry = createRegistry([parties.dp, secondDp().dp, ...parties.msps, parties.prover], 1);

  it("is found with 2 of 2 when one has it and the other proves it has not", async () => {
    const { resolver } = await scriptedWorld({ zones: [first(), second(undefined)], registry });
    const answer = await resolver.lookup(csi);
    expect(answer.status).to.equal("found");
    expect(answer.complete).to.deep.equal({ answered: 2, asked: 2 });
    expect(answer.dps.map(({ dp, outcome }) => [dp, outcome])).to.deep.equal([
      ["dp-a.example", "present"],
      ["dp-b.example", "absent"],
    ]);
  });

  it("waits 1.8 s more for the others once one has it, and the whole time while none has", async () => {
    for (const silent of ["dp-a.example", "dp-b.example"]) {
      const zones = [first(), second(undefined)];
      for (const zone of zones) if (zone.host === silent) zone.lies.silent = () => true;
      const { resolver, clock } = await scriptedWorld({ zones, registry });
      const asked = { isOver: false };
      const lookup = resolver.lookup(csi).finally(() => (asked.isOver = true));
      for (let turn = 0; turn < 20; turn++) await clock.settle(); // the other's whole answer
      await clock.advance(1_799);
      expect(asked.isOver).to.equal(false);
      await clock.advance(1);
      expect(asked.isOver).to.equal(silent === "dp-b.example");
      await clock.advance(5_200);
      const answer = await lookup;
      expect(answer.complete).to.deep.equal({ answered: 1, asked: 2 });
      expect(answer.status).to.equal(silent === "dp-b.example" ? "found" : "incomplete");
      expect(answer.errors.map(({ code }) => code)).to.deep.equal(["DEADLINE"]);
    }
  });

  it("does not keep for others what was asked without checking", async () => {
    const { resolver } = await scriptedWorld({ zones: [first(), second({ bits: [9] })], registry });
    const unchecked = await resolver.lookup(csi, { checkingDisabled: true });
    expect(unchecked.complete).to.deep.equal({ answered: 2, asked: 2 });
    const answer = await resolver.lookup(csi);
    expect(answer.complete).to.deep.equal({ answered: 1, asked: 2 });
    expect(answer.errors.map(({ code }) => code)).to.deep.equal(["BOGUS"]);
  });

  it("joins what one holder has at both", async () => {
    const theirs = second({ count: 2, statement: { fields: { seq: 1 } } });
    const { resolver } = await scriptedWorld({ zones: [first(), theirs], registry });
    for (let time = 0; time < 2; time++) {
      const answer = await resolver.lookup(csi);
      expect(answer.mappings.map(({ msp }) => msp)).to.deep.equal([
        "wire.example",
        "video.example",
      ]);
      expect(answer.warnings).to.deep.equal([]);
    }
  });

  it("never mixes holders: the higher level counts, the other is a CONFLICT", async () => {
    const theirs = secondDp();
    const other = createSigner(fixedBytes("second holder"));
    const credential = makeCredential(theirs, {
      fields: { holderPublicKey: other.publicKey, level: 2 },
    });
    const zone = new ScriptedZone({
      parties: theirs,
      host: "dp-b.example",
      contacts: [
        contactOf(theirs, {
          credential,
          mapping: { holder: other, msp: 0 },
          statement: { holder: other, fields: { holderPublicKey: other.publicKey } },
        }),
      ],
    });
    const { resolver } = await scriptedWorld({ zones: [first(), zone], registry });
    const answer = await resolver.lookup(csi);
    expect(answer.mappings.map(({ level }) => level)).to.deep.equal([2]);
    expect(answer.dps.map(({ outcome }) => outcome)).to.deep.equal(["conflict", "present"]);
    expect(answer.warnings.map(({ code, upstream }) => [code, upstream])).to.deep.equal([
      ["CONFLICT", "us@dp-a.example"],
    ]);
  });

  const outcomes: readonly [string, boolean, boolean, string, ErrorCode | undefined][] = [
    ["found although the other failed", true, false, "found", "NOT_AUTHORITATIVE"],
    [
      "incomplete when only one of two proved absence",
      false,
      false,
      "incomplete",
      "NOT_AUTHORITATIVE",
    ],
  ];
  for (const [title, present, , status, code] of outcomes) {
    it(title, async () => {
      const lame = second(undefined);
      lame.lies.fail = () => new DiscoveryError("NOT_AUTHORITATIVE", "lame");
      const zone = present ? first() : new ScriptedZone({ parties, contacts: [] });
      const { resolver } = await scriptedWorld({ zones: [zone, lame], registry });
      const answer = await resolver.lookup(csi);
      expect(answer.status).to.equal(status);
      expect(answer.complete).to.deep.equal({ answered: 1, asked: 2 });
      expect(answer.errors.map((error) => error.code)).to.deep.equal([code]);
      expect(answer.dps[1]).to.deep.equal({
        dp: "dp-b.example",
        zone: "us@dp-b.example",
        outcome: "failed",
        serial: undefined,
        kid: undefined,
      });
    });
  }

  it("does not ask one that the directory holds back, and never takes its silence for an absence", async () => {
    for (const [present, status] of [
      [true, "found"],
      [false, "incomplete"],
    ] as const) {
      const lame = second(undefined);
      const zone = present ? first() : new ScriptedZone({ parties, contacts: [] });
      const zones = [zone, lame];
      const authorities = [zone.authority(), lame.authority({ withdrawnAt: 1 })];
      const { resolver } = await scriptedWorld({ zones, authorities, registry });
      const answer = await resolver.lookup(csi);
      expect(answer.status).to.equal(status);
      expect(answer.complete).to.deep.equal({ answered: 1, asked: 2 });
      expect(answer.errors.map(({ code, upstream }) => [code, upstream])).to.deep.equal([
        ["UNREACHABLE", "us@dp-b.example"],
      ]);
      expect(lame.asked, "not a call").to.deep.equal([]);
    }
  });

  it("asks all where all are held back: a directory's word saves the wait and silences nobody", async () => {
    const zones = [first(), second(undefined)];
    const authorities = zones.map((zone) => zone.authority({ withdrawnAt: 1 }));
    const { resolver } = await scriptedWorld({ zones, authorities, registry });
    expect((await resolver.lookup(csi)).complete).to.deep.equal({ answered: 2, asked: 2 });
  });

  it("asks one that is held back where the user has named a server for its zone", async () => {
    const zones = [first(), second(undefined)];
    const authorities = [zones[0]!.authority(), zones[1]!.authority({ withdrawnAt: 1 })];
    const replica = { zone: "us@dp-b.example", host: "dp-b.example", port: 7364 };
    const replicas = [{ ...replica, pins: [fixedBytes("spki")] }];
    const { resolver } = await scriptedWorld({ zones, authorities, registry, replicas });
    expect((await resolver.lookup(csi)).complete).to.deep.equal({ answered: 2, asked: 2 });
  });

  const worst: readonly [ErrorCode, ErrorCode, ErrorCode, string][] = [
    ["OVERLOADED", "BOGUS", "BOGUS", "bogus"],
    ["PROHIBITED", "OVERLOADED", "PROHIBITED", "refused"],
    ["BLOCKED", "FORKED", "FORKED", "bogus"],
    ["OVERLOADED", "OVERLOADED", "OVERLOADED", "unreachable"],
  ];
  for (const [one, other, thrown, status] of worst) {
    it(`throws ${thrown} when the DPs fail with ${one} and ${other}`, async () => {
      const zones = [first(), second(undefined)] as const;
      zones[0].lies.fail = () => new DiscoveryError(one, "one");
      zones[1].lies.fail = () => new DiscoveryError(other, "other");
      const { resolver } = await scriptedWorld({ zones, registry });
      const error = await resolver.lookup(csi).catch((caught: unknown) => caught);
      expect(error).to.be.instanceOf(DiscoveryError);
      expect((error as DiscoveryError).code).to.equal(thrown);
      expect(failureStatus(error as DiscoveryError)).to.equal(status);
    });
  }
});

describe("lookup: what the directory decides", () => {
  it("answers none with the directory's proof where nobody serves the prefix", async () => {
    const zone = new ScriptedZone({ parties, contacts: [] });
    const { resolver } = await scriptedWorld({
      zones: [zone],
      delegation: { disposition: "unassigned", authorities: [] },
    });
    const answer = await resolver.lookup(csi);
    expect(answer).to.include({ status: "none" });
    expect(answer.complete).to.deep.equal({ answered: 0, asked: 0 });
    expect(answer.proof).to.deep.equal({
      kind: "absence",
      verified: true,
      zone: ".",
      serial: 7,
      kid: "",
    });
    expect(answer.errors.map(({ code }) => code)).to.deep.equal(["UNASSIGNED"]);
    expect(zone.asked).to.deep.equal([]);
  });

  it("does not ask a relay_only zone directly", async () => {
    const zone = new ScriptedZone({ parties, contacts: [] });
    const authorities = [zone.authority({ relayOnly: true })];
    const { resolver } = await scriptedWorld({ zones: [zone], authorities });
    expect(await codeOf(resolver.lookup(csi))).to.equal("NOT_AVAILABLE");
    expect(zone.asked).to.deep.equal([]);
  });
});

describe("lookup: options", () => {
  const later: readonly LookupOptions[] = [
    { federation: "all" },
    { federation: "local" },
    { dps: ["dp-a.example"] },
    { privacy: "relayed" },
    { audience: {} },
  ];
  for (const options of later) {
    it(`refuses ${Object.keys(options).join()} of a later version by name`, async () => {
      const { resolver, zone } = await worldOf();
      expect(await codeOf(resolver.lookup(csi, options))).to.equal("NOT_AVAILABLE");
      expect(() => resolver.lookupAll([csi], options)).to.throw(DiscoveryError);
      expect(zone.asked).to.deep.equal([]);
    });
  }

  for (const options of [
    { timeoutMs: 49 },
    { timeoutMs: 60_001 },
    { maxHops: 5 },
    { maxHops: -1 },
  ]) {
    it(`takes ${JSON.stringify(options)} for a programmer's mistake`, async () => {
      const { resolver } = await worldOf();
      let caught: unknown;
      await resolver.lookup(csi, options).catch((error: unknown) => (caught = error));
      expect(caught).to.be.instanceOf(TypeError);
    });
  }

  it("needs a client certificate to evaluate", async () => {
    const zone = new ScriptedZone({ parties, contacts: [] });
    const { resolver } = await scriptedWorld({ zones: [zone], identity: false });
    expect(await codeOf(resolver.lookup(csi))).to.equal("UNAUTHENTICATED");
  });

  it("gives nothing after it is closed", async () => {
    const { resolver } = await worldOf();
    await resolver.lookup(csi);
    await resolver.close();
    expect(await codeOf(resolver.lookup(csi))).to.equal("CANCELLED");
    expect(() => resolver.lookupAll([csi])).to.throw(DiscoveryError);
  });
});
