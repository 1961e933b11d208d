// The work one query may cause, however many zones, servers and referrals it touches (protocol.md
// section 7). One budget is passed down and never reset; it counts work, not success.

import { DiscoveryError, limits } from "@whither/protocol";

/** `bytes` are those received. */
export type WorkKind = "rpc" | "referral" | "port" | "verification" | "bytes";

/** Takes `n` units (1 unless told) from a budget, before the work is done. Throws BUDGET. */
export type Spend = (kind: WorkKind, n?: number) => void;

export interface WorkBudget {
  /** What one zone may use: rpcs, referrals and ports come from the query, the rest is the zone's own. */
  zone(): Spend;
  /** The directory's part: verifications grow with the referrals. */
  readonly directory: Spend;
}

export interface WorkBudgetOptions {
  readonly bytesPerZoneMax: number;
}

/** Node and covering node of a referral, and their share of key set and head. */
const verificationsPerReferral = 4;

export function createWorkBudget({ bytesPerZoneMax }: WorkBudgetOptions): WorkBudget {
  const left = {
    rpc: limits.queryRpcsMax as number,
    referral: limits.queryReferralsMax as number,
    port: limits.queryPortsMax as number,
  };
  const part = (verifications: number): Spend => {
    const own = { verification: verifications, bytes: bytesPerZoneMax };
    return (kind, n = 1) => {
      const pool: Partial<Record<WorkKind, number>> =
        kind === "verification" || kind === "bytes" ? own : left;
      const rest = (pool[kind] ?? 0) - n;
      if (rest < 0) throw new DiscoveryError("BUDGET", `query: no ${kind} left`);
      pool[kind] = rest;
    };
  };
  return {
    // A slot's verifications follow from its mappings, and a slot has at most eight.
    zone: () =>
      part(
        limits.queryVerificationsPerZone +
          limits.queryVerificationsPerMapping * limits.mappingsPerSlotMax,
      ),
    directory: part(
      limits.queryVerificationsPerZone + verificationsPerReferral * limits.queryReferralsMax,
    ),
  };
}
