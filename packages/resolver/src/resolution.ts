// The way to an answer that is not just there: asked of all authorities, kept; old answers where nothing newer
// can be had, failures remembered (protocol.md section 8). Whom to ask is authorities.ts.

import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import type { Authority, Csi, ErrorCode } from "@whither/protocol";
import { abortError, type Clock } from "@whither/runtime";
import type { Answer, AnswerForm } from "./answer.js";
import type { CachedAnswer } from "./answer-cache.js";
import { answerOf, keepAnswer, type AnsweringParts, type Asked } from "./answering.js";
import { askAuthorities, type Attempt, type AuthoritiesParts } from "./authorities.js";
import type { FailureCache } from "./failure-cache.js";
import { asError } from "./failure.js";
import type { Merged } from "./merge.js";
import type { LookupOptions } from "./options.js";
import type { Trace } from "./query.js";
import { hidesData, mayAnswerStale, staleResult } from "./stale.js";

export interface ResolutionParts extends AuthoritiesParts, AnsweringParts {
  readonly failures: FailureCache;
}

/** A resolution under way that several callers may watch and none can stop. */
export interface Renewal<F extends AnswerForm = AnswerForm> {
  readonly result: Promise<Resolved<F>>;
  readonly trace: Trace;
  /** Who is authoritative now; undefined before that is known. */
  authorities(csi: Csi): readonly Authority[] | undefined;
}

/** Renewals, as renewals.ts makes them. */
export interface RenewalSource {
  join<F extends AnswerForm>(form: F, csi: Csi): Renewal<F> | undefined;
  prefetch(form: AnswerForm, csi: Csi): void;
}

/** What callers' lookups need beside. */
export interface ResolvingParts extends ResolutionParts {
  readonly renewals: RenewalSource;
}

/** Failures that say nothing about the next try. */
const uncached: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "CANCELLED",
  "DEADLINE",
  "BUDGET",
  "LIMITED",
  "OVERLOADED",
  "CLOCK_SKEW",
  "CONFIG",
  "NOT_AVAILABLE",
]);
/** Failures of a renewal that are no failure of what was asked. */
const ownEnds: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["CANCELLED", "CLOCK_SKEW", "CONFIG"]);

/** What came of asking, before it is made an answer of. */
export interface Resolved<F extends AnswerForm = AnswerForm> extends Asked<F> {
  /** Monotonic milliseconds. */
  readonly expiresMs: number;
}

/** A fresh answer from cache or servers, or an old one; see `Resolver.lookup` for what is thrown. */
export async function resolve<F extends AnswerForm>(
  parts: ResolvingParts,
  attempt: Attempt<F>,
): Promise<Answer<F>> {
  const { csi, form, options, trace } = attempt;
  if (options.signal?.aborted === true) throw abortError(options.signal);
  const anew = options.refresh === true || options.checkingDisabled === true;
  const cached = anew ? undefined : parts.cache.fresh(form, csi);
  if (cached !== undefined) {
    for (const hop of cached.answer.hops) trace.hop(hop);
    return answerOf(parts, attempt, cached.merged, { expiresMs: cached.expiresMs });
  }
  // A renewal may ask servers anywhere: with a wish for a jurisdiction only the caller's own asking will do.
  const mayWatch = !anew && options.jurisdiction === undefined;
  const stale = mayWatch ? parts.cache.stale(form, csi) : undefined;
  if (stale !== undefined) return await resolveOrStale(parts, attempt, stale);
  return await resolveAnew(parts, attempt);
}

async function resolveAnew<F extends AnswerForm>(
  parts: ResolutionParts,
  attempt: Attempt<F>,
): Promise<Answer<F>> {
  const resolved = await ask(parts, attempt);
  const answer = answerOf(parts, attempt, resolved.merged, resolved);
  keep(parts, attempt, resolved);
  return answer;
}

/** Asks in the background, with nobody's options, and keeps what comes of it. Throws as `resolve`. */
export async function renew<F extends AnswerForm>(
  parts: ResolutionParts,
  attempt: Attempt<F>,
): Promise<Resolved<F>> {
  const resolved = await ask(parts, attempt);
  keep(parts, attempt, resolved);
  return resolved;
}

/**
 * RFC 8767: what is old is shown when nothing newer comes in time, or can be had at all. The resolution is the
 * resolver's own: it goes on when this caller has its answer.
 */
async function resolveOrStale<F extends AnswerForm>(
  parts: ResolvingParts,
  attempt: Attempt<F>,
  stale: CachedAnswer<F>,
): Promise<Answer<F>> {
  const { csi, form, options, trace } = attempt;
  const { clock } = parts;
  const renewal = parts.renewals.join(form, csi);
  let error: DiscoveryError | undefined;
  if (renewal !== undefined) {
    const waitMs = Math.min(limits.staleAfterMs, options.timeoutMs ?? Infinity);
    const outcome = await settledWithin(clock, waitMs, { work: renewal.result, options });
    trace.adopt(renewal.trace);
    if (outcome instanceof DiscoveryError) error = outcome;
    else if (outcome !== undefined && !hidesData(outcome.merged, stale)) {
      return answerOf(parts, attempt, outcome.merged, outcome);
    }
    if (error !== undefined && !mayAnswerStale(error)) throw error;
  }
  const authorities = (whose: Csi): readonly Authority[] | undefined => renewal?.authorities(whose);
  const merged = staleResult(parts, { csi, stale }, { error, authorities });
  if (merged !== undefined) {
    const expiresMs = clock.monotonicMs() + limits.staleTtlSeconds * 1_000;
    return answerOf(parts, attempt, merged, { expiresMs });
  }
  // Too old after all: as if nothing were held. The renewal's failure, if it has one by now, is remembered.
  return await resolveAnew(parts, attempt);
}

/** The work's value or failure; undefined if it takes longer. Throws when the caller's signal aborts. */
function settledWithin<T>(
  clock: Clock,
  ms: number,
  { work, options: { signal } }: { readonly work: Promise<T>; readonly options: LookupOptions },
): Promise<T | DiscoveryError | undefined> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    const timer = clock.schedule(ms, () => {
      end();
      resolve(undefined);
    });
    const onAbort = (): void => {
      end();
      if (signal !== undefined) reject(abortError(signal));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    work.then(
      (value) => {
        end();
        resolve(value);
      },
      (error: unknown) => {
        end();
        if (isDiscoveryError(error)) resolve(error);
        else reject(asError(error));
      },
    );
  });
}

/** Asks unless it failed just now, and remembers a failure. */
async function ask<F extends AnswerForm>(
  parts: ResolutionParts,
  attempt: Attempt<F>,
): Promise<Resolved<F>> {
  const { csi, form, options, renewal } = attempt;
  const { failures, clock } = parts;
  const known = options.refresh === true ? undefined : failures.get(form, csi);
  if (known !== undefined) throw known;
  let asked: Asked<F>;
  try {
    asked = await askAuthorities(parts, attempt);
  } catch (error) {
    // Others may ask servers that lie elsewhere.
    if (isDiscoveryError(error) && options.jurisdiction === undefined) {
      // A renewal has the whole time of a query: that it ran out says something about the next try.
      const passes = renewal === undefined ? uncached : ownEnds;
      if (!passes.has(error.code)) failures.fail(form, csi, error);
    }
    throw error;
  }
  failures.forget(csi, [form]);
  return { ...asked, expiresMs: clock.monotonicMs() + ttlMs(asked.merged) };
}

/** Into the cache, unless it would hide more than it shows. */
function keep<F extends AnswerForm>(
  parts: ResolutionParts,
  { csi, form, options, renewal }: Attempt<F>,
  resolved: Resolved<F>,
): void {
  const { merged } = resolved;
  // Of several parts one may have been let through unchecked: others must not be given that.
  const { complete, content, errors, ports } = merged;
  if (options.checkingDisabled === true || !content.verified) return;
  // Not followed for this caller's wish only.
  if (options.maxHops !== undefined && ports.at(-1)?.outcome === "BUDGET") return;
  if (options.jurisdiction !== undefined && complete.answered !== complete.asked) return;
  const held = parts.cache.stale(form, csi);
  const [error] = errors;
  if (held !== undefined && error !== undefined && hidesData(merged, held)) {
    const { code, text, upstream } = error;
    parts.failures.fail(form, csi, new DiscoveryError(code, text, { upstream }));
    return;
  }
  const { expiresMs } = resolved;
  keepAnswer(parts, csi, resolved, { expiresMs, isSeen: renewal === undefined });
}

/** How long a result may be repeated; what only some DPs proved is asked again soon. */
function ttlMs({ ttlSeconds, complete, warnings, content }: Merged): number {
  const partial =
    content.mappings.length > 0 ? limits.absenceTtlSecondsMax : limits.failureTtlSecondsMin;
  const atMost = complete.answered === complete.asked ? limits.mappingTtlSecondsMax : partial;
  const lifetimeMs = Math.min(ttlSeconds, atMost) * 1_000;
  return warnings.some(({ code }) => code === "STALE")
    ? Math.min(lifetimeMs, limits.staleTtlSeconds * 1_000)
    : lifetimeMs;
}
