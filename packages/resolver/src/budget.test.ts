import { expect } from "chai";
import { limits } from "@whither/protocol";
import { outcomeOf } from "@whither/testkit";
import { WorkBudget, type Spend, type WorkKind } from "./budget.js";

/** How many units can be taken one by one. */
function capacity(spend: Spend, kind: WorkKind): number {
  for (let n = 0; n < 1_000; n++) {
    const outcome = outcomeOf(() => spend(kind));
    if (outcome !== "ok") {
      expect(outcome).to.equal("BUDGET");
      return n;
    }
  }
  return Infinity;
}

describe("work budget", () => {
  const make = () => new WorkBudget({ bytesPerZoneMax: 100 });

  it("is one for all zones in RPCs, referrals and ports", () => {
    const cases = [
      ["rpc", limits.queryRpcsMax],
      ["referral", limits.queryReferralsMax],
      ["port", limits.queryPortsMax],
    ] as const;
    for (const [kind, most] of cases) {
      const budget = make();
      const [one, other] = [budget.zone(), budget.zone()];
      one(kind);
      expect(capacity(other, kind)).to.equal(most - 1);
      expect(capacity(one, kind)).to.equal(0);
      expect(capacity(budget.directory, kind)).to.equal(0);
    }
  });

  it("takes a caller's wish for fewer ports, not for more", () => {
    for (const [portsMax, most] of [
      [0, 0],
      [2, 2],
      [9, limits.queryPortsMax],
    ] as const) {
      const budget = new WorkBudget({ bytesPerZoneMax: 100, portsMax });
      expect(capacity(budget.directory, "port")).to.equal(most);
    }
  });

  it("gives each zone its own verifications and bytes", () => {
    const budget = make();
    for (const spend of [budget.zone(), budget.zone()]) {
      expect(capacity(spend, "verification")).to.equal(12 + 4 * 8);
      spend("bytes", 60);
      expect(outcomeOf(() => spend("bytes", 41))).to.equal("BUDGET");
      spend("bytes", 40);
    }
  });
});
