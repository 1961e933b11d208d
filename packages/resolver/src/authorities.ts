// Who answers for a contact, and what they say: the delegation from the signed directory, then all its
// authorities at once, then those where the holder moved, under one budget and one deadline (protocol.md
// sections 3, 5 and 7).

import { DiscoveryError, limits } from "@whither/protocol";
import type { Authority, Csi, Prefix } from "@whither/protocol";
import type { DirectoryFollower, Hop } from "@whither/directory";
import { abortError, deadlineSignal, type Clock, type Scheduled } from "@whither/runtime";
import type { Delegation, Registry } from "@whither/zone";
import { answerError, type AnswerForm } from "./answer.js";
import type { Asked } from "./answering.js";
import { WorkBudget, type WorkKind } from "./budget.js";
import type { DomainSuggestions } from "./dns/domain-suggestions.js";
import { failedOutcome, mergeOutcomes, unassigned, type Merge, type Outcome } from "./merge.js";
import { batchTimeoutMs, bytesPerZone, type LookupOptions } from "./options.js";
import { followPorts } from "./ports.js";
import type { Trace, ZoneQuery } from "./query.js";
import { within, withReplicas, type Replica } from "./zone-view.js";
import { askZone, type ZoneLookupParts, type ZonePart } from "./zone-lookup.js";

export interface AuthoritiesParts extends ZoneLookupParts {
  readonly follower: DirectoryFollower;
  /** Named by the user, beside those of the directory. */
  readonly replicas: readonly Replica[];
  /** Whether a domain's own words in the DNS are heard beside the directory, and which. */
  readonly suggestions?: DomainSuggestions | undefined;
}

export interface Attempt<F extends AnswerForm> {
  readonly csi: Csi;
  readonly form: F;
  readonly options: LookupOptions<F>;
  /** A batch waits where a DP limits it. */
  readonly patient: boolean;
  readonly trace: Trace;
  /** Why the resolver itself asks; undefined: a caller does. */
  readonly renewal?: "stale" | "prefetch";
  /** Hears who is authoritative as soon as that is known. */
  readonly onDelegation?: (csi: Csi, delegation: Delegation) => void;
}

/**
 * Asks about a contact, and on where its holder moved. Throws the worst failure when no DP answered, and what the
 * directory throws; a step to where the holder moved never does.
 */
export async function askAuthorities<F extends AnswerForm>(
  parts: AuthoritiesParts,
  attempt: Attempt<F>,
): Promise<Asked<F>> {
  const { csi, form, options, patient, trace } = attempt;
  const timeoutMs = options.timeoutMs ?? (patient ? batchTimeoutMs : limits.queryTimeoutMs);
  using deadline = deadlineSignal(parts.clock, timeoutMs, options.signal);
  const { signal } = deadline;
  const budget = new WorkBudget({
    bytesPerZoneMax: bytesPerZone(form),
    ...(options.maxHops === undefined ? {} : { portsMax: options.maxHops }),
  });
  const run: Run = { budget, signal };
  const { prefix, result } = await askContact(parts, attempt, run);
  const followed = await followPorts(result, {
    csi,
    spend: () => budget.directory("port"),
    ask: async (other) => (await askContact(parts, { ...attempt, csi: other }, run)).result,
    onStep: ({ zone, learnt }) =>
      trace.hop({
        prefix,
        from: zone,
        told: "nothing",
        learnt,
        serial: undefined,
        verdict: "verified",
        rttMs: 0,
      }),
  });
  if (options.signal?.aborted === true) throw abortError(options.signal);
  return { prefix, merged: followed.merged };
}

/** What all steps of one query share. */
interface Run {
  readonly budget: WorkBudget;
  readonly signal: AbortSignal;
}

/** Delegation, then every authority at once. */
async function askContact<F extends AnswerForm>(
  parts: AuthoritiesParts,
  attempt: Attempt<F>,
  { budget, signal }: Run,
): Promise<{
  readonly prefix: Prefix;
  readonly registry: Registry;
  readonly result: Merge<F>;
}> {
  const { csi, form, options, patient, trace, renewal, onDelegation } = attempt;
  const spend = (kind: WorkKind, n: number): void => {
    budget.directory(kind, n);
    trace.directory(kind, n);
  };
  const onHop = (hop: Hop): void => trace.hop(hop);
  const signed = await parts.follower.delegation(csi, { signal, spend, onHop });
  onDelegation?.(csi, signed);
  const registry = await parts.follower.registry({ signal });
  const { delegation, mismatch } = (await parts.suggestions?.weigh(csi, signed, {
    signal,
    onHop,
  })) ?? { delegation: signed, mismatch: undefined };
  const noting = (result: Merge<F>): Merge<F> => withError(result, mismatch);
  const { zone, prefix, authorities, ttlSeconds, serial } = delegation;
  if (delegation.disposition === "unassigned") {
    const denied = { zone, serial, ttlSeconds, registryVersion: registry.version };
    return { prefix, registry, result: noting(unassigned(form, denied)) };
  }
  const { checkingDisabled = false, refresh = false, jurisdiction } = options;
  const jurisdictions = jurisdiction === undefined ? undefined : new Set(jurisdiction);
  const realm = jurisdiction === undefined ? "" : [...new Set(jurisdiction)].sort().join();
  const isWaiting = !patient && authorities.length > 1;
  using others = isWaiting ? graceAfterFound(parts.clock, signal) : undefined;
  const outcomes = await Promise.all(
    authorities.map(async (authority): Promise<Outcome> => {
      const query: ZoneQuery = {
        csi,
        form,
        signal: others?.signal ?? signal,
        trace,
        patient,
        checkingDisabled,
        refresh,
        realm,
        early: renewal === "prefetch",
        zone: authority.zone,
        prefix,
        namedAt: delegation.notBefore,
        spend: budget.zone(),
      };
      try {
        if (isHeldBack(authority, { authorities, replicas: parts.replicas }))
          throw withdrawn(authority);
        const placed = within(withReplicas(authority, parts.replicas), jurisdictions);
        const result = await askZone(parts, { authority: placed, registry }, query);
        if (hasMappings(result)) others?.begin();
        return { authority, result };
      } catch (error) {
        const outcome = failedOutcome(authority, error);
        noteFailure(trace, prefix, outcome);
        return outcome;
      }
    }),
  );
  if (options.signal?.aborted === true) throw abortError(options.signal);
  return { prefix, registry, result: noting(mergeOutcomes(form, outcomes, registry)) };
}

/**
 * Whether the directory's server holds it back as lame (ADR on withdrawal). Its word only saves the wait: where all are held
 * back, or the user has named a server for the zone, they are asked as ever.
 */
function isHeldBack(
  { zone, withdrawnAt }: Authority,
  {
    authorities,
    replicas,
  }: { readonly authorities: readonly Authority[]; readonly replicas: readonly Replica[] },
): boolean {
  return (
    withdrawnAt !== undefined &&
    authorities.some((other) => other.withdrawnAt === undefined) &&
    !replicas.some((replica) => replica.zone === zone)
  );
}

/** As one that could not be reached: what it holds is unknown, not absent. */
function withdrawn({ zone }: Authority): DiscoveryError {
  const text = "withdrawn: the directory's server found it lame";
  return new DiscoveryError("UNREACHABLE", text, { upstream: zone });
}

/** The same result, with a further error reported beside it. */
function withError<F extends AnswerForm>(
  result: Merge<F>,
  error: DiscoveryError | undefined,
): Merge<F> {
  if (error === undefined) return result;
  const { merged } = result;
  return { ...result, merged: { ...merged, errors: [...merged.errors, answerError(error, "")] } };
}

/** How long the other DPs may still take once one has shown mappings: as long as a caller waits before RFC 8767. */
const graceMs = limits.staleAfterMs;

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
