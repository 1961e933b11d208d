// Attacks on the caches, each with its measured bound: names asked at random (flood and flush), data that nobody
// asked for, and delegations that were withdrawn (ghost domains).

import { expect } from "chai";
import { parseCsi, type Csi } from "@whither/protocol";
import { createFederation, type Federation } from "@whither/testkit";
import { outcomeOf } from "./both-ways.js";

const alice = parseCsi("+4930123456");

async function start(): Promise<Federation> {
  const federation = await createFederation({ seed: 81 });
  await federation.register({ csi: alice, msps: ["wire.example"] });
  await federation.publish();
  return federation;
}

function randomNames(count: number, from = 5_000_000): readonly Csi[] {
  return Array.from({ length: count }, (_, n) => parseCsi(`+4930${from + n}`));
}

/** Requests that reach a DP from now on, on both of its ports. */
function requestsTo(federation: Federation, dp: string): () => number {
  let requests = 0;
  federation.tap((record) => {
    if (record.kind === "message" && record.direction === "request" && record.to.startsWith(dp))
      requests += 1;
  });
  return () => requests;
}

describe("names asked at random", () => {
  it("of a DP that refuses connections: a handful of requests, then none for each name", async () => {
    await using federation = await start();
    const resolver = await federation.resolver();
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
    await federation.dp("dp-a.example").stop();
    let opened = 0;
    federation.tap(({ to }) => {
      if (to.startsWith("dp-a.example")) opened += 1;
    });
    const outcomes = new Set<string>();
    for (const name of randomNames(500)) outcomes.add(await outcomeOf(resolver, name));
    for (const outcome of outcomes) expect(outcome).to.be.oneOf(["NETWORK", "UNREACHABLE"]);
    expect(opened, "records on the wire for 500 names").to.be.at.most(16);
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
  });

  it("push out of the cache nobody who was asked for twice", async function () {
    this.timeout(60_000);
    await using federation = await start();
    const resolver = await federation.resolver({ cacheBytes: 1024 * 1024 });
    for (let n = 0; n < 3; n++) expect((await resolver.lookup(alice)).status).to.equal("found");
    const requests = requestsTo(federation, "dp-a.example");
    let most = 0;
    for await (const { answer } of resolver.lookupAll(randomNames(1_500), { form: "verbose" })) {
      expect(answer.status).to.equal("none");
      most = Math.max(most, resolver.cache.stats().bytes);
    }
    expect(most).to.be.at.most(1024 * 1024);
    const before = requests();
    const hit = await resolver.lookup(alice);
    expect([hit.status, hit.hops[0]?.from, requests() - before]).to.deep.equal([
      "found",
      "cache",
      0,
    ]);
    // Known without an evaluation, though 1,500 others were evaluated since.
    resolver.cache.flush({ kind: "csi", csi: alice });
    expect((await resolver.lookup(alice)).stats.rpcs).to.equal(1);
  });
});

describe("data that nobody asked for", () => {
  it("is not kept: one contact asked for is one of everything, whatever lies beside it", async () => {
    await using federation = await start();
    for (const name of randomNames(3, 7_000_000)) {
      await federation.register({ csi: name, msps: ["wire.example"] });
    }
    await federation.publish();
    const resolver = await federation.resolver();
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
    const { caches } = resolver.cache.stats();
    const entries = Object.entries(caches).map(([name, { entries }]) => [name, entries]);
    expect(Object.fromEntries(entries)).to.include({
      answers: 1,
      failures: 0,
      evaluations: 1,
      buckets: 1,
      bodies: 1, // of the four that came, the others to hide it
      views: 1,
    });
  });

  it("costs the answer that it came with", async () => {
    await using federation = await start();
    const resolver = await federation.resolver();
    federation.tamper("dp-a.example", {
      bodies: (answer) => ({ ...answer, bodies: [...answer.bodies, new Uint8Array(64)] }),
    });
    expect(await outcomeOf(resolver, alice)).to.equal("BOGUS");
    const { caches } = resolver.cache.stats();
    expect([caches.answers.entries, caches.bodies.entries]).to.deep.equal([0, 0]);
  });
});

describe("a delegation that was withdrawn (ghost domain)", () => {
  it("outlives neither its answer's lifetime nor is renewed at its old DP", async () => {
    await using federation = await start();
    const resolver = await federation.resolver({ mirror: true });
    for (let n = 0; n < 3; n++) expect((await resolver.lookup(alice)).status).to.equal("found");
    // The root gives +49 to another DP; the old one goes on serving what it has.
    federation.replaceDirectory(
      federation.signDirectory({
        prefixes: [
          `"tel:": { zones: [rest@dp-c.example] }`,
          `"tel:+49": { zones: [rest@dp-c.example] }`,
          `"tel:+44": { zones: [gb@dp-b.example] }`,
          `"tel:+999": { unassigned: true }`,
          `"mailto:": { zones: [mail@dp-c.example] }`,
          `"acct:": { zones: [mail@dp-c.example] }`,
        ],
      }),
    );
    // Asked for all the time, so that it is prefetched if anything is: an hour and a poll of the mirror.
    let last = "";
    for (let minutes = 0; minutes < 75; minutes += 3) {
      await federation.clock.advance(180_000);
      last = await outcomeOf(resolver, alice);
    }
    expect(last).to.equal("none");
    // Nor does it come back as a stale answer when the new DP fails.
    await federation.dp("dp-c.example").stop();
    await federation.clock.advance(120_000);
    expect(await outcomeOf(resolver, alice)).to.be.oneOf(["NETWORK", "UNREACHABLE"]);
  });
});
