// Deadlines and cancellation in every step of a lookup: a caller who leaves is gone at once and leaves nothing running;
// one who has more time for the same question gets its answer.

import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import { makeRegistrationParties } from "@whither/testkit";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi } = parties;
const two = parseCsi("+14155550124");
const steps = ["manifest", "head", "evaluate", "bucket", "bodies"] as const;
type Step = (typeof steps)[number];

/** A zone that answers one step only when it is let to. */
async function holding(step: Step, portedTo = "") {
  const contacts = [
    contactOf(parties, { statement: { fields: { portedTo } } }),
    contactOf({ ...parties, csi: two }, { mapping: { msp: 1 }, bits: [5] }),
  ];
  const zone = new ScriptedZone({ parties, contacts, fillers: 40 });
  zone.lies.silent = (kind) => kind === step;
  const world = await scriptedWorld({ zones: [zone] });
  return { zone, ...world };
}

/** How a lookup ended and when, in simulated milliseconds. */
function timed(clock: { monotonicMs(): number }, lookup: Promise<unknown>) {
  const startMs = clock.monotonicMs();
  const outcome = { code: "waits", ms: -1 };
  void codeOf(lookup).then((code) => {
    Object.assign(outcome, { code, ms: clock.monotonicMs() - startMs });
  });
  return outcome;
}

describe("a lookup that waits for its DP", () => {
  for (const step of steps) {
    it(`for the ${step} ends when its caller leaves, at once`, async () => {
      const { resolver, clock } = await holding(step);
      const controller = new AbortController();
      const outcome = timed(clock, resolver.lookup(csi, { signal: controller.signal }));
      await clock.advance(100);
      expect(outcome.code).to.equal("waits");
      controller.abort();
      await clock.settle();
      expect(outcome).to.deep.equal({ code: "CANCELLED", ms: 100 });
    });

    it(`for the ${step} ends at its own deadline, and another's for the same goes on`, async () => {
      const { zone, resolver, clock } = await holding(step);
      const hasty = timed(clock, resolver.lookup(csi, { timeoutMs: 300 }));
      const patient = timed(clock, resolver.lookup(csi, { timeoutMs: 5_000 }));
      await clock.advance(299);
      expect([hasty.code, patient.code]).to.deep.equal(["waits", "waits"]);
      await clock.advance(1);
      expect(hasty).to.deep.equal({ code: "DEADLINE", ms: 300 });
      expect(patient.code).to.equal("waits");
      zone.lies.silent = () => false;
      for (let ms = 0; ms < 4_700; ms += 100) await clock.advance(100);
      // A question that was swallowed is not asked again of an only server: it ends in its time, not in the other's.
      expect(patient.code).to.be.oneOf(["ok", "DEADLINE"]);
      expect(patient.ms).to.be.within(300, 5_000);
    });
  }

  it("ends in time also on the way to where the holder moved, with what was found before", async () => {
    const { zone, resolver, clock } = await holding("evaluate", two);
    let evaluations = 0;
    zone.lies.silent = (kind) => kind === "evaluate" && ++evaluations > 1;
    const answering = resolver.lookup(csi, { timeoutMs: 1_000 });
    const outcome = timed(clock, answering);
    await clock.advance(1_000);
    expect(outcome).to.deep.equal({ code: "ok", ms: 1_000 });
    const { mappings, ports, complete } = await answering;
    expect(mappings.map(({ msp }) => msp)).to.deep.equal(["wire.example"]);
    expect(ports.map(({ outcome }) => outcome)).to.deep.equal(["DEADLINE"]);
    expect(complete).to.deep.equal({ answered: 1, asked: 2 });
  });

  it("is cancelled, not answered, when its caller leaves on that way", async () => {
    const { zone, resolver, clock } = await holding("evaluate", two);
    let evaluations = 0;
    zone.lies.silent = (kind) => kind === "evaluate" && ++evaluations > 1;
    const controller = new AbortController();
    const outcome = timed(clock, resolver.lookup(csi, { signal: controller.signal }));
    await clock.advance(200);
    controller.abort();
    await clock.settle();
    expect(outcome).to.deep.equal({ code: "CANCELLED", ms: 200 });
  });
});
