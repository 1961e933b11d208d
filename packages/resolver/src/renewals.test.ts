import { expect } from "chai";
import { DiscoveryError, limits, parseCsi, type Csi } from "@whither/protocol";
import { makeRegistrationParties } from "@whither/testkit";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds } = parties;

async function worldOf() {
  const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 600 });
  const world = await scriptedWorld({ zones: [zone] });
  await world.resolver.lookup(csi);
  zone.asked.length = 0;
  const kinds = () => zone.asked.splice(0).map(({ kind }) => kind);
  /** To a second of the answer's lifetime of an hour, with a head that is young then. */
  const at = async (second: number): Promise<void> => {
    zone.publish(nowSeconds + second);
    await world.clock.advance(second * 1_000);
  };
  return { zone, kinds, at, ...world };
}

describe("prefetch", () => {
  it("asks for the successor in the last tenth, at the second hit, while the hit gets what is there", async () => {
    const { resolver, clock, kinds, at } = await worldOf();
    const held = await resolver.lookup(csi);
    await at(3_239);
    await resolver.lookup(csi);
    await clock.settle();
    expect(kinds()).to.deep.equal([]);
    await clock.advance(2_000);
    expect(await resolver.lookup(csi)).to.equal(held);
    expect(await resolver.lookup(csi)).to.equal(held);
    await clock.settle();
    expect(kinds()).to.deep.equal(["bucket"]);
    const next = await resolver.lookup(csi);
    expect(next).not.to.equal(held);
    expect([next.status, next.ttlSeconds]).to.deep.equal(["found", 3_600]);
  });

  it("does not ask for what was asked for once only", async () => {
    const { resolver, clock, kinds, at } = await worldOf();
    await at(3_500);
    await resolver.lookup(csi);
    await clock.settle();
    expect(kinds()).to.deep.equal([]);
    await resolver.lookup(csi);
    await clock.settle();
    expect(kinds()).to.deep.equal(["bucket"]);
  });

  it("that fails leaves the answer as it is and is not tried again", async () => {
    const { zone, resolver, clock, kinds, at } = await worldOf();
    const held = await resolver.lookup(csi);
    await at(3_500);
    zone.lies.fail = () => new DiscoveryError("OVERLOADED", "down");
    for (let n = 0; n < 5; n++) {
      expect(await resolver.lookup(csi)).to.equal(held);
      await clock.settle();
    }
    expect(kinds()).to.deep.equal(["bucket"]);
  });

  it("ends with the resolver", async () => {
    const { zone, resolver, clock, kinds, at } = await worldOf();
    await resolver.lookup(csi);
    await at(3_500);
    zone.lies.silent = () => true;
    await resolver.lookup(csi);
    await clock.settle();
    await resolver.close();
    expect(kinds()).to.deep.equal(["bucket"]);
    expect(await codeOf(resolver.lookup(csi))).to.equal("CANCELLED");
  });

  it("runs for a bounded number of contacts at a time", async () => {
    const { zone, resolver, clock, delegations } = await worldOf();
    const book = Array.from({ length: 100 }, (_, n): Csi => parseCsi(`+1415555${1_000 + n}`));
    for await (const item of resolver.lookupAll(book)) expect(item.answer.status).to.equal("none");
    await clock.advance(58_000); // absences live for a minute
    zone.publish(nowSeconds + 58);
    zone.lies.silent = () => true;
    delegations.count = 0;
    for (const one of [...book, ...book]) await resolver.lookup(one, { form: "compact" });
    await clock.settle();
    expect(delegations.count).to.equal(limits.prefetchesMax);
    await resolver.close();
  });

  it("of another holder's key leaves the warning to whoever asks next", async () => {
    const { zone, resolver, clock, at } = await worldOf();
    resolver.choose(csi, undefined);
    await resolver.lookup(csi);
    await resolver.lookup(csi);
    zone.remove(csi);
    await at(3_500);
    await resolver.lookup(csi);
    await resolver.lookup(csi);
    await clock.settle();
    const told = await resolver.lookup(csi);
    expect(told.status).to.equal("none");
    expect(told.warnings.map(({ code }) => code)).to.deep.equal(["VANISHED"]);
  });
});
