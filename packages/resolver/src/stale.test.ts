import { expect } from "chai";
import { DiscoveryError, parseCsi, type ErrorCode, type ZoneName } from "@whither/protocol";
import { makeRegistrationParties } from "@whither/testkit";
import type { Answer } from "./answer.js";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds } = parties;
const nobody = parseCsi("+14155550199");
const ttlMs = 3_600_000;

async function expiredAnswer() {
  const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 600 });
  const authorities = [zone.authority()];
  const world = await scriptedWorld({ zones: [zone], authorities });
  await world.resolver.lookup(csi);
  zone.publish(nowSeconds + ttlMs / 1_000);
  await world.clock.advance(ttlMs + 1);
  zone.asked.length = 0;
  const kinds = () => zone.asked.splice(0).map(({ kind }) => kind);
  return { zone, kinds, authorities, ...world };
}

function warnings({ warnings }: Answer): readonly string[] {
  return warnings.map(({ code }) => code);
}

describe("an expired answer", () => {
  it("is shown after 1.8 s; the asking goes on without its caller and refreshes it", async () => {
    const { network, resolver, clock, kinds } = await expiredAnswer();
    network.setFaults({ to: "dp-a.example:7364" }, { delayMs: 1_500 });
    const controller = new AbortController();
    const waiting = resolver.lookup(csi, { signal: controller.signal });
    await clock.advance(1_799);
    await clock.advance(2);
    const stale = await waiting;
    expect(stale).to.include({ status: "found", ttlSeconds: 30 });
    expect(warnings(stale)).to.deep.equal(["STALE"]);
    controller.abort();
    await clock.advance(2_000);
    kinds();
    const fresh = await resolver.lookup(csi);
    // Fetched 3 s after it was asked for, 0.8 s ago.
    expect([fresh.ttlSeconds, warnings(fresh), kinds()]).to.deep.equal([3_600, [], []]);
  });

  it("is asked for once, however many are given the old one", async () => {
    const { zone, resolver, clock, kinds } = await expiredAnswer();
    zone.lies.silent = () => true;
    const all = Array.from({ length: 20 }, () => resolver.lookup(csi));
    await clock.advance(1_801);
    const stale = await Promise.all(all);
    for (const one of stale) expect(warnings(one)).to.deep.equal(["STALE"]);
    expect(kinds()).to.deep.equal(["bucket"]);
  });

  it("after a failed refresh is shown at once, and nobody is asked for the failure's interval", async () => {
    const { zone, resolver, clock, kinds } = await expiredAnswer();
    zone.lies.silent = () => true;
    const first = resolver.lookup(csi);
    await clock.advance(7_001); // the whole time of a query
    expect(warnings(await first)).to.deep.equal(["STALE"]);
    kinds();
    const again = await resolver.lookup(csi);
    expect(warnings(again)).to.deep.equal(["STALE"]);
    expect(again.errors.map(({ code }) => code)).to.deep.equal(["DEADLINE"]);
    expect(kinds()).to.deep.equal([]);
    zone.lies.silent = () => false;
    await clock.advance(5_001);
    expect(warnings(await resolver.lookup(csi))).to.deep.equal([]);
  });

  it("ends with its caller's signal, and at its caller's time-out is shown", async () => {
    const { zone, resolver, clock } = await expiredAnswer();
    zone.lies.silent = () => true;
    const controller = new AbortController();
    const cancelled = codeOf(resolver.lookup(csi, { signal: controller.signal }));
    controller.abort();
    expect(await cancelled).to.equal("CANCELLED");
    const short = resolver.lookup(csi, { timeoutMs: 100 });
    await clock.advance(101);
    expect(warnings(await short)).to.deep.equal(["STALE"]);
  });

  const outcomes: readonly [ErrorCode, "stale" | "thrown"][] = [
    ["NETWORK", "stale"],
    ["OVERLOADED", "stale"],
    ["LIMITED", "stale"],
    ["NOT_AUTHORITATIVE", "stale"],
    ["BOGUS", "stale"],
    ["PROHIBITED", "thrown"],
    ["BLOCKED", "thrown"],
  ];
  for (const [code, outcome] of outcomes) {
    it(`${code} of the DP: ${outcome}`, async () => {
      const { zone, resolver } = await expiredAnswer();
      zone.lies.fail = () => new DiscoveryError(code, "scripted");
      if (outcome === "thrown") expect(await codeOf(resolver.lookup(csi))).to.equal(code);
      else {
        const answer = await resolver.lookup(csi);
        expect(warnings(answer)).to.deep.equal(["STALE"]);
        expect(answer.errors.map((error) => error.code)).to.include(code);
      }
    });
  }

  it("of nobody is never shown", async () => {
    const { zone, resolver, clock } = await expiredAnswer();
    expect((await resolver.lookup(nobody)).status).to.equal("none");
    zone.lies.fail = () => new DiscoveryError("OVERLOADED", "down");
    await clock.advance(61_000);
    expect(await codeOf(resolver.lookup(nobody))).to.equal("OVERLOADED");
  });

  it("in compact form, the DP's word, is never shown", async () => {
    const { zone, resolver, clock } = await expiredAnswer();
    await resolver.lookup(csi, { form: "compact" });
    await clock.advance(ttlMs + 1);
    zone.lies.fail = () => new DiscoveryError("OVERLOADED", "down");
    expect(await codeOf(resolver.lookup(csi, { form: "compact" }))).to.equal("OVERLOADED");
  });

  it("is not shown when its mapping has ended by the wall clock", async () => {
    const { zone, resolver, clock } = await expiredAnswer();
    zone.lies.fail = () => new DiscoveryError("OVERLOADED", "down");
    expect(warnings(await resolver.lookup(csi))).to.deep.equal(["STALE"]);
    clock.shiftWall(90 * 86_400_000);
    expect(await codeOf(resolver.lookup(csi))).not.to.equal("ok");
  });

  it("is not shown once a proof of absence was seen, in whatever form and for whomever", async () => {
    for (const seen of ["compact", "another contact"] as const) {
      const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 100 });
      const { resolver, clock } = await scriptedWorld({ zones: [zone] });
      await resolver.lookup(csi);
      zone.remove(csi);
      zone.publish(nowSeconds + 3_601);
      await clock.advance(ttlMs + 1);
      const other = seen === "compact" ? csi : nobody; // all lie in the one bucket
      expect((await resolver.lookup(other, { form: "compact" })).status).to.equal("none");
      zone.lies.fail = () => new DiscoveryError("OVERLOADED", "down");
      await clock.advance(61_000);
      expect(await codeOf(resolver.lookup(csi)), seen).to.equal("OVERLOADED");
    }
  });

  it("is not shown when the directory has given its prefix to another zone (ghost domain)", async () => {
    const { zone, resolver, authorities } = await expiredAnswer();
    zone.lies.fail = () => new DiscoveryError("OVERLOADED", "down");
    expect(warnings(await resolver.lookup(csi))).to.deep.equal(["STALE"]);
    resolver.cache.flush({ kind: "failures" });
    authorities[0] = zone.authority({ zone: "us@dp-b.example" as ZoneName }); // a name, shaped so
    expect(await codeOf(resolver.lookup(csi))).to.equal("OVERLOADED");
  });
});
