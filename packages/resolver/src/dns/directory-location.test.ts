import { expect } from "chai";
import type { Hop } from "@whither/directory";
import { createSeededRandom, createSimulatedClock, outcomeOfLater } from "@whither/testkit";
import { DnsClient } from "./client.js";
import { DirectoryLocation } from "./directory-location.js";
import { answersOf, port, scriptedExchange, svcbRdata, type Zone } from "./scripted-dns.test.js";

const owner = "_whither._tcp.example.org";

function makeLocation(first: Zone) {
  let zone: Zone | undefined = first;
  const clock = createSimulatedClock({ startMs: 0 });
  const random = createSeededRandom(3);
  const { exchange, asked } = scriptedExchange({
    udp: (query) => {
      if (zone === undefined) return undefined;
      const response = answersOf(zone)(query);
      return response === undefined ? undefined : [response];
    },
  });
  const servers = [{ host: "192.0.2.53", port: 53 }];
  const client = new DnsClient({ servers: () => servers, exchange, clock, random });
  const location = new DirectoryLocation({ domain: "example.org", client, clock, random });
  return {
    location,
    clock,
    asked,
    become: (next: Zone | undefined) => {
      zone = next;
    },
  };
}

const hinted: Zone = [
  [owner, 100, "SVCB", svcbRdata(1, "a.example", [port(9), [4, [192, 0, 2, 1]]])],
];
const plain: Zone = [
  [owner, 100, "SVCB", svcbRdata(1, "a.example")],
  ["a.example", 50, "A", "192.0.2.1"],
  ["a.example", 50, "A", "192.0.2.2"],
  ["a.example", 50, "A", "192.0.2.3"],
  ["a.example", 50, "AAAA", "2001:db8::1"],
];
const place = (host: string, n: number) => ({ host, port: n, serverName: "example.org" });

describe("servers of a directory in the DNS", () => {
  it("are at the addresses that came with them, under the name that the user gave", async () => {
    const { location, asked } = makeLocation(hinted);
    const hops: Hop[] = [];
    const { places } = await location.locate({ onHop: (hop) => hops.push(hop) });
    expect(places).to.deep.equal([place("192.0.2.1", 9)]);
    expect(asked).to.have.length(1);
    expect(hops).to.have.length(1);
    expect(hops[0]).to.deep.include({
      from: "192.0.2.53:53",
      told: `${owner} SVCB`,
      learnt: "1 SVCB records",
      verdict: "unverified",
    });
  });

  it("are at the addresses of their names, both families by turns, two of each", async () => {
    const { location, asked } = makeLocation(plain);
    const { places, untilMs } = await location.locate({});
    expect(places).to.deep.equal([
      place("2001:db8::1", 7363),
      place("192.0.2.1", 7363),
      place("192.0.2.2", 7363),
    ]);
    expect(untilMs, "as long as the addresses last").to.equal(50_000);
    expect(asked.map(({ type }) => type)).to.deep.equal(["SVCB", "AAAA", "A"]);
  });

  it("that no name leads to are passed over; without any it is UNREACHABLE", async () => {
    const lost: Zone[number] = [owner, 100, "SVCB", svcbRdata(1, "lost.example")];
    const both = makeLocation([lost, ...hinted]);
    expect((await both.location.locate({})).places).to.deep.equal([place("192.0.2.1", 9)]);
    expect(await outcomeOfLater(makeLocation([lost]).location.locate({}))).to.equal("UNREACHABLE");
    expect(await outcomeOfLater(makeLocation([]).location.locate({}))).to.equal("UNREACHABLE");
  });

  it("cost a bounded number of questions, whatever the records say", async () => {
    const many = Array.from({ length: 30 }, (_, i): Zone[number] => [
      owner,
      100,
      "SVCB",
      svcbRdata(1, `s${i}.example`),
    ]);
    const { location, asked } = makeLocation(many);
    await outcomeOfLater(location.locate({}));
    expect(asked).to.have.length(1 + 2 * 4);
  });

  it("are asked for once while their time lasts, and once by many who wait", async () => {
    const { location, asked, clock } = makeLocation(hinted);
    const hops: Hop[] = [];
    const onHop = (hop: Hop): void => void hops.push(hop);
    await Promise.all([location.locate({ onHop }), location.locate({ onHop })]);
    expect([asked.length, hops.length]).to.deep.equal([1, 2]);
    await clock.advance(99_999);
    await location.locate({ onHop });
    expect([asked.length, hops.length]).to.deep.equal([1, 2]);
    await clock.advance(1);
    await location.locate({});
    expect(asked).to.have.length(2);
  });

  it("are shown to the first who wants to see them, even when found for another", async () => {
    const { location, asked } = makeLocation(hinted);
    await location.locate({});
    const hops: Hop[] = [];
    const onHop = (hop: Hop): void => void hops.push(hop);
    await location.locate({ onHop });
    await location.locate({ onHop });
    expect(asked).to.have.length(1);
    expect(hops.map(({ told }) => told)).to.deep.equal([`${owner} SVCB`]);
  });

  it("that do not answer are asked for again, but not at every question", async () => {
    const { location, asked, clock } = makeLocation(hinted);
    await location.locate({});
    await location.locate({ anew: true });
    expect(asked).to.have.length(1);
    await clock.advance(5_000);
    await location.locate({ anew: true });
    expect(asked).to.have.length(2);
  });

  it("stay known for a day when the DNS fails, and its failures are kept apart", async () => {
    const { location, asked, clock, become } = makeLocation(hinted);
    const first = await location.locate({});
    become(undefined);
    await clock.advance(100_000);
    const stale = location.locate({});
    await clock.advance(5_000);
    expect(await stale).to.equal(first);
    const soFar = asked.length;
    expect(await location.locate({})).to.equal(first);
    expect(asked, "RFC 9520").to.have.length(soFar);
    await clock.advance(86_400_000);
    const late = outcomeOfLater(location.locate({}));
    await clock.advance(5_000);
    expect(await late).to.equal("UNREACHABLE");
    become(hinted);
    await clock.advance(300_000);
    expect((await location.locate({})).places).to.deep.equal(first.places);
  });
});
