// The way to an answer that is not just there: directory, all authorities of the prefix at once, merged;
// old answers where nothing newer can be had, failures remembered (protocol.md sections 5 and 8).

import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import type { Csi, ErrorCode, Prefix } from "@whither/protocol";
import type { DirectoryFollower } from "@whither/directory";
import { abortError, deadlineSignal, type Clock, type Scheduled } from "@whither/runtime";
import type { Answer, AnswerForm, AnswerWarning } from "./answer.js";
import type { CachedAnswer } from "./answer-cache.js";
import { answerOf, keepAnswer, whole, type AnsweringParts, type Asked } from "./answering.js";
import { WorkBudget, type WorkKind } from "./budget.js";
import type { FailureCache } from "./failure-cache.js";
import { failureStatus } from "./failure.js";
import { failedOutcome, mergeOutcomes, unassigned, type Outcome, type Result } from "./merge.js";
import { batchTimeoutMs, bytesPerZone, type LookupOptions } from "./options.js";
import type { Trace, ZoneQuery } from "./query.js";
import { within, withReplicas, type Replica } from "./zone-view.js";
import { askZone, type ZoneLookupParts, type ZonePart } from "./zone-lookup.js";

export interface ResolutionParts extends ZoneLookupParts, AnsweringParts {
  readonly follower: DirectoryFollower;
  readonly failures: FailureCache;
  /** Named by the user, beside those of the directory. */
  readonly replicas: readonly Replica[];
}

export interface Attempt<F extends AnswerForm> {
  readonly csi: Csi;
  readonly form: F;
  readonly options: LookupOptions<F>;
  /** A batch waits where a DP limits it. */
  readonly patient: boolean;
  readonly trace: Trace;
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
/** RFC 8767: when to stop waiting for something fresh, how long it may be old, and its lifetime then. */
const staleAfterMs = 1_800;
const staleTtlMs = 30_000;

/** A fresh answer from cache or servers; see `Resolver.lookup` for what is thrown. */
export async function resolve<F extends AnswerForm>(
  parts: ResolutionParts,
  attempt: Attempt<F>,
): Promise<Answer<F>> {
  const { csi, form, options, trace } = attempt;
  if (options.signal?.aborted === true) throw abortError(options.signal);
  const anew = options.refresh === true || options.checkingDisabled === true;
  const cached = anew ? undefined : parts.cache.fresh(form, csi);
  if (cached !== undefined) {
    for (const hop of cached.hops) trace.hop(hop);
    return answerOf(parts, attempt, whole(cached), { expiresMs: cached.expiresMs });
  }
  const stale = anew ? undefined : parts.cache.stale(form, csi);
  if (stale === undefined) return await resolveAnew(parts, attempt);
  return await resolveOrStale(parts, attempt, stale);
}

/** RFC 8767: what is old is shown when nothing newer comes in time, or can be had at all. */
async function resolveOrStale<F extends AnswerForm>(
  parts: ResolutionParts,
  attempt: Attempt<F>,
  stale: CachedAnswer<F>,
): Promise<Answer<F>> {
  const { clock } = parts;
  const fresh = resolveAnew(parts, attempt);
  const late = new Promise<undefined>((done) => {
    const timer = clock.schedule(staleAfterMs, () => done(undefined));
    const stop = (): void => timer.cancel();
    fresh.then(stop, stop);
  });
  try {
    const answer = await Promise.race([fresh, late]);
    if (answer !== undefined) return answer;
  } catch (error) {
    if (!isDiscoveryError(error) || failureStatus(error) !== "unreachable") throw error;
    if (attempt.options.signal?.aborted === true) throw error;
  }
  const { merged, mappings } = whole(stale);
  const warning: AnswerWarning = {
    code: "STALE",
    text: "nothing newer could be had",
    upstream: merged.proof.zone,
  };
  const expiresMs = clock.monotonicMs() + staleTtlMs;
  return answerOf(
    parts,
    attempt,
    { mappings, merged: { ...merged, warnings: [...merged.warnings, warning] } },
    { expiresMs },
  );
}

async function resolveAnew<F extends AnswerForm>(
  parts: ResolutionParts,
  attempt: Attempt<F>,
): Promise<Answer<F>> {
  const { csi, form, options } = attempt;
  const { failures, clock } = parts;
  const known = options.refresh === true ? undefined : failures.get(form, csi);
  if (known !== undefined) throw known;
  let asked: Asked<F>;
  try {
    asked = await ask(parts, attempt);
  } catch (error) {
    const isOwn = options.jurisdiction !== undefined; // others may ask servers that lie elsewhere
    if (isDiscoveryError(error) && !uncached.has(error.code) && !isOwn)
      failures.fail(form, csi, error);
    throw error;
  }
  failures.forget(csi, [form]);
  const expiresMs = clock.monotonicMs() + ttlMs(asked.result);
  const answer = answerOf(parts, attempt, asked.result, { expiresMs });
  // Of several parts one may have been let through unchecked: others must not be given that.
  const { complete, content } = asked.result.merged;
  const isChecked = options.checkingDisabled !== true && content.verified;
  const isWhole = options.jurisdiction === undefined || complete.answered === complete.asked;
  if (isChecked && isWhole) keepAnswer(parts, csi, asked, { expiresMs });
  return answer;
}

/** Delegation, then every authority at once, under one budget and one deadline. */
async function ask<F extends AnswerForm>(
  parts: ResolutionParts,
  { csi, form, options, patient, trace }: Attempt<F>,
): Promise<Asked<F>> {
  const { follower, clock } = parts;
  const timeoutMs = options.timeoutMs ?? (patient ? batchTimeoutMs : limits.queryTimeoutMs);
  using deadline = deadlineSignal(clock, timeoutMs, options.signal);
  const { signal } = deadline;
  const budget = new WorkBudget({ bytesPerZoneMax: bytesPerZone(form) });
  const spend = (kind: WorkKind, n: number): void => {
    budget.directory(kind, n);
    trace.directory(kind, n);
  };
  const delegation = await follower.delegation(csi, {
    signal,
    spend,
    onHop: (hop) => trace.hop(hop),
  });
  const registry = await follower.registry({ signal });
  const { prefix, authorities, ttlSeconds, serial } = delegation;
  if (delegation.disposition === "unassigned") {
    const denied = { serial, ttlSeconds, registryVersion: registry.version };
    return { prefix, result: unassigned(form, denied) };
  }
  const { checkingDisabled = false, refresh = false, jurisdiction } = options;
  const jurisdictions = jurisdiction === undefined ? undefined : new Set(jurisdiction);
  const realm = jurisdiction === undefined ? "" : [...new Set(jurisdiction)].sort().join();
  using others = graceAfterFound(clock, signal);
  const outcomes = await Promise.all(
    authorities.map(async (authority): Promise<Outcome> => {
      const query: ZoneQuery = {
        csi,
        form,
        signal: patient ? signal : others.signal,
        trace,
        patient,
        checkingDisabled,
        refresh,
        realm,
        zone: authority.zone,
        prefix,
        spend: budget.zone(),
      };
      try {
        const placed = within(withReplicas(authority, parts.replicas), jurisdictions);
        const result = await askZone(parts, { authority: placed, registry }, query);
        if (hasMappings(result)) others.begin();
        return { authority, result };
      } catch (error) {
        const outcome = failedOutcome(authority, error);
        noteFailure(trace, prefix, outcome);
        return outcome;
      }
    }),
  );
  if (options.signal?.aborted === true) throw abortError(options.signal);
  return { prefix, result: mergeOutcomes(form, outcomes, registry) };
}

/** How long the other DPs may still take once one has shown mappings: as long as a caller waits before RFC 8767. */
const graceMs = staleAfterMs;

interface Grace extends Disposable {
  readonly signal: AbortSignal;
  /** Mappings are there: from now on the others have `graceMs`, and then count as not answered. */
  begin(): void;
}

function graceAfterFound(clock: Clock, parent: AbortSignal): Grace {
  const over = new AbortController();
  let timer: Scheduled | undefined;
  const begin = (): void => {
    timer ??= clock.schedule(graceMs, () =>
      over.abort(new DiscoveryError("DEADLINE", "later than another DP's answer by far")),
    );
  };
  const signal = AbortSignal.any([parent, over.signal]);
  return { signal, begin, [Symbol.dispose]: () => timer?.cancel() };
}

function hasMappings({ content }: ZonePart): boolean {
  if (content === undefined) return false;
  return content.kind === "bits" ? content.bits.length > 0 : content.mappings.length > 0;
}

/** Failures without a server to blame, or found when all had been told: the steps note theirs themselves. */
function noteFailure(trace: Trace, prefix: Prefix, { authority, result }: Outcome): void {
  if (!(result instanceof DiscoveryError)) return;
  if (trace.hops.some(({ verdict }) => verdict === result.code)) return;
  trace.hop({
    prefix,
    from: authority.zone,
    told: "nothing more",
    learnt: result.text,
    serial: undefined,
    verdict: result.code,
    rttMs: 0,
  });
}

/** How long a result may be repeated; what only some DPs proved is asked again soon. */
function ttlMs({ merged, mappings }: Result): number {
  const { ttlSeconds, complete, warnings } = merged;
  const partial = mappings.length > 0 ? limits.absenceTtlSecondsMax : limits.failureTtlSecondsMin;
  const atMost = complete.answered === complete.asked ? limits.mappingTtlSecondsMax : partial;
  const lifetimeMs = Math.min(ttlSeconds, atMost) * 1_000;
  return warnings.some(({ code }) => code === "STALE")
    ? Math.min(lifetimeMs, staleTtlMs)
    : lifetimeMs;
}
