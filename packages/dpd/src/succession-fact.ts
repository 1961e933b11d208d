// How far a zone has come from one manifest and VOPRF key to the next, as its operator is told.

import type { SuccessionStatus } from "@whither/authority";
import type { SuccessionFact } from "@whither/control";
import { toHex } from "@whither/crypto/node";

/** Undefined: nothing changes. */
export function successionFact(status: SuccessionStatus): SuccessionFact | undefined {
  const { successor, next, previous, problem } = status;
  const acceptancesToRenew = status.acceptances === "to renew";
  const isChanging = successor !== undefined || next !== undefined || previous.length > 0;
  if (!isChanging && !acceptancesToRenew) return undefined;
  return {
    manifestSha256: successor === undefined ? "" : toHex(successor.sha256),
    namedAt: successor?.namedAt ?? 0,
    switchAt: successor?.switchAt ?? 0,
    next: next === undefined ? undefined : { ...next, kid: toHex(next.kid) },
    previous: previous.map(({ kid, dropAt }) => ({ kid: toHex(kid), dropAt })),
    problem,
    acceptancesToRenew,
  };
}
