import { expect } from "chai";
import { createSeededRandom, createSimulatedClock, outcomeOfLater } from "@whither/testkit";
import { DnsClient } from "./client.js";
import {
  answersOf,
  port,
  scriptedExchange,
  svcbRdata,
  type Asked,
  type Zone,
} from "./scripted-dns.test.js";
import { findService, inOrder, type Service } from "./service.js";

const owner = "_whither._tcp.example.org";
const servers = [{ host: "192.0.2.53", port: 53 }];
const { signal } = new AbortController();

/** What is found in these records, and what was asked on the way. */
async function find(zone: Zone): Promise<{ readonly service: Service; readonly asked: Asked[] }> {
  const random = createSeededRandom(5);
  const handler = answersOf(zone);
  const { exchange, asked } = scriptedExchange({
    udp: (query) => {
      const response = handler(query);
      return response === undefined ? undefined : [response];
    },
  });
  const clock = createSimulatedClock({ startMs: 0 });
  const client = new DnsClient({ servers: () => servers, exchange, clock, random });
  return { service: await findService({ client, random }, "example.org", { signal }), asked };
}

const questions = (asked: readonly Asked[]): readonly string[] =>
  asked.map(({ name, type }) => `${name} ${type}`);
const shown = ({ by, endpoints }: Service): string =>
  [by, ...endpoints.map(({ target, port: n = "-" }) => `${target}:${n}`)].join(" ");
const srv = (priority: number, target: string, n = 7363, weight = 1) => ({
  priority,
  weight,
  port: n,
  target,
});

describe("a domain's service in the DNS", () => {
  const cases: readonly (readonly [title: string, zone: Zone, found: string, asked?: string[]])[] =
    [
      [
        "is where SVCB says, by priority, without asking for SRV",
        [
          [owner, 300, "SVCB", svcbRdata(2, "b.example", [port(2)])],
          [owner, 300, "SVCB", svcbRdata(1, "a.example")],
          [owner, 300, "SRV", srv(0, "never.example")],
        ],
        "SVCB a.example:- b.example:2",
        [`${owner} SVCB`],
      ],
      ["is the record's owner for the target .", [[owner, 1, "SVCB", svcbRdata(1, ".")]], `SVCB ${owner}:-`],
      [
        "is behind aliases of both kinds",
        [
          [owner, 300, "CNAME", "x.example"],
          ["x.example", 300, "SVCB", svcbRdata(0, "pool.example")],
          ["pool.example", 300, "SVCB", svcbRdata(1, ".", [port(9)])],
        ],
        "SVCB pool.example:9",
        [`${owner} SVCB`, "pool.example SVCB"],
      ],
      [
        "is at the end of an alias that has no records of its own",
        [[owner, 300, "SVCB", svcbRdata(0, "plain.example")]],
        "SVCB plain.example:-",
      ],
      ["is not offered where an alias leads to the root", [[owner, 1, "SVCB", svcbRdata(0, ".")], [owner, 1, "SRV", srv(0, "never.example")]], "none"],
      [
        "is where SRV says when there is no SVCB",
        [
          [owner, 300, "SRV", srv(2, "b.example", 2)],
          [owner, 300, "SRV", srv(1, "a.example", 1)],
        ],
        "SRV a.example:1 b.example:2",
        [`${owner} SVCB`, `${owner} SRV`],
      ],
      [
        "is where SRV says when a record of SVCB is malformed",
        [
          [owner, 300, "SVCB", svcbRdata(1, "a.example")],
          [owner, 300, "SVCB", svcbRdata(1, "b.example", [[3, [1]]])],
          [owner, 300, "SRV", srv(1, "c.example", 1)],
        ],
        "SRV c.example:1",
      ],
      [
        "is where SRV says when SVCB is for clients that know more",
        [
          [owner, 300, "SVCB", svcbRdata(1, "a.example", [[0, [2, 0x9b]], [667, [1]]])],
          [owner, 300, "SRV", srv(1, "c.example", 1)],
        ],
        "SRV c.example:1",
      ],
      ["is not offered where SRV names the root", [[owner, 300, "SRV", srv(0, ".")]], "none"],
      ["is not offered where there is nothing", [], "none"],
      ["is not at a name that no host has", [[owner, 300, "SRV", srv(0, "a b.example")]], "none"],
    ]; // prettier-ignore
  for (const [title, zone, found, asked] of cases) {
    it(title, async () => {
      const result = await find(zone);
      expect(shown(result.service)).to.equal(found);
      if (asked !== undefined) expect(questions(result.asked)).to.deep.equal(asked);
    });
  }

  it("is not looked for behind aliases without end", async () => {
    const loop: Zone = [
      [owner, 300, "SVCB", svcbRdata(0, "a.example")],
      ["a.example", 300, "SVCB", svcbRdata(0, "b.example")],
      ["b.example", 300, "SVCB", svcbRdata(0, "a.example")],
    ];
    expect(await outcomeOfLater(find(loop))).to.equal("INVALID_DATA");
  });

  it("is believed for as long as the shortest-lived record on the way, 5 s at least", async () => {
    const zone = (ttl: number): Zone => [
      [owner, 900, "SVCB", svcbRdata(0, "pool.example")],
      ["pool.example", ttl, "SVCB", svcbRdata(1, ".")],
    ];
    expect((await find(zone(77))).service.ttlSeconds).to.equal(77);
    expect((await find(zone(0))).service.ttlSeconds).to.equal(5);
    expect((await find(zone(2 ** 31 - 1))).service.ttlSeconds).to.equal(900);
    expect((await find([])).service.ttlSeconds, "its absence, by the SOA").to.equal(60);
  });

  it("has at most 13 servers", async () => {
    const zone = Array.from({ length: 40 }, (_, i): Zone[number] => [
      owner,
      60,
      "SRV",
      srv(1, `s${i}.example`),
    ]);
    expect((await find(zone)).service.endpoints).to.have.length(13);
  });
});

describe("SRV records of one priority", () => {
  it("come first as often as their weight says, weightless ones seldom", () => {
    const random = createSeededRandom(7);
    const firsts = new Map<string, number>();
    const records = [
      { type: "SRV", ...srv(1, "heavy.example", 1, 30) },
      { type: "SRV", ...srv(1, "light.example", 1, 10) },
      { type: "SRV", ...srv(1, "idle.example", 1, 0) },
      { type: "SRV", ...srv(0, "first.example", 1, 0) },
    ] as const;
    for (let turn = 0; turn < 1_000; turn += 1) {
      const [preferred, next] = inOrder(records, random);
      expect(preferred?.target).to.equal("first.example");
      firsts.set(next?.target ?? "", (firsts.get(next?.target ?? "") ?? 0) + 1);
    }
    expect(firsts.get("heavy.example")).to.be.within(650, 800);
    expect(firsts.get("light.example")).to.be.within(180, 310);
    expect(firsts.get("idle.example")).to.be.within(5, 60);
  });
});
