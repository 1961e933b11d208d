// What became of one identifier, ready to be printed: an answer, a failure, or no identifier at all.

import type { Csi, DiscoveryError } from "@whither/protocol";
import type { Answer, FailedAnswer } from "@whither/resolver";

export type Outcome =
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "failed"; readonly answer: FailedAnswer }
  /** Not an identifier: nothing was asked. */
  | { readonly kind: "invalid"; readonly error: DiscoveryError };

export interface Report {
  /** As typed, or as the line of the file. */
  readonly input: string;
  /** `FILE:12` for a line of a file. */
  readonly place: string | undefined;
  readonly csi: Csi | undefined;
  readonly outcome: Outcome;
  /** Milliseconds from asking to the answer; undefined in a batch, where they share them. */
  readonly rttMs: number | undefined;
  /** Unix seconds when it was there. */
  readonly atSeconds: number;
}

export type ReportStatus = "found" | "none" | "incomplete" | "bogus" | "refused" | "unreachable";

export function statusOf({ outcome }: Report): ReportStatus {
  // An identifier that is none was refused by this program.
  return outcome.kind === "invalid" ? "refused" : outcome.answer.status;
}

/** Exit statuses that scripts rely on. 0 found, 1 proven absent. */
export const exitStatuses = {
  found: 0,
  none: 1,
  usage: 2,
  bogus: 3,
  refused: 4,
  unreachable: 5,
  incomplete: 6,
  interrupted: 130,
} as const;

/** Order in which the failures of several identifiers count. */
const worstFirst = ["bogus", "refused", "unreachable", "incomplete"] as const;

/** Collects what happened and decides the exit status of the whole run. */
export class ExitTally {
  readonly #seen = new Set<ReportStatus | "usage">();

  add(report: Report): void {
    this.addStatus(report.outcome.kind === "invalid" ? "usage" : statusOf(report));
  }

  addStatus(status: ReportStatus | "usage"): void {
    this.#seen.add(status);
  }

  /** One identifier: its own status. Several: 2 for usage, the first of 3, 4, 5, 6, else 0. */
  status({ several }: { readonly several: boolean }): number {
    if (this.#seen.has("usage")) return exitStatuses.usage;
    const worst = worstFirst.find((status) => this.#seen.has(status));
    if (worst !== undefined) return exitStatuses[worst];
    return !several && this.#seen.has("none") ? exitStatuses.none : exitStatuses.found;
  }
}
