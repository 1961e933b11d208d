import { expect } from "chai";
import { successionFact } from "./succession-fact.js";

const still = {
  successor: undefined,
  next: undefined,
  previous: [],
  acceptances: "renewed",
  problem: undefined,
} as const;

describe("what an operator is told of a change of keys", () => {
  it("nothing where nothing changes", () => {
    expect(successionFact(still)).to.equal(undefined);
  });

  it("that acceptances are still by the zone key before, also when all else is done", () => {
    expect(successionFact({ ...still, acceptances: "to renew" })).to.include({
      acceptancesToRenew: true,
      manifestSha256: "",
    });
  });

  it("a tree before, until it is dropped", () => {
    const kid = Uint8Array.of(1, 2, 3, 4);
    expect(successionFact({ ...still, previous: [{ kid, dropAt: 9 }] })).to.deep.include({
      acceptancesToRenew: false,
      previous: [{ kid: "01020304", dropAt: 9 }],
    });
  });
});
