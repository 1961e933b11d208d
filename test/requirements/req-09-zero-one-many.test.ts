// Requirement 9 (MIMI Discovery requirements): discovery accommodates zero, one or several messaging providers;
// the later revision wants five outcomes told apart.
//
// | must | must not |
// |---|---|
// | zero be proven by every DP asked | be concluded from silence |
// | one and many come in the holder's order, the same every time | be ordered, or left out, by a DP |
// | some DPs silent be `incomplete`, all silent a failure | look like absence |
// | mappings of two holders be told as a conflict | be mixed into one answer |
// | a prefix that nobody serves be proven by the directory | look like an unreachable DP |

import { parseCsi } from "@whither/protocol";
import { createFederation, fixedSigner, type Federation } from "@whither/testkit";
import { expect } from "chai";
import { bothWays, mspsOf, outcomeOf } from "../scenarios/both-ways.js";
import { alice, bob } from "./readers.js";

const twoDps = {
  dps: [
    { id: "dp-a.example", zones: ["de"] },
    { id: "dp-b.example", zones: ["de"] },
  ],
  prefixes: [
    `"tel:": { unassigned: true }`,
    `"tel:+49": { zones: [de@dp-a.example, de@dp-b.example] }`,
  ],
};

function silence(federation: Federation, ...dps: readonly string[]): void {
  for (const dp of dps) {
    const { clientAddress, publicAddress } = federation.dp(dp).identity;
    for (const to of [clientAddress, publicAddress]) {
      federation.network.setFaults({ to }, { partition: "refused" });
    }
  }
}

describe("requirement 9: zero, one or many", () => {
  bothWays("zero is proven by each DP, one and many come in the holder's order", async (mirror) => {
    await using federation = await createFederation(twoDps);
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.register({
      csi: bob,
      msps: ["video.example", "chat.example", "wire.example"],
    });
    await federation.publish();
    const resolver = await federation.resolver({ mirror });
    const none = await resolver.lookup(parseCsi("+4930123999"));
    expect(none).to.include({ status: "none" });
    expect(none.complete).to.deep.equal({ answered: 2, asked: 2 });
    expect(none.dps.map(({ outcome }) => outcome)).to.deep.equal(["absent", "absent"]);
    const one = await resolver.lookup(alice);
    expect(mspsOf(one)).to.deep.equal(["wire.example"]);
    const many = await resolver.lookup(bob);
    expect(mspsOf(many)).to.deep.equal(["video.example", "chat.example", "wire.example"]);
    expect(many.choice?.msp).to.equal("video.example");
    const again = await resolver.lookup(bob, { refresh: true });
    expect(mspsOf(again)).to.deep.equal(mspsOf(many));
  });

  bothWays("a prefix that nobody serves is proven so by the directory", async (mirror) => {
    await using federation = await createFederation(twoDps);
    const answer = await (await federation.resolver({ mirror })).lookup(parseCsi("+33123456789"));
    expect(answer).to.include({ status: "none" });
    expect(answer.complete).to.deep.equal({ answered: 0, asked: 0 });
    expect(answer.proof).to.include({ kind: "absence", verified: true, zone: "." });
  });

  it("one silent DP makes an absence incomplete, and a presence found at 1 of 2", async () => {
    await using federation = await createFederation(twoDps);
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.publish();
    silence(federation, "dp-b.example");
    const resolver = await federation.resolver();
    const incomplete = await federation.during(resolver.lookup(bob));
    expect(incomplete).to.include({ status: "incomplete" });
    expect(incomplete.complete).to.deep.equal({ answered: 1, asked: 2 });
    expect(incomplete.errors.map(({ upstream }) => upstream).join()).to.include("dp-b.example");
    const found = await federation.during(resolver.lookup(alice));
    expect(mspsOf(found)).to.deep.equal(["wire.example"]);
    expect(found.complete).to.deep.equal({ answered: 1, asked: 2 });
  });

  it("all silent is a failure and no answer", async () => {
    await using federation = await createFederation(twoDps);
    const resolver = await federation.resolver();
    silence(federation, "dp-a.example", "dp-b.example");
    const outcome = await federation.during(outcomeOf(resolver, alice));
    expect(outcome).to.be.oneOf(["UNREACHABLE", "NETWORK"]);
  });

  it("two holders of one identifier are a conflict of which one side counts", async () => {
    await using federation = await createFederation(twoDps);
    const zones = ["de@dp-a.example", "de@dp-b.example"].map((name) => federation.zone(name).zone);
    await federation.register({ csi: alice, msps: ["wire.example"], zones: zones.slice(0, 1) });
    await federation.clock.advance(60_000);
    await federation.register({
      csi: alice,
      msps: ["video.example"],
      holder: fixedSigner("another holder"),
      forget: true,
      zones: zones.slice(1),
    });
    await federation.publish();
    const answer = await (await federation.resolver()).lookup(alice);
    expect(mspsOf(answer), "the older one, of equal level").to.deep.equal(["wire.example"]);
    expect(answer.warnings.map(({ code }) => code)).to.include("CONFLICT");
    expect(answer.dps.map(({ outcome }) => outcome)).to.deep.equal(["present", "conflict"]);
  });
});

// Open: "opted out", the empty audience slot that only those entitled can tell from absence (Ask); the DP's look
// at the other DPs before it activates a first mapping (Register).
