// Withdraws authorities that have been lame for long, and takes them back: from each round of probes to what
// is published. Who is withdrawn is decided in withdrawal-policy.ts, how it is signed in @whither/zone.

import type { AuthorityHealth } from "@whither/directory";
import type { ErrorCode, ZoneName } from "@whither/protocol";
import type { Clock, Logger } from "@whither/runtime";
import type { Directory, WithdrawnZones } from "@whither/zone";
import type { RootdConfig } from "./config.js";
import type { WithdrawingPublication } from "./withdrawing-publication.js";
import {
  findingsOf,
  judgeRound,
  resumeWithdrawals,
  withdrawnMax,
  type Judgement,
  type WithdrawalRules,
  type WithdrawalState,
} from "./withdrawal-policy.js";

export interface Withdrawals extends AsyncDisposable {
  /** After each round of probes. Never rejects: what cannot be published is tried again after the next one. */
  look(found: readonly AuthorityHealth[]): Promise<void>;
  /** Why a zone is withdrawn, where that is known. */
  why(zone: ZoneName): ErrorCode | undefined;
  /** End of the key that they are signed with, Unix seconds. */
  readonly keyNotAfter: number;
  /** Zones that are withdrawn. */
  readonly count: number;
  /** Whether so many are lame that nothing is withdrawn. */
  readonly isSuspended: boolean;
  /** Changes published since the start. */
  readonly changes: { readonly withdrawn: number; readonly returned: number };
}

export interface WithdrawalsOptions {
  readonly publication: Pick<
    WithdrawingPublication,
    "given" | "holdBack" | "keyNotAfter" | "resumed"
  >;
  /** In force. */
  readonly rules: () => WithdrawalRules;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Another directory is served. */
  readonly onPublished: () => void;
}

/** The rules of a configuration that has withdrawals. */
export function withdrawalRules(
  withdrawal: NonNullable<RootdConfig["withdrawal"]>,
  { intervalSeconds }: RootdConfig["health"],
): WithdrawalRules {
  const { afterSeconds, returnAfterSeconds, sharePercent } = withdrawal;
  return { afterSeconds, returnAfterSeconds, sharePercent, intervalSeconds };
}

export function createWithdrawals(options: WithdrawalsOptions): Withdrawals {
  return new Ledger(options);
}

class Ledger implements Withdrawals {
  readonly #options: WithdrawalsOptions;
  #state: WithdrawalState;
  /** What the publication was told to hold back. */
  #held: WithdrawnZones;
  #delegations: Delegations | undefined;
  #isSuspended = false;
  #spared: Judgement["spared"] = new Map();
  #changes = { withdrawn: 0, returned: 0 };
  /** Authorities of the last round: another number of them may be withdrawn. */
  #authorities: number | undefined;
  #isClosed = false;
  /** One round after the other, also when signing takes longer than the next round. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: WithdrawalsOptions) {
    this.#options = options;
    this.#held = options.publication.resumed;
    this.#state = resumeWithdrawals(this.#held);
  }

  get keyNotAfter(): number {
    return this.#options.publication.keyNotAfter;
  }

  get count(): number {
    return zonesOf(this.#state).size;
  }

  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  get changes(): Withdrawals["changes"] {
    return this.#changes;
  }

  why(zone: ZoneName): ErrorCode | undefined {
    return this.#state.get(zone)?.withdrawal?.why;
  }

  /** Nothing more is published; what is under way ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#last;
  }

  look(rows: readonly AuthorityHealth[]): Promise<void> {
    if (this.#isClosed) return this.#last;
    this.#last = this.#last.then(() => this.#look(rows));
    return this.#last;
  }

  async #look(rows: readonly AuthorityHealth[]): Promise<void> {
    const { publication, rules, clock, logger, onPublished } = this.#options;
    const found = findingsOf(rows);
    const delegations = this.#delegationsOf(publication.given);
    const nowSeconds = clock.nowSeconds();
    const before = this.#state;
    const judged = judgeRound(before, { nowSeconds, found, delegations }, rules());
    this.#tellOfRound(judged, found.size);
    const { withdrawn, returned, state } = judged;
    // Streaks go on whatever comes of the publishing; withdrawals count once they are published.
    this.#state = keeping(state, before);
    const zones = zonesOf(state);
    // Not only changes of the policy: it forgets zones that the directory names no more.
    if (isSame(zones, this.#held)) return;
    try {
      if (await publication.holdBack(zones)) onPublished();
      this.#held = zones;
      this.#state = state;
    } catch (error) {
      logger.error("withdrawal failed", { error });
      return;
    }
    for (const { zone, why } of withdrawn) logger.warn("authority withdrawn", { zone, code: why });
    for (const zone of returned) logger.info("authority returned", { zone });
    this.#changes = {
      withdrawn: this.#changes.withdrawn + withdrawn.length,
      returned: this.#changes.returned + returned.length,
    };
  }

  /** Gathered once for each directory: there may be a million nodes. */
  #delegationsOf(directory: Directory): Delegations["sets"] {
    if (this.#delegations?.of !== directory) this.#delegations = delegationsOf(directory);
    return this.#delegations.sets;
  }

  /** Each thing once, when it begins and when it ends. */
  #tellOfRound({ suspended, spared }: Judgement, authorities: number): void {
    const { logger, rules } = this.#options;
    if (this.#authorities !== authorities) {
      this.#authorities = authorities;
      const max = withdrawnMax(authorities, rules());
      if (max === 0) logger.warn("withdrawal without effect", { authorities, max });
    }
    if (suspended !== undefined && !this.#isSuspended) {
      logger.warn("withdrawal suspended", { lame: suspended.lame, max: suspended.max });
    }
    if (suspended === undefined && this.#isSuspended) logger.info("withdrawal goes on");
    this.#isSuspended = suspended !== undefined;
    for (const [zone, reason] of spared) {
      if (this.#spared.get(zone) !== reason)
        logger.warn("authority not withdrawn", { zone, reason });
    }
    this.#spared = spared;
  }
}

/** What is seen in this round, and the withdrawals of before. */
function keeping(state: WithdrawalState, before: WithdrawalState): WithdrawalState {
  return new Map(
    [...state].map(([zone, watched]) => [
      zone,
      { streak: watched.streak, withdrawal: before.get(zone)?.withdrawal },
    ]),
  );
}

function zonesOf(state: WithdrawalState): WithdrawnZones {
  return new Map(
    [...state].flatMap(([zone, { withdrawal }]) =>
      withdrawal === undefined ? [] : [[zone, withdrawal.at] as const],
    ),
  );
}

function isSame(a: WithdrawnZones, b: WithdrawnZones): boolean {
  return a.size === b.size && [...a.keys()].every((zone) => b.has(zone));
}

/** Zones that stand together at some prefix, each set once; there are few, whatever the size of the directory. */
interface Delegations {
  readonly of: Directory;
  readonly sets: readonly (readonly ZoneName[])[];
}

function delegationsOf(directory: Directory): Delegations {
  const sets = new Map<string, readonly ZoneName[]>();
  for (const { node } of directory.nodes()) {
    const zones = node.authorities.map(({ zone }) => zone);
    if (zones.length > 0) sets.set(zones.join(" "), zones);
  }
  return { of: directory, sets: [...sets.values()] };
}
