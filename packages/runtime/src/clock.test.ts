import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { createSimulatedClock } from "@whither/testkit";
import { expect } from "chai";
import { abortError, systemClock, type Clock } from "./clock.js";
import { deadlineSignal } from "./deadline.js";

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => expect.fail("expected a rejection"),
    (error: unknown) => error,
  );
}

describe("systemClock", () => {
  it("gives whole seconds and a monotonic time that does not go back", () => {
    expect(systemClock.nowSeconds()).to.equal(Math.floor(systemClock.nowMs() / 1000));
    const first = systemClock.monotonicMs();
    expect(systemClock.monotonicMs()).to.be.at.least(first);
  });

  it("does not run a cancelled call", async () => {
    const ran: string[] = [];
    systemClock.schedule(0, () => ran.push("cancelled")).cancel();
    systemClock.schedule(0, () => ran.push("kept"));
    await systemClock.sleep(2);
    expect(ran).to.deep.equal(["kept"]);
  });
});

// Every clock, the simulated one included, treats an aborted sleep alike.
const clocks: readonly (readonly [string, () => Clock])[] = [
  ["systemClock", () => systemClock],
  ["the simulated clock", () => createSimulatedClock()],
];
for (const [name, make] of clocks) {
  describe(`sleep of ${name}`, () => {
    it("rejects at once when the signal is aborted already", async () => {
      const error = await failureOf(make().sleep(3_600_000, { signal: AbortSignal.abort() }));
      expect(isDiscoveryError(error, "CANCELLED")).to.be.true;
    });

    it("rejects with the signal's reason when it aborts meanwhile", async () => {
      const controller = new AbortController();
      const sleeping = failureOf(make().sleep(3_600_000, { signal: controller.signal }));
      const reason = new DiscoveryError("OVERLOADED", "shutting down");
      controller.abort(reason);
      expect(await sleeping).to.equal(reason);
    });
  });
}

describe("abortError", () => {
  const timeout = new DOMException("late", "TimeoutError");
  const cases: readonly (readonly [string, unknown, string])[] = [
    ["a plain abort", undefined, "CANCELLED"],
    ["any other reason", "went away", "CANCELLED"],
    ["AbortSignal.timeout", timeout, "DEADLINE"],
    ["a DiscoveryError", new DiscoveryError("BUDGET", "used up"), "BUDGET"],
  ];
  for (const [title, reason, code] of cases) {
    it(`takes ${title} for ${code}`, () => {
      expect(abortError(AbortSignal.abort(reason)).code).to.equal(code);
    });
  }
});

describe("simulated clock", () => {
  it("runs due timers in order of time, then of making, each at its own time", async () => {
    const clock = createSimulatedClock({ startMs: 1_000 });
    const ran: string[] = [];
    const note = (name: string) => () => ran.push(`${name}@${clock.nowMs()}`);
    clock.schedule(20, note("b"));
    clock.schedule(10, note("a"));
    clock.schedule(20, note("c"));
    clock.schedule(31, note("late"));
    await clock.advance(30);
    expect(ran).to.deep.equal(["a@1010", "b@1020", "c@1020"]);
    expect(clock.nowMs()).to.equal(1_030);
    expect(clock.pending()).to.equal(1);
  });

  it("lets what a timer set off settle before the next timer", async () => {
    const clock = createSimulatedClock({ startMs: 0 });
    const ran: number[] = [];
    const worker = async (): Promise<void> => {
      for (let round = 0; round < 3; round += 1) {
        await clock.sleep(10);
        ran.push(clock.monotonicMs());
      }
    };
    const done = worker();
    await clock.advance(30);
    await done;
    expect(ran).to.deep.equal([10, 20, 30]);
  });

  it("moves the wall clock alone when told", () => {
    const clock = createSimulatedClock({ startMs: 86_400_000 });
    clock.shiftWall(-86_400_000);
    expect([clock.nowMs(), clock.monotonicMs()]).to.deep.equal([0, 0]);
  });
});

describe("deadlineSignal", () => {
  it("aborts with DEADLINE at its time and not before", async () => {
    const clock = createSimulatedClock();
    const { signal } = deadlineSignal(clock, 100);
    await clock.advance(99);
    expect(signal.aborted).to.be.false;
    await clock.advance(1);
    expect(isDiscoveryError(signal.reason, "DEADLINE")).to.be.true;
  });

  it("aborts with its parent and takes its timer back", () => {
    const clock = createSimulatedClock();
    const parent = new AbortController();
    const { signal } = deadlineSignal(clock, 100, parent.signal);
    parent.abort();
    expect(isDiscoveryError(signal.reason, "CANCELLED")).to.be.true;
    expect(clock.pending()).to.equal(0);
  });

  it("is aborted from the start under an aborted parent", () => {
    const clock = createSimulatedClock();
    expect(deadlineSignal(clock, 100, AbortSignal.abort()).signal.aborted).to.be.true;
    expect(clock.pending()).to.equal(0);
  });

  it("never aborts once cancelled", async () => {
    const clock = createSimulatedClock();
    const parent = new AbortController();
    const deadline = deadlineSignal(clock, 100, parent.signal);
    deadline.cancel();
    await clock.advance(1_000);
    parent.abort();
    expect(deadline.signal.aborted).to.be.false;
  });
});
