import { expect } from "chai";
import { DiscoveryError, type ErrorCode } from "@whither/protocol";
import { createSeededRandom, createSimulatedClock, fixedBytes } from "@whither/testkit";
import type { Server } from "./peers.js";
import { codeOf } from "./scripted-zone.test.js";
import { askServers, ServerChoice, type AskServers } from "./servers.js";

const server = (name: string): Server => ({
  key: `${name}:1`,
  host: name,
  port: 1,
  pins: [fixedBytes(name)],
});
const [a, b, c] = [server("a"), server("b"), server("c")] as const;

function setUp(seed = 4) {
  const clock = createSimulatedClock();
  const choice = new ServerChoice({ clock, random: createSeededRandom(seed) });
  const asked: string[] = [];
  const ask = (
    servers: readonly Server[],
    answer: (server: Server, signal: AbortSignal) => Promise<string>,
    more: Partial<AskServers<string>> = {},
  ): Promise<string> =>
    askServers({
      choice,
      clock,
      servers,
      signal: new AbortController().signal,
      ...more,
      ask: (one, { signal }) => {
        asked.push(one.host);
        return answer(one, signal);
      },
    });
  return { clock, choice, asked, ask };
}

const fail = (code: ErrorCode) => Promise.reject(new DiscoveryError(code, "scripted"));
const never = () => new Promise<string>(() => undefined);

describe("choice of a server", () => {
  it("prefers the smaller smoothed round trip, and explores one time in twenty", () => {
    const { choice } = setUp();
    choice.answered(a.key, 80);
    choice.answered(b.key, 20);
    let explored = 0;
    for (let i = 0; i < 2_000; i++) if (choice.order([a, b])[0] === a) explored += 1;
    expect(explored).to.be.within(60, 140);
  });

  it("smooths with 1/8 and 1/4, and bounds the time to wait", () => {
    const { choice } = setUp();
    expect(choice.timeoutMs(a.key)).to.equal(400);
    choice.answered(a.key, 100);
    expect(choice.timeoutMs(a.key)).to.equal(100 + 4 * 50);
    choice.answered(a.key, 180);
    // variation 50 + (80 - 50) / 4, mean 100 + 80 / 8
    expect(choice.timeoutMs(a.key)).to.equal(110 + 4 * 57.5);
    for (let i = 0; i < 200; i++) choice.answered(a.key, 1);
    expect(choice.timeoutMs(a.key)).to.equal(50);
    for (let i = 0; i < 200; i++) choice.answered(a.key, 60_000);
    expect(choice.timeoutMs(a.key)).to.equal(10_000);
  });

  it("takes four failures in a row for down, probes once a second, and believes one answer", async () => {
    const { choice, clock } = setUp();
    choice.answered(a.key, 10);
    for (let i = 0; i < 3; i++) choice.failed(a.key);
    expect(choice.isDown(a.key)).to.equal(false);
    choice.failed(a.key);
    expect(choice.isDown(a.key)).to.equal(true);
    expect(choice.order([a, b]).at(-1)).to.equal(a);
    for (let i = 0; i < 4; i++) choice.failed(b.key);
    await clock.advance(1_000);
    const firsts = [choice.order([a, b])[0], choice.order([a, b])[0]];
    expect(firsts).to.deep.equal([a, b]);
    choice.answered(a.key, 10);
    expect(choice.isDown(a.key)).to.equal(false);
  });
});

describe("asking the servers of a zone", () => {
  it("asks the next when one fails in a way that is its own", async () => {
    for (const code of [
      "NETWORK",
      "BOGUS",
      "NOT_AUTHORITATIVE",
      "OVERLOADED",
      "PIN_MISMATCH",
    ] as const) {
      const { ask, asked } = setUp();
      const answer = await ask([a, b], (one) => (one === a ? fail(code) : Promise.resolve("good")));
      expect([answer, asked]).to.deep.equal(["good", ["a", "b"]]);
    }
  });

  it("reaches for four servers a question, and for the others the next time", async () => {
    const { asked, ask } = setUp();
    const many = Array.from({ length: 13 }, (_, n) => server(`s${n}`));
    const good = many[4]!.host;
    const answer = (one: Server) => (one.host === good ? Promise.resolve(good) : fail("NETWORK"));
    expect(await codeOf(ask(many, answer))).to.equal("NETWORK");
    expect(asked).to.have.length(4);
    expect(await ask(many, answer)).to.equal(good);
    expect(asked.length).to.be.at.most(8);
  });

  it("asks no other when the failure is the caller's", async () => {
    for (const code of ["LIMITED", "BUDGET", "CLOCK_SKEW", "TOO_LARGE"] as const) {
      const { ask, asked } = setUp();
      expect(await codeOf(ask([a, b], () => fail(code)))).to.equal(code);
      expect(asked).to.deep.equal(["a"]);
    }
  });

  it("throws the worst failure when all fail", async () => {
    const { ask } = setUp();
    const codes: Readonly<Record<string, ErrorCode>> = {
      a: "OVERLOADED",
      b: "BOGUS",
      c: "PROHIBITED",
    };
    const error = await ask([a, b, c], (one) => fail(codes[one.host] ?? "INTERNAL")).catch(
      (caught: unknown) => caught,
    );
    expect(error).to.include({ code: "BOGUS", upstream: "b:1" });
  });

  it("asks a second server while the first is late, and takes whichever answers", async () => {
    for (const winner of ["a", "b"]) {
      const { ask, asked, clock } = setUp();
      const release = new Map<string, (value: string) => void>();
      const waiting = ask(
        [a, b],
        (one) => new Promise((resolve) => release.set(one.host, resolve)),
      );
      await clock.advance(399);
      expect(asked).to.deep.equal(["a"]);
      await clock.advance(2);
      expect(asked).to.deep.equal(["a", "b"]);
      release.get(winner)?.(winner);
      expect(await waiting).to.equal(winner);
    }
  });

  it("stops the others when one has answered, and all when the caller leaves", async () => {
    const { ask, clock } = setUp();
    const signals: AbortSignal[] = [];
    const controller = new AbortController();
    const waiting = ask(
      [a, b],
      (_, signal) => {
        signals.push(signal);
        return never();
      },
      { signal: controller.signal },
    );
    await clock.advance(500);
    controller.abort();
    expect(await codeOf(waiting)).to.equal("CANCELLED");
    expect(signals.map(({ aborted }) => aborted)).to.deep.equal([true, true]);
  });

  it("tries a single server once more after a broken stream, not after anything else", async () => {
    for (const [code, times] of [
      ["NETWORK", 2],
      ["BOGUS", 1],
      ["OVERLOADED", 1],
    ] as const) {
      const { ask, asked } = setUp();
      expect(await codeOf(ask([a], () => fail(code)))).to.equal(code);
      expect(asked).to.have.length(times);
    }
  });

  it("is UNREACHABLE without servers, and passes a defect on as it is", async () => {
    const { ask } = setUp();
    expect(await codeOf(ask([], never))).to.equal("UNREACHABLE");
    for (const servers of [[a], [a, b]]) {
      let caught: unknown;
      await ask(servers, () => Promise.reject(new RangeError("defect"))).catch(
        (error: unknown) => (caught = error),
      );
      expect(caught).to.be.instanceOf(RangeError);
    }
  });
});
