// `bytes`: what a new contact costs on the wire, by the size of the zone. Not timed: the resolver's own
// count of messages, over the real daemon.

import { parseCsi, type Csi } from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import { openFederation } from "./federation.js";
import { peakMemoryMib } from "./measure.js";
import type { BenchReport, Ratio } from "./report.js";
import type { BenchOptions } from "./main.js";

const contacts = 12;
const kib = 1024;

export async function benchBytes({ quick }: BenchOptions): Promise<BenchReport> {
  const sizes = quick ? [10_000] : [10_000, 100_000, 1_000_000];
  const rows: Row[] = [];
  const peakMib: Record<string, number | undefined> = {};
  for (const slots of sizes) {
    // The first warms up: manifest and head come once, not with a contact.
    const csis = Array.from({ length: contacts + 1 }, (_, n) => parseCsi(`+1415555${1000 + n}`));
    await using federation = await openFederation({ slots, csis, bodies: true });
    const { depth } = federation;
    const [first, ...rest] = csis;
    if (first === undefined) throw new TypeError("bench: no contact");
    const compact = await worst(federation.openResolver, { first, rest, form: "compact" });
    const verbose = await worst(federation.openResolver, { first, rest, form: "verbose" });
    rows.push({
      slots,
      b: depth,
      "slots a bucket": slots / 2 ** depth,
      "compact, octets": compact,
      "verbose, octets": verbose,
    });
    peakMib[`dpd, ${slots.toLocaleString("en")} slots`] = peakMemoryMib(federation.pid);
  }
  const most = (
    key: "compact, octets" | "verbose, octets",
    name: string,
    target: number,
  ): Ratio => {
    const values = rows.map((row) => row[key] / kib);
    const [lowest, highest] = [Math.min(...values), Math.max(...values)];
    return { name, value: highest, lowest, highest, target, direction: "at most" };
  };
  return {
    name: "bytes",
    title: "octets that one new contact costs, evaluate + bucket (+ 32 bodies), both directions",
    layout: "bench process and whither-dpd, TLS on loopback, as the resolver counts messages",
    parameters: { "contacts a row": contacts, "bodies of": "2 KiB class" },
    sides: [],
    table: rows,
    ratios: [
      most("compact, octets", "KiB compact, largest", 26),
      most("verbose, octets", "KiB verbose, largest", 100),
    ],
    peakMib: { bench: peakMemoryMib(), ...peakMib },
    notes: [
      "the dearest of the contacts; manifest and head were held, gRPC and TLS add about 40 octets a message",
    ],
  };
}

interface Row extends Readonly<Record<string, number>> {
  readonly slots: number;
  readonly "compact, octets": number;
  readonly "verbose, octets": number;
}

async function worst(
  openResolver: () => Promise<Resolver>,
  of: {
    readonly first: Csi;
    readonly rest: readonly Csi[];
    readonly form: "compact" | "verbose";
  },
): Promise<number> {
  const { first, rest, form } = of;
  await using resolver = await openResolver();
  await resolver.lookup(first, { form });
  let most = 0;
  for (const csi of rest) {
    const answer = await resolver.lookup(csi, { form });
    if (answer.status !== "found")
      throw new TypeError(`bench: expected found, got ${answer.status}`);
    const { bytesIn, bytesOut } = answer.stats;
    most = Math.max(most, bytesIn + bytesOut);
  }
  return most;
}
