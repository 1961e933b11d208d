// `scale`: the cost of a known contact as the zone grows, 192 slots a bucket throughout, against itself in the
// smallest zone. What may grow is the path (32 octets a level) and the pad of the largest bucket.

import { createScope } from "@whither/runtime";
import { inFlight } from "./ceilings.js";
import { openFederation } from "./federation.js";
import { knownCsis, openKnownContacts } from "./known-contacts.js";
import { interleave, peakMemoryMib, type Measured, type Side } from "./measure.js";
import { ratioOf, type BenchReport } from "./report.js";
import type { BenchOptions } from "./main.js";

export async function benchScale({ quick }: BenchOptions): Promise<BenchReport> {
  const sizes = quick ? [12_288, 24_576] : [12_288, 98_304, 786_432];
  const lookups = quick ? 1_000 : 6_000;
  await using opened = createScope();
  const rows: Record<string, number>[] = [];
  const sides: Side[] = [];
  const pids: [slots: number, pid: number][] = [];
  for (const slots of sizes) {
    const open = { slots, csis: knownCsis, bodies: false };
    const federation = opened.use(await openFederation(open));
    const known = opened.use(await openKnownContacts(federation));
    const { bytesIn, bytesOut } = await known.cost();
    const contacts = known.count;
    rows.push({
      slots,
      b: federation.depth,
      contacts,
      "octets in": bytesIn,
      "octets out": bytesOut,
    });
    pids.push([slots, federation.pid]);
    sides.push({
      name: `${slots.toLocaleString("en")} slots`,
      serverPid: federation.pid,
      run: () => known.lookUp(lookups),
    });
  }
  const [smallest, ...larger] = await interleave(sides, { rounds: quick ? 1 : 5 });
  if (smallest === undefined) throw new TypeError("bench: no side was measured");
  return {
    name: "scale",
    title: "compact lookup of a known contact in zones of different sizes",
    layout: "one client process with a resolver a zone, a whither-dpd a zone, one TLS stream each",
    parameters: { "lookups a round": lookups, "in flight": inFlight, "slots a bucket": 192 },
    sides: [smallest, ...larger],
    table: rows,
    ratios: larger.map((ours: Measured) =>
      ratioOf({
        name: `time to the smallest, ${ours.name}`,
        ours,
        ceiling: smallest,
        target: 1.15,
        direction: "at most",
      }),
    ),
    peakMib: {
      bench: peakMemoryMib(),
      ...Object.fromEntries(pids.map(([slots, pid]) => [`dpd, ${slots}`, peakMemoryMib(pid)])),
    },
    notes: ["the smallest zone has fewer buckets than requests may be in flight: one each"],
  };
}
