import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Hop } from "@whither/directory";
import {
  parseCsi,
  parsePrefix,
  parseZoneName,
  type Authority,
  type Endpoint,
} from "@whither/protocol";
import { createInlineVoprf } from "@whither/runtime";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  makeDirectoryObjects,
  makeRegistrationParties,
  makeRootFixture,
} from "@whither/testkit";
import { encodeArtefact, type Delegation } from "@whither/zone";
import { createResolver } from "../index.js";
import { isSameAuthority, serversOf } from "../zone-view.js";
import { voprf } from "../scripted-zone.test.js";
import { DnsClient } from "./client.js";
import { DomainSuggestions } from "./domain-suggestions.js";
import { answersOf, port, scriptedExchange, svcbRdata, type Zone } from "./scripted-dns.test.js";

const { nowSeconds, dp } = makeRegistrationParties();
const owner = "_whither._tcp.example.org";
const alice = parseCsi("alice@mail.example.org");
const endpoint = (host: string): Endpoint => ({
  host,
  port: 7354,
  publicPort: 7364,
  spkiSha256: [fixedBytes("spki")],
  jurisdiction: "DE",
  operator: "",
});
const authority: Authority = {
  zone: parseZoneName("own@dp-a.example"),
  dpId: dp.id,
  kind: "mappings",
  relayOnly: false,
  manifestSha256: [fixedBytes("manifest")],
  endpoints: [endpoint("one.example"), endpoint("two.example")],
};
/** As the directory has it: two servers. */
const delegation = (prefix: string): Delegation => ({
  zone: parseZoneName("."),
  prefix: parsePrefix(prefix),
  disposition: "delegated",
  relayOnly: false,
  authorities: [authority],
  ttlSeconds: 60,
  serial: 1,
  notBefore: nowSeconds,
  notAfter: nowSeconds + 60,
  path: [],
});
const { signal } = new AbortController();

function makeSuggestions(zone: Zone | undefined) {
  const clock = createSimulatedClock({ startMs: nowSeconds * 1_000 });
  const random = createSeededRandom(4);
  const { exchange, asked } = scriptedExchange({
    udp: (query) => {
      const response = zone === undefined ? undefined : answersOf(zone)(query);
      return response === undefined ? undefined : [response];
    },
  });
  const servers = [{ host: "192.0.2.53", port: 53 }];
  const client = new DnsClient({ servers: () => servers, exchange, clock, random });
  const hops: Hop[] = [];
  const suggestions = new DomainSuggestions({ client, clock, random });
  const weigh = (csi = alice, of = delegation("mailto:example.org")) =>
    suggestions.weigh(csi, of, { signal, onHop: (hop) => hops.push(hop) });
  return { weigh, asked, hops, clock, exchange };
}

/** Whom the resolver would ask first for public bytes, by rank. */
const ranks = ({ authorities: [one = authority] }: Delegation): readonly string[] =>
  serversOf(one).anonymous.map(({ host, rank = 0 }) => `${host} ${rank}`);

describe("what a domain says about its own DP", () => {
  it("puts a server first that the directory names as well", async () => {
    const zone: Zone = [
      [owner, 60, "SVCB", svcbRdata(1, "two.example", [port(7364)])],
      [owner, 60, "SVCB", svcbRdata(2, "one.example")],
    ];
    const { weigh, hops } = makeSuggestions(zone);
    const { delegation: weighed, mismatch } = await weigh();
    expect(mismatch).to.equal(undefined);
    expect(ranks(weighed)).to.deep.equal(["one.example 3", "two.example 2"]);
    expect(hops.map(({ told, verdict }) => `${told} ${verdict}`)).to.deep.equal([
      `${owner} SVCB unverified`,
    ]);
  });

  it("makes no server known that the directory does not name, and says so", async () => {
    const { weigh } = makeSuggestions([
      [owner, 60, "SVCB", svcbRdata(1, "evil.example")],
      [owner, 60, "SVCB", svcbRdata(2, "two.example", [port(9)])],
    ]);
    const { delegation: weighed, mismatch } = await weigh();
    expect(mismatch).to.include({ code: "DNS_MISMATCH", upstream: "dns:example.org" });
    expect(ranks(weighed)).to.deep.equal(["one.example 3", "two.example 3"]);
    const [before] = delegation("mailto:example.org").authorities;
    const [after] = weighed.authorities;
    if (before === undefined || after === undefined) throw new Error("no authority");
    expect(isSameAuthority(before, after)).to.equal(true);
  });

  it("changes nothing in the order of a zone that is not the domain's alone", async () => {
    const { weigh } = makeSuggestions([[owner, 60, "SVCB", svcbRdata(1, "two.example")]]);
    const shared = delegation("mailto:");
    const { delegation: weighed, mismatch } = await weigh(alice, shared);
    expect([weighed, mismatch]).to.deep.equal([shared, undefined]);
  });

  it("is asked for at the registrable domain, and for addresses only", async () => {
    const { weigh, asked } = makeSuggestions([]);
    await weigh(parseCsi("+4930123456"), delegation("tel:+49"));
    expect(asked).to.have.length(0);
    await weigh(parseCsi("acct:bob@a.b.example.org"), delegation("acct:"));
    expect(asked.map(({ name, type }) => `${name} ${type}`)).to.deep.equal([
      `${owner} SVCB`,
      `${owner} SRV`,
    ]);
  });

  it("is asked for once while it lasts, absence included", async () => {
    const { weigh, asked, hops, clock } = makeSuggestions([]);
    await Promise.all([weigh(), weigh()]);
    await weigh();
    expect([asked.length, hops.length]).to.deep.equal([2, 4]);
    await clock.advance(60_000);
    await weigh();
    expect(asked).to.have.length(4);
  });

  it("is not waited for longer than a second, and a silent DNS is not asked for a minute", async () => {
    const { weigh, asked, hops, clock } = makeSuggestions(undefined);
    const weighing = weigh();
    await clock.advance(1_000);
    expect((await weighing).mismatch).to.equal(undefined);
    expect(hops.at(-1)).to.include({ verdict: "DEADLINE" });
    const soFar = asked.length;
    await weigh();
    expect(asked).to.have.length(soFar);
  });

  it("stands beside a proven answer as an error with a code", async () => {
    const folder = await mkdtemp(join(tmpdir(), "whither-suggestions-"));
    try {
      const random = createSeededRandom(1);
      const root = makeRootFixture({ nowSeconds });
      const prefixes = [`"mailto:": { unassigned: true }`];
      const path = join(folder, "root.signed");
      await writeFile(
        path,
        encodeArtefact(
          makeDirectoryObjects({ root, nowSeconds, prefixes, registryText: "dps: []\n" }),
        ),
      );
      const { exchange, clock } = makeSuggestions([
        [owner, 60, "SVCB", svcbRdata(1, "evil.example")],
      ]);
      await using resolver = await createResolver({
        anchors: root.anchors,
        directory: path,
        domainSuggestions: true,
        nameServers: [{ host: "192.0.2.53", port: 53 }],
        dnsExchange: exchange,
        clock,
        random,
        voprf: createInlineVoprf(voprf, random),
      });
      const answer = await resolver.lookup(alice);
      expect(answer.status).to.equal("none");
      expect(answer.errors.map(({ code }) => code)).to.deep.equal(["UNASSIGNED", "DNS_MISMATCH"]);
      expect(answer.hops.map(({ verdict }) => verdict)).to.include("unverified");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
