import { expect } from "chai";
import { parseCsi, parseZoneName, type ZoneName } from "@whither/protocol";
import { createSimulatedClock } from "@whither/testkit";
import type { AnswerRow } from "./answer-cache.js";
import { ForkedZones } from "./forked-zones.js";
import type { ZoneView } from "./zone-view.js";

const [forked, other] = [parseZoneName("us@dp-a.example"), parseZoneName("us@dp-b.example")];
const viewOf = (zone: ZoneName): ZoneView => ({ zone }) as ZoneView; // all that is looked at

function row(of: Readonly<Record<string, "absent" | "present" | "failed">>): AnswerRow {
  const dps = Object.entries(of).map(([zone, outcome]) => ({ zone, outcome }));
  const cached = { merged: { dps } };
  return { csi: parseCsi("+14155550100"), form: "verbose", cached } as unknown as AnswerRow; // as above
}

function world(rows: readonly AnswerRow[]) {
  const clock = createSimulatedClock({ startMs: 0 });
  const heard = { sweeps: 0, expired: [] as AnswerRow[], trees: [] as ZoneName[] };
  const forks = new ForkedZones({
    clock,
    cache: {
      *rows() {
        heard.sweeps += 1;
        yield* rows;
      },
      expire: (one) => void heard.expired.push(one),
    },
    buckets: { expire: ({ zone }) => void heard.trees.push(zone) },
  });
  return { clock, heard, forks };
}

describe("a zone that has signed two histories", () => {
  it("loses what it proved absent, alone or beside others, and nothing else", () => {
    const [alone, beside, present, elsewhere] = [
      row({ [forked]: "absent" }),
      row({ [forked]: "absent", [other]: "present" }),
      row({ [forked]: "present", [other]: "absent" }),
      row({ [other]: "absent" }),
    ];
    const { heard, forks } = world([alone, beside, present, elsewhere]);
    forks.found(viewOf(forked));
    expect(heard.expired).to.deep.equal([alone, beside]);
    expect(heard.trees).to.deep.equal([forked]);
  });

  it("is swept at most once in 5 s, each zone for itself", async () => {
    const { clock, heard, forks } = world([]);
    for (let time = 0; time < 100; time++) {
      forks.found(viewOf(forked));
      await clock.advance(49);
    }
    expect(heard.sweeps).to.equal(1);
    forks.found(viewOf(other));
    expect(heard.sweeps).to.equal(2);
    await clock.advance(100);
    forks.found(viewOf(forked));
    expect(heard.sweeps).to.equal(3);
  });
});
