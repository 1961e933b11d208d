import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect } from "chai";
import {
  decode,
  encode,
  type Answer as DnsAnswer,
  type DecodedPacket,
  type Question,
} from "dns-packet";
import { DiscoveryError, type MspId } from "@whither/protocol";
import type { Answer, Resolver } from "@whither/resolver";
import { createSeededRandom, createSimulatedClock } from "@whither/testkit";
import { createClientLimits } from "./client-limits.js";
import { dnsdSchema } from "./config.js";
import { Front, type Handled } from "./front.js";
import { parseYaml } from "@whither/runtime";

const collectGarbage = exposedGc();

const number = "3.2.1.0.5.5.5.5.1.4.1.e164.arpa";
const absent = "4.2.1.0.5.5.5.5.1.4.1.e164.arpa";
const base = `directory: { anchors_file: a, server: "127.0.0.1:7363" }
identity: { certificate_file: w, key_file: k }
services:
  msps:
    - id: wire.example
      services: [{ service: E2U+sip, uri: "sip:{digits}@gw.example" }, { service: E2U+im, uri: "im:{number}@{msp}" }]
`;

type Told = Partial<Answer<"verbose">> | DiscoveryError;

/** The fields that the front reads. */
function answerOf(told: Exclude<Told, DiscoveryError>): Answer<"verbose"> {
  const status = told.status ?? "found";
  const mapping = (msp: string, preference: number) => ({
    msp: msp as MspId,
    preference,
    tags: ["Default"],
    level: 1,
    establishedAt: 1,
    notAfter: 1_800_000_000,
    directoryUrl: "",
  });
  const mappings =
    status === "found" ? [mapping("wire.example", 1), mapping("chat.example", 2)] : [];
  return {
    status,
    mappings,
    complete: { answered: 1, asked: 1 },
    ttlSeconds: 300,
    warnings: [],
    errors: [],
    ...told,
  } as unknown as Answer<"verbose">; // what the front does not read is left out
}

function open({ told: first = {}, more = "" }: { told?: Told; more?: string } = {}) {
  let told: Told | Promise<Told> = first;
  const clock = createSimulatedClock();
  const config = parseYaml({ text: `${base}${more}`, path: "/dnsd.yaml", schema: dnsdSchema });
  const asked: string[] = [];
  const resolver = {
    lookup: async (csi: string) => {
      asked.push(csi);
      const now = await told;
      if (now instanceof DiscoveryError) throw now;
      if (csi === "tel:+14155550124") return answerOf({ status: "none", ttlSeconds: 60 });
      return answerOf(now);
    },
  } as unknown as Pick<Resolver, "lookup">; // one form is asked for
  const limits = createClientLimits(config, clock);
  const front = new Front({
    resolver,
    limits,
    shown: config,
    cacheBytes: config.cacheBytes,
    lookupsInFlight: config.limits.lookupsInFlight,
    clock,
  });
  const ask = (
    packet: Buffer,
    { transport = "udp", client = "127.0.0.1" }: Pick<AskOptions, "transport" | "client"> = {},
  ): Handled => front.handle(packet, { client, transport });
  const response = async (
    name: string,
    { type = "NAPTR", edns = true, ...from }: AskOptions = {},
  ): Promise<Response> => read(await ask(queryOf({ name, type, edns }), from));
  /** From now on, or when the promise says. */
  const tell = (next: Told | Promise<Told>): void => void (told = next);
  return { front, clock, limits, asked, ask, response, config, tell };
}

interface AskOptions {
  readonly type?: Question["type"];
  readonly edns?: boolean;
  readonly transport?: "udp" | "tcp";
  readonly client?: string;
}

type Response = DecodedPacket & { readonly rcode: string; readonly bytes: Buffer };

function read(packet: Buffer | undefined): Response {
  if (packet === undefined) throw new Error("expected a response");
  return { ...(decode(packet) as Omit<Response, "bytes">), bytes: packet }; // with what its types lack
}

function queryOf(of: {
  readonly name: string;
  readonly type?: Question["type"];
  readonly edns?: boolean;
}): Buffer {
  const { name, type = "NAPTR", edns = true } = of;
  const opt: DnsAnswer = {
    ...{ type: "OPT", name: ".", udpPayloadSize: 1232, extendedRcode: 0, ednsVersion: 0 },
    ...{ flags: 0, flag_do: false, options: [] },
  };
  return encode({
    type: "query",
    id: 4711,
    flags: 0x0100,
    questions: [{ type, name, class: "IN" }],
    additionals: edns ? [opt] : [],
  });
}

/** INFO-CODE and EXTRA-TEXT of the response's extended error. */
function extendedError({ additionals }: Response): { number: number; text: string } | undefined {
  const [opt] = additionals ?? [];
  if (opt?.type !== "OPT") return undefined;
  const option = opt.options.find(({ code }) => (code as number) === 15) as
    { data: Buffer } | undefined; // an option of unknown kind carries its octets
  if (option === undefined) return undefined;
  return { number: option.data.readUInt16BE(0), text: option.data.subarray(2).toString("utf8") };
}

describe("the DNS front", () => {
  it("gives one NAPTR record for each template, in the holder's order", async () => {
    const { response } = open();
    const { answers = [], rcode, flag_aa } = await response(number);
    expect({ rcode, flag_aa }).to.deep.equal({ rcode: "NOERROR", flag_aa: true });
    expect(answers.map((one) => (one.type === "NAPTR" ? one.data : one.type))).to.deep.equal(
      [
        ["E2U+sip", "sip:14155550123@gw.example"],
        ["E2U+im", "im:+14155550123@wire.example"],
        ["E2U+sip", "sip:+14155550123@chat.example"],
      ].map(([services, uri], place) => ({
        order: 100,
        preference: 10 * (place + 1),
        flags: "u",
        services,
        regexp: `!^.*$!${uri ?? ""}!`,
        replacement: ".",
      })),
    );
    expect(answers.map((one) => ("ttl" in one ? one.ttl : 0))).to.deep.equal([300, 300, 300]);
  });

  it("gives the same for people as text", async () => {
    const { response } = open();
    const { answers = [] } = await response(number, { type: "TXT" });
    const [first] = answers;
    expect(first?.type === "TXT" ? String(first.data) : "").to.include("msp=wire.example");
  });

  it("denies with SOA: a proven absence, another type, digits in between, no number at all", async () => {
    const { response } = open();
    for (const [name, type, rcode, ttl] of [
      [absent, "NAPTR", "NXDOMAIN", 60],
      [number, "AAAA", "NOERROR", 300],
      ["5.5.1.4.1.e164.arpa", "NAPTR", "NOERROR", 3600],
      ["www.e164.arpa", "A", "NXDOMAIN", 3600],
    ] as const) {
      const { answers, authorities = [], ...rest } = await response(name, { type });
      expect({ rcode: rest.rcode, answers }, name).to.deep.equal({ rcode, answers: [] });
      const [soa] = authorities;
      if (soa?.type !== "SOA") throw new Error("expected SOA");
      expect([soa.name, soa.ttl, soa.data.minimum]).to.deep.equal(["e164.arpa", ttl, ttl]);
    }
  });

  it("has SOA and NS at its apex", async () => {
    const { response } = open();
    expect((await response("e164.arpa", { type: "SOA" })).answers?.[0]?.type).to.equal("SOA");
    expect((await response("e164.arpa", { type: "NS" })).answers?.[0]).to.include({
      type: "NS",
      data: "ns.whither.invalid",
    });
  });

  const failures: [what: string, error: DiscoveryError, number: number][] = [
    ["bogus", new DiscoveryError("BOGUS", "bucket: does not match the signed head"), 6],
    ["unreachable", new DiscoveryError("NETWORK", "the connection failed"), 23],
    ["limited", new DiscoveryError("LIMITED", "the quota is used up"), 49_156],
  ];
  for (const [what, error, code] of failures) {
    it(`${what} is SERVFAIL with the number of the registry, now and while it is remembered`, async () => {
      const { response, asked } = open({ told: error });
      for (let time = 0; time < 2; time += 1) {
        const answer = await response(number);
        expect(answer.rcode).to.equal("SERVFAIL");
        expect(extendedError(answer)).to.deep.equal({ number: code, text: error.text });
      }
      expect(asked).to.have.length(1);
    });
  }

  it("incomplete is SERVFAIL: nobody may be told that nobody is there", async () => {
    const complete = { answered: 1, asked: 2 };
    const answer = await open({ told: { status: "incomplete", complete } }).response(number);
    expect(answer.rcode).to.equal("SERVFAIL");
    expect(extendedError(answer)?.number).to.equal(22);
  });

  it("a stale answer says so beside its records", async () => {
    const warnings = [
      { code: "STALE", text: "nothing newer could be had", upstream: "z" },
    ] as const;
    const answer = await open({ told: { warnings, ttlSeconds: 30 } }).response(number);
    expect(answer.answers).to.have.length(3);
    expect(extendedError(answer)).to.deep.equal({ number: 3, text: "nothing newer could be had" });
  });

  it("answers again from the cache: id, case and TTL patched, nobody asked", async () => {
    const { response, asked, clock, ask } = open();
    await response(number);
    await clock.advance(100_000);
    const packet = queryOf({ name: number.toUpperCase() });
    packet.writeUInt16BE(99, 0);
    const handled = ask(packet);
    if (!Buffer.isBuffer(handled)) throw new Error("expected an answer in the same turn");
    const answer = read(handled);
    expect(answer.id).to.equal(99);
    expect(answer.questions?.[0]?.name).to.equal(number.toUpperCase());
    expect(answer.answers?.map((one) => ("ttl" in one ? one.ttl : 0))).to.deep.equal([
      200, 200, 200,
    ]);
    expect(asked).to.have.length(1);
    await clock.advance(200_000);
    await response(number);
    expect(asked).to.have.length(2);
  });

  it("keeps the cache over a reload unless what it shows has changed", async () => {
    const { front, response, asked, config } = open();
    await response(number);
    front.show({ ...config, lookupTimeoutMs: 1_000 });
    await response(number);
    expect(asked).to.have.length(1);
    front.show({ ...config, services: { default: config.services.default, byMsp: new Map() } });
    expect((await response(number)).answers).to.have.length(2);
    expect(asked).to.have.length(2);
  });

  it("truncates what a client cannot take over UDP, and gives it whole over TCP", async () => {
    const long = `    - id: chat.example\n      services: [${Array.from(
      { length: 4 },
      (_, n) => `{ service: E2U+sip, uri: "sip:{number}@${"x".repeat(90)}${n}.example" }`,
    ).join(", ")}]\n`;
    const { response } = open({ more: long });
    const cut = await response(number, { edns: false });
    expect([cut.flag_tc, cut.answers, cut.bytes.length < 512]).to.deep.equal([true, [], true]);
    const whole = await response(number, { edns: false, transport: "tcp" });
    expect([whole.flag_tc, whole.answers?.length]).to.deep.equal([false, 6]);
  });

  it("refuses other names, transfers and later versions of EDNS", async () => {
    const { response, ask } = open();
    const outside = await response("example.org");
    expect(outside.rcode).to.equal("REFUSED");
    expect(extendedError(outside)?.number).to.equal(20);
    expect((await response(number, { type: "AXFR" })).rcode).to.equal("REFUSED");
    const later = queryOf({ name: number });
    later[later.length - 5] = 1; // the version, six octets before the end of an empty OPT
    const bad = await ask(later);
    expect((bad?.readUInt16BE(2) ?? 0) & 15).to.equal(0);
    expect(bad?.[(bad.length || 0) - 6]).to.equal(1); // upper bits of BADVERS
  });

  it("tells its name to chaos, and ANY no more than that somebody is there", async () => {
    const { ask, response } = open();
    const questions = [{ type: "TXT", name: "version.bind", class: "CH" } as const];
    const version = read(await ask(encode({ type: "query", id: 1, questions })));
    expect(version.answers?.[0]).to.include({ class: "CH", type: "TXT" });
    expect((await response(number, { type: "ANY" as never })).answers?.[0]?.type).to.equal("HINFO");
  });

  it("drops and slips over a client's limit, and refuses over TCP; others are served", async () => {
    const { response, ask, limits } = open({
      more: "limits: { queries_per_second: 1, queries_burst: 2 }\n",
    });
    await response(number);
    await response(number);
    const over = [ask(queryOf({ name: number })), ask(queryOf({ name: number }))];
    expect(over[0]).to.equal(undefined);
    const slip = read(await over[1]);
    expect([slip.flag_tc, slip.answers]).to.deep.equal([true, []]);
    expect((await response(number, { transport: "tcp" })).rcode).to.equal("REFUSED");
    expect((await response(number, { client: "127.0.0.9" })).answers).to.have.length(3);
    expect(limits.refusals().queries).to.equal(3);
  });

  it("charges names that are not in the cache apart: a flood of them costs no quota", async () => {
    const { response, asked } = open({
      more: "limits: { lookups_per_second: 1, lookups_burst: 2 }\n",
    });
    await response(number);
    await response(absent);
    const third = await response("5.2.1.0.5.5.5.5.1.4.1.e164.arpa");
    expect(third.rcode).to.equal("SERVFAIL");
    expect(extendedError(third)?.number).to.equal(49_156);
    expect((await response(number)).answers).to.have.length(3);
    expect(asked).to.have.length(2);
  });

  /** A lookup that takes until `answer` is called. */
  function held(bench: Pick<ReturnType<typeof open>, "tell">): (told: Told) => void {
    let answer: (told: Told) => void = () => undefined;
    bench.tell(new Promise<Told>((resolve) => (answer = resolve)));
    return answer;
  }

  it("looks a name up once for all who ask while that takes, each answered with his id and case", async () => {
    const bench = open();
    const { ask, asked, front } = bench;
    const answer = held(bench);
    const replies = Array.from({ length: 20 }, (_, n) => {
      const name = n % 2 === 0 ? number : number.toUpperCase();
      const packet = queryOf({ name, edns: n % 3 === 0 });
      packet.writeUInt16BE(1_000 + n, 0);
      return ask(packet, { client: `192.0.2.${n}`, transport: n % 5 === 0 ? "tcp" : "udp" });
    });
    expect([front.inFlight, front.waiters]).to.deep.equal([1, 20]);
    answer({});
    for (const [n, reply] of replies.entries()) {
      const { id, questions, answers } = read(await reply);
      const name = n % 2 === 0 ? number : number.toUpperCase();
      expect([id, questions?.[0]?.name, answers?.length]).to.deep.equal([1_000 + n, name, 3]);
    }
    expect(asked).to.have.length(1);
    expect([front.inFlight, front.waiters]).to.deep.equal([0, 0]);
  });

  it("keeps other questions, and other types of the name, apart", async () => {
    const bench = open();
    const answer = held(bench);
    const asking = [
      bench.response(number),
      bench.response(number, { type: "TXT" }),
      bench.response(absent),
    ];
    expect(bench.front.inFlight).to.equal(3);
    answer({});
    const types = (await Promise.all(asking)).map(({ answers }) => answers?.[0]?.type);
    expect(types).to.deep.equal(["NAPTR", "TXT", undefined]);
  });

  it("charges who joins for the query and not for a lookup", async () => {
    const bench = open({
      more: "limits: { queries_per_second: 1, queries_burst: 3, lookups_per_second: 1, lookups_burst: 1 }\n",
    });
    const answer = held(bench);
    const joined = [bench.response(number), bench.response(number), bench.response(number)];
    expect(bench.ask(queryOf({ name: number })), "over its limit of queries").to.equal(undefined);
    const other = { client: "192.0.2.1" };
    const others = [bench.response(number, other), bench.response(absent, other)];
    expect(bench.limits.refusals()).to.include({ queries: 1, lookups: 0 });
    const spent = await bench.response("5.2.1.0.5.5.5.5.1.4.1.e164.arpa", other);
    expect(extendedError(spent)?.number, "joining had left it one").to.equal(49_156);
    answer({});
    for (const one of await Promise.all([...joined, others[0]!]))
      expect(one.answers).to.have.length(3);
    expect(bench.asked).to.have.length(2);
  });

  it("lets so many wait for a name and no more, of one client fewer", async () => {
    const bench = open();
    const answer = held(bench);
    const waiting: Promise<Response>[] = [];
    const join = async (client: string): Promise<boolean> => {
      const handled = bench.ask(queryOf({ name: number }), { client });
      if (handled instanceof Promise) {
        waiting.push(handled.then(read));
        return true;
      }
      expect(extendedError(read(handled))?.number).to.equal(49_159);
      return Promise.resolve(false);
    };
    for (let n = 0; n < 128; n += 1) expect(await join("192.0.2.1")).to.be.true;
    expect(await join("192.0.2.1"), "one client's share").to.be.false;
    for (let n = 128; n < 256; n += 1) expect(await join(`192.0.2.${2 + (n % 20)}`)).to.be.true;
    expect(await join("192.0.2.99"), "the name's").to.be.false;
    answer({});
    expect(new Set((await Promise.all(waiting)).map(({ rcode }) => rcode))).to.deep.equal(
      new Set(["NOERROR"]),
    );
    const cached = bench.ask(queryOf({ name: number }), { client: "192.0.2.1" });
    expect(Buffer.isBuffer(cached), "from the cache").to.be.true;
  });

  it("joins nobody to a lookup from before a reload that shows things otherwise", async () => {
    const bench = open();
    const { front, config } = bench;
    const answer = held(bench);
    const before = bench.response(number);
    front.show({ ...config, services: { default: config.services.default, byMsp: new Map() } });
    const after = bench.response(number);
    expect(front.inFlight).to.equal(2);
    answer({});
    expect((await before).answers).to.have.length(3);
    expect((await after).answers).to.have.length(2);
    expect((await bench.response(number)).answers).to.have.length(2);
    expect(bench.asked).to.have.length(2);
  });

  const unreachable = new DiscoveryError("UNREACHABLE", "no server of the zone answers");

  it("remembers a failure for 5 s, twice as long each time, 300 s at most, and tries again between", async () => {
    const { response, asked, clock } = open({ told: unreachable });
    const gaps: number[] = [];
    let lastMs = clock.monotonicMs();
    await response(number);
    for (let seconds = 0; gaps.length < 9; seconds += 1) {
      await clock.advance(1_000);
      const before = asked.length;
      expect((await response(number)).rcode).to.equal("SERVFAIL");
      if (asked.length === before) continue;
      gaps.push((clock.monotonicMs() - lastMs) / 1_000);
      lastMs = clock.monotonicMs();
    }
    expect(gaps).to.deep.equal([5, 10, 20, 40, 80, 160, 300, 300, 300]);
  });

  it("begins at 5 s again after a success, which a failure never hides", async () => {
    const { response, asked, clock, tell } = open({ told: unreachable });
    for (const ms of [0, 5_000, 10_000]) {
      await clock.advance(ms);
      await response(number);
    }
    tell({ ttlSeconds: 1 });
    await clock.advance(20_000);
    expect((await response(number)).answers).to.have.length(3);
    tell(unreachable);
    await clock.advance(1_000);
    await response(number);
    expect(asked).to.have.length(5);
    await clock.advance(5_000);
    await response(number);
    expect(asked).to.have.length(6);
  });

  it("goes on with what it has of one type while another fails", async () => {
    const { response, clock, tell } = open();
    await response(number);
    tell(unreachable);
    expect((await response(number, { type: "TXT" })).rcode).to.equal("SERVFAIL");
    expect((await response(number)).answers).to.have.length(3);
    await clock.advance(5_000);
    tell({});
    expect((await response(number, { type: "TXT" })).answers).to.have.length(2);
  });

  it("remembers for as long as a limit says, within the same bounds", async () => {
    for (const [told, seconds] of [
      [0, 1],
      [30, 30],
      [86_400, 300],
    ] as const) {
      const limited = new DiscoveryError("LIMITED", "the quota is used up", {
        retryAfterSeconds: told,
      });
      const { response, asked, clock } = open({ told: limited });
      await response(number);
      await clock.advance(seconds * 1_000 - 1);
      await response(number);
      expect(asked, `${told}`).to.have.length(1);
      await clock.advance(1);
      await response(number);
      expect(asked, `${told}`).to.have.length(2);
    }
  });

  it("forgets failures when they are flushed", async () => {
    const { response, asked, front, tell } = open({ told: unreachable });
    await response(number);
    front.flush();
    tell({});
    expect((await response(number)).answers).to.have.length(3);
    expect(asked).to.have.length(2);
  });

  it("remembers so many failures and no more", async () => {
    const { response, front } = open({
      told: unreachable,
      more: "limits: { queries_per_second: 1000000, queries_burst: 1000000, lookups_per_second: 1000000, lookups_burst: 1000000 }\n",
    });
    for (let n = 0; n < 10_100; n += 1) {
      const digits = String(10_000 + n)
        .split("")
        .reverse()
        .join("."); // ASCII digits
      await response(`${digits}.5.5.5.1.4.1.e164.arpa`, { edns: false });
    }
    expect(front.failures.size).to.equal(10_000);
  });

  it("does not charge a client for a name that is not tried", async () => {
    const { response, limits } = open({
      told: unreachable,
      more: "limits: { lookups_per_second: 1, lookups_burst: 1 }\n",
    });
    for (let time = 0; time < 5; time += 1) {
      expect(extendedError(await response(number))?.number).to.equal(22);
    }
    expect(limits.refusals().lookups).to.equal(0);
  });

  it("lets loopback and named networks ask, nobody else", () => {
    const { limits, config } = open({ more: "allow: [192.0.2.0/24, '2001:db8::/32']\n" });
    const who = ["127.0.0.1", "::1", "192.0.2.7", "192.0.3.7", "2001:db8::1", "2001:db9::1"];
    const clients = ["127.0.0.1", "0:0:0:0::/64", "192.0.2.7", undefined, "2001:db8:0:0::/64"];
    // Twice: the second time from memory.
    for (const asked of [who, who]) {
      expect(asked.map((address) => limits.clientOf(address))).to.deep.equal([
        ...clients,
        undefined,
      ]);
    }
    expect(limits.refusals().address).to.equal(4);
    limits.set(config.limits, []);
    expect(limits.clientOf("192.0.2.7"), "a reload forgets who was allowed").to.equal(undefined);
  });

  it("survives a million mutated packets, with memory flat", async function () {
    this.timeout(120_000);
    const seed = 20_261_125;
    const random = createSeededRandom(seed);
    const { ask, response } = open({
      more: "limits: { queries_per_second: 1000000000, queries_burst: 1000000000 }\n",
    });
    await response(number);
    const seeds = [
      queryOf({ name: number }),
      queryOf({ name: number.toUpperCase(), edns: false }),
      queryOf({ name: absent, type: "TXT" }),
      queryOf({ name: "e164.arpa", type: "SOA" }),
      queryOf({ name: "version.bind", type: "TXT" }),
    ];
    const outcomes = { response: 0, none: 0, lookup: 0 };
    const pending: Promise<Buffer>[] = [];
    const rounds = 10;
    const heaps: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const draws = random.bytes(800_000);
      for (let at = 0; at < 100_000; at += 1) {
        const draw = draws.subarray(8 * at, 8 * at + 8);
        const packet = mutate(seeds[(draw[0] ?? 0) % seeds.length] ?? Buffer.alloc(0), draw);
        const handled = ask(packet);
        if (handled === undefined) outcomes.none += 1;
        else if (handled instanceof Promise) {
          outcomes.lookup += 1;
          pending.push(handled);
        } else {
          outcomes.response += 1;
          // A response repeats the id and is one: nothing else of a packet is trusted.
          if (
            handled.readUInt16BE(0) !== packet.readUInt16BE(0) ||
            ((handled[2] ?? 0) & 0x80) === 0
          ) {
            throw new Error(
              `seed ${seed}: ${packet.toString("hex")} got ${handled.toString("hex")}`,
            );
          }
        }
      }
      await Promise.all(pending.splice(0));
      collectGarbage(); // what is kept counts, not when it is swept
      heaps.push(process.memoryUsage().heapUsed + process.memoryUsage().external);
    }
    const grown = Math.max(...heaps.slice(5)) - Math.max(...heaps.slice(0, 5));
    expect(grown, `seed ${seed}`).to.be.lessThan(8 * 1024 * 1024);
    expect(outcomes.response + outcomes.none + outcomes.lookup).to.equal(1_000_000);
    expect(Math.min(outcomes.response, outcomes.none), JSON.stringify(outcomes)).to.be.above(1_000);
  });
});

/** As `--expose-gc`, for this file alone. */
function exposedGc(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void; // of V8
}

/** Up to three octets changed, or the packet cut or lengthened. */
function mutate(packet: Buffer, draw: Uint8Array): Buffer {
  const [, kind = 0, a = 0, b = 0, c = 0, x = 0, y = 0, z = 0] = draw;
  if (kind < 24) return packet.subarray(0, a % (packet.length + 1));
  if (kind < 32) return Buffer.concat([packet, Buffer.of(a, b, c)]);
  const copy = Buffer.from(packet);
  copy[a % copy.length] = x;
  if (kind > 96) copy[b % copy.length] = y;
  if (kind > 160) copy[c % copy.length] = z;
  return copy;
}
