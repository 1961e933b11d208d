// `start`: whither-dpd with 1,000,000 slots from exec to serving. Nothing is served before every bucket has been
// hashed again and the tree's root compared with the signed head, so that is in the figure.

import { openFederation } from "./federation.js";
import { peakMemoryMib, spreadOf } from "./measure.js";
import type { BenchReport } from "./report.js";
import type { BenchOptions } from "./main.js";

const idleSlots = 1;

export async function benchStart({ quick }: BenchOptions): Promise<BenchReport> {
  const slots = quick ? 100_000 : 1_000_000;
  const starts = quick ? 1 : 5;
  await using federation = await openFederation({ slots, csis: [], bodies: false });
  await using idle = await openFederation({ slots: idleSlots, csis: [], bodies: false });
  const full: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < starts; round += 1) {
    full.push(await federation.restart());
    bare.push(await idle.restart());
  }
  const [ours, empty] = [spreadOf(full), spreadOf(bare)];
  return {
    name: "start",
    title:
      "a daemon with a full zone from exec to serving, every bucket hashed again, beside an empty one",
    layout: "whither-dpd in a process of its own, its files in the system's cache",
    parameters: { slots, depth: federation.depth, starts },
    sides: [],
    table: [
      { "": "full zone", "seconds (median)": ours.median, min: ours.min, max: ours.max },
      { "": "empty zone", "seconds (median)": empty.median, min: empty.min, max: empty.max },
    ],
    ratios: [
      {
        name: "seconds to serving",
        value: ours.median,
        lowest: ours.min,
        highest: ours.max,
        target: 2,
        direction: "at most",
      },
    ],
    peakMib: { dpd: peakMemoryMib(federation.pid), "dpd, empty": peakMemoryMib(idle.pid) },
    notes: [],
  };
}
