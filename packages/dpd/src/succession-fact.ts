// How far a zone has come from one manifest and VOPRF key to the next, as its operator is told.

import type { SuccessionStatus } from "@whither/authority";
import type { SuccessionFact } from "@whither/control";
import { toHex } from "@whither/crypto/node";

/** Undefined: nothing changes. */
export function successionFact(status: SuccessionStatus): SuccessionFact | undefined {
  const { successor, next, previous, problem } = status;
  if (successor === undefined && next === undefined && previous.length === 0) return undefined;
  return {
    manifestSha256: successor === undefined ? "" : toHex(successor.sha256),
    namedAt: successor?.namedAt ?? 0,
    switchAt: successor?.switchAt ?? 0,
    next: next === undefined ? undefined : { ...next, kid: toHex(next.kid) },
    previous: previous.map(({ kid, dropAt }) => ({ kid: toHex(kid), dropAt })),
    problem,
  };
}
