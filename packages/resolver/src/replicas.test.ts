import { expect } from "chai";
import { DiscoveryError } from "@whither/protocol";
import { fixedBytes, makeRegistrationParties } from "@whither/testkit";
import type { Authority } from "@whither/protocol";
import type { Resolver } from "./resolver.js";
import type { Replica } from "./zone-view.js";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds } = parties;
const endpoint = (host: string, operator: string, jurisdiction = "") => ({
  host,
  port: operator === "" ? 7354 : 0,
  publicPort: 7364,
  spkiSha256: [fixedBytes("spki")],
  jurisdiction,
  operator,
});

/** The DP's own server and a bucket replica of another operator. */
async function dpAndReplica(
  given: {
    readonly endpoints?: Authority["endpoints"];
    readonly replicas?: readonly Replica[];
  } = {},
) {
  const make = (host: string) =>
    new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 200, host });
  const [dp, replica] = [make("dp-a.example"), make("replica.example")];
  const endpoints = given.endpoints ?? [
    endpoint("dp-a.example", ""),
    endpoint("replica.example", "Else Ltd"),
  ];
  const { replicas = [] } = given;
  const world = await scriptedWorld({
    zones: [dp],
    authorities: [dp.authority({ endpoints })],
    replicas,
  });
  replica.serve(world.network);
  const stop = (host: string) => {
    for (const port of [7354, 7364])
      world.network.setFaults({ to: `${host}:${port}` }, { partition: "refused" });
  };
  return { dp, replica, ...world, stop };
}

const kinds = ({ asked }: ScriptedZone) => [...new Set(asked.map(({ kind }) => kind))];
const pathsOf = async (lookup: ReturnType<Resolver["lookup"]>) =>
  (await lookup).hops.map(({ from, path, operator }) => `${from} ${path} ${operator}`);

describe("a zone with a replica of another operator", () => {
  it("is evaluated at its DP, and read at the replica: neither sees both", async () => {
    const { dp, replica, resolver } = await dpAndReplica();
    const paths = await pathsOf(resolver.lookup(csi));
    expect(kinds(dp)).to.deep.equal(["evaluate"]);
    expect(kinds(replica)).to.have.members(["manifest", "head", "bucket", "bodies"]);
    expect(paths).to.include("dp-a.example:7354 identified undefined");
    expect(paths).to.include("replica.example:7364 replica Else Ltd");
    expect(paths.filter((path) => path.includes(" direct "))).to.deep.equal([]);
  });

  it("is read directly while the replica is not there, and says so", async () => {
    const { resolver, stop } = await dpAndReplica();
    stop("replica.example");
    expect(await pathsOf(resolver.lookup(csi))).to.include("dp-a.example:7364 direct undefined");
  });

  it("still resolves a known contact while its DP is stopped; an unknown one is unreachable", async () => {
    const { dp, replica, resolver, clock, stop } = await dpAndReplica();
    await resolver.lookup(csi);
    stop("dp-a.example");
    await clock.advance(600_000);
    replica.publish(nowSeconds + 600);
    const asked = dp.asked.length;
    const answer = await resolver.lookup(csi, { refresh: true });
    expect([answer.status, answer.complete]).to.deep.equal(["found", { answered: 1, asked: 1 }]);
    expect(answer.dps[0]?.serial).to.equal(2);
    expect(dp.asked).to.have.length(asked);
    const other = "tel:+14155550199" as typeof csi;
    expect(await codeOf(resolver.lookup(other))).to.be.oneOf(["NETWORK", "UNREACHABLE"]);
  });
});

describe("a replica that is behind", () => {
  it("is passed over for one that is not, without a word of rollback, and comes last for a while", async () => {
    const { dp, replica, resolver, clock } = await dpAndReplica();
    await resolver.lookup(csi);
    await clock.advance(60_000);
    replica.publish(nowSeconds + 60);
    dp.publish(nowSeconds + 60);
    expect((await resolver.lookup(csi, { refresh: true })).dps[0]?.serial).to.equal(2);
    const [head, signed] = [dp.head, dp.signedHead];
    replica.publish(nowSeconds + 60);
    dp.publish(nowSeconds + 60);
    expect((await resolver.lookup(csi, { refresh: true })).dps[0]?.serial).to.equal(3);
    replica.serveAgain(head, signed);
    const answer = await resolver.lookup(csi, { refresh: true });
    expect([answer.status, answer.errors, answer.dps[0]?.serial]).to.deep.equal(["found", [], 3]);
    expect(resolver.evidence()).to.deep.equal([]);
    const row = resolver.infra().find(({ server }) => server === "replica.example:7364");
    expect(row?.lame.map(({ code }) => code)).to.deep.equal(["ROLLBACK"]);
  });

  it("makes the zone STALE, never BOGUS and never older, while nothing newer can be had", async () => {
    const { dp, replica, resolver, clock, stop } = await dpAndReplica();
    const [head, signed] = [replica.head, replica.signedHead];
    replica.publish(nowSeconds + 60);
    dp.publish(nowSeconds + 60);
    await clock.advance(60_000);
    await resolver.lookup(csi);
    replica.serveAgain(head, signed);
    stop("dp-a.example");
    for (let time = 0; time < 6; time++) {
      expect(await codeOf(resolver.lookup(csi, { refresh: true }))).to.equal("STALE");
    }
    expect(resolver.evidence()).to.deep.equal([]);
  });

  it("is ROLLBACK, with evidence, when every server of the zone is behind", async () => {
    const { dp, replica, resolver, clock } = await dpAndReplica();
    const [head, signed] = [dp.head, dp.signedHead];
    for (const one of [dp, replica]) one.publish(nowSeconds + 60);
    await clock.advance(60_000);
    await resolver.lookup(csi);
    for (const one of [dp, replica]) one.serveAgain(head, signed);
    expect(await codeOf(resolver.lookup(csi, { refresh: true }))).to.equal("ROLLBACK");
    expect(resolver.evidence().map(({ code }) => code)).to.deep.equal(["ROLLBACK"]);
  });
});

describe("a replica that the user named", () => {
  const own = { zone: parties.zone, host: "replica.example", port: 7364 };

  it("is read before the DP, though the directory knows nothing of it", async () => {
    const { dp, resolver } = await dpAndReplica({
      endpoints: [endpoint("dp-a.example", "")],
      replicas: [{ ...own, pins: [fixedBytes("spki")] }],
    });
    await resolver.lookup(csi);
    expect(kinds(dp)).to.deep.equal(["evaluate"]);
  });

  it("is no more believed than any other server", async () => {
    const { replica, resolver } = await dpAndReplica({
      endpoints: [endpoint("dp-a.example", "")],
      replicas: [{ ...own, pins: [fixedBytes("spki")] }],
    });
    replica.lies.bucket = (bucket) => ({ ...bucket, count: bucket.count - 1 });
    expect((await resolver.lookup(csi)).status).to.equal("found");
    expect(resolver.infra().flatMap(({ lame }) => lame.map(({ code }) => code))).to.deep.equal([
      "BOGUS",
    ]);
  });
});

describe("a lookup that demands a jurisdiction", () => {
  const endpoints = [
    endpoint("dp-a.example", "", "DE"),
    endpoint("replica.example", "Else Ltd", "US"),
  ];

  it("asks servers that lie there and no others, whatever is better", async () => {
    const { replica, resolver } = await dpAndReplica({ endpoints });
    expect((await resolver.lookup(csi, { jurisdiction: ["FR", "DE"] })).status).to.equal("found");
    expect(replica.asked).to.deep.equal([]);
  });

  it("shares no fetch with one that does not, and is UNREACHABLE where no server lies", async () => {
    const { dp, replica, resolver } = await dpAndReplica({ endpoints });
    await Promise.all([
      resolver.lookup(csi, { refresh: true }),
      resolver.lookup(csi, { refresh: true, jurisdiction: ["DE"] }),
    ]);
    expect(kinds(dp)).to.include("bucket");
    expect(kinds(replica)).to.include("bucket");
    const asked = dp.asked.length + replica.asked.length;
    const code = await codeOf(resolver.lookup(csi, { refresh: true, jurisdiction: ["FR"] }));
    expect(code).to.equal("UNREACHABLE");
    expect(dp.asked.length + replica.asked.length).to.equal(asked);
    expect(await codeOf(resolver.lookup(csi, { refresh: true }))).to.equal("ok");
  });

  it("refuses what is no list of countries", async () => {
    const { resolver } = await dpAndReplica();
    for (const jurisdiction of [[], ["de"], ["DEU"], Array<string>(65).fill("DE")]) {
      let caught: unknown;
      await resolver.lookup(csi, { jurisdiction }).catch((error: unknown) => (caught = error));
      expect(caught).to.be.instanceOf(TypeError).and.not.instanceOf(DiscoveryError);
    }
  });
});
