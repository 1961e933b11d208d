// What goes on working: the root stopped, a DP restarted, links cut and healed, a whole address book at once;
// and what an honest federation answers, proven, mirrored and walking.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseCsi, type Csi } from "@whither/protocol";
import { createFederation, rootSourceText, type Federation } from "@whither/testkit";
import { decodeMessage } from "@whither/rpc";
import { ExchangeRequestSchema } from "@whither/wire";
import { bothWays, mspsOf, outcomeOf } from "./both-ways.js";

const alice = parseCsi("+4930123456");
const ada = parseCsi("+442079460123");
const mail = parseCsi("mailto:alice@example.org");
const nobody = parseCsi("+4930123499");

async function start(): Promise<Federation> {
  const federation = await createFederation({ seed: 71 });
  await federation.register({ csi: alice, msps: ["wire.example", "video.example"] });
  await federation.register({ csi: ada, msps: ["video.example"] });
  await federation.register({ csi: mail, msps: ["chat.example"] });
  await federation.publish();
  return federation;
}

describe("an honest federation", () => {
  bothWays("answers one, several, none and unassigned, each with its proof", async (mirror) => {
    await using federation = await start();
    const resolver = await federation.resolver({ mirror });
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example video.example");
    expect(await outcomeOf(resolver, ada)).to.equal("found video.example");
    expect(await outcomeOf(resolver, mail)).to.equal("found chat.example");
    const absent = await resolver.lookup(nobody);
    expect(absent).to.include({ status: "none" });
    expect(absent.proof).to.include({ kind: "absence", verified: true, zone: "de@dp-a.example" });
    expect(absent.complete).to.deep.equal({ answered: 1, asked: 1 });
    const unassigned = await resolver.lookup("tel:+99912345678" as Csi);
    expect(unassigned).to.include({ status: "none" });
    expect(unassigned.proof).to.include({ kind: "absence", verified: true, zone: "." });
    expect(unassigned.complete).to.deep.equal({ answered: 0, asked: 0 });
  });

  bothWays(
    "keeps the holder's order when it changes, and loses what the holder removes",
    async (mirror) => {
      await using federation = await start();
      const { holder } = federation.person(alice);
      const registrant = federation.people.registrant();
      const previous = federation.people.memory(alice)!;
      const swapped = await registrant.change({
        csi: alice,
        holder,
        previous,
        keep: (items) => items.map((item) => ({ ...item, preference: 9 - item.preference })),
      });
      await federation.publish();
      const resolver = await federation.resolver({ mirror });
      const first = await resolver.lookup(alice);
      expect(mspsOf(first)).to.deep.equal(["video.example", "wire.example"]);
      expect(first.choice?.msp).to.equal("video.example");
      await registrant.change({ csi: alice, holder, previous: swapped.memory, keep: () => [] });
      await federation.publish();
      const gone = await resolver.lookup(alice, { refresh: true });
      expect(gone.status).to.equal("none");
      expect(gone.proof.kind).to.equal("absence");
    },
  );

  bothWays("finds a new registration within the absence TTL and an epoch", async (mirror) => {
    await using federation = await start();
    const resolver = await federation.resolver({ mirror });
    expect(await outcomeOf(resolver, nobody)).to.equal("none");
    await federation.register({ csi: nobody, msps: ["wire.example"] });
    await federation.clock.advance(30_000 + 61_000); // no test hook: the zone publishes by itself
    expect(await outcomeOf(resolver, nobody)).to.equal("found wire.example");
  });

  it("asks two DPs of one prefix, and says who answered", async () => {
    await using federation = await createFederation({
      seed: 72,
      dps: [
        { id: "dp-a.example", zones: ["de"] },
        { id: "dp-b.example", zones: ["de"] },
      ],
      prefixes: [`"tel:+49": { zones: [de@dp-a.example, de@dp-b.example] }`],
    });
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.publish();
    for (const mirror of [true, false]) {
      const resolver = await federation.resolver({ mirror });
      expect((await resolver.lookup(alice)).complete).to.deep.equal({ answered: 2, asked: 2 });
      expect((await resolver.lookup(nobody)).complete).to.deep.equal({ answered: 2, asked: 2 });
      federation.tamper("dp-b.example", { bucket: (answer) => ({ ...answer, count: 0 }) });
      const found = await resolver.lookup(alice, { refresh: true });
      expect(found).to.include({ status: "found" });
      expect(found.complete).to.deep.equal({ answered: 1, asked: 2 });
      expect(found.errors.map(({ code }) => code)).to.deep.equal(["BOGUS"]);
      const none = await resolver.lookup(nobody, { refresh: true });
      expect(none).to.include({ status: "incomplete" });
      federation.tamper("dp-b.example", undefined);
      expect((await resolver.lookup(nobody, { refresh: true })).status).to.equal("none");
    }
  });
});

describe("with the root stopped", () => {
  it("lookups go on from the mirror until the directory ends, then say so", async () => {
    const hourMs = 3_600_000;
    const prefixes = [`"tel:+49": { zones: [de@dp-a.example] }`, `"tel:+44": { unassigned: true }`];
    await using federation = await createFederation({
      seed: 74,
      dps: [{ id: "dp-a.example", zones: ["de"] }],
      rootZone: rootSourceText(prefixes, 24 * 3_600),
    });
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.publish();
    const resolver = await federation.resolver({ mirror: true });
    await federation.stopDirectory();
    for (let hours = 0; hours < 24; hours += 8) {
      expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
      expect(await outcomeOf(resolver, nobody)).to.equal("none");
      expect(await outcomeOf(resolver, ada)).to.equal("none");
      await federation.clock.advance(8 * hourMs);
    }
    await federation.clock.advance(301_000); // what clocks may differ by
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal("UNREACHABLE");
    federation.startDirectory();
    federation.replaceDirectory();
    await federation.clock.advance(1_100_000);
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal("found wire.example");
  });

  it("a walk goes on with what it holds, and says UNREACHABLE for the rest", async () => {
    await using federation = await start();
    const resolver = await federation.resolver({ mirror: false });
    expect((await resolver.lookup(alice)).status).to.equal("found");
    await federation.stopDirectory();
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(
      "found wire.example video.example",
    );
    expect(await outcomeOf(resolver, nobody)).to.equal("none");
    expect(await outcomeOf(resolver, mail)).to.equal("UNREACHABLE");
    federation.startDirectory();
    await federation.clock.advance(6_000);
    expect(await outcomeOf(resolver, mail)).to.equal("found chat.example");
  });

  it("a resolver starts from the mirror on its disk", async () => {
    const statePath = await mkdtemp(join(tmpdir(), "whither-scenario-"));
    try {
      await using federation = await start();
      const before = await federation.resolver({
        mirror: true,
        statePath: join(statePath, "state"),
      });
      expect((await before.lookup(alice)).status).to.equal("found");
      await before.close();
      await federation.stopDirectory();
      const after = await federation.resolver({
        mirror: true,
        statePath: join(statePath, "state"),
      });
      expect(await outcomeOf(after, mail)).to.equal("found chat.example");
    } finally {
      await rm(statePath, { recursive: true });
    }
  });
});

describe("a DP that restarts", () => {
  bothWays(
    "continues its serials; what was promised is there; the same resolver goes on",
    async (mirror) => {
      await using federation = await start();
      const resolver = await federation.resolver({ mirror });
      expect((await resolver.lookup(alice)).status).to.equal("found");
      const before = federation.zone("de@dp-a.example").mapping.head();
      const { registered } = await federation.register({ csi: nobody, msps: ["wire.example"] });
      expect(registered[0]!.promise.by).to.be.greaterThan(0);
      await federation.restart("dp-a.example"); // before the epoch that was promised
      await federation.publish();
      const after = federation.zone("de@dp-a.example").mapping.head();
      expect(after.epoch).to.equal(before.epoch);
      expect(after.serial).to.be.greaterThan(before.serial);
      expect(after.mapSize).to.equal(before.mapSize + 1);
      expect(await outcomeOf(resolver, nobody, { refresh: true })).to.equal("found wire.example");
      expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(
        "found wire.example video.example",
      );
      expect(resolver.evidence()).to.deep.equal([]);
    },
  );

  bothWays(
    "is UNREACHABLE or NETWORK while it is down; what is known is still told",
    async (mirror) => {
      await using federation = await start();
      const resolver = await federation.resolver({ mirror });
      expect((await resolver.lookup(alice)).status).to.equal("found");
      await federation.dp("dp-a.example").stop();
      expect(await outcomeOf(resolver, alice)).to.equal("found wire.example video.example");
      expect(await outcomeOf(resolver, nobody)).to.equal("NETWORK");
      expect(await outcomeOf(resolver, ada)).to.equal("found video.example");
      await federation.clock.advance(3_600_000);
      const stale = await resolver.lookup(alice);
      expect(mspsOf(stale)).to.deep.equal(["wire.example", "video.example"]);
      expect(stale.warnings.map(({ code }) => code)).to.deep.equal(["STALE"]);
      await federation.dp("dp-a.example").start();
      await federation.clock.advance(60_000);
      const fresh = await resolver.lookup(alice);
      expect(fresh.warnings).to.deep.equal([]);
      expect(await outcomeOf(resolver, nobody)).to.equal("none");
    },
  );
});

describe("an address book of 600 contacts at two DPs", () => {
  bothWays("shares an Evaluate between up to 128, and every answer is right", async (mirror) => {
    await using federation = await createFederation({ seed: 73 });
    const german = Array.from({ length: 300 }, (_, n) => parseCsi(`+4930${5_000_000 + n}`));
    const british = Array.from({ length: 300 }, (_, n) => parseCsi(`+4420${79_460_000 + n}`));
    const registered = new Set<string>();
    for (const csi of [german[0]!, german[150]!, german[299]!, british[7]!]) {
      await federation.register({ csi, msps: ["wire.example"] });
      registered.add(csi);
    }
    await federation.publish();
    const evaluates = new Map<string, number[]>();
    federation.tap((record) => {
      if (record.kind !== "message" || record.direction !== "request") return;
      if (!record.method.endsWith("/Exchange")) return;
      const { request } = decodeMessage(ExchangeRequestSchema, record.bytes);
      if (request.case !== "evaluate") return;
      const sizes = evaluates.get(record.to) ?? [];
      sizes.push(request.value.blinded.length / 32);
      evaluates.set(record.to, sizes);
    });
    const book = german.flatMap((csi, at) => [csi, british[at]!]);
    const resolver = await federation.resolver({ mirror });
    const order: string[] = [];
    for await (const { csi, answer } of resolver.lookupAll(book)) {
      order.push(csi);
      expect(answer.status, csi).to.equal(registered.has(csi) ? "found" : "none");
    }
    expect(order).to.deep.equal(book);
    expect([...evaluates.keys()].sort()).to.deep.equal(["dp-a.example:7354", "dp-b.example:7354"]);
    for (const sizes of evaluates.values()) {
      expect(sizes.length, sizes.join(" ")).to.be.at.most(Math.ceil(300 / 128));
      expect(sizes.reduce((sum, size) => sum + size)).to.equal(300);
    }
  });

  bothWays("goes on past one that is refused, and past a DP that lies", async (mirror) => {
    await using federation = await start();
    federation.tamper("dp-b.example", {
      evaluate: (answer) => ({ ...answer, proof: new Uint8Array(64) }),
    });
    const resolver = await federation.resolver({ mirror });
    const outcomes: string[] = [];
    for await (const { answer } of resolver.lookupAll([alice, ada, mail, nobody])) {
      outcomes.push(answer.status);
    }
    expect(outcomes).to.deep.equal(["found", "bogus", "found", "none"]);
    federation.tamper("dp-b.example", undefined);
    await federation.clock.advance(6_000);
    expect(await outcomeOf(resolver, ada)).to.equal("found video.example");
  });
});
