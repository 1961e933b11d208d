// What one query may cost, whatever the servers do (protocol.md section 7; the classes CAMP, NXNS, budget
// reset): a property over scripted servers, counted at the servers.

import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError, limits, parseZoneName, type ErrorCode } from "@whither/protocol";
import { fixedBytes, makeRegistrationParties } from "@whither/testkit";
import { ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

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
type Behaviour = "ok" | "silent" | "lie" | ErrorCode;
const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Behaviour>("ok") },
  { weight: 1, arbitrary: fc.constantFrom<Behaviour>("silent", "lie") },
  { weight: 3, arbitrary: fc.constantFrom<Behaviour>(...codes) },
);
/** What each host does with one request after the other, over and over, and how slowly. */
const host = fc.record({
  does: fc.array(behaviour, { minLength: 1, maxLength: 6 }),
  delayMs: fc.constantFrom(0, 0, 30, 700, 3_000),
});
const federation = fc.array(fc.array(host, { minLength: 1, maxLength: 6 }), {
  minLength: 1,
  maxLength: 3,
});

function zonesOf(given: readonly (readonly { readonly does: readonly Behaviour[] }[])[]) {
  return given.map((hosts, n) => {
    const zone = parseZoneName(`us@dp-${n}.example`);
    const parties = { ...makeRegistrationParties({ manifest: { zone } }), zone };
    const servers = hosts.map(({ does }, m) => {
      const served = new ScriptedZone({
        parties,
        contacts: [],
        fillers: 40,
        host: `h${m}.dp-${n}.example`,
      });
      const next = () => does[served.asked.length % does.length] ?? "ok";
      served.lies.silent = () => next() === "silent";
      served.lies.fail = () => {
        const now = next();
        return now === "ok" || now === "silent" || now === "lie"
          ? undefined
          : new DiscoveryError(now, "scripted", { retryAfterSeconds: 1 });
      };
      served.lies.bucket = (bucket) =>
        next() === "lie" ? { ...bucket, count: bucket.count + 1 } : bucket;
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

describe("one query, whatever servers do", () => {
  it("costs them 24 RPCs and its caller 7 s at most, also when it is asked again and again", async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(federation, fc.nat(), async (given, seed) => {
        const zones = zonesOf(given);
        const world = await scriptedWorld({
          zones: zones.map(({ servers }) => servers[0]!),
          authorities: zones.map(({ authority }) => authority),
          seed,
        });
        zones.forEach(({ servers }, n) => {
          servers.slice(1).forEach((one) => one.serve(world.network));
          servers.forEach(({ host }, m) => {
            const delayMs = given[n]![m]!.delayMs;
            for (const port of [7354, 7364])
              world.network.setFaults({ to: `${host}:${port}` }, { delayMs });
          });
        });
        const asked = () =>
          zones.flatMap(({ servers }) => servers).reduce((sum, one) => sum + one.asked.length, 0);
        const { csi } = makeRegistrationParties();
        for (let time = 0; time < 3; time++) {
          const [before, startMs] = [asked(), world.clock.monotonicMs()];
          const outcome = { isOver: false, defect: undefined as unknown };
          world.resolver
            .lookup(csi, { refresh: true })
            .catch((error: unknown) => {
              if (!(error instanceof DiscoveryError)) outcome.defect = error;
            })
            .finally(() => (outcome.isOver = true));
          await world.clock.settle();
          while (!outcome.isOver && world.clock.monotonicMs() - startMs <= limits.queryTimeoutMs) {
            await world.clock.advance(50);
          }
          expect(outcome).to.deep.equal({ isOver: true, defect: undefined });
          // Probes go on for 2 s after the answer: they are the query's too.
          await world.clock.advance(2_500);
          expect(asked() - before).to.be.at.most(limits.queryRpcsMax);
        }
        await world.resolver.close();
      }),
      { numRuns: 30 },
    );
  });
});
