// `new`: cold lookups of 500 contacts as one batch, against what nobody can spare: the raw VOPRF steps, the same
// octets moved, and (verbose) five Ed25519 verifications a contact, spread evenly over two processes.

import { availableParallelism } from "node:os";
import { parseCsi, type Csi } from "@whither/protocol";
import { createVoprfPool, type VoprfEngine } from "@whither/runtime";
import { inFlight, openCeilings, type Ceilings, type Exchange } from "./ceilings.js";
import { openFederation, type Federation } from "./federation.js";
import { interleave, peakMemoryMib, type Measured, type Side, type Work } from "./measure.js";
import { ratioOf, type BenchReport } from "./report.js";
import type { BenchOptions } from "./main.js";

type Form = "compact" | "verbose";

export async function benchNew({ quick }: BenchOptions): Promise<BenchReport> {
  const slots = quick ? 12_288 : 98_304;
  const contacts = quick ? 100 : 500;
  const csis = Array.from({ length: contacts + 1 }, (_, n) => parseCsi(`+1415555${1000 + n}`));
  await using federation = await openFederation({ slots, csis, bodies: true });
  await using ceilings = await openCeilings(federation.certificates);
  // As the resolver makes it, but once: threads that start are no lookup.
  const threads = Math.max(1, availableParallelism() - 1);
  await using voprf = createVoprfPool({ threads });
  const setting = { federation, ceilings, voprf, csis: csis.slice(1), first: csis[0] ?? csis[1] };
  const traffic = {
    compact: await trafficOf(setting, "compact"),
    verbose: await trafficOf(setting, "verbose"),
  };
  const sides = (["compact", "verbose"] as const).flatMap((form) => [
    oursOf(setting, form),
    ceilingOf({ ceilings, contacts, form, traffic: traffic[form] }),
  ]);
  const measured = await interleave(sides, { rounds: quick ? 1 : 5 });
  const ratio = (form: Form, ours: Measured | undefined, ceiling: Measured | undefined) => {
    if (ours === undefined || ceiling === undefined)
      throw new TypeError("four sides were measured");
    return ratioOf({
      name: `rate to ceiling, ${form}`,
      ours,
      ceiling,
      target: 0.8,
      direction: "at least",
    });
  };
  const mib = (form: Form): number =>
    Math.round(traffic[form].answers.reduce((sum, bytes) => sum + bytes, 0) / 1024 ** 2);
  return {
    name: "new",
    title:
      "cold lookups in one batch, against raw VOPRF steps + moving the same octets (+ five verifications)",
    layout:
      "client and server processes over TLS; the ceiling halves its arithmetic between two processes, then moves the octets",
    parameters: {
      slots,
      depth: federation.depth,
      "contacts a batch": contacts,
      "in flight": inFlight,
      "VOPRF threads": threads,
      "MiB compact": mib("compact"),
      "MiB verbose": mib("verbose"),
    },
    sides: measured,
    ratios: [
      ratio("compact", measured[0], measured[1]),
      ratio("verbose", measured[2], measured[3]),
    ],
    peakMib: {
      bench: peakMemoryMib(),
      dpd: peakMemoryMib(federation.pid),
      ceiling: peakMemoryMib(ceilings.pid),
    },
    notes: [
      "each batch by a new resolver that holds directory, manifest and head; all contacts found",
    ],
  };
}

interface Setting {
  readonly federation: Federation;
  readonly ceilings: Ceilings;
  readonly voprf: VoprfEngine;
  readonly csis: readonly Csi[];
  /** Looked up before: connects, and fetches manifest and head. */
  readonly first: Csi | undefined;
}

function oursOf(setting: Setting, form: Form): Side {
  return {
    name: `new, ${form}`,
    serverPid: setting.federation.pid,
    run: () => lookupBatch(setting, form),
  };
}

async function lookupBatch(
  { federation, voprf, csis, first }: Setting,
  form: Form,
  onStats: (bytesIn: number) => void = () => undefined,
): Promise<Work> {
  await using resolver = await federation.openResolver({ voprf });
  if (first !== undefined) await resolver.lookup(first, { form });
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  for await (const { answer } of resolver.lookupAll(csis, { form })) {
    if (answer.status !== "found") {
      const codes = answer.errors.map(({ code, text }) => `${code} ${text}`);
      throw new TypeError(`bench: expected found, got ${answer.status} (${codes.join(", ")})`);
    }
    onStats(answer.stats.bytesIn);
  }
  const seconds = (performance.now() - startMs) / 1e3;
  const used = process.cpuUsage(cpuBefore);
  return { operations: csis.length, seconds, cpuSeconds: (used.user + used.system) / 1e6 };
}

/** Octets that such a batch receives: what contacts share is counted once, as it was moved. */
async function trafficOf(setting: Setting, form: Form): Promise<Exchange> {
  const answers: number[] = [];
  await lookupBatch(setting, form, (bytesIn) => answers.push(bytesIn));
  return { requestBytes: form === "compact" ? 80 : 1_100, answers };
}

function ceilingOf(of: {
  readonly ceilings: Ceilings;
  readonly contacts: number;
  readonly form: Form;
  readonly traffic: Exchange;
}): Side {
  const { ceilings, contacts, form, traffic } = of;
  return {
    name: `raw parts, ${form}`,
    serverPid: ceilings.pid,
    run: async () => {
      await ceilings.raw({ contacts, verifications: form === "verbose" ? 5 : 0 });
      await ceilings.echo(traffic);
      return { operations: contacts };
    },
  };
}
