import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError, type ErrorCode } from "@whither/protocol";
import { createSeededRandom, createSimulatedClock, fixedBytes } from "@whither/testkit";
import type { Server } from "./peers.js";
import { ServerChoice } from "./server-choice.js";

const server = (name: string, rank = 0): Server => ({
  key: `${name}:1`,
  host: name,
  port: 1,
  pins: [fixedBytes(name)],
  rank,
});
const [a, b, c] = [server("a"), server("b"), server("c")] as const;
const zone = "de@dp-a.example";

function setUp(seed = 4) {
  const clock = createSimulatedClock();
  const choice = new ServerChoice({ clock, random: createSeededRandom(seed) });
  const fail = (one: Server, code: ErrorCode, retryAfterSeconds = 0) =>
    choice.failed(
      choice.begin(one),
      new DiscoveryError(code, "scripted", { retryAfterSeconds }),
      zone,
    );
  const timeOut = (one: Server, times = 1) => {
    for (let n = 0; n < times; n++) choice.timedOut(choice.begin(one));
  };
  const firsts = (servers: readonly Server[], n = 2_000) => {
    const counts = new Map<Server | undefined, number>();
    for (let i = 0; i < n; i++) {
      const [first] = choice.order(servers, zone).servers;
      counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    return (one: Server) => counts.get(one) ?? 0;
  };
  const row = (one: Server) => choice.rows().find(({ server: key }) => key === one.key);
  return { clock, choice, fail, timeOut, firsts, row };
}

describe("choice of a server", () => {
  it("prefers the smaller smoothed round trip, and explores one time in twenty", () => {
    const { choice, firsts } = setUp();
    choice.answered(a.key, 80);
    choice.answered(b.key, 20);
    // Of every twentieth choice each of the two gets half.
    expect(firsts([a, b])(a)).to.be.within(25, 80);
  });

  it("spreads over servers that are alike", () => {
    const { choice, firsts } = setUp();
    for (const [one, ms] of [
      [a, 20],
      [b, 25],
      [c, 300],
    ] as const)
      choice.answered(one.key, ms);
    const count = firsts([a, b, c]);
    expect(count(a)).to.be.within(900, 1_100);
    expect(count(b)).to.be.within(900, 1_100);
  });

  it("takes a lower rank first however slow, and the other when it is down", () => {
    const { choice, timeOut } = setUp();
    const [near, far] = [server("near", 1), server("far", 0)] as const;
    choice.answered(near.key, 1);
    choice.answered(far.key, 900);
    expect(choice.order([near, far], zone).servers).to.deep.equal([far, near]);
    timeOut(far, 4);
    expect(choice.order([near, far], zone).servers).to.deep.equal([near]);
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

  it("waits twice as long after each time-out", () => {
    const { choice, timeOut } = setUp();
    for (const ms of [400, 800, 1_600, 3_200]) {
      expect(choice.timeoutMs(a.key)).to.equal(ms);
      timeOut(a);
    }
  });

  it("takes four in a row for down, probes within 1 to 1.5 s, and believes one answer", async () => {
    const { choice, clock, timeOut, row } = setUp();
    choice.answered(a.key, 10);
    timeOut(a, 3);
    expect(choice.isDown(a.key)).to.equal(false);
    timeOut(a);
    expect(choice.isDown(a.key)).to.equal(true);
    expect(row(a)).to.include({ state: "down", timeouts: 4, lastFailure: "DEADLINE" });
    expect(choice.order([a, b], zone)).to.deep.equal({ servers: [b], probe: undefined, waitMs: 0 });
    await clock.advance(999);
    expect(choice.order([a, b], zone).probe).to.equal(undefined);
    await clock.advance(501);
    expect(choice.order([a, b], zone)).to.deep.equal({ servers: [b], probe: a, waitMs: 0 });
    expect(choice.order([a, b], zone).probe).to.equal(undefined);
    choice.answered(a.key, 10);
    expect(row(a)).to.include({ state: "up", timeouts: 0, nextProbeMs: 0 });
  });

  it("asks nobody while all are down and none is due, and says how long", async () => {
    const { choice, clock, timeOut } = setUp();
    timeOut(a, 4);
    const { servers, waitMs } = choice.order([a], zone);
    expect(servers).to.deep.equal([]);
    expect(waitMs).to.be.within(1_000, 1_500);
    await clock.advance(waitMs);
    expect(choice.order([a], zone).servers).to.deep.equal([a]);
    expect(choice.order([a], zone).servers).to.deep.equal([]);
  });

  it("counts those that fail together as one", () => {
    const { choice, row } = setUp();
    const together = Array.from({ length: 100 }, () => choice.begin(a));
    for (const attempt of together) choice.timedOut(attempt);
    expect(row(a)).to.include({ timeouts: 1, state: "untried" });
  });

  it("takes another key than the pinned one for down at once", () => {
    const { choice, fail } = setUp();
    fail(a, "PIN_MISMATCH");
    expect(choice.isDown(a.key)).to.equal(true);
  });

  it("lets a late time-out of an old question take back none that came since", () => {
    const { choice, timeOut, row } = setUp();
    const old = choice.begin(a);
    timeOut(a, 3);
    choice.timedOut(old);
    expect(row(a)?.timeouts).to.equal(3);
  });

  it("passes over one that limits from when it said so", async () => {
    const { clock, fail, row } = setUp();
    await clock.advance(3_600_000);
    fail(a, "LIMITED", 10);
    expect(row(a)).to.include({ state: "limited", nextProbeMs: 10_000 });
  });

  it("passes over one that limits for as long as it says, between 1 and 60 s", async () => {
    for (const [says, passes] of [
      [0, 1],
      [7, 7],
      [86_400, 60],
    ] as const) {
      const { choice, clock, fail, row } = setUp();
      choice.answered(a.key, 1);
      choice.answered(b.key, 500);
      fail(a, "LIMITED", says);
      expect(row(a)).to.include({ state: "limited", nextProbeMs: passes * 1_000 });
      await clock.advance(passes * 1_000 - 1);
      expect(choice.order([a, b], zone).servers).to.deep.equal([b, a]);
      await clock.advance(1);
      expect(row(a)).to.include({ state: "up" });
    }
  });

  it("asks one that answers badly last, in that zone alone: 5 s, then twice as long each time", async () => {
    const { choice, clock, fail, row } = setUp();
    choice.answered(a.key, 1);
    choice.answered(b.key, 500);
    for (const seconds of [5, 10, 20, 40, 80, 160, 300, 300]) {
      fail(a, "BOGUS");
      fail(a, "BOGUS");
      expect(row(a)?.lame).to.deep.equal([{ zone, code: "BOGUS", forMs: seconds * 1_000 }]);
      expect(choice.order([a, b], zone).servers).to.deep.equal([b, a]);
      expect(choice.isDown(a.key)).to.equal(false);
      await clock.advance(seconds * 1_000);
      expect(row(a)?.lame).to.deep.equal([]);
    }
    fail(a, "NOT_AUTHORITATIVE");
    choice.served(choice.begin(a), zone);
    expect(row(a)?.lame).to.deep.equal([]);
  });

  it("holds against no server what is the caller's or the epoch's", () => {
    const { choice, fail, row } = setUp();
    choice.answered(a.key, 1);
    for (const code of ["CANCELLED", "BUDGET", "CLOCK_SKEW", "DEPTH_CHANGED"] as const) {
      fail(a, code);
      expect(row(a)).to.deep.include({ state: "up", lastFailure: undefined, lame: [] });
    }
  });
});

type Step =
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "ask"; readonly ok: readonly boolean[] };

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 3_000 }) }),
    fc.record({
      kind: fc.constant("ask" as const),
      ok: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    }),
  ),
  { maxLength: 120 },
);
const four = ["s0", "s1", "s2", "s3"].map((name, n) => server(name, n === 3 ? 1 : 0));

describe("choice of a server, against a model that counts time-outs", () => {
  it("never asks one that is down while another is up, and none that is down twice within a second", async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), async (script: readonly Step[], seed) => {
        const { choice, clock } = setUp(seed);
        const unanswered = new Map(four.map(({ key }) => [key, 0]));
        const askedDownMs = new Map<string, number>();
        const isDown = ({ key }: Server) => (unanswered.get(key) ?? 0) >= 4;
        const asked = (one: Server, ok: readonly boolean[]) => {
          const nowMs = clock.monotonicMs();
          if (isDown(one)) {
            expect(nowMs - (askedDownMs.get(one.key) ?? -Infinity)).to.be.at.least(1_000);
            askedDownMs.set(one.key, nowMs);
          }
          const attempt = choice.begin(one);
          if (ok[four.indexOf(one)] === true) {
            unanswered.set(one.key, 0);
            choice.answered(one.key, 20);
          } else {
            if (!isDown(one)) {
              unanswered.set(one.key, (unanswered.get(one.key) ?? 0) + 1);
              if (isDown(one)) askedDownMs.set(one.key, nowMs);
            }
            choice.timedOut(attempt);
          }
        };
        for (const step of script) {
          if (step.kind === "wait") {
            await clock.advance(step.ms);
            continue;
          }
          const anyUp = four.some((one) => !isDown(one));
          const { servers, probe } = choice.order(four, zone);
          if (anyUp) expect(servers.some(isDown)).to.equal(false);
          if (anyUp) expect(servers).to.have.length(four.filter((one) => !isDown(one)).length);
          if (probe !== undefined) expect([anyUp, isDown(probe)]).to.deep.equal([true, true]);
          const [first] = servers;
          for (const one of [first, probe]) if (one !== undefined) asked(one, step.ok);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("finds one that came back within 1.5 s of questions, without a hand", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const { choice, clock, timeOut } = setUp(seed);
        timeOut(a, 4);
        for (let ms = 0; ms < 1_500; ms += 100) {
          await clock.advance(100);
          const [one] = choice.order([a], zone).servers;
          if (one !== undefined) choice.answered(one.key, 5);
        }
        expect(choice.isDown(a.key)).to.equal(false);
      }),
      { numRuns: 20 },
    );
  });
});

describe("what is known of servers", () => {
  it("is bounded, whoever is named", () => {
    const { choice, fail } = setUp();
    for (let n = 0; n < 5_000; n++) fail(server(`s${n}`), "BOGUS");
    expect(choice.rows()).to.have.length(4_096);
    expect(choice.rows().flatMap(({ lame }) => lame)).to.have.length(4_096);
  });
});
