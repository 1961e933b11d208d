import { expect } from "chai";
import { DiscoveryError, parseCsi, parsePrefix } from "@whither/protocol";
import { makeRegistrationParties } from "@whither/testkit";
import type { CacheRow, ResolverCache } from "./resolver-cache.js";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi } = parties;
const nobody = parseCsi("+14155550199");

async function worldOf() {
  const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 600 });
  const world = await scriptedWorld({ zones: [zone] });
  const kinds = () => zone.asked.splice(0).map(({ kind }) => kind);
  return { zone, kinds, cache: world.resolver.cache, ...world };
}

async function rowsOf(cache: ResolverCache, clear = false): Promise<readonly CacheRow[]> {
  const rows: CacheRow[] = [];
  for await (const row of cache.dump({ clear })) rows.push(row);
  return rows;
}

describe("cache dump", () => {
  it("shows answers, absences, failures and zones, contacts as keyed hashes", async () => {
    const { zone, resolver, cache } = await worldOf();
    await resolver.lookup(csi);
    await resolver.lookup(nobody);
    zone.lies.fail = (kind) =>
      kind === "bodies" ? new DiscoveryError("BLOCKED", "no") : undefined;
    cache.flush({ kind: "all" });
    expect(await codeOf(resolver.lookup(csi))).to.equal("BLOCKED");
    await resolver.lookup(nobody);
    const rows = await rowsOf(cache);
    expect(rows.map(({ kind }) => kind)).to.deep.equal(["zone", "answer", "failure"]);
    expect(rows[0]).to.include({ zone: parties.zone, serial: 1 });
    expect(rows[1]).to.include({ form: "verbose", status: "none", ttlSeconds: 60 });
    expect(rows[1]).to.include({ staleSeconds: 0 });
    expect(rows[2]).to.include({ code: "BLOCKED", waitSeconds: 5, form: "verbose" });
    const text = JSON.stringify(rows);
    for (const secret of [csi, nobody, "4155550"]) expect(text).not.to.contain(secret);
    const again = await rowsOf(cache);
    expect(again).to.deep.equal(rows);
    const contacts = rows.flatMap((row) => ("contact" in row ? [row.contact] : []));
    for (const contact of contacts) expect(contact).to.match(/^[0-9a-f]{32}$/);
    expect(new Set(contacts).size).to.equal(2);
  });

  it("names contacts only when asked to, and changes nothing", async () => {
    const { resolver, cache, clock, kinds } = await worldOf();
    await resolver.lookup(csi);
    kinds();
    await clock.advance(10_000);
    const rows = await rowsOf(cache, true);
    expect(rows.at(-1)).to.include({ contact: csi, status: "found", ttlSeconds: 3_590 });
    expect(rows.at(-1)).to.include({ staleSeconds: 86_400 });
    expect(kinds()).to.deep.equal([]);
  });
});

describe("cache flush", () => {
  it("of one contact: it alone is asked anew, without a new evaluation", async () => {
    const { resolver, cache, kinds } = await worldOf();
    await resolver.lookup(csi);
    await resolver.lookup(nobody);
    kinds();
    expect(cache.flush({ kind: "csi", csi })).to.equal(1);
    await resolver.lookup(nobody);
    expect(kinds()).to.deep.equal([]);
    await resolver.lookup(csi);
    expect(kinds()).to.deep.equal(["bucket"]);
    expect(cache.flush({ kind: "csi", csi }, { evaluations: true })).to.equal(2);
    await resolver.lookup(csi);
    expect(kinds()).to.deep.equal(["evaluate", "bucket"]);
    expect(cache.flush({ kind: "csi", csi: parseCsi("+14155550777") })).to.equal(0);
  });

  it("of a subtree, of what is negative, of failures: nothing else goes", async () => {
    const { zone, resolver, cache } = await worldOf();
    await resolver.lookup(csi);
    await resolver.lookup(nobody);
    expect(cache.flush({ kind: "subtree", prefix: parsePrefix("tel:+44") })).to.equal(0);
    expect(cache.flush({ kind: "negative" })).to.equal(1);
    expect(cache.stats().caches.answers.entries).to.equal(1);
    expect(cache.flush({ kind: "subtree", prefix: parsePrefix("tel:+1") })).to.equal(1);
    expect(cache.stats().caches.answers.entries).to.equal(0);
    zone.lies.fail = () => new DiscoveryError("NOT_AUTHORITATIVE", "lame");
    expect(await codeOf(resolver.lookup(csi))).to.equal("NOT_AUTHORITATIVE");
    expect(cache.stats().caches.failures.entries).to.equal(1);
    expect(cache.flush({ kind: "failures" })).to.equal(1);
    expect(cache.stats().caches.failures.entries).to.equal(0);
    expect(cache.stats().caches.evaluations.entries).to.equal(2);
  });

  it("of everything keeps the evaluations, which cost quota, unless told", async () => {
    const { resolver, cache, kinds } = await worldOf();
    await resolver.lookup(csi);
    kinds();
    cache.flush({ kind: "all" });
    const { evaluations, ...others } = cache.stats().caches;
    expect(evaluations.entries).to.equal(1);
    for (const use of Object.values(others)) expect([use.entries, use.bytes]).to.deep.equal([0, 0]);
    await resolver.lookup(csi);
    expect(kinds().sort()).to.deep.equal(["bodies", "bucket", "head", "manifest"]);
    cache.flush({ kind: "all" }, { evaluations: true });
    expect(cache.stats().bytes).to.equal(0);
  });
});

describe("cache bytes", () => {
  it("never exceed what was configured, however much is asked", async function () {
    this.timeout(60_000);
    const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 3_000 });
    const cacheBytes = 1024 * 1024;
    const { resolver } = await scriptedWorld({ zones: [zone], cacheBytes });
    const book = Array.from({ length: 2_000 }, (_, n) =>
      parseCsi(`+1415${String(5_550_000 + n).padStart(7, "0")}`),
    );
    let most = 0;
    for await (const item of resolver.lookupAll(book, { form: "verbose" })) {
      expect(item.answer.status).to.be.oneOf(["found", "none"]);
      const { bytes, bytesMax, caches } = resolver.cache.stats();
      most = Math.max(most, bytes);
      expect(bytesMax).to.be.at.most(cacheBytes);
      for (const use of Object.values(caches)) expect(use.bytes).to.be.at.most(use.bytesMax);
    }
    expect(most).to.be.within(cacheBytes / 2, cacheBytes);
  });
});
