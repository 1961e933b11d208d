import { expect } from "chai";
import { portableVoprf } from "@whither/crypto";
import { DiscoveryError } from "@whither/protocol";
import { fixedBytes, makeRegistrationParties } from "@whither/testkit";
import { encodeManifest } from "@whither/wire";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds } = parties;
const endpoint = (host: string) => ({
  host,
  port: 7354,
  publicPort: 7364,
  spkiSha256: [fixedBytes("spki")],
  jurisdiction: "",
  operator: "",
});

/** One zone at two hosts, served by two scripts that may differ. */
async function twoHosts() {
  const make = (host: string) =>
    new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 200, host });
  const [one, other] = [make("a.example"), make("b.example")];
  const authority = one.authority({ endpoints: [endpoint("a.example"), endpoint("b.example")] });
  const world = await scriptedWorld({ zones: [one], authorities: [authority], seed: 2 });
  other.serve(world.network);
  return { one, other, ...world };
}

describe("a zone with two manifests", () => {
  it("is asked under the one that its head names, whatever the order and though one is not served", async () => {
    const successor = makeRegistrationParties({
      manifest: {
        version: 2,
        voprfKeys: [
          {
            kid: fixedBytes("next kid", 4),
            publicKey: parties.voprfKeys.publicKey,
            notAfter: nowSeconds + 86_400,
          },
        ],
      },
    });
    for (const served of [true, false]) {
      for (const newestFirst of [true, false]) {
        const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 100 });
        if (served) zone.successors.push(encodeManifest(successor.manifest));
        const hashes = [successor.manifestSha256, parties.manifestSha256];
        const authority = zone.authority({
          manifestSha256: newestFirst ? hashes : hashes.toReversed(),
        });
        const { resolver } = await scriptedWorld({ zones: [zone], authorities: [authority] });
        expect((await resolver.lookup(csi)).status).to.equal("found");
      }
    }
  });
});

describe("a zone whose manifest was replaced", () => {
  it("is found under the successor at once, though that could not be had when the zone was asked first", async () => {
    const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 100 });
    const successor = makeRegistrationParties({ manifest: { version: 2 } });
    const { manifestSha256 } = successor;
    const authority = zone.authority({
      manifestSha256: [manifestSha256, parties.manifestSha256],
    });
    const { resolver, clock } = await scriptedWorld({ zones: [zone], authorities: [authority] });
    await resolver.lookup(csi);
    zone.successors.push(encodeManifest(successor.manifest));
    zone.publish(nowSeconds + 1, [], { manifestSha256 });
    await clock.advance(1_000);
    const answer = await resolver.lookup(csi, { refresh: true });
    expect([answer.status, answer.dps[0]?.serial]).to.deep.equal(["found", 2]);
  });

  it("is asked anew: what was proven under the old manifest's keys proves nothing any more", async () => {
    const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 100 });
    const successor = makeRegistrationParties({ manifest: { version: 2 } });
    zone.successors.push(encodeManifest(successor.manifest));
    const authorities = [zone.authority()];
    const { resolver, clock } = await scriptedWorld({ zones: [zone], authorities });
    await resolver.lookup(csi);
    authorities[0] = zone.authority({ manifestSha256: [successor.manifestSha256] });
    zone.publish(nowSeconds + 60, [], { manifestSha256: successor.manifestSha256 });
    await clock.advance(60_000);
    const answer = await resolver.lookup(csi, { form: "compact" });
    expect(answer.dps[0]?.serial).to.equal(2);
  });
});

describe("a zone that gives another VOPRF key the id of the old one", () => {
  it("is asked to evaluate again: what the old key gave proves no absence under the new", async () => {
    const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 100 });
    const [key] = parties.manifest.voprfKeys;
    const other = portableVoprf.publicKeyOf(fixedBytes("other key", 32).fill(0, 31));
    expect(other).not.to.deep.equal(key!.publicKey);
    const successor = makeRegistrationParties({
      manifest: { version: 2, voprfKeys: [{ ...key!, publicKey: other }] },
    });
    zone.successors.push(encodeManifest(successor.manifest));
    const authorities = [zone.authority()];
    const { resolver, clock } = await scriptedWorld({ zones: [zone], authorities });
    await resolver.lookup(csi);
    authorities[0] = zone.authority({ manifestSha256: [successor.manifestSha256] });
    zone.publish(nowSeconds + 60, [], { manifestSha256: successor.manifestSha256 });
    await clock.advance(60_000);
    // The script still evaluates with the old key: its proof does not fit the new one.
    expect(await codeOf(resolver.lookup(csi, { refresh: true }))).to.equal("BOGUS");
    expect(zone.asked.filter(({ kind }) => kind === "evaluate")).to.have.length(2);
  });
});

describe("a zone with two endpoints", () => {
  it("is found although one of them lies, and says who lied only if all do", async () => {
    const { one, other, resolver } = await twoHosts();
    one.lies.bucket = (bucket) => ({ ...bucket, count: bucket.count - 1 });
    const answer = await resolver.lookup(csi);
    expect([answer.status, answer.errors]).to.deep.equal(["found", []]);
    other.lies.bucket = one.lies.bucket;
    const error = await resolver.lookup(csi, { refresh: true }).catch((caught: unknown) => caught);
    expect((error as DiscoveryError).code).to.equal("BOGUS");
    expect((error as DiscoveryError).upstream).to.be.oneOf(["a.example:7364", "b.example:7364"]);
  });

  it("is found although one of them claims that the query itself has ended", async () => {
    for (const code of ["CANCELLED", "BUDGET", "CLOCK_SKEW"] as const) {
      const { one, resolver } = await twoHosts();
      one.lies.fail = () => new DiscoveryError(code, "says the server");
      for (let time = 0; time < 3; time++) {
        expect((await resolver.lookup(csi, { refresh: true })).status).to.equal("found");
      }
    }
  });

  it("is found although one of them limits whatever it is asked, however long it says to wait", async () => {
    const codes = ["LIMITED", "OVERLOADED"] as const;
    const kinds = ["evaluate", "manifest", "head", "bucket", "bodies"] as const;
    for (const [code, kind, retryAfterSeconds] of codes.flatMap((c) =>
      kinds.flatMap((k) => [0, 3, 100].map((seconds) => [c, k, seconds] as const)),
    )) {
      for (const limiting of ["one", "other"] as const) {
        const hosts = await twoHosts();
        hosts[limiting].lies.fail = (asked) =>
          asked === kind
            ? new DiscoveryError(code, "says the server", { retryAfterSeconds })
            : undefined;
        for (let time = 0; time < 2; time++) {
          const answer = await hosts.resolver.lookup(csi, { refresh: true });
          const told = `${limiting}: ${code} to ${kind}, ${retryAfterSeconds} s`;
          expect([answer.status, answer.errors], told).to.deep.equal(["found", []]);
        }
      }
    }
  });

  it("is found although one of them is not there", async () => {
    const { network, resolver } = await twoHosts();
    network.setFaults({ to: "a.example:7354" }, { partition: "refused" });
    network.setFaults({ to: "a.example:7364" }, { partition: "refused" });
    expect((await resolver.lookup(csi)).status).to.equal("found");
  });

  it("is found although one of them never answers", async () => {
    const { one, resolver, clock } = await twoHosts();
    one.lies.silent = () => true;
    const waiting = resolver.lookup(csi);
    for (let i = 0; i < 12; i++) await clock.advance(300);
    expect((await waiting).status).to.equal("found");
  });

  it("takes the newer head where one of them is stale, and warns where both are", async () => {
    for (const fresh of ["one", "other", undefined] as const) {
      const hosts = await twoHosts();
      await hosts.clock.advance(1_250_000);
      if (fresh !== undefined) hosts[fresh].publish(nowSeconds + 1_240);
      const answer = await hosts.resolver.lookup(csi);
      expect(answer.dps[0]?.serial).to.equal(fresh === undefined ? 1 : 2);
      expect(answer.warnings.map(({ code }) => code)).to.deep.equal(
        fresh === undefined ? ["STALE"] : [],
      );
    }
  });
});
