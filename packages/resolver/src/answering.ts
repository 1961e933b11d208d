// From a merged result to the answer of this caller, and to the small one that the cache keeps.

import { limits, type Csi, type Prefix } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { Answer, AnswerForm, HopRecord, QueryStats, WarningCode } from "./answer.js";
import type { AnswerCache } from "./answer-cache.js";
import type { ChoiceMemory } from "./choice-memory.js";
import type { Merged } from "./merge.js";
import type { LookupOptions } from "./options.js";
import { mappingBytes } from "./mappings.js";
import { makeAnswer, type Selection } from "./proven-answer.js";
import type { SharedParts } from "./shared-parts.js";
import type { Trace } from "./query.js";
import { select, type SelectionOptions } from "./selection.js";

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
  readonly merged: Merged<F>;
  readonly prefix: Prefix;
}

/** What the next caller has to be told, and then is remembered as told. */
const telling: ReadonlySet<WarningCode> = new Set<WarningCode>(["HOLDER_KEY_CHANGED", "VANISHED"]);
/** A copied key's objects, as the heap has them. */
const holderKeyBytes = 200;
const noStats: QueryStats = { rpcs: 0, bytesIn: 0, bytesOut: 0 };

/** Filter, choice and warnings for this caller. */
export function answerOf<F extends AnswerForm>(
  parts: AnsweringParts,
  { csi, options, trace }: Asking<F>,
  merged: Merged<F>,
  { expiresMs }: { readonly expiresMs: number },
): Answer<F> {
  const { choices, clock } = parts;
  const { msps, ownMsp = parts.ownMsp, account = "" } = options;
  const { holderKeys, verified } = merged.content;
  const key = merged.form === "verbose" ? choices.key(csi, account) : undefined;
  const selection = select(merged, {
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
  const ends = mappings.map((mapping) => ("notAfter" in mapping ? mapping.notAfter : 0));
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
  { merged, prefix }: Asked<F>,
  { expiresMs, isSeen }: { readonly expiresMs: number; readonly isSeen: boolean },
): void {
  const { choices, clock, cache, ownMsp } = parts;
  const { proof, content } = merged;
  const { holderKeys } = content;
  const options: SelectionOptions = {
    msps: undefined,
    ownMsp,
    remembered: merged.form === "verbose" ? choices.get(choices.key(csi, "")) : undefined,
    holders: holderKeys.map((key) => choices.holderTag(key)),
    nowSeconds: clock.nowSeconds(),
  };
  const selection = select(merged, options);
  if (!isSeen && selection.warnings.some(({ code }) => telling.has(code))) {
    cache.forget(csi);
    return;
  }
  const hop: HopRecord = {
    prefix,
    from: "cache",
    told: "nothing: answered from the cache",
    learnt: "a proven answer",
    serial: proof.serial,
    verdict: "verified",
    rttMs: 0,
  };
  const small = smallOf(parts.cache.shared, { selection, hops: [hop] });
  const answer = makeAnswer({ ...small, clock, expiresMs, stats: noStats });
  cache.set(merged.form, csi, {
    answer,
    settled: Promise.resolve(answer),
    merged: small.selection.merged,
    expiresMs,
    staleUntilMs: staleUntil(merged, expiresMs, clock),
    bytes: small.bytes,
    prefetchFromMs: expiresMs - (expiresMs - clock.monotonicMs()) * limits.prefetchLastShare,
    hits: 0,
  });
}

/** The same with what others say alike held once, and nothing of the octets that it was decoded from. */
function smallOf<F extends AnswerForm>(
  shared: SharedParts,
  { selection, hops }: { readonly selection: Selection<F>; readonly hops: readonly HopRecord[] },
) {
  let bytes = 0;
  const share = <T extends object>(given: T): T => {
    const { part, bytes: own } = shared.share(given);
    bytes += own;
    return part;
  };
  const { merged, warnings } = selection;
  const { content } = merged;
  for (const mapping of content.mappings) bytes += mappingBytes(mapping);
  const small: Merged<F> = {
    ...merged,
    complete: share(merged.complete),
    dps: share(merged.dps),
    proof: share(merged.proof),
    warnings: share(merged.warnings),
    errors: share(merged.errors),
    ports: share(merged.ports),
    // Views on the slot they stand in would keep all of it.
    content: { ...content, holderKeys: content.holderKeys.map((key) => Uint8Array.from(key)) },
  };
  bytes += holderKeyBytes * content.holderKeys.length;
  return {
    selection: { ...selection, merged: small, warnings: share(warnings) },
    hops: share(hops),
    bytes,
  };
}

/** Never beyond the end of a mapping; neither absence nor the DP's unsigned word is served stale. */
function staleUntil({ form, content }: Merged, expiresMs: number, clock: Clock): number {
  if (form === "compact" || content.mappings.length === 0) return expiresMs;
  const endsMs = clock.monotonicMs() + content.endsAt * 1_000 - clock.nowMs();
  return Math.max(expiresMs, Math.min(endsMs, expiresMs + limits.staleSecondsMax * 1_000));
}
