import { expect } from "chai";
import { isDiscoveryError } from "@whither/protocol";
import { createSeededRandom, createSimulatedClock } from "@whither/testkit";
import { DnsClient, type DnsAnswer } from "./client.js";
import { answersOf, scriptedExchange, type Zone } from "./scripted-dns.test.js";

const zone: Zone = [["a.example", 60, "A", "192.0.2.7"]];
const honest = answersOf(zone);
const question = { name: "a.example", type: "A" } as const;
const servers = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map((host) => ({
  host,
  port: 53,
}));

function makeClient(script: Parameters<typeof scriptedExchange>[0], seed = 1) {
  const clock = createSimulatedClock({ startMs: 0 });
  const random = createSeededRandom(seed);
  const { exchange, asked } = scriptedExchange(script);
  const client = new DnsClient({ servers: () => servers, exchange, clock, random });
  return { client, clock, asked };
}
const reply = (query: Buffer): Buffer[] => [honest(query) ?? Buffer.alloc(0)];
const withRcode = (query: Buffer, rcode: number): Buffer[] => {
  const [response = Buffer.alloc(0)] = reply(query);
  response.writeUInt16BE((response.readUInt16BE(2) & 0xfff0) | rcode, 2);
  return [response];
};
const truncated = (query: Buffer): Buffer => {
  const [response = Buffer.alloc(0)] = reply(query);
  response.writeUInt16BE(response.readUInt16BE(2) | 0x0200, 2);
  return response;
};
const address = ({ records: [record] }: DnsAnswer): string =>
  record !== undefined && "address" in record ? record.address : "";

describe("asking name servers", () => {
  const { signal } = new AbortController();

  it("takes the first answer, under an id of its own for each question", async () => {
    const { client, asked } = makeClient({ udp: reply });
    for (let turn = 0; turn < 20; turn += 1) {
      expect(address(await client.ask(question, { signal }))).to.equal("192.0.2.7");
    }
    const ids = asked.map(({ packet }) => packet.readUInt16BE(0));
    expect(new Set(ids).size).to.be.at.least(19);
    expect(new Set(asked.map(({ server }) => server))).to.deep.equal(new Set(["192.0.2.1:53"]));
  });

  it("asks the next server where one is silent, fails or cannot be read", async () => {
    const { client, clock, asked } = makeClient({
      udp: (query, { host }) => {
        if (host === "192.0.2.1") return undefined;
        return host === "192.0.2.2" ? withRcode(query, 2) : reply(query);
      },
    });
    const answer = client.ask(question, { signal });
    await clock.advance(1_000);
    expect((await answer).from).to.equal("192.0.2.3:53");
    expect(asked.map(({ server }) => server)).to.deep.equal([
      "192.0.2.1:53",
      "192.0.2.2:53",
      "192.0.2.3:53",
    ]);
  });

  it("goes round twice, the second time with more patience, and asks three at most", async () => {
    const { client, clock, asked } = makeClient({ udp: () => undefined });
    let code: unknown;
    const failed = client.ask(question, { signal }).catch((error: unknown) => (code = error));
    for (const ms of [1_000, 1_000, 1_000, 2_000, 2_000]) await clock.advance(ms);
    expect(asked.map(({ server }) => server.slice(0, 9))).to.deep.equal(
      ["1", "2", "3", "1", "2", "3"].map((n) => `192.0.2.${n}`),
    );
    expect(code).to.equal(undefined);
    await clock.advance(2_000);
    await failed;
    expect(isDiscoveryError(code, "UNREACHABLE")).to.equal(true);
  });

  it("stops when the caller leaves", async () => {
    const { client, asked } = makeClient({ udp: () => undefined });
    const leaving = new AbortController();
    const failed = client
      .ask(question, { signal: leaving.signal })
      .catch((error: unknown) => error);
    leaving.abort();
    expect(isDiscoveryError(await failed, "CANCELLED")).to.equal(true);
    expect(asked).to.have.length(1);
  });

  it("asks over TCP where the response was cut, readable or not", async () => {
    for (const cut of [truncated, (query: Buffer) => truncated(query).subarray(0, -3)]) {
      const { client, asked } = makeClient({ udp: (query) => [cut(query)], tcp: honest });
      expect(address(await client.ask(question, { signal }))).to.equal("192.0.2.7");
      expect(asked.map(({ transport }) => transport)).to.deep.equal(["udp", "tcp"]);
    }
  });

  it("waits for the true response behind forged ones", async () => {
    const { client } = makeClient({
      udp: (query) => {
        const forged = answersOf([["a.example", 60, "A", "203.0.113.66"]])(query) ?? query;
        forged.writeUInt16BE((query.readUInt16BE(0) + 1) & 0xffff, 0);
        return [forged, query, Buffer.alloc(5), ...reply(query)];
      },
    });
    expect(address(await client.ask(question, { signal }))).to.equal("192.0.2.7");
  });

  it("takes a denial for an answer", async () => {
    const { client } = makeClient({ udp: reply });
    const answer = await client.ask({ name: "nobody.example", type: "A" }, { signal });
    expect(answer).to.deep.include({ records: [], ttlSeconds: 60 });
  });

  it("says so where there is no name server", async () => {
    const { exchange } = scriptedExchange({ udp: reply });
    const clock = createSimulatedClock({ startMs: 0 });
    const client = new DnsClient({ servers: () => [], exchange, clock, random: createSeededRandom(1) }); // prettier-ignore
    const error: unknown = await client
      .ask(question, { signal })
      .catch((thrown: unknown) => thrown);
    expect(isDiscoveryError(error, "UNREACHABLE")).to.equal(true);
  });
});
