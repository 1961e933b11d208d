// `known`: a contact whose y is held and whose bucket is not: one bucket over the anonymous stream, verified up
// to the signed head. Against a bare protobuf echo with messages of the same size.

import { inFlight, openCeilings } from "./ceilings.js";
import { openFederation } from "./federation.js";
import { knownCsis, openKnownContacts } from "./known-contacts.js";
import { interleave, peakMemoryMib } from "./measure.js";
import { ratioOf, type BenchReport } from "./report.js";
import type { BenchOptions } from "./main.js";

export async function benchKnown({ quick }: BenchOptions): Promise<BenchReport> {
  const slots = quick ? 12_288 : 98_304;
  const lookups = quick ? 2_000 : 10_000;
  await using federation = await openFederation({ slots, csis: knownCsis, bodies: false });
  await using ceilings = await openCeilings(federation.certificates);
  await using known = await openKnownContacts(federation);
  const { bytesIn, bytesOut } = await known.cost();
  const answers = Array.from({ length: lookups }, () => bytesIn);
  const [ours, ceiling] = await interleave(
    [
      {
        name: "known contact",
        serverPid: federation.pid,
        run: () => known.lookUp(lookups),
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
      contacts: known.count,
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
