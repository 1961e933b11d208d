import { expect } from "chai";
import { DiscoveryError, limits, parseCsi, type ErrorCode } from "@whither/protocol";
import { makeRegistrationParties } from "@whither/testkit";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const numbers = Array.from({ length: 40 }, (_, n) => parseCsi(`+141555501${10 + n}`));

/** A zone that fails, and contacts none of whom was ever asked about. */
async function failing(kind: "head" | "manifest" | "evaluate" | "bucket", code: ErrorCode) {
  const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)] });
  zone.lies.fail = (asked) => (asked === kind ? new DiscoveryError(code, "scripted") : undefined);
  const world = await scriptedWorld({ zones: [zone] });
  let next = 0;
  /** How often the step was asked for when one contact more was looked up, and how that ended. */
  const ask = async (options: { readonly refresh?: boolean } = {}) => {
    zone.asked.length = 0;
    const ended = await codeOf(world.resolver.lookup(numbers[next++]!, options));
    return [ended, zone.asked.filter(({ kind: asked }) => asked === kind).length];
  };
  return { zone, ask, ...world };
}

describe("a zone whose servers answer badly", () => {
  for (const kind of ["manifest", "head", "evaluate"] as const) {
    it(`is asked once in 5 s for its ${kind}, whoever is looked up`, async () => {
      const { ask, clock } = await failing(kind, "NOT_AUTHORITATIVE");
      expect(await ask()).to.deep.equal(["NOT_AUTHORITATIVE", 1]);
      expect(await ask()).to.deep.equal(["NOT_AUTHORITATIVE", 0]);
      await clock.advance(4_900);
      expect(await ask()).to.deep.equal(["NOT_AUTHORITATIVE", 0]);
      await clock.advance(100);
      expect(await ask()).to.deep.equal(["NOT_AUTHORITATIVE", 1]);
    });
  }

  it("is asked ever more rarely, after 300 s at the latest, and at once when it is well", async () => {
    const { ask, clock, zone } = await failing("head", "INTERNAL");
    for (const seconds of [5, 10, 20, 40, 80, 160, 300, 300]) {
      expect(await ask()).to.deep.equal(["INTERNAL", 1]);
      await clock.advance(seconds * 1_000 - 1);
      expect(await ask(), `${seconds} s`).to.deep.equal(["INTERNAL", 0]);
      await clock.advance(1);
    }
    expect(limits.failureTtlSecondsMax).to.equal(300);
    zone.lies.fail = () => undefined;
    expect((await ask())[0]).to.equal("ok");
    expect((await ask())[0]).to.equal("ok");
  });

  it("is asked all the same by who wants it anew", async () => {
    const { ask } = await failing("head", "INTERNAL");
    await ask();
    expect(await ask({ refresh: true })).to.deep.equal(["INTERNAL", 1]);
  });

  for (const code of ["LIMITED", "OVERLOADED", "UNKNOWN_KID"] as const) {
    it(`of which ${code} is none is asked as ever`, async () => {
      const { ask } = await failing("evaluate", code);
      await ask();
      expect((await ask())[1]).to.be.at.least(1);
    });
  }

  it("for one bucket only is well for all others: nobody hides a zone by spoiling a part of it", async () => {
    const { ask } = await failing("bucket", "INTERNAL");
    expect(await ask()).to.deep.equal(["INTERNAL", 1]);
    expect(await ask()).to.deep.equal(["INTERNAL", 1]);
  });
});
