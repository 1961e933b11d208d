import { expect } from "chai";
import { ExitTally, type ReportStatus } from "./report.js";

type Seen = ReportStatus | "usage";

function exitOf(seen: readonly Seen[], several: boolean): number {
  const tally = new ExitTally();
  for (const status of seen) tally.addStatus(status);
  return tally.status({ several });
}

describe("exit status", () => {
  const single: readonly (readonly [Seen, number])[] = [
    ["found", 0],
    ["none", 1],
    ["usage", 2],
    ["bogus", 3],
    ["refused", 4],
    ["unreachable", 5],
    ["incomplete", 6],
  ];
  for (const [status, exit] of single) {
    it(`of one identifier, ${status}: ${exit}`, () => {
      expect(exitOf([status], false)).to.equal(exit);
    });
  }

  const several: readonly (readonly [readonly Seen[], number])[] = [
    [["found", "none"], 0],
    [["none", "none"], 0],
    [["none", "incomplete"], 6],
    [["incomplete", "unreachable"], 5],
    [["unreachable", "refused", "found"], 4],
    [["incomplete", "unreachable", "refused", "bogus"], 3],
    [["bogus", "usage"], 2],
    [[], 0],
  ];
  for (const [seen, exit] of several) {
    it(`of several, ${seen.join(" ") || "nothing"}: ${exit}`, () => {
      expect(exitOf(seen, true)).to.equal(exit);
      expect(exitOf(seen.toReversed(), true)).to.equal(exit);
    });
  }
});
