// `memory`: what a slot costs a dpd beside an idle one, and what a cached answer costs a resolver, on the heap and by
// its own account, which is what bounds it. The heap is read after collections, so that only what is held counts.

import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parseCsi } from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import { openFederation } from "./federation.js";
import { peakMemoryMib, spreadOf } from "./measure.js";
import type { BenchReport, Ratio } from "./report.js";
import type { BenchOptions } from "./main.js";

const idleSlots = 1;
/** What store's LevelDB may hold of blocks and unwritten rows. */
const levelBytes = (8 + 4) * 1024 ** 2;
const cacheBytes = 256 * 1024 ** 2;

export async function benchMemory({ quick }: BenchOptions): Promise<BenchReport> {
  const slots = quick ? 100_000 : 1_000_000;
  const starts = quick ? 1 : 5;
  await using full = await openFederation({ slots, csis: [], bodies: false });
  await using idle = await openFederation({ slots: idleSlots, csis: [], bodies: false });
  const perSlot: number[] = [];
  for (let round = 0; round < starts; round += 1) {
    await full.restart();
    await idle.restart();
    const beyond = residentBytes(full.pid) - residentBytes(idle.pid) - levelBytes;
    perSlot.push(Math.max(0, beyond) / slots);
  }
  const contacts = quick ? 2_000 : 8_000;
  const held = await heldByResolver(contacts);
  const { answers, whole } = held;
  const budget = 1.25 * (answers.wireBytes / contacts) + 100;
  return {
    name: "memory",
    title:
      "a full zone beside an idle dpd, and a resolver's cached answers on the heap and by its account",
    layout:
      "whither-dpd in processes of their own; the resolver in this one, its heap after collections",
    parameters: { slots, starts, contacts },
    sides: [],
    table: [
      { "": "bytes a slot beyond idle and LevelDB", value: round1(spreadOf(perSlot).median) },
      { "": "heap bytes a contact, all caches", value: round1(whole.heapBytes / contacts) },
      {
        "": "accounted bytes a contact, all caches",
        value: round1(whole.accountedBytes / contacts),
      },
      { "": "accounted bytes an answer", value: round1(answers.accountedBytes / contacts) },
      { "": "wire bytes an answer", value: round1(answers.wireBytes / contacts) },
    ],
    ratios: [
      ratioOfSpread("bytes a slot", perSlot, 16),
      one(
        "accounted bytes an answer to 1.25 x wire + 100",
        answers.accountedBytes / contacts / budget,
        1,
      ),
      one("heap to account, all caches", whole.heapBytes / whole.accountedBytes, 1.25),
      one("account to the configured size", whole.accountedBytes / cacheBytes, 1),
    ],
    peakMib: {
      bench: peakMemoryMib(),
      dpd: peakMemoryMib(full.pid),
      "dpd, empty": peakMemoryMib(idle.pid),
    },
    notes: [
      "resident memory of a process that has just read its zone holds garbage that no collection has met yet",
    ],
  };
}

interface Held {
  readonly heapBytes: number;
  readonly accountedBytes: number;
}

/** What the caches of a resolver hold after so many verbose lookups, and what a second resolver's life costs beside. */
async function heldByResolver(contacts: number): Promise<{
  readonly whole: Held;
  readonly answers: { readonly accountedBytes: number; readonly wireBytes: number };
}> {
  const csis = Array.from({ length: contacts + 1 }, (_, n) => parseCsi(`+1415${5_550_000 + n}`));
  const [first, ...others] = csis;
  await using federation = await openFederation({ slots: 12_288, csis, bodies: true });
  await using resolver: Resolver = await federation.openResolver({ cacheBytes });
  if (first === undefined) throw new TypeError("bench: no contact");
  // Connections, code and zone are there before the caches are filled.
  await resolver.lookup(first);
  const before = { heap: heapBytes(), accounted: resolver.cache.stats().bytes };
  for await (const { answer } of resolver.lookupAll(others, { form: "verbose" })) {
    if (answer.status !== "found") throw new TypeError(`bench: got ${answer.status}`);
  }
  const heap = heapBytes() - before.heap;
  const stats = resolver.cache.stats();
  // An answer's own octets are those of the body that it is decoded from.
  const wireBytes = federation.real.reduce((sum, { slot }) => sum + slot.body.length, 0);
  return {
    whole: { heapBytes: heap, accountedBytes: stats.bytes - before.accounted },
    answers: { accountedBytes: stats.caches.answers.bytes, wireBytes },
  };
}

/** Octets outside of V8's heap included: keys, buckets and bodies lie there. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void; // V8's own, by the flag above
  for (let turn = 0; turn < 3; turn += 1) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Of a process now; NaN where the system does not tell. */
function residentBytes(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
  } catch {
    return Number.NaN;
  }
}

function ratioOfSpread(name: string, values: readonly number[], target: number): Ratio {
  const { median, min, max } = spreadOf(values);
  return { name, value: median, lowest: min, highest: max, target, direction: "at most" };
}

function one(name: string, value: number, target: number): Ratio {
  return { name, value, lowest: value, highest: value, target, direction: "at most" };
}

const round1 = (value: number): number => Math.round(value * 10) / 10;
