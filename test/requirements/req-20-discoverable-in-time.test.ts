// Requirement 20 (MIMI Discovery requirements): a new mapping is discoverable within a standardized maximum time.
//
// | must | must not |
// |---|---|
// | the DP promise a time, at most 60 s ahead, and keep it | forget a promise over a restart |
// | a change be published within `epoch_s` = 30 s | wait for the next regular head |
// | an absence be cached for 60 s at most | outlive the mapping by more |
// | the bounds stand in the manifest | be exceeded: under 3 minutes for whoever asked just before |

import { createFederation } from "@whither/testkit";
import { limits } from "@whither/protocol";
import { expect } from "chai";
import { outcomeOf } from "../scenarios/both-ways.js";
import { alice } from "./readers.js";

const zone = "de@dp-a.example";

describe("requirement 20: discoverable within a maximum time", () => {
  it("the manifest names its bounds, and they are under three minutes", async () => {
    await using federation = await createFederation();
    const { manifest } = federation.zone(zone);
    expect(manifest.epochSeconds).to.be.at.most(30);
    expect(manifest.absenceTtlSeconds).to.be.at.most(60);
    expect(manifest.policy.discoveryMaxSeconds).to.be.at.most(180);
    expect(limits.promiseSeconds).to.equal(60);
  });

  it("a promise lies at most 60 s ahead, and its mapping is published within an epoch of it", async () => {
    await using federation = await createFederation();
    const startSeconds = federation.clock.nowSeconds();
    const { registered } = await federation.register({ csi: alice, msps: ["wire.example"] });
    const [made] = registered;
    if (made === undefined) throw new Error("not registered");
    expect(made.promise.by - startSeconds).to.be.within(1, 60);
    const { mapping } = federation.zone(zone);
    expect(mapping.status(made.statementSha256).kind).to.equal("pending");
    const before = mapping.head().serial;
    // By itself: nothing here tells the zone to publish.
    await federation.clock.advance((federation.zone(zone).manifest.epochSeconds + 1) * 1000);
    expect(mapping.status(made.statementSha256).kind).to.equal("published");
    expect(mapping.head().serial).to.equal(before + 1);
    expect(federation.clock.nowSeconds()).to.be.at.most(made.promise.by);
  });

  it("who was told `none` a moment before finds it in less than three minutes", async () => {
    await using federation = await createFederation();
    const resolver = await federation.resolver();
    expect(await outcomeOf(resolver, alice)).to.equal("none");
    const startSeconds = federation.clock.nowSeconds();
    await federation.register({ csi: alice, msps: ["wire.example"] });
    const { discoveryMaxSeconds } = federation.zone(zone).manifest.policy;
    let outcome = "";
    while (outcome !== "found wire.example") {
      await federation.clock.advance(5_000);
      const spentSeconds = federation.clock.nowSeconds() - startSeconds;
      expect(spentSeconds, outcome).to.be.below(discoveryMaxSeconds);
      outcome = await outcomeOf(resolver, alice);
    }
  });

  it("an absence is given for 60 s at most, a mapping for an hour", async () => {
    await using federation = await createFederation();
    const resolver = await federation.resolver();
    const absent = await resolver.lookup(alice);
    expect(absent.ttlSeconds).to.be.within(1, 60);
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.publish();
    const found = await resolver.lookup(alice, { refresh: true });
    expect(found.ttlSeconds).to.be.within(1, 3_600);
  });

  it("a promise outlives a restart of the DP", async () => {
    await using federation = await createFederation();
    const { registered } = await federation.register({ csi: alice, msps: ["wire.example"] });
    const [made] = registered;
    if (made === undefined) throw new Error("not registered");
    const serial = federation.zone(zone).mapping.head().serial;
    await federation.restart("dp-a.example");
    expect(federation.zone(zone).mapping.head().serial).to.be.at.least(serial);
    await federation.clock.advance(31_000);
    expect(federation.zone(zone).mapping.status(made.statementSha256).kind).to.equal("published");
    expect(federation.clock.nowSeconds()).to.be.at.most(made.promise.by);
    expect(await outcomeOf(await federation.resolver(), alice)).to.equal("found wire.example");
  });
});

// With `kill -9` of the process: test/e2e/dpd-kill.test.ts.
// Open: push to caches, which makes it seconds (Hold); the time of removals (Register).
