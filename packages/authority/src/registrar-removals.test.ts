import { expect } from "chai";
import { limits } from "@whither/protocol";
import { createSimulatedClock, fixedBytes, outcomeOf } from "@whither/testkit";
import { createRemovals } from "./registrar-removals.js";

const idx = fixedBytes("idx", 16);
const plaintext = fixedBytes("removal");

describe("createRemovals", () => {
  it("remembers a removal as long as any offer made before it lives, and no longer", async () => {
    const clock = createSimulatedClock({ startMs: 0 });
    const removals = createRemovals({ clock });
    removals.add(idx, plaintext);
    await clock.advance(limits.offerSeconds * 1000);
    expect(removals.get(idx)).to.deep.equal(plaintext);
    await clock.advance(limits.clockSkewSeconds * 1000);
    expect(removals.get(idx)).to.equal(undefined);
  });

  it("forgets one whose slot is filled again", () => {
    const removals = createRemovals({ clock: createSimulatedClock({ startMs: 0 }) });
    removals.add(idx, plaintext);
    removals.delete(idx);
    expect(removals.get(idx)).to.equal(undefined);
  });

  it("OVERLOADED: full; room again once the oldest has run out", async () => {
    const clock = createSimulatedClock({ startMs: 0 });
    const removals = createRemovals({ clock, max: 2 });
    removals.add(idx, plaintext);
    await clock.advance(1000);
    removals.add(fixedBytes("other", 16), plaintext);
    expect(outcomeOf(() => removals.requireRoom())).to.equal("OVERLOADED");
    await clock.advance((limits.offerSeconds + limits.clockSkewSeconds) * 1000 - 1000);
    expect(outcomeOf(() => removals.requireRoom())).to.equal("ok");
  });
});
