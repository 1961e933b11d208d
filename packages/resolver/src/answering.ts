// From a merged result to the answer of this caller, and to the small one that the cache keeps.

import { limits, type Csi, type Prefix } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { Answer, AnswerForm, HopRecord, QueryStats, WarningCode } from "./answer.js";
import type { AnswerCache, CachedAnswer } from "./answer-cache.js";
import type { ChoiceMemory } from "./choice-memory.js";
import type { Result } from "./merge.js";
import type { LookupOptions } from "./options.js";
import { makeAnswer, type Selection } from "./proven-answer.js";
import type { Trace } from "./query.js";
import { keepSmall, select, type SelectionOptions } from "./selection.js";

export interface AnsweringParts {
  readonly cache: AnswerCache;
  readonly choices: ChoiceMemory;
  readonly clock: Clock;
  /** The caller's own MSP, for slots that count only inside one app. */
  readonly ownMsp: string | undefined;
}

/** What this caller asked. */
interface Asking<F extends AnswerForm> {
  readonly csi: Csi;
  readonly options: LookupOptions<F>;
  readonly trace: Trace;
}

export interface Asked<F extends AnswerForm> {
  readonly result: Result<F>;
  readonly prefix: Prefix;
}

/** What the next caller has to be told, and then is remembered as told. */
const telling: ReadonlySet<WarningCode> = new Set<WarningCode>(["HOLDER_KEY_CHANGED", "VANISHED"]);
const noStats: QueryStats = { rpcs: 0, bytesIn: 0, bytesOut: 0 };

/** Filter, choice and warnings for this caller. */
export function answerOf<F extends AnswerForm>(
  parts: AnsweringParts,
  { csi, options, trace }: Asking<F>,
  result: Result<F>,
  { expiresMs }: { readonly expiresMs: number },
): Answer<F> {
  const { choices, clock } = parts;
  const { msps, ownMsp = parts.ownMsp, account = "" } = options;
  const { merged } = result;
  const { holderKeys, verified } = merged.content;
  const key = merged.form === "verbose" ? choices.key(csi, account) : undefined;
  const selection = select(result, {
    msps: msps === undefined ? undefined : new Set<string>(msps),
    ownMsp,
    remembered: key === undefined ? undefined : choices.get(key),
    holders: holderKeys.map((key) => choices.holderTag(key)),
    nowSeconds: clock.nowSeconds(),
  });
  if (key !== undefined && msps === undefined && verified) {
    remember(choices, key, selection);
  }
  return makeAnswer({ selection, clock, expiresMs, hops: trace.hops, stats: trace.stats });
}

function remember(
  choices: ChoiceMemory,
  key: string,
  { choice, merged, mappings }: Selection<AnswerForm>,
): void {
  const [holderPublicKey] = merged.content.holderKeys;
  if (choice === undefined || holderPublicKey === undefined) return;
  const ends = mappings().map((mapping) => ("notAfter" in mapping ? mapping.notAfter : 0));
  choices.set(key, {
    msp: choice.msp,
    holder: choices.holderTag(holderPublicKey),
    until: Math.max(...ends),
  });
}

/**
 * Puts the plain form of a result into the cache, with its mappings as bytes. What nobody has seen and somebody
 * must be told is not kept: the next caller's own lookup tells it.
 */
export function keepAnswer<F extends AnswerForm>(
  parts: AnsweringParts,
  csi: Csi,
  { result, prefix }: Asked<F>,
  { expiresMs, isSeen }: { readonly expiresMs: number; readonly isSeen: boolean },
): void {
  const { choices, clock, cache, ownMsp } = parts;
  const { merged } = result;
  const { proof, content } = merged;
  const { holderKeys } = content;
  const options: SelectionOptions = {
    msps: undefined,
    ownMsp,
    remembered: merged.form === "verbose" ? choices.get(choices.key(csi, "")) : undefined,
    holders: holderKeys.map((key) => choices.holderTag(key)),
    nowSeconds: clock.nowSeconds(),
  };
  const selection = keepSmall(select(result, options), options);
  if (!isSeen && selection.warnings.some(({ code }) => telling.has(code))) {
    cache.forget(csi);
    return;
  }
  const hops: readonly HopRecord[] = [
    {
      prefix,
      from: "cache",
      told: "nothing: answered from the cache",
      learnt: "a proven answer",
      serial: proof.serial,
      verdict: "verified",
      rttMs: 0,
    },
  ];
  const answer = makeAnswer({ selection, clock, expiresMs, hops, stats: noStats });
  cache.set(merged.form, csi, {
    answer,
    settled: Promise.resolve(answer),
    merged,
    hops,
    expiresMs,
    staleUntilMs: staleUntil(result, expiresMs, clock),
    bytes: content.bytes,
    prefetchFromMs: expiresMs - (expiresMs - clock.monotonicMs()) * limits.prefetchLastShare,
    hits: 0,
  });
}

/** Never beyond the end of a mapping; neither absence nor the DP's unsigned word is served stale. */
function staleUntil({ merged, mappings }: Result, expiresMs: number, clock: Clock): number {
  if (merged.form === "compact" || mappings.length === 0) return expiresMs;
  const endsMs = clock.monotonicMs() + merged.content.endsAt * 1_000 - clock.nowMs();
  return Math.max(expiresMs, Math.min(endsMs, expiresMs + limits.staleSecondsMax * 1_000));
}

/** A cached result with its mappings decoded again. */
export function whole<F extends AnswerForm>({ merged }: CachedAnswer<F>): Result<F> {
  return { merged, mappings: merged.content.decode() };
}
