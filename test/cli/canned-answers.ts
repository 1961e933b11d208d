// Canned answers for transcripts: one identifier for each way a lookup can end. What a resolver would
// say; the resolver itself is tested elsewhere.

import {
  DiscoveryError,
  parseCsi,
  parseDpId,
  parseMspId,
  parsePrefix,
  parseZoneName,
} from "@whither/protocol";
import type { AskedResolver } from "@whither/cli";
import type { Answer, BatchItem, FailedAnswer, HopRecord, LookupOptions } from "@whither/resolver";

const dp = parseDpId("dp-c.example");
const zone = parseZoneName("rest@dp-c.example");
const otherZone = parseZoneName("other@dp-d.example");
const wire = {
  msp: parseMspId("wire.example"),
  preference: 10,
  tags: ["Default"],
  level: 1,
  establishedAt: 1_795_000_000,
  notAfter: 1_798_000_000,
  directoryUrl: "https://wire.example/mimi",
};
const chat = {
  msp: parseMspId("chat.example"),
  preference: 20,
  tags: ["work", "9 \u202eto 5"],
  level: 2,
  establishedAt: 1_794_000_000,
  notAfter: 1_797_000_000,
  directoryUrl: "",
};

const hops: readonly HopRecord[] = [
  {
    prefix: parsePrefix("tel:+1"),
    from: "mirror",
    told: "nothing",
    learnt: "delegated to rest@dp-c.example",
    serial: 7,
    verdict: "verified",
    rttMs: 0.04,
  },
  {
    prefix: parsePrefix("tel:+1"),
    from: "127.0.0.1:7354",
    told: "one blinded element, by this client",
    learnt: "one evaluated element",
    serial: undefined,
    verdict: "verified",
    rttMs: 12.34,
  },
  {
    prefix: parsePrefix("tel:+1"),
    from: "127.0.0.1:7364",
    told: "0 bits of an index, by nobody in particular",
    learnt: "a bucket of 12 entries",
    serial: 42,
    verdict: "verified",
    rttMs: 3.4,
  },
];

const part = { dp, zone, outcome: "present", serial: 42, kid: "1a2b3c4d" } as const;
const proof = { kind: "presence", verified: true, zone, serial: 42, kid: "1a2b3c4d" } as const;
const base = {
  form: "verbose",
  complete: { answered: 1, asked: 1 },
  dps: [part],
  proof,
  attested: "signatures",
  privacy: "blind",
  ttlSeconds: 3600,
  registryVersion: 3,
  leftOut: 0,
  portedTo: "",
  ports: [],
  warnings: [],
  errors: [],
  hops,
  stats: { rpcs: 3, bytesIn: 9876, bytesOut: 543 },
} as const;

const found: Answer<"verbose"> = {
  ...base,
  status: "found",
  mappings: [wire, chat],
  choice: wire,
};
const none: Answer<"verbose"> = {
  ...base,
  status: "none",
  mappings: [],
  choice: undefined,
  dps: [{ ...part, outcome: "absent" }],
  proof: { ...proof, kind: "absence" },
  ttlSeconds: 60,
};
const incomplete: Answer<"verbose"> = {
  ...none,
  status: "incomplete",
  complete: { answered: 1, asked: 2 },
  dps: [
    { ...part, outcome: "absent" },
    {
      dp: parseDpId("dp-d.example"),
      zone: otherZone,
      outcome: "failed",
      serial: undefined,
      kid: undefined,
    },
  ],
  errors: [
    { code: "NETWORK", number: 23, text: "the connection failed", upstream: "127.0.0.1:7374" },
  ],
};
const conflicting: Answer<"verbose"> = {
  ...found,
  complete: { answered: 2, asked: 2 },
  warnings: [
    { code: "CONFLICT", text: "another holder key is not counted", upstream: "other@dp-d.example" },
  ],
  portedTo: "mailto:moved@example.org",
  ports: [{ zone: otherZone, to: "mailto:moved@example.org", outcome: "NETWORK" }],
  mappings: [wire],
  dps: [
    {
      dp: parseDpId("dp-d.example"),
      zone: otherZone,
      outcome: "conflict",
      serial: 9,
      kid: "00ff00ff",
    },
    part,
  ],
};

/** By what the identifier ends in. */
const answers: Readonly<Record<string, Answer<"verbose"> | DiscoveryError>> = {
  "0123": found,
  "0100": none,
  "0106": incomplete,
  "0108": conflicting,
  "0103": new DiscoveryError("BOGUS", "bucket does not match the signed head", {
    upstream: "rest@dp-c.example",
  }),
  "0104": new DiscoveryError("LIMITED", "new contacts of today are used up", {
    upstream: "127.0.0.1:7354",
    retryAfterSeconds: 3600,
  }),
  "0105": new DiscoveryError("DEADLINE", "the time for this query is used up"),
  "0107": new DiscoveryError("ROLLBACK", "head: serial 41, already seen 42", {
    upstream: "rest@dp-c.example",
  }),
};

function answerFor(csi: string): Answer<"verbose"> | DiscoveryError {
  const answer = answers[csi.slice(-4)];
  if (answer === undefined) throw new TypeError(`no canned answer for ${csi}`);
  return answer;
}

function asCompact(answer: Answer<"verbose">): Answer<"compact"> {
  const shared = { ...answer, form: "compact", attested: "dp" } as const;
  if (answer.status !== "found")
    return { ...shared, status: answer.status, mappings: [], choice: undefined };
  const [first, ...rest] = answer.mappings;
  const attested = ({ msp, directoryUrl }: typeof first) => ({ msp, directoryUrl });
  return {
    ...shared,
    status: "found",
    mappings: [attested(first), ...rest.map(attested)],
    choice: undefined,
  };
}

const statuses: Readonly<Partial<Record<string, FailedAnswer["status"]>>> = {
  BOGUS: "bogus",
  ROLLBACK: "bogus",
  LIMITED: "refused",
};

function failed(error: DiscoveryError): FailedAnswer {
  const { code, number, text, upstream = "" } = error;
  const status = statuses[code] ?? "unreachable";
  const errors = [{ code, number, text, upstream }];
  return {
    status,
    error,
    errors,
    hops: hops.slice(0, 1),
    stats: { rpcs: 1, bytesIn: 10, bytesOut: 20 },
  };
}

export interface CannedResolver extends AskedResolver {
  /** What it was asked, with which options. */
  readonly asked: readonly { readonly csi: string; readonly options: LookupOptions }[];
}

/** Gives a canned answer for `+1 415 555 NNNN` by its last four digits. */
export function createCannedResolver(): CannedResolver {
  const asked: { csi: string; options: LookupOptions }[] = [];
  const answerTo = (csi: string, options: LookupOptions): Answer | FailedAnswer => {
    asked.push({ csi, options });
    const answer = answerFor(csi);
    if (answer instanceof DiscoveryError) return failed(answer);
    return options.form === "compact" ? asCompact(answer) : answer;
  };
  const lookup = (csi: string, options: LookupOptions = {}): Promise<Answer> => {
    const answer = answerTo(csi, options);
    for (const hop of answer.hops) options.onHop?.(hop);
    return "error" in answer ? Promise.reject(answer.error) : Promise.resolve(answer);
  };
  async function* lookupAll(
    csis: Iterable<string> | AsyncIterable<string>,
    options: LookupOptions = {},
  ): AsyncGenerator<BatchItem, void> {
    for await (const csi of csis) yield { csi: parseCsi(csi), answer: answerTo(csi, options) };
  }
  return {
    asked,
    // The canned answers are of the form that was asked for, which the type cannot know.
    lookup: lookup as AskedResolver["lookup"],
    lookupAll: lookupAll as AskedResolver["lookupAll"],
    close: () => Promise.resolve(),
  };
}
