// `known`: a contact whose y is held and whose bucket is not: one bucket over the anonymous stream, verified up
// to the signed head. Against a bare protobuf echo with messages of the same size.

import { parseCsi, type Csi } from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import { bucketIndex } from "@whither/zone";
import { inFlight, openCeilings } from "./ceilings.js";
import { openFederation, type Federation } from "./federation.js";
import { interleave, peakMemoryMib, type Work } from "./measure.js";
import { ratioOf, type BenchReport } from "./report.js";
import type { BenchOptions } from "./main.js";

const candidates = 800;

export async function benchKnown({ quick }: BenchOptions): Promise<BenchReport> {
  const slots = quick ? 12_288 : 98_304;
  const lookups = quick ? 2_000 : 10_000;
  const csis = Array.from({ length: candidates }, (_, n) => parseCsi(`+1415555${1000 + n}`));
  await using federation = await openFederation({ slots, csis, bodies: false });
  await using ceilings = await openCeilings(federation.certificates);
  await using resolver = await federation.openResolver();
  // One contact a bucket: two in flight for one bucket would share its fetch.
  const contacts = onePerBucket(federation);
  await resolver.lookup(csis[0] ?? parseCsi("+14155550100"), { form: "compact" });
  for await (const { answer } of resolver.lookupAll(contacts)) {
    if (answer.status === "found") continue;
    const codes = answer.errors.map(({ code, text }) => `${code} ${text}`);
    throw new TypeError(`bench: expected found, got ${answer.status} (${codes.join(", ")})`);
  }
  const { bytesIn, bytesOut } = await costOf(resolver, contacts);
  const answers = Array.from({ length: lookups }, () => bytesIn);
  const [ours, ceiling] = await interleave(
    [
      {
        name: "known contact",
        serverPid: federation.pid,
        run: () => lookupMany(resolver, { contacts, lookups }),
      },
      {
        name: "protobuf echo",
        serverPid: ceilings.pid,
        run: async () => {
          await ceilings.echo({ requestBytes: bytesOut, answers });
          return { operations: lookups };
        },
      },
    ],
    { rounds: quick ? 1 : 5 },
  );
  if (ours === undefined || ceiling === undefined) throw new TypeError("two sides were measured");
  return {
    name: "known",
    title: "compact lookup with y held and bucket not cached, against a pipelined protobuf echo",
    layout:
      "client and server processes, one TLS stream each; ours anonymous, the echo with a client certificate",
    parameters: {
      slots,
      depth: federation.depth,
      contacts: contacts.length,
      "lookups a round": lookups,
      "in flight": inFlight,
      "octets out": bytesOut,
      "octets in": bytesIn,
    },
    sides: [ours, ceiling],
    ratios: [
      ratioOf({ name: "rate to ceiling", ours, ceiling, target: 0.7, direction: "at least" }),
    ],
    peakMib: {
      bench: peakMemoryMib(),
      dpd: peakMemoryMib(federation.pid),
      echo: peakMemoryMib(ceilings.pid),
    },
    notes: [],
  };
}

function onePerBucket({ real, depth }: Federation): readonly Csi[] {
  const byBucket = new Map(real.map(({ slot, csi }) => [bucketIndex(slot.idx, depth), csi]));
  return [...byBucket.values()];
}

/** Octets of one such lookup. */
async function costOf(
  resolver: Resolver,
  contacts: readonly Csi[],
): Promise<{ readonly bytesIn: number; readonly bytesOut: number }> {
  const [csi] = contacts;
  if (csi === undefined) throw new TypeError("bench: no contact");
  const { stats } = await resolver.lookup(csi, { form: "compact", refresh: true });
  if (stats.rpcs !== 1) throw new TypeError(`bench: expected one call, got ${stats.rpcs}`);
  return stats;
}

async function lookupMany(
  resolver: Resolver,
  of: { readonly contacts: readonly Csi[]; readonly lookups: number },
): Promise<Work> {
  const { contacts, lookups } = of;
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < lookups) {
      const csi = contacts[begun % contacts.length];
      begun += 1;
      if (csi === undefined) throw new TypeError("bench: no contact");
      const { status } = await resolver.lookup(csi, { form: "compact", refresh: true });
      if (status !== "found") throw new TypeError(`bench: got ${status}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, contacts.length) }, lane));
  return { operations: lookups };
}
