// What one query may cost, whatever servers, slots and directory do (protocol.md section 7; the classes CAMP, NXNS,
// budget reset): properties over scripted servers, counted where the work is done and not where it is charged.

import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError, limits, parseCsi, parseZoneName, type ErrorCode } from "@whither/protocol";
import { fixedBytes, makeRegistrationParties } from "@whither/testkit";
import { nodeVerifier } from "@whither/zone";
import type { AnswerForm } from "./answer.js";
import { contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const codes: readonly ErrorCode[] = [
  "LIMITED",
  "OVERLOADED",
  "NETWORK",
  "NOT_AUTHORITATIVE",
  "UNKNOWN_KID",
  "DEPTH_CHANGED",
  "UNKNOWN_BODY",
  "BOGUS",
  "STALE",
  "DEADLINE",
  "BUDGET",
  "INTERNAL",
];
/** `swell`: as large an answer as the stream takes. */
type Behaviour = "ok" | "silent" | "lie" | "swell" | ErrorCode;
const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Behaviour>("ok") },
  { weight: 2, arbitrary: fc.constantFrom<Behaviour>("silent", "lie", "swell") },
  { weight: 3, arbitrary: fc.constantFrom<Behaviour>(...codes) },
);
/** What each host does with one request after the other, over and over, and how slowly. */
interface Host {
  readonly does: readonly Behaviour[];
  readonly delayMs: number;
}
const host: fc.Arbitrary<Host> = fc.record({
  does: fc.array(behaviour, { minLength: 1, maxLength: 6 }),
  delayMs: fc.constantFrom(0, 0, 30, 700, 3_000),
});
const numbers = Array.from({ length: 6 }, (_, n) => parseCsi(`+1415555012${n}`));
const zoneName = (n: number) => parseZoneName(`us@dp-${n}.example`);
/** Where the holder of each number says it moved: a number, a zone, nowhere. */
const portedTo: fc.Arbitrary<readonly string[]> = fc.array(
  fc.constantFrom(...numbers, ...numbers, zoneName(0), zoneName(1), zoneName(2), ""),
  { minLength: numbers.length, maxLength: numbers.length },
);
const zone = fc.record({
  hosts: fc.oneof<fc.Arbitrary<readonly Host[]>[]>(
    fc.array(host, { minLength: 1, maxLength: 6 }),
    fc.constant([{ does: ["ok"], delayMs: 0 }]),
  ),
  portedTo: fc.oneof<fc.Arbitrary<readonly string[]>[]>(
    fc.constant([]),
    fc.constant([...numbers.slice(1), numbers[0]!]),
    portedTo,
  ),
});
const world = fc.record({
  zones: fc.array(zone, { minLength: 1, maxLength: 3 }),
  /** Of each delegation, one after the other. */
  referrals: fc.constantFrom(0, 0, 1, 3),
  form: fc.constantFrom<AnswerForm>("verbose", "verbose", "compact"),
  seed: fc.nat(),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

const swollenBytes = limits.fetchAnswerBytesMax - 4_096;
const swollen = new Uint8Array(swollenBytes);

function zonesOf(given: World["zones"]) {
  return given.map(({ hosts, portedTo }, n) => {
    const zone = zoneName(n);
    const parties = { ...makeRegistrationParties({ manifest: { zone } }), zone };
    const contacts = portedTo.map((to, at) => {
      const fields = { portedTo: to === zone ? "" : to, seq: at + 1 };
      return contactOf({ ...parties, csi: numbers[at]! }, { statement: { fields } });
    });
    const servers = hosts.map(({ does }, m) => {
      const served = new ScriptedZone({
        parties,
        contacts,
        fillers: 40,
        host: `h${m}.dp-${n}.example`,
      });
      const next = () => does[served.asked.length % does.length] ?? "ok";
      const isOrdinary = (now: Behaviour) => ["ok", "silent", "lie", "swell"].includes(now);
      served.lies.silent = () => next() === "silent";
      served.lies.fail = () => {
        const now = next();
        const code = isOrdinary(now) ? undefined : (now as ErrorCode); // what is left
        return code && new DiscoveryError(code, "scripted", { retryAfterSeconds: 1 });
      };
      served.lies.bucket = (bucket) => {
        const now = next();
        if (now === "swell") return { ...bucket, entries: swollen };
        return now === "lie" ? { ...bucket, count: bucket.count + 1 } : bucket;
      };
      served.lies.bodies = (response) =>
        next() === "swell" ? { ...response, bodies: [swollen] } : response;
      return served;
    });
    const endpoints = servers.map(({ host }, m) => ({
      host,
      port: 7354,
      publicPort: 7364,
      spkiSha256: [fixedBytes("spki")],
      jurisdiction: "",
      operator: m % 2 === 0 ? "" : "Else Ltd",
    }));
    return { servers, authority: servers[0]!.authority({ endpoints }) };
  });
}

/** A resolver among such servers, and what has been done for it so far, counted at the other end. */
async function worldOf({ zones: given, referrals, seed }: World) {
  const zones = zonesOf(given);
  const done = { verifications: 0, bytes: 0 };
  const world = await scriptedWorld({
    zones: zones.map(({ servers }) => servers[0]!),
    authorities: zones.map(({ authority }) => authority),
    referrals,
    seed,
    verifier: {
      verify: (check) => {
        done.verifications += 1;
        return nodeVerifier.verify(check);
      },
    },
  });
  zones.forEach(({ servers }, n) => {
    servers.slice(1).forEach((one) => one.serve(world.network));
    servers.forEach(({ host }, m) => {
      const { delayMs } = given[n]!.hosts[m]!;
      for (const port of [7354, 7364]) {
        world.network.setFaults({ to: `${host}:${port}` }, { delayMs });
      }
    });
  });
  world.network.tap((record) => {
    if (record.kind === "message" && record.direction === "response") {
      done.bytes += record.bytes.length;
    }
  });
  const asked = () =>
    zones.flatMap(({ servers }) => servers).reduce((n, { asked }) => n + asked.length, 0);
  const used = () => {
    const { referrals } = world.delegations;
    // A referral is an RPC too, at servers that are not played here.
    return { rpcs: asked() + referrals, referrals, ...done };
  };
  return { ...world, used };
}

type Used = ReturnType<Awaited<ReturnType<typeof worldOf>>["used"]>;
type Measure = keyof Used | "ports" | "ms";
type Cost = Readonly<Record<Measure, number>> & { readonly steps: number };

/**
 * What one query may cost. A zone's share is for one contact there: who was asked about, and one for each step
 * to where he moved. Of its bytes the last answers overshoot: a question's attempts under way, and a probe.
 */
function boundsOf({ zones, form }: World, steps: number): Readonly<Record<Measure, number>> {
  const shares = zones.length * (1 + steps);
  const perShare = form === "compact" ? limits.queryBytesCompactMax : limits.queryBytesVerboseMax;
  const overshoot = (limits.serversPerQuestionMax + 1) * limits.fetchAnswerBytesMax;
  const perMapping = limits.queryVerificationsPerMapping * limits.mappingsPerSlotMax;
  return {
    rpcs: limits.queryRpcsMax,
    referrals: limits.queryReferralsMax,
    ports: limits.queryPortsMax,
    verifications: shares * (limits.queryVerificationsPerZone + perMapping),
    bytes: Math.min(
      shares * (perShare + overshoot),
      limits.queryRpcsMax * limits.fetchAnswerBytesMax,
    ),
    ms: limits.queryTimeoutMs,
  };
}

const measured = new Map<Measure, number>();

/** Asks at once about so many contacts; says what came of it, and what it cost until the last probe was over. */
async function ask(
  { clock, resolver, used }: Awaited<ReturnType<typeof worldOf>>,
  { form, queries }: { readonly form: AnswerForm; readonly queries: number },
) {
  const [before, startMs] = [used(), clock.monotonicMs()];
  const outcome = { left: queries, defect: undefined as unknown, ports: 0, steps: 0 };
  for (let n = 0; n < queries; n++) {
    resolver
      .lookup(numbers[n % 3]!, { form, refresh: true })
      .then(({ ports }) => {
        const followed = ports.filter(({ outcome }) => outcome === "followed").length;
        outcome.ports = Math.max(outcome.ports, followed);
        outcome.steps = Math.max(outcome.steps, ports.length);
      })
      .catch((error: unknown) => {
        if (!(error instanceof DiscoveryError)) outcome.defect = error;
      })
      .finally(() => (outcome.left -= 1));
  }
  await clock.settle();
  let ms = 0;
  while (outcome.left > 0 && ms <= limits.queryTimeoutMs) {
    await clock.advance(50);
    ms = clock.monotonicMs() - startMs;
  }
  expect([outcome.left, outcome.defect]).to.deep.equal([0, undefined]);
  // Probes go on for 2 s after the answer, late answers come: they are the query's too.
  await clock.advance(4_000);
  const after = used();
  const { ports, steps } = outcome;
  const cost: Cost = {
    rpcs: after.rpcs - before.rpcs,
    referrals: after.referrals - before.referrals,
    verifications: after.verifications - before.verifications,
    bytes: after.bytes - before.bytes,
    ports,
    steps,
    ms,
  };
  return cost;
}

describe("what servers, slots and directory can make a query spend", () => {
  it("is bounded in RPCs, referrals, ports, verifications, bytes and time, also asked again and again", async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(world, async (given) => {
        const made = await worldOf(given);
        for (let time = 0; time < 3; time++) {
          const { steps, ...cost } = await ask(made, { form: given.form, queries: 1 });
          const bounds = boundsOf(given, steps);
          for (const key of Object.keys(bounds) as Measure[]) {
            expect(cost[key], key).to.be.at.most(bounds[key]);
            measured.set(key, Math.max(measured.get(key) ?? 0, cost[key]));
          }
        }
        await made.resolver.close();
      }),
      { numRuns: 60 },
    );
    // What was reached: how near to the limits the property comes is part of what it says.
    console.log(`      reached: ${[...measured].map(([key, n]) => `${key} ${n}`).join(", ")}`);
  });

  it("counts the bytes of answers that are thrown away too", async () => {
    const forms: readonly (readonly [AnswerForm, number])[] = [
      ["verbose", 2],
      ["compact", 1],
    ];
    for (const [form, buckets] of forms) {
      const hosts = Array.from({ length: 13 }, () => ({ does: ["swell" as const], delayMs: 0 }));
      const zones = [{ hosts, portedTo: [] }];
      const made = await worldOf({ zones, form, referrals: 0, seed: 1 });
      const { bytes } = await ask(made, { form, queries: 1 });
      // The second of the one form, the first of the other ends it, of the 4 that a question may reach for.
      expect(Math.floor(bytes / swollenBytes), form).to.equal(buckets);
      await made.resolver.close();
    }
  });

  it("is no more for several at once than for as many alone: joining resets nobody's budget", async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(world, fc.integer({ min: 2, max: 6 }), async (given, queries) => {
        const made = await worldOf(given);
        const { rpcs } = await ask(made, { form: given.form, queries });
        expect(rpcs).to.be.at.most(queries * limits.queryRpcsMax);
        await made.resolver.close();
      }),
      { numRuns: 30 },
    );
  });
});
