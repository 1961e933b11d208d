// A server that hides one mapping of a verbose answer: what the reader says, and what it costs. The mappings of a
// slot are all that the holder's statement names, or the slot is BOGUS; a body is what the entry says, or is nobody's.
// What a DP can do is to withhold the slot whole, or to show an older one of the holder's own.

import { expect } from "chai";
import { limits } from "@whither/protocol";
import {
  fixedBytes,
  makeRegistrationParties,
  makeSlot,
  type RegistrationParties,
} from "@whither/testkit";
import { nodeVerifier, type SignatureVerifier } from "@whither/zone";
import type { Answer } from "./answer.js";
import { codeOf, contactOf, ScriptedZone, scriptedWorld, type Lies } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds } = parties;
const day = 86_400;
const endpoint = (host: string, operator: string) => ({
  host,
  port: operator === "" ? 7354 : 0,
  publicPort: 7364,
  spkiSha256: [fixedBytes("spki")],
  jurisdiction: "",
  operator,
});
const zoneOf = (host = "dp-a.example", knobs: Parameters<typeof contactOf>[1] = {}) =>
  new ScriptedZone({
    parties,
    host,
    contacts: [contactOf(parties, { count: 2, ...knobs })],
    fillers: 200,
  });
const mspsOf = (answer: Answer) => answer.mappings.map(({ msp }) => msp);
const both = ["wire.example", "video.example"];

/** What a server can do to a verbose answer without the holder. */
const hidings: readonly (readonly [string, Lies["bodies"]])[] = [
  ["one body less than was asked for", (b) => ({ ...b, bodies: b.bodies.slice(1) })],
  ["the last body left out", (b) => ({ ...b, bodies: b.bodies.slice(0, -1) })],
  ["no body at all", (b) => ({ ...b, bodies: [] })],
  [
    "another slot's body in each place",
    (b) => ({ ...b, bodies: [...b.bodies.slice(1), ...b.bodies.slice(0, 1)] }),
  ],
  ["empty bodies", (b) => ({ ...b, bodies: b.bodies.map(() => new Uint8Array()) })],
];
/** What the DP that seals the slot can do besides. */
const fewer: Parameters<typeof contactOf>[1] = { tamper: (all) => all.slice(0, 1) };

describe("a verbose answer that hides a mapping, from the only server", () => {
  const rpcsOf = ({ asked }: ScriptedZone): number => asked.length;

  for (const [title, bodies] of hidings) {
    it(`${title}: BOGUS, never fewer mappings, at the cost of an honest answer`, async () => {
      const honest = zoneOf();
      const { resolver: reader } = await scriptedWorld({ zones: [honest] });
      expect(mspsOf(await reader.lookup(csi))).to.deep.equal(both);
      const zone = zoneOf();
      if (bodies !== undefined) zone.lies.bodies = bodies;
      const { resolver } = await scriptedWorld({ zones: [zone] });
      expect(await codeOf(resolver.lookup(csi))).to.equal("BOGUS");
      expect(rpcsOf(zone)).to.equal(rpcsOf(honest));
    });
  }

  it("a slot of fewer mappings than its statement names: BOGUS before any of them is verified", async () => {
    const counted = { verifications: 0 };
    const verifier: SignatureVerifier = {
      verify: (check) => {
        counted.verifications += 1;
        return nodeVerifier.verify(check);
      },
    };
    const honest = await scriptedWorld({ zones: [zoneOf()], verifier });
    await honest.resolver.lookup(csi);
    const whole = counted.verifications;
    counted.verifications = 0;
    for (const bits of [[0], [0, 5]]) {
      const zone = zoneOf("dp-a.example", { ...fewer, bits });
      const { resolver } = await scriptedWorld({ zones: [zone], verifier });
      expect(await codeOf(resolver.lookup(csi))).to.equal("BOGUS");
    }
    // Head and statement of each; none of the seven under two mappings of one credential.
    expect([whole, counted.verifications]).to.deep.equal([9, 2 * 2]);
  });

  it("is remembered: 50 who ask again at once are refused without a request", async () => {
    const zone = zoneOf("dp-a.example", fewer);
    const { resolver, clock } = await scriptedWorld({ zones: [zone] });
    expect(await codeOf(resolver.lookup(csi))).to.equal("BOGUS");
    const first = rpcsOf(zone);
    for (let time = 0; time < 50; time++) {
      expect(await codeOf(resolver.lookup(csi))).to.equal("BOGUS");
    }
    expect(rpcsOf(zone)).to.equal(first);
    await clock.advance(limits.failureTtlSecondsMin * 1_000);
    expect(await codeOf(resolver.lookup(csi))).to.equal("BOGUS");
  });

  it("does not take back what is known: the whole answer is shown STALE", async () => {
    const zone = zoneOf();
    const { resolver, clock } = await scriptedWorld({ zones: [zone] });
    await resolver.lookup(csi);
    const { plaintext } = contactOf(parties, { count: 2, ...fewer });
    zone.publish(nowSeconds + 3_700, [{ csi, plaintext, bits: [0] }]);
    await clock.advance(3_700_000);
    const answer = await resolver.lookup(csi);
    expect(mspsOf(answer)).to.deep.equal(both);
    expect(answer.warnings.map(({ code }) => code)).to.deep.equal(["STALE"]);
    expect(answer.errors.map(({ code }) => code)).to.deep.equal(["BOGUS"]);
  });
});

describe("a verbose answer that hides a mapping, from one of several servers", () => {
  async function withReplica(lies: Lies) {
    const [dp, replica] = [zoneOf(), zoneOf("replica.example")];
    Object.assign(replica.lies, lies);
    const endpoints = [endpoint("dp-a.example", ""), endpoint("replica.example", "Else Ltd")];
    const world = await scriptedWorld({ zones: [dp], authorities: [dp.authority({ endpoints })] });
    replica.serve(world.network);
    return { dp, replica, ...world };
  }

  for (const [title, bodies] of hidings) {
    it(`${title}: the next one is asked, for one RPC more, and the liar comes last for a while`, async () => {
      const { dp, replica, resolver } = await withReplica(bodies === undefined ? {} : { bodies });
      const answer = await resolver.lookup(csi);
      expect([mspsOf(answer), answer.errors]).to.deep.equal([both, []]);
      const askedFor = (zone: ScriptedZone) => zone.asked.filter(({ kind }) => kind === "bodies");
      expect([askedFor(replica).length, askedFor(dp).length]).to.deep.equal([1, 1]);
      expect(resolver.infra().flatMap(({ lame }) => lame.map(({ code }) => code))).to.deep.equal([
        "BOGUS",
      ]);
    });
  }
});

describe("a verbose answer that hides a mapping, from one of two DPs", () => {
  const theirs = ((): RegistrationParties => {
    const zone = "us@dp-b.example" as RegistrationParties["zone"];
    const dp = {
      ...parties.dp,
      id: "dp-b.example" as typeof parties.dp.id,
      operator: "Operator B",
    };
    return { ...makeRegistrationParties({ manifest: { zone }, dp }), zone };
  })();
  const worldOf = async (knobs: Parameters<typeof contactOf>[1]) => {
    const other = new ScriptedZone({
      parties: theirs,
      contacts: [contactOf(theirs, { count: 2, ...knobs })],
      host: "dp-b.example",
      fillers: 20,
    });
    return await scriptedWorld({ zones: [zoneOf(), other] });
  };

  it("costs that DP its part: the other's mappings are all there, 1 of 2", async () => {
    const { resolver } = await worldOf(fewer);
    const answer = await resolver.lookup(csi);
    expect(mspsOf(answer)).to.deep.equal(both);
    expect(answer.complete).to.deep.equal({ answered: 1, asked: 2 });
    expect(answer.errors.map(({ code, upstream }) => [code, upstream])).to.deep.equal([
      ["BOGUS", "us@dp-b.example"],
    ]);
  });

  it("hides nothing by an older statement of the holder's: the newest one's list counts", async () => {
    const older = { count: 1, statement: { fields: { seq: 1 } } } as const;
    const { resolver } = await worldOf(older);
    expect(mspsOf(await resolver.lookup(csi))).to.deep.equal(both);
  });
});

describe("an older slot of the holder's own, from the only DP", () => {
  it("is shown until its statement ends, and no longer", async () => {
    const old = makeSlot(parties, {
      statement: { fields: { notAfter: nowSeconds + day } },
      mapping: { fields: { notAfter: nowSeconds + day } },
    });
    const zone = zoneOf();
    const { resolver, clock } = await scriptedWorld({ zones: [zone] });
    expect(mspsOf(await resolver.lookup(csi))).to.deep.equal(both);
    const shownAgain = { csi, plaintext: old.plaintext, bits: [0] };
    zone.publish(nowSeconds + 3_700, [shownAgain]);
    await clock.advance(3_700_000);
    const replayed = await resolver.lookup(csi);
    expect(mspsOf(replayed)).to.deep.equal(["wire.example"]);
    expect(replayed.mappings[0]?.notAfter).to.equal(nowSeconds + day);
    const end = day + limits.clockSkewSeconds;
    zone.publish(nowSeconds + end, [shownAgain]);
    await clock.advance((end - 3_700) * 1_000);
    expect((await resolver.lookup(csi)).status).to.equal("none");
  });
});
