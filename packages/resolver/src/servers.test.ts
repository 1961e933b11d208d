import { expect } from "chai";
import { DiscoveryError, type ErrorCode } from "@whither/protocol";
import { createSeededRandom, createSimulatedClock, fixedBytes } from "@whither/testkit";
import type { Server } from "./peers.js";
import { codeOf } from "./scripted-zone.test.js";
import { ServerChoice } from "./server-choice.js";
import { askServers, type AskServers } from "./servers.js";

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
  // The order of the tests below: a answers faster than b, b faster than c.
  [a, b, c].forEach(({ key }, n) => choice.answered(key, 100 + 20 * n));
  const asked: string[] = [];
  const budget = { left: Infinity };
  const ask = (
    servers: readonly Server[],
    answer: (server: Server, signal: AbortSignal) => Promise<string>,
    more: Partial<AskServers<string>> = {},
  ): Promise<string> =>
    askServers({
      choice,
      clock,
      zone: "de@dp-a.example",
      servers,
      more: () => (budget.left -= 1) >= 0,
      signal: new AbortController().signal,
      ...more,
      ask: (one, { signal }) => {
        asked.push(one.host);
        return answer(one, signal);
      },
    });
  return { clock, choice, asked, ask, budget };
}

const fail = (code: ErrorCode) => Promise.reject(new DiscoveryError(code, "scripted"));
const never = () => new Promise<string>(() => undefined);

describe("asking the servers of a zone", () => {
  it("asks the next when one fails in a way that is its own", async () => {
    for (const code of [
      "NETWORK",
      "BOGUS",
      "NOT_AUTHORITATIVE",
      "OVERLOADED",
      "LIMITED",
      "TOO_LARGE",
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
    for (const code of ["BUDGET", "CLOCK_SKEW"] as const) {
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
      // 100 ms and 4 × 50 ms of variation
      await clock.advance(299);
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

  it("takes a limit of one for no limit of the others, and names it only when all limit", async () => {
    const { ask, asked, choice } = setUp();
    const answer = (one: Server) => (one === c ? Promise.resolve("good") : fail("LIMITED"));
    expect(await ask([a, b, c], answer)).to.equal("good");
    expect(asked).to.deep.equal(["a", "b", "c"]);
    expect(choice.rows().map(({ state }) => state)).to.have.members(["limited", "limited", "up"]);
    expect(await codeOf(ask([a, b, c], () => fail("LIMITED")))).to.equal("LIMITED");
  });

  it("reaches no further than the budget of who asks", async () => {
    const { ask, asked, budget } = setUp();
    budget.left = 1;
    expect(await codeOf(ask([a, b, c], () => fail("NETWORK")))).to.equal("NETWORK");
    expect(asked).to.deep.equal(["a", "b"]);
  });

  it("finds out beside the others whether one that was down is back, and waits for it at no cost", async () => {
    const { ask, asked, choice, clock } = setUp();
    for (let n = 0; n < 4; n++) choice.timedOut(choice.begin(b));
    await clock.advance(1_500);
    const signals: AbortSignal[] = [];
    const answer = (one: Server, signal: AbortSignal) => {
      if (one === a) return Promise.resolve("good");
      signals.push(signal);
      return new Promise<string>((_, reject) => {
        signal.addEventListener("abort", () => reject(new DiscoveryError("DEADLINE", "late")));
      });
    };
    expect(await ask([a, b], answer)).to.equal("good");
    expect(asked).to.have.members(["a", "b"]);
    expect(signals[0]?.aborted).to.equal(false);
    await clock.advance(2_000);
    expect(signals[0]?.aborted).to.equal(true);
    expect(await ask([a, b], answer)).to.equal("good");
    expect(asked).to.have.length(3);
  });

  it("fails at once while all are down; a batch waits for the probe", async () => {
    const { ask, asked, choice, clock } = setUp();
    for (let n = 0; n < 4; n++) choice.timedOut(choice.begin(a));
    const good = () => Promise.resolve("good");
    const error = await ask([a], good).catch((caught: unknown) => caught);
    expect(error).to.include({ code: "UNREACHABLE", retryAfterSeconds: 2 });
    expect(asked).to.deep.equal([]);
    const waiting = ask([a], good, { patient: true });
    await clock.advance(2_500);
    expect(await waiting).to.equal("good");
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
