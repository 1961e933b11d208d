// `warm`: lookups that the answer cache settles, against a bare lru-cache with TTL of as many entries. One
// process; the cached answers are copies of one that was really looked up.

import { parseCsi, type Csi } from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import { createSeededRandom } from "@whither/testkit";
import { LRUCache } from "lru-cache";
import type * as answerCache from "../../packages/resolver/src/answer-cache.js";
import { openFederation } from "./federation.js";
import { interleave, peakMemoryMib, type Measured, type Work } from "./measure.js";
import { ratioOf, type BenchReport } from "./report.js";
import type { BenchOptions } from "./main.js";

const hotContacts = 1_000;
const cacheBytes = 16 * 1024 ** 3;
const ttlMs = 3_600_000;

export async function benchWarm({ quick }: BenchOptions): Promise<BenchReport> {
  const entries = quick ? 100_000 : 1_000_000;
  const reads = quick ? 200_000 : 1_000_000;
  const csi = parseCsi("+14155550123");
  const held = await captureCache();
  await using federation = await openFederation({ slots: 600, csis: [csi], bodies: true });
  await using resolver = await federation.openResolver({ cacheBytes });
  await resolver.lookup(csi);
  const { cache, template } = held();
  const csis = Array.from({ length: entries }, (_, n) => `tel:+1415${5550000 + n}` as Csi); // shaped so
  const bare = new LRUCache<string, object>({ max: entries, ttl: ttlMs });
  for (const each of csis) {
    const copied = copyOf(template);
    cache.set("verbose", each, copied);
    bare.set(each, copied.answer);
  }
  const order = createSeededRandom(1);
  const random = Array.from({ length: reads }, () => csis[order.below(entries)] ?? csi);
  const hot = Array.from({ length: reads }, (_, n) => csis[n % hotContacts] ?? csi);
  const measured = await interleave(
    [
      { name: "lookup, random", run: () => lookupEach(resolver, random) },
      { name: "lru-cache, random", run: () => getEach(bare, random) },
      { name: "lookup, hot", run: () => lookupEach(resolver, hot) },
      { name: "lru-cache, hot", run: () => getEach(bare, hot) },
    ],
    { rounds: quick ? 1 : 5 },
  );
  const [randomOurs, randomBare, hotOurs, hotBare] = measured as readonly [
    Measured,
    Measured,
    Measured,
    Measured,
  ]; // one for each side above
  const ratio = (name: string, ours: Measured, ceiling: Measured, target: number) =>
    ratioOf({ name, ours, ceiling, target, direction: "at least" });
  return {
    name: "warm",
    title: "cached verbose answers, each awaited, against lru-cache.get with TTL",
    layout: "one process, one thread",
    parameters: { entries, "hot contacts": hotContacts, "reads a round": reads },
    sides: measured,
    ratios: [
      ratio("rate to ceiling, random", randomOurs, randomBare, 0.5),
      ratio("rate to ceiling, hot", hotOurs, hotBare, 0.3),
    ],
    peakMib: { bench: peakMemoryMib() },
    notes: [],
  };
}

interface Held {
  readonly cache: answerCache.AnswerCache;
  readonly template: answerCache.CachedAnswer<"verbose">;
}

/** Gets hold of the cache and the entry of the first answer that any resolver of this process keeps. */
async function captureCache(): Promise<() => Held> {
  // The built module, so that it is the one that createResolver uses.
  const built = new URL("../../packages/resolver/dist/answer-cache.js", import.meta.url);
  const { AnswerCache: Cache } = (await import(built.href)) as typeof answerCache; // its types
  const set = Object.getOwnPropertyDescriptor(Cache.prototype, "set");
  let held: Held | undefined;
  Cache.prototype.set = function (form, csi, cached) {
    if (set !== undefined) Object.defineProperty(Cache.prototype, "set", set);
    held = { cache: this, template: cached as unknown as answerCache.CachedAnswer<"verbose"> }; // asked verbose
    this.set(form, csi, cached);
  };
  return () => {
    if (held === undefined) throw new TypeError("bench: nothing was cached");
    return held;
  };
}

/** Objects of its own: equal entries must not share cache lines. */
function copyOf(
  template: answerCache.CachedAnswer<"verbose">,
): answerCache.CachedAnswer<"verbose"> {
  const { answer: original } = template;
  const fresh = Object.create(Object.getPrototypeOf(original) as object) as typeof original; // filled next
  const answer = Object.assign(fresh, original);
  return { ...template, answer, settled: Promise.resolve(answer) };
}

async function lookupEach(resolver: Resolver, csis: readonly Csi[]): Promise<Work> {
  for (const csi of csis) {
    const { status } = await resolver.lookup(csi);
    if (status !== "found") throw new TypeError(`bench: got ${status}`);
  }
  return { operations: csis.length };
}

function getEach(bare: LRUCache<string, object>, csis: readonly Csi[]): Work {
  for (const csi of csis) {
    if (bare.get(csi) === undefined) throw new TypeError("bench: an entry is missing");
  }
  return { operations: csis.length };
}
