import { expect } from "chai";
import { DiscoveryError, limits, parseCsi, type Csi } from "@whither/protocol";
import { makeRegistrationParties } from "@whither/testkit";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds } = parties;
const nobody = parseCsi("+14155550199");
const book = (n: number): Csi[] =>
  Array.from({ length: n }, (_, i) => parseCsi(`+1415555${String(i).padStart(4, "0")}`));

async function worldOf(fillers = 600) {
  const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers });
  const world = await scriptedWorld({ zones: [zone] });
  const kinds = () => zone.asked.splice(0).map(({ kind }) => kind);
  return { zone, kinds, ...world };
}

describe("caches", () => {
  it("give the same small object for every hit, without asking anybody anything", async () => {
    const { resolver, kinds, delegations } = await worldOf();
    await resolver.lookup(csi);
    kinds();
    delegations.count = 0;
    const hit = await resolver.lookup(csi);
    expect(await resolver.lookup(csi)).to.equal(hit);
    expect(await resolver.lookup(csi, { timeoutMs: 100 })).to.equal(hit);
    expect([kinds(), delegations.count]).to.deep.equal([[], 0]);
    expect(hit.mappings).to.equal(hit.mappings);
    expect(hit.mappings.map(({ msp }) => msp)).to.deep.equal(["wire.example"]);
    expect(hit.stats.rpcs).to.equal(0);
  });

  it("hold once what the answers of one epoch say alike", async () => {
    const { resolver } = await worldOf();
    const other = parseCsi("+14155550198");
    const twice = async (whom: Csi) => [await resolver.lookup(whom), await resolver.lookup(whom)];
    const [, one] = await twice(nobody);
    const [fresh, two] = await twice(other);
    for (const part of ["complete", "dps", "proof", "hops", "warnings"] as const) {
      expect(two?.[part], part).to.equal(one?.[part]);
    }
    expect(two?.dps).to.deep.equal(fresh?.dps);
    expect(two?.proof).to.not.equal(fresh?.proof);
  });

  it("count the time to live down", async () => {
    const { resolver, clock } = await worldOf();
    const answer = await resolver.lookup(csi);
    await clock.advance(10_000);
    expect([answer.ttlSeconds, (await resolver.lookup(csi)).ttlSeconds]).to.deep.equal([
      3590, 3590,
    ]);
  });

  it("ask only for the bucket of a known contact, and for nothing if that is fresh", async () => {
    const { zone, resolver, clock, kinds } = await worldOf();
    await resolver.lookup(csi);
    kinds();
    expect((await resolver.lookup(csi, { form: "compact" })).stats.rpcs).to.equal(0);
    expect(kinds()).to.deep.equal([]);
    zone.publish(nowSeconds + 3_601);
    await clock.advance(3_601_000);
    const again = await resolver.lookup(csi);
    expect(again.status).to.equal("found");
    expect(kinds()).to.deep.equal(["bucket"]);
  });

  it("keep an absence for a minute only, presence in the same bucket for longer", async () => {
    const { resolver, clock, kinds } = await worldOf(0);
    await resolver.lookup(nobody);
    kinds();
    await clock.advance(59_000);
    await resolver.lookup(nobody);
    expect(kinds()).to.deep.equal([]);
    await clock.advance(1_001);
    await resolver.lookup(csi, { form: "compact" });
    expect(kinds()).to.deep.equal(["evaluate"]);
    await resolver.lookup(nobody);
    expect(kinds()).to.deep.equal(["bucket"]);
  });

  it("remember a failure for 5 s, then 10 s; it never hides an answer", async () => {
    const { zone, resolver, clock, kinds } = await worldOf();
    zone.lies.fail = (kind) =>
      kind === "bucket" ? new DiscoveryError("NOT_AUTHORITATIVE", "lame") : undefined;
    const failing = async (): Promise<number> => {
      expect(await codeOf(resolver.lookup(csi))).to.equal("NOT_AUTHORITATIVE");
      return kinds().filter((kind) => kind === "bucket").length;
    };
    expect(await failing()).to.equal(1);
    expect(await failing()).to.equal(0);
    await clock.advance(5_001);
    expect(await failing()).to.equal(1);
    await clock.advance(5_001);
    expect(await failing()).to.equal(0);
    zone.lies.fail = undefined as never;
    await clock.advance(5_001);
    expect((await resolver.lookup(csi)).status).to.equal("found");
  });

  it("serve an old answer, marked, when nothing newer can be had (RFC 8767)", async () => {
    const { zone, resolver, clock } = await worldOf();
    await resolver.lookup(csi);
    zone.lies.fail = () => new DiscoveryError("OVERLOADED", "down");
    await clock.advance(3_601_000);
    const stale = await resolver.lookup(csi);
    expect(stale).to.include({ status: "found", ttlSeconds: 30 });
    expect(stale.warnings.map(({ code }) => code)).to.deep.equal(["STALE"]);
    zone.lies.fail = () => new DiscoveryError("PROHIBITED", "no");
    await clock.advance(301_000);
    expect(await codeOf(resolver.lookup(csi))).to.equal("PROHIBITED");
    zone.lies.fail = () => new DiscoveryError("OVERLOADED", "down");
    await clock.advance(86_400_000);
    expect(await codeOf(resolver.lookup(csi))).to.equal("OVERLOADED");
  });

  it("serve it after 1.8 s when the DP does not answer at all", async () => {
    const { zone, resolver, clock } = await worldOf();
    await resolver.lookup(csi);
    zone.lies.silent = () => true;
    await clock.advance(3_601_000);
    const waiting = resolver.lookup(csi);
    await clock.advance(1_801);
    expect((await waiting).warnings.map(({ code }) => code)).to.deep.equal(["STALE"]);
  });

  it("mark an answer under an old head STALE, and ask again soon", async () => {
    const { resolver, clock } = await worldOf();
    await clock.advance(1_250_000);
    const answer = await resolver.lookup(csi);
    expect(answer.warnings.map(({ code }) => code)).to.deep.equal(["STALE"]);
    expect(answer.ttlSeconds).to.equal(30);
  });
});

describe("one fetch per key", () => {
  it("serves any number of waiters, and survives the first one leaving", async () => {
    const { zone, resolver, kinds } = await worldOf();
    const controller = new AbortController();
    const first = codeOf(resolver.lookup(csi, { signal: controller.signal }));
    const others = Array.from({ length: 300 }, () => resolver.lookup(csi));
    await Promise.resolve();
    controller.abort();
    expect(await first).to.equal("CANCELLED");
    expect(new Set((await Promise.all(others)).map(({ status }) => status))).to.deep.equal(
      new Set(["found"]),
    );
    expect(kinds().sort()).to.deep.equal(["bodies", "bucket", "evaluate", "head", "manifest"]);
    expect(zone.asked).to.deep.equal([]);
  });

  it("ends with its caller's signal, DEADLINE for a timeout", async () => {
    const { zone, resolver, clock } = await worldOf();
    zone.lies.silent = (kind) => kind === "bucket";
    const waiting = codeOf(resolver.lookup(csi));
    await clock.advance(limits.queryTimeoutMs + 1);
    expect(await waiting).to.equal("DEADLINE");
    const timeout = codeOf(resolver.lookup(csi, { signal: AbortSignal.timeout(5) }));
    expect(await timeout).to.equal("DEADLINE");
    expect(await codeOf(resolver.lookup(csi, { signal: AbortSignal.abort() }))).to.equal(
      "CANCELLED",
    );
  });
});

describe("lookupAll", () => {
  it("keeps the order, and evaluates a book of 700 in few batches", async function () {
    this.timeout(30_000);
    const { zone, resolver } = await worldOf(3_000);
    // The contact itself is number 123 of the book.
    const csis = [...book(350), csi, ...book(349)];
    const got: Csi[] = [];
    const statuses = new Map<string, number>();
    for await (const { csi: one, answer } of resolver.lookupAll(csis)) {
      got.push(one);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    }
    expect(got).to.deep.equal(csis);
    expect(Object.fromEntries(statuses)).to.deep.equal({ found: 3, none: 697 });
    const evaluates = zone.asked.filter(({ kind }) => kind === "evaluate").map(({ n }) => n);
    // 350 different identifiers: those asked twice are evaluated once.
    expect(evaluates.reduce((sum, n) => sum + n, 0)).to.equal(350);
    expect(evaluates.length).to.be.below(5);
    expect(Math.max(...evaluates)).to.be.at.most(limits.evaluateElementsMax);
  });

  it("makes a failed contact an item, and goes on", async () => {
    const { zone, resolver } = await worldOf();
    zone.lies.fail = (kind) =>
      kind === "bodies" ? new DiscoveryError("BLOCKED", "no") : undefined;
    const items = [];
    for await (const item of resolver.lookupAll([nobody, csi, nobody], { form: "verbose" }))
      items.push(item);
    expect(items.map(({ answer }) => answer.status)).to.deep.equal(["none", "refused", "none"]);
    const failed = items[1]!.answer;
    expect(failed.errors.map(({ code }) => code)).to.deep.equal(["BLOCKED"]);
    expect(failed.hops.at(-1)).to.include({
      told: "32 body hashes, no identity",
      verdict: "BLOCKED",
    });
  });

  it("waits where the DP limits, instead of failing", async () => {
    const { zone, resolver, clock } = await worldOf();
    let limited = 3;
    zone.lies.fail = (kind) => {
      if (kind !== "evaluate" || limited === 0) return undefined;
      limited -= 1;
      return new DiscoveryError("LIMITED", "slow down", { retryAfterSeconds: 2 });
    };
    const batch = resolver.lookupAll([csi]);
    const next = batch.next();
    for (let i = 0; i < 20; i++) await clock.advance(500);
    const item = await next;
    expect(item.done === true ? "none" : item.value.answer.status).to.equal("found");
    expect(await codeOf(resolver.lookup(nobody))).to.equal("ok");
  });

  it("takes an async source, one item at a time if need be", async () => {
    const { resolver } = await worldOf();
    const source = async function* () {
      for (const one of [csi, nobody]) yield await Promise.resolve(one);
    };
    const statuses: string[] = [];
    for await (const { answer } of resolver.lookupAll(source())) statuses.push(answer.status);
    expect(statuses).to.deep.equal(["found", "none"]);
  });

  it("throws what its source throws, after the items before it", async () => {
    const { resolver } = await worldOf();
    const source = function* () {
      yield csi;
      throw new RangeError("bad line");
    };
    const statuses: string[] = [];
    let caught: unknown;
    try {
      for await (const { answer } of resolver.lookupAll(source())) statuses.push(answer.status);
    } catch (error) {
      caught = error;
    }
    expect(statuses).to.deep.equal(["found"]);
    expect(caught).to.be.instanceOf(RangeError);
  });

  it("stops reading and asking when the loop is left or the signal aborts", async () => {
    const { resolver } = await worldOf();
    let read = 0;
    const endless = function* (): Generator<Csi> {
      for (;;) {
        read += 1;
        yield csi;
      }
    };
    for await (const item of resolver.lookupAll(endless())) {
      expect(item.answer.status).to.equal("found");
      break;
    }
    expect(read).to.be.below(3_000);
    const controller = new AbortController();
    const batch = resolver.lookupAll(endless(), { signal: controller.signal });
    await batch.next();
    controller.abort();
    const outcomes = new Set<string>();
    for (let i = 0; i < 2_000; i++) {
      const code = await codeOf(batch.next());
      outcomes.add(code);
      if (code !== "ok") break;
    }
    expect([...outcomes].at(-1)).to.equal("CANCELLED");
  });
});
