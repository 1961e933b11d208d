import { expect } from "chai";
import { SharedParts } from "./shared-parts.js";

describe("shared parts", () => {
  it("are the first of those that say the same, and cost once", () => {
    const shared = new SharedParts();
    const first = { zone: "de@dp-a.example", serial: 7 };
    const kept = shared.share(first);
    expect(kept.part).to.equal(first);
    expect(kept.bytes).to.be.greaterThan(JSON.stringify(first).length);
    expect(shared.share({ ...first })).to.deep.equal({ part: first, bytes: 0 });
    expect(shared.share({ ...first }).part).to.equal(first);
    expect(shared.share({ ...first, serial: 8 }).part).to.not.equal(first);
  });

  it("are held again once too many others came between", () => {
    const shared = new SharedParts();
    const first = { serial: 0 };
    shared.share(first);
    for (let serial = 1; serial <= 1_024; serial += 1) shared.share({ serial });
    const again = { serial: 0 };
    expect(shared.share(again).part).to.equal(again);
    shared.clear();
    expect(shared.share({ serial: 0 }).part).to.not.equal(again);
  });
});
