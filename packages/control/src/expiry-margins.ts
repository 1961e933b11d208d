// How long before its end something should have been replaced. One table for what `status` shows, what the log says and
// what alerts ask for, so that an operator hears the same from all of them.

import type { Clock, Logger, Scheduled } from "@whither/runtime";
import type { ExpiryFact } from "./facts.js";

const minute = 60;
const day = 86_400;

/**
 * Seconds, by what ends. Keys of the root need people who meet; a zone's keys wait for the directory, a VOPRF key for a
 * tree that is made first; a directory is signed daily for 7 d; a head every 10 min for 30.
 */
export const expiryMarginSeconds: Readonly<Record<ExpiryFact["what"], number>> = {
  "root key set": 30 * day,
  "root zsk": 30 * day,
  "online zsk": 14 * day,
  "msp accreditation": 30 * day,
  "msp key": 30 * day,
  "prover key": 30 * day,
  "zone key": 30 * day,
  "voprf key": 14 * day,
  "hpke key": 14 * day,
  "tls certificate": 14 * day,
  directory: day,
  head: 15 * minute,
};

export type ExpiryState = "ok" | "soon" | "ended";

export function expiryState(
  { what, notAfter }: Pick<ExpiryFact, "notAfter" | "what">,
  nowSeconds: number,
): ExpiryState {
  if (notAfter <= nowSeconds) return "ended";
  return notAfter - nowSeconds <= expiryMarginSeconds[what] ? "soon" : "ok";
}

/** Between two looks, and until what is still so is said again. */
const lookMs = 15 * minute * 1_000;
const repeatSeconds = day;

/** Logs what comes within its margin or ends, at once and once a day; a head has its own events. */
export function logExpiries(options: {
  readonly expiries: () => readonly ExpiryFact[];
  readonly clock: Clock;
  readonly logger: Logger;
}): Disposable {
  const { clock, logger } = options;
  const said = new Map<string, { readonly state: ExpiryState; readonly atSeconds: number }>();
  let timer: Scheduled | undefined;
  const look = (): void => {
    const nowSeconds = clock.nowSeconds();
    const facts = options.expiries().filter(({ what }) => what !== "head");
    const keyOf = ({ what, subject }: ExpiryFact): string => `${what} ${subject}`;
    const present = new Set(facts.map(keyOf));
    for (const key of said.keys()) if (!present.has(key)) said.delete(key);
    for (const fact of facts) {
      const state = expiryState(fact, nowSeconds);
      const before = said.get(keyOf(fact));
      const isSaid = before?.state === state && nowSeconds - before.atSeconds < repeatSeconds;
      if (state === "ok") said.delete(keyOf(fact));
      if (state === "ok" || isSaid) continue;
      said.set(keyOf(fact), { state, atSeconds: nowSeconds });
      const { what, subject, notAfter } = fact;
      const fields = { what, subject, not_after: notAfter, left_s: notAfter - nowSeconds };
      if (state === "soon") logger.warn("expires soon", fields);
      else logger.error("expired", fields);
    }
    timer = clock.schedule(lookMs, look);
  };
  look();
  return { [Symbol.dispose]: () => timer?.cancel() };
}
