// The work one query may cause, however many zones, servers and referrals it touches (protocol.md
// section 7). One budget is passed down and never reset; it counts work, not success. Attempts after a
// question's first are charged too, by servers.ts, to the query that began the question: shared-fetch.ts. Bytes are counted when
// they have come: one answer of the stream's largest size may overshoot (limits.fetchAnswerBytesMax).

import { DiscoveryError, limits } from "@whither/protocol";

/** `bytes` are those received. */
export type WorkKind = "rpc" | "referral" | "port" | "verification" | "bytes";

/** Takes `n` units (1 unless told) from a budget, before the work is done. Throws BUDGET. */
export type Spend = (kind: WorkKind, n?: number) => void;

export interface WorkBudgetOptions {
  readonly bytesPerZoneMax: number;
  /** Steps to where the holder moved; limits.queryPortsMax unless told. */
  readonly portsMax?: number;
}

/** Node and covering node of a referral, and their share of key set and head. */
const verificationsPerReferral = 4;

export class WorkBudget {
  readonly #bytesPerZoneMax: number;
  readonly #portsMax: number;
  #rpcs = 0;
  #referrals = 0;
  #ports = 0;
  /** The directory's part: verifications grow with the referrals. */
  readonly directory: Spend;

  constructor({ bytesPerZoneMax, portsMax = limits.queryPortsMax }: WorkBudgetOptions) {
    this.#bytesPerZoneMax = bytesPerZoneMax;
    this.#portsMax = Math.min(portsMax, limits.queryPortsMax);
    const perReferral = verificationsPerReferral * limits.queryReferralsMax;
    this.directory = this.#part(limits.queryVerificationsPerZone + perReferral);
  }

  /** What one zone may use: rpcs and referrals come from the query, the rest is the zone's own. */
  zone(): Spend {
    // A slot's verifications follow from its mappings, and a slot has at most eight.
    const perMapping = limits.queryVerificationsPerMapping * limits.mappingsPerSlotMax;
    return this.#part(limits.queryVerificationsPerZone + perMapping);
  }

  #part(verificationsMax: number): Spend {
    let verifications = 0;
    let bytes = 0;
    return (kind, n = 1) => {
      switch (kind) {
        case "rpc":
          this.#rpcs = within(kind, this.#rpcs + n, limits.queryRpcsMax);
          return;
        case "referral":
          this.#referrals = within(kind, this.#referrals + n, limits.queryReferralsMax);
          return;
        case "port":
          this.#ports = within(kind, this.#ports + n, this.#portsMax);
          return;
        case "verification":
          verifications = within(kind, verifications + n, verificationsMax);
          return;
        case "bytes":
          bytes = within(kind, bytes + n, this.#bytesPerZoneMax);
      }
    };
  }
}

function within(kind: WorkKind, used: number, most: number): number {
  if (used > most) throw new DiscoveryError("BUDGET", `query: no ${kind} left`);
  return used;
}
