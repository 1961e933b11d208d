// A DP's operator ends a registration: what whoever asks learns of it, at the DP and at its replicas, and that a
// restart brings nothing back.

import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import { createFederation, type Federation } from "@whither/testkit";
import { bothWays, mspsOf, outcomeOf } from "./both-ways.js";

const [anna, bert] = [parseCsi("+4930123456"), parseCsi("+4930123457")];
const zone = "de@dp-a.example";
const replicas = [{ id: "full.example", probe: anna, full: true }];

async function populated(): Promise<Federation> {
  const federation = await createFederation({
    dps: [{ id: "dp-a.example", zones: ["de"], replicas }],
    prefixes: [`"tel:+49": { zones: [${zone}] }`],
  });
  for (const csi of [anna, bert]) await federation.register({ csi, msps: ["wire.example"] });
  await published(federation);
  return federation;
}

/** At the replica too. */
async function published(federation: Federation): Promise<void> {
  await federation.publish();
  await federation.clock.advance(5_000);
}

describe("a registration that the operator ends", () => {
  bothWays("is proven absent, and said to have vanished to who knew it", async (mirror) => {
    await using federation = await populated();
    const resolver = await federation.resolver({ mirror });
    expect(mspsOf(await federation.during(resolver.lookup(anna)))).to.deep.equal(["wire.example"]);
    const { registrations } = federation.zone(zone).mapping;
    expect(await registrations.invalidate(anna, "notice 4711")).to.be.true;
    await published(federation);
    const answer = await federation.during(resolver.lookup(anna, { refresh: true }));
    expect([answer.status, answer.complete]).to.deep.equal(["none", { answered: 1, asked: 1 }]);
    expect(answer.warnings.map(({ code }) => code)).to.deep.equal(["VANISHED"]);
    const stranger = await federation.resolver({ mirror });
    const fresh = await federation.during(stranger.lookup(anna));
    expect([fresh.status, fresh.warnings]).to.deep.equal(["none", []]);
    expect(mspsOf(await federation.during(stranger.lookup(bert)))).to.deep.equal(["wire.example"]);
  });

  it("may begin again when its holder registers", async () => {
    await using federation = await populated();
    await federation.zone(zone).mapping.registrations.invalidate(anna, "by mistake");
    await published(federation);
    await federation.register({ csi: anna, msps: ["video.example"], forget: true });
    await published(federation);
    const resolver = await federation.resolver();
    expect(await federation.during(outcomeOf(resolver, anna))).to.equal("found video.example");
  });

  it("is erased at the replicas too, and stays so when the DP starts again", async () => {
    await using federation = await populated();
    const dp = federation.dp("dp-a.example");
    expect(await federation.zone(zone).mapping.registrations.erase(anna)).to.be.true;
    await federation.clock.advance(5_000);
    await dp.stop();
    const resolver = await federation.resolver();
    const atReplica = { refresh: true } as const;
    expect(await federation.during(outcomeOf(resolver, anna, atReplica))).to.equal("none");
    expect(await federation.during(outcomeOf(resolver, bert, atReplica))).to.equal(
      "found wire.example",
    );
    await dp.start();
    const again = await federation.resolver();
    expect(await federation.during(outcomeOf(again, anna))).to.equal("none");
    const found = await federation.zone(zone).mapping.registrations.find(anna);
    expect([found.state, found.removal?.kind]).to.deep.equal(["none", "erased"]);
  });
});
