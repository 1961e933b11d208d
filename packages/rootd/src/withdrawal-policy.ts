// When an authority is withdrawn as lame and when it comes back, decided from rounds of probes alone (ADR
// 45). What must not happen: one flood, or rootd's own bad line, that cuts off a federation. Pure.

import type { ErrorCode, ZoneName } from "@whither/protocol";
import type { AuthorityHealth } from "@whither/directory";

export interface WithdrawalRules {
  /** Lame in every probe for so long, at least three of them. */
  readonly afterSeconds: number;
  /** Healthy in every probe for so long, at least two of them. */
  readonly returnAfterSeconds: number;
  /** Of all authorities, how many may be withdrawn at once; 1..50. */
  readonly sharePercent: number;
  /** From one round of probes to the next. */
  readonly intervalSeconds: number;
}

/** What one round found of one zone. `unclear`: not probed, or it answered and the fault may be ours. */
export type Finding =
  | { readonly verdict: "healthy" | "unclear" }
  | { readonly verdict: "lame"; readonly why: ErrorCode };

export interface ProbeRound {
  readonly nowSeconds: number;
  readonly found: ReadonlyMap<ZoneName, Finding>;
  /** Zones that are authoritative together for a prefix, each set of them once. */
  readonly delegations: readonly (readonly ZoneName[])[];
}

interface Withdrawal {
  /** Unix seconds. */
  readonly at: number;
  /** Undefined: it was withdrawn before a restart. */
  readonly why: ErrorCode | undefined;
}

/** The same verdict in one probe after the other. */
interface Streak {
  readonly verdict: "healthy" | "lame";
  readonly sinceSeconds: number;
  readonly probes: number;
}

interface Watched {
  readonly streak: Streak | undefined;
  readonly withdrawal: Withdrawal | undefined;
}

export type WithdrawalState = ReadonlyMap<ZoneName, Watched>;

export interface Judgement {
  readonly state: WithdrawalState;
  readonly withdrawn: readonly { readonly zone: ZoneName; readonly why: ErrorCode }[];
  readonly returned: readonly ZoneName[];
  /** Lame for long enough, and left in place: `last` of a prefix as far as is known, or beyond the `share`. */
  readonly spared: ReadonlyMap<ZoneName, "last" | "share">;
  /** So many are lame that the cause is likelier here: nothing was withdrawn, and no time counts. */
  readonly suspended: { readonly lame: number; readonly max: number } | undefined;
}

const lameProbesMin = 3;
const healthyProbesMin = 2;

/** What is known after a start: which zones were withdrawn, and since when. */
export function resumeWithdrawals(withdrawn: ReadonlyMap<ZoneName, number>): WithdrawalState {
  const resumed = (at: number): Watched => ({
    streak: undefined,
    withdrawal: { at, why: undefined },
  });
  return new Map([...withdrawn].map(([zone, at]) => [zone, resumed(at)]));
}

/** How many of so many authorities may be withdrawn at once. */
export function withdrawnMax(
  authorities: number,
  { sharePercent }: Pick<WithdrawalRules, "sharePercent">,
): number {
  return Math.floor((authorities * sharePercent) / 100);
}

/** Authorities that the directory names no more are forgotten. */
export function judgeRound(
  before: WithdrawalState,
  round: ProbeRound,
  rules: WithdrawalRules,
): Judgement {
  const { found, nowSeconds } = round;
  const max = withdrawnMax(found.size, rules);
  const lame = [...found.values()].filter(({ verdict }) => verdict === "lame").length;
  const suspended = lame > max ? { lame, max } : undefined;
  const state = new Map<ZoneName, Watched>();
  const returned: ZoneName[] = [];
  for (const [zone, finding] of found) {
    const was = before.get(zone) ?? unknown;
    const streak = goesOn(was.streak, finding, nowSeconds);
    const isBack = was.withdrawal !== undefined && isLong(streak, "healthy", { round, rules });
    if (isBack) returned.push(zone);
    // With many lame at once no probe of this round speaks against anybody.
    const isVoid = suspended !== undefined && streak?.verdict === "lame";
    state.set(zone, {
      streak: isVoid ? undefined : streak,
      withdrawal: isBack ? undefined : was.withdrawal,
    });
  }
  if (suspended !== undefined) {
    return { state, withdrawn: [], returned, spared: new Map(), suspended };
  }
  return { returned, suspended, ...withdraw(state, { round, rules, max }) };
}

const unknown: Watched = { streak: undefined, withdrawal: undefined };

/** The longest lame first, one after the other: each leaves the rest less room. */
function withdraw(
  before: WithdrawalState,
  by: { readonly round: ProbeRound; readonly rules: WithdrawalRules; readonly max: number },
): Pick<Judgement, "state" | "withdrawn" | "spared"> {
  const { round, max } = by;
  const state = new Map(before);
  const withdrawn: { readonly zone: ZoneName; readonly why: ErrorCode }[] = [];
  const spared = new Map<ZoneName, "last" | "share">();
  const isWithdrawn = (zone: ZoneName): boolean => state.get(zone)?.withdrawal !== undefined;
  const due = [...state]
    .filter(([zone, { streak }]) => !isWithdrawn(zone) && isLong(streak, "lame", by))
    .toSorted(([a, one], [b, other]) => {
      const longer = (one.streak?.sinceSeconds ?? 0) - (other.streak?.sinceSeconds ?? 0);
      return longer === 0 ? (a < b ? -1 : 1) : longer;
    });
  for (const [zone, watched] of due) {
    const finding = round.found.get(zone);
    if (finding?.verdict !== "lame") continue;
    const count = [...state.values()].filter(({ withdrawal }) => withdrawal !== undefined).length;
    const stands = (other: ZoneName): boolean =>
      other !== zone && round.found.get(other)?.verdict === "healthy" && !isWithdrawn(other);
    const helps = round.delegations.some((set) => set.includes(zone) && set.some(stands));
    if (!helps || count >= max) {
      spared.set(zone, helps ? "share" : "last");
      continue;
    }
    const { why } = finding;
    state.set(zone, { ...watched, withdrawal: { at: round.nowSeconds, why } });
    withdrawn.push({ zone, why });
  }
  return { state, withdrawn, spared };
}

/** One look that says something else, or nothing, begins it anew. */
function goesOn(
  streak: Streak | undefined,
  { verdict }: Finding,
  nowSeconds: number,
): Streak | undefined {
  if (verdict === "unclear") return undefined;
  if (streak?.verdict !== verdict) return { verdict, sinceSeconds: nowSeconds, probes: 1 };
  return { ...streak, probes: streak.probes + 1 };
}

/**
 * Whether a streak has lasted, with half of the probes that fit into the time at the least: a process that slept
 * in between has seen nothing of it.
 */
function isLong(
  streak: Streak | undefined,
  verdict: Streak["verdict"],
  { round, rules }: { readonly round: ProbeRound; readonly rules: WithdrawalRules },
): boolean {
  if (streak?.verdict !== verdict) return false;
  const [seconds, least] =
    verdict === "lame"
      ? [rules.afterSeconds, lameProbesMin]
      : [rules.returnAfterSeconds, healthyProbesMin];
  const probes = Math.max(least, Math.ceil(seconds / rules.intervalSeconds / 2));
  return round.nowSeconds - streak.sinceSeconds >= seconds && streak.probes >= probes;
}

/** Failures that say nothing against an authority: it spoke, or the fault is likelier here. */
const unclearCodes: ReadonlySet<ErrorCode> = new Set([
  "LIMITED",
  "OVERLOADED",
  "CLOCK_SKEW",
  "NOT_YET_VALID",
  "CONFIG",
  "INTERNAL",
  "CANCELLED",
]);

/** By zone: one good server is enough to ask; all of them lame make it lame. */
export function findingsOf(rows: readonly AuthorityHealth[]): ReadonlyMap<ZoneName, Finding> {
  const found = new Map<ZoneName, Finding>();
  for (const { zone, state, lastError } of rows) {
    const before = found.get(zone);
    if (before?.verdict === "healthy") continue;
    if (state === "healthy") {
      found.set(zone, { verdict: "healthy" });
    } else if (state === "unknown" || lastError === undefined || unclearCodes.has(lastError)) {
      found.set(zone, { verdict: "unclear" });
    } else {
      found.set(zone, before ?? { verdict: "lame", why: lastError });
    }
  }
  return found;
}
