// A DP that changes what it sends: refused with a code, mirrored and walking, verbose and compact; nothing
// wrong is remembered, and the truth is found again through the same resolver.

import { expect } from "chai";
import {
  loadSodiumVoprf,
  portableVoprf,
  splitElements,
  joinElements,
  utf8,
} from "@whither/crypto/node";
import { parseCsi, type ErrorCode } from "@whither/protocol";
import { decodeMessage } from "@whither/rpc";
import {
  createFederation,
  fixedBytes,
  flipSignature,
  type DpLies,
  type Federation,
  type FederationZone,
} from "@whither/testkit";
import {
  decodeManifest,
  encodeManifest,
  ExchangeRequestSchema,
  BucketResponseSchema,
  type BucketResponse,
} from "@whither/wire";
import type { Resolver } from "@whither/resolver";
import { bucketIndex, prefixOfBucket } from "@whither/zone";
import { entriesOf, flip, forgetFailures, outcomeOf, resigned, withEntries } from "./both-ways.js";

const alice = parseCsi("+4930123456");
const dp = "dp-a.example";
const found = "found wire.example video.example";

interface Lie {
  readonly title: string;
  readonly code: ErrorCode;
  /** Of a compact lookup, where it differs: bodies are not part of it. */
  readonly compact?: string;
  /** The lie was signed: what comes after it is a fork, which the resolver says and proves. */
  readonly forks?: boolean;
  readonly lies: (of: { readonly zone: FederationZone; readonly federation: Federation }) => DpLies;
}

const entries = (
  title: string,
  change: (all: readonly Uint8Array[]) => readonly Uint8Array[],
): Lie => ({
  title,
  code: "BOGUS",
  lies: () => ({ bucket: (answer) => withEntries(answer, change(entriesOf(answer))) }),
});
const bucket = (title: string, change: (answer: BucketResponse) => BucketResponse): Lie => ({
  title,
  code: "BOGUS",
  lies: () => ({ bucket: change }),
});
const head = (
  title: string,
  code: ErrorCode,
  change: Parameters<typeof resigned>[1],
  forks = false,
): Lie => ({
  title: `signs a head ${title}`,
  code,
  forks,
  lies: ({ zone }) => ({ head: resigned(zone, change) }),
});

/** The bucket beside the asked one, as the zone itself serves it. */
function otherBucket(zone: FederationZone): (answer: BucketResponse) => BucketResponse {
  return (answer) => {
    const { kid, b } = zone.mapping.head();
    const index = bucketIndex(answer.entries.subarray(0, 16), b);
    const prefix = prefixOfBucket(index ^ 1, b);
    const bytes = zone.mapping.bucketResponse({ kid, b, prefix });
    return decodeMessage(BucketResponseSchema, bytes);
  };
}

const swapped = (all: readonly Uint8Array[], a: number, b: number): readonly Uint8Array[] =>
  all.map((entry, at) => (at === a ? all[b]! : at === b ? all[a]! : entry));

const inEntries: readonly Lie[] = [
  entries("flips a bit of every idx", (all) => all.map((entry) => flip(entry, 15))),
  entries("flips a bit of one since", (all) => [flip(all[0]!, 23), ...all.slice(1)]),
  entries("flips a bit of every masked", (all) => all.map((entry) => flip(entry, 30))),
  entries("flips a bit of every vhash", (all) => all.map((entry) => flip(entry, 67))),
  entries("omits the first entry", (all) => all.slice(1)),
  entries("omits the last entry", (all) => all.slice(0, -1)),
  entries("omits all entries", () => []),
  entries("repeats an entry", (all) => [all[0]!, ...all]),
  entries("replaces an entry by its neighbour", (all) => [all[1]!, ...all.slice(1)]),
  entries("reorders two entries", (all) => swapped(all, 0, 1)),
  entries("adds an entry", (all) => [...all, new Uint8Array(68).fill(255)]),
  bucket("counts one less than it sends", (answer) => ({ ...answer, count: answer.count - 1 })),
  bucket("counts one more than it sends", (answer) => ({ ...answer, count: answer.count + 1 })),
  bucket("counts 4 thousand million", (answer) => ({ ...answer, count: 4_294_967_295 })),
  bucket("writes into the padding", (answer) => ({ ...answer, entries: flip(answer.entries, -1) })),
  bucket("pads less", (answer) => ({ ...answer, entries: answer.entries.slice(0, -4096) })),
  bucket("pads more", (answer) => {
    const entries = new Uint8Array(answer.entries.length + 4096);
    entries.set(answer.entries);
    return { ...answer, entries };
  }),
  bucket("flips a bit of a sibling", (a) => ({ ...a, siblings: flip(a.siblings, 40) })),
  bucket("leaves a sibling out", (a) => ({ ...a, siblings: a.siblings.slice(32) })),
  bucket("swaps the siblings", (answer) => {
    const { siblings } = answer;
    const swappedBytes = new Uint8Array([...siblings.subarray(32), ...siblings.subarray(0, 32)]);
    return { ...answer, siblings: swappedBytes };
  }),
  {
    title: "serves the bucket of another prefix",
    code: "BOGUS",
    lies: ({ zone }) => ({ bucket: otherBucket(zone) }),
  },
  {
    title: "serves the bucket of another zone of its own",
    code: "KEY_MISSING",
    lies: ({ federation }) => ({
      bucket: () => {
        const { mapping } = federation.zone("at@dp-a.example");
        const { kid, b } = mapping.head();
        const place = { kid, b, prefix: prefixOfBucket(0, b) };
        return decodeMessage(BucketResponseSchema, mapping.bucketResponse(place));
      },
    }),
  },
];

const bodies = (
  title: string,
  change: (all: readonly Uint8Array[]) => readonly Uint8Array[],
): Lie => ({
  title,
  code: "BOGUS",
  compact: found,
  lies: () => ({ bodies: (answer) => ({ ...answer, bodies: [...change(answer.bodies)] }) }),
});

const inBodies: readonly Lie[] = [
  bodies("flips a bit of every body", (all) => all.map((body) => flip(body, 100))),
  bodies("sends bodies in another order", (all) => all.toReversed()),
  bodies("sends a body less", (all) => all.slice(1)),
  bodies("sends a body more", (all) => [...all, all[0]!]),
  bodies("sends a body twice and another not at all", (all) => [all[0]!, all[0]!, ...all.slice(2)]),
  bodies("sends no body", () => []),
];

const inHeads: readonly Lie[] = [
  {
    title: "flips a bit of the head",
    code: "BOGUS",
    lies: () => ({ head: (o) => ({ ...o, payload: flip(o.payload, o.payload.length - 2) }) }),
  },
  {
    title: "flips a bit of the head's signature",
    code: "BOGUS",
    lies: () => ({ head: (object) => flipSignature(object) }),
  },
  head("of another zone", "BOGUS", (h) => ({ ...h, zone: "at@dp-a.example" as typeof h.zone })),
  head("of another kid", "BOGUS", (h) => ({ ...h, kid: fixedBytes("other kid", 4) })),
  head("of another manifest", "BOGUS", (h) => ({ ...h, manifestSha256: fixedBytes("manifest") })),
  head("of another depth", "DEPTH_CHANGED", (h) => ({ ...h, b: h.b + 1 }), true),
  head("of a depth that hides nobody", "DEPTH_CHANGED", (h) => ({ ...h, b: 5 }), true),
  head("with another root", "BOGUS", (h) => ({ ...h, mapRoot: fixedBytes("root") }), true),
  head("with another size", "BOGUS", (h) => ({ ...h, mapSize: 100 }), true),
  head("with another pad", "BOGUS", (h) => ({ ...h, pad: h.pad + 4096 }), true),
  head("that lives for a day", "BOGUS", (h) => ({ ...h, notAfter: h.time + 86_400 })),
  head("from a time to come", "CLOCK_SKEW", (h) => ({
    ...h,
    time: h.time + 86_400,
    notAfter: h.notAfter + 86_400,
  })),
  head("that has expired", "EXPIRED", (h) => ({
    ...h,
    time: h.time - 86_400,
    notAfter: h.notAfter - 86_400,
  })),
];

const otherKeys = portableVoprf.deriveKeyPair(fixedBytes("other voprf key"), utf8("scenario"));
const sodium = await loadSodiumVoprf();

const inEvaluations: readonly Lie[] = [
  {
    title: "flips a bit of the DLEQ proof",
    code: "BOGUS",
    lies: () => ({ evaluate: (answer) => ({ ...answer, proof: flip(answer.proof, 0) }) }),
  },
  {
    title: "sends a proof of zeros",
    code: "BOGUS",
    lies: () => ({ evaluate: (answer) => ({ ...answer, proof: new Uint8Array(64) }) }),
  },
  {
    title: "sends no proof",
    code: "BOGUS",
    lies: () => ({ evaluate: (answer) => ({ ...answer, proof: new Uint8Array() }) }),
  },
  {
    title: "evaluates to the identity",
    code: "BOGUS",
    lies: () => ({ evaluate: (answer) => ({ ...answer, evaluated: new Uint8Array(32) }) }),
  },
  {
    title: "evaluates to what is no canonical element",
    code: "BOGUS",
    lies: () => ({
      evaluate: (answer) => ({ ...answer, evaluated: new Uint8Array(32).fill(255) }),
    }),
  },
  {
    title: "evaluates one element more than asked",
    code: "BOGUS",
    lies: () => ({
      evaluate: (a) => ({ ...a, evaluated: new Uint8Array([...a.evaluated, ...a.evaluated]) }),
    }),
  },
  {
    title: "evaluates under another key than its manifest's, with a proof that fits that key",
    code: "BOGUS",
    lies: ({ federation }) => {
      let asked = new Uint8Array();
      federation.tap((record) => {
        if (record.kind !== "message" || record.direction !== "request") return;
        if (!record.method.endsWith("/Exchange")) return;
        const { request } = decodeMessage(ExchangeRequestSchema, record.bytes);
        if (request.case === "evaluate") asked = Uint8Array.from(request.value.blinded);
      });
      return {
        evaluate: (answer) => {
          const work = sodium.evaluateBlinded({
            ...otherKeys,
            blinded: splitElements(asked),
            randomBytes: (n) => federation.random.bytes(n),
          });
          return { ...answer, evaluated: joinElements(work.evaluated), proof: work.proof };
        },
      };
    },
  },
];

const inManifests: readonly Lie[] = [
  {
    title: "serves another manifest than the directory's, with another VOPRF key",
    code: "BOGUS",
    lies: () => ({
      manifest: (object) => {
        const manifest = decodeManifest(object.payload);
        const voprfKeys = manifest.voprfKeys.map((key) => ({
          ...key,
          publicKey: otherKeys.publicKey,
        }));
        return { ...object, payload: encodeManifest({ ...manifest, voprfKeys }) };
      },
    }),
  },
  {
    title: "serves the manifest of another zone of its own",
    code: "BOGUS",
    lies: ({ federation }) => ({
      manifest: () => federation.zone("at@dp-a.example").manifestObject,
    }),
  },
  {
    title: "flips a bit of its manifest",
    code: "BOGUS",
    lies: () => ({ manifest: (o) => ({ ...o, payload: flip(o.payload, -1) }) }),
  },
];

describe("a DP that lies", () => {
  let federation: Federation;
  before(async () => {
    federation = await createFederation({
      seed: 11,
      dps: [
        {
          id: dp,
          zones: [
            { name: "de", fillers: 600 },
            { name: "at", fillers: 600 },
          ],
        },
      ],
      prefixes: [
        `"tel:+49": { zones: [de@dp-a.example] }`,
        `"tel:+43": { zones: [at@dp-a.example] }`,
      ],
    });
    await federation.register({ csi: alice, msps: ["wire.example", "video.example"] });
    await federation.publish();
  });
  after(() => federation.close());

  const groups = { inEntries, inBodies, inHeads, inEvaluations, inManifests };
  for (const [group, lies] of Object.entries(groups)) {
    describe(group.replace("in", "in its ").toLowerCase(), () => {
      for (const lie of lies) caught(() => federation, lie);
    });
  }

  it("is not what makes these lookups fail: the same resolver finds the same without a lie", async () => {
    for (const mirror of [true, false]) {
      const resolver = await federation.resolver({ mirror });
      expect(await outcomeOf(resolver, alice)).to.equal(found);
      expect(federation.zone("de@dp-a.example").mapping.head().b).to.equal(2);
    }
  });
});

function caught(of: () => Federation, { title, code, compact = code, forks, lies }: Lie): void {
  for (const mirror of [true, false]) {
    it(`${title}: ${code} (${mirror ? "mirror" : "walk"})`, async () => {
      const federation = of();
      const zone = federation.zone("de@dp-a.example");
      const resolver = await federation.resolver({ mirror });
      federation.tamper(dp, lies({ zone, federation }));
      try {
        expect(await outcomeOf(resolver, alice)).to.equal(code);
        expect(await outcomeOf(resolver, alice, { form: "compact" })).to.equal(compact);
        await forgetFailures(federation);
        expect(await outcomeOf(resolver, alice), "asked again").to.equal(code);
      } finally {
        federation.tamper(dp, undefined);
      }
      await federation.clock.advance(11_000); // a second failure is remembered for 10 s
      if (forks === true) await tellsOfTheFork(federation, resolver);
      expect(await outcomeOf(resolver, alice), "the truth").to.equal(found);
      expect(await outcomeOf(resolver, alice, { form: "compact" })).to.equal(found);
      await resolver.close();
    });
  }
}

/** Two heads of one serial are shown to have been signed; the zone's later history is then followed again. */
async function tellsOfTheFork(federation: Federation, resolver: Resolver): Promise<void> {
  expect(await outcomeOf(resolver, alice)).to.equal("FORKED");
  const [evidence] = resolver.evidence();
  expect(evidence).to.include({ code: "FORKED", zone: "de@dp-a.example" });
  expect(evidence?.objects).to.have.length(2);
  await federation.publish();
  await federation.publish();
  await federation.clock.advance(21_000); // a third failure is remembered for 20 s
}
