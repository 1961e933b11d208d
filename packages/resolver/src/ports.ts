// Where the holder of what was found has moved: `ported_to` of its newest statement, followed from slot to slot
// under the query's one budget (protocol.md sections 6 and 7; ADR 0023). A step counts only if it ends at a slot
// of the same holder key, asked of whom the directory names; a step that does not leaves the answer where it is.

import { DiscoveryError, isCanonicalCsi, isDiscoveryError } from "@whither/protocol";
import type { Csi, ZoneName } from "@whither/protocol";
import { answerError, type AnswerForm, type DpPart, type PortOutcome } from "./answer.js";
import { contentOfSlots, distinctKeys, isSameHolder } from "./holders.js";
import type { Merge, Merged } from "./merge.js";

export interface FollowPorts<F extends AnswerForm> {
  readonly csi: Csi;
  /** Takes a step from the query's budget. Throws BUDGET. */
  readonly spend: () => void;
  /** All authorities of another identifier, under the same budget and deadline. */
  readonly ask: (csi: Csi) => Promise<Merge<F>>;
  /** Hears of a step before it is taken. */
  readonly onStep: (at: { readonly zone: ZoneName; readonly learnt: string }) => void;
}

/** How one step ended; `found` where the answer now is, whatever the step came to. */
interface Step<F extends AnswerForm> {
  readonly outcome: PortOutcome;
  readonly found: Merge<F>;
}

/** The answer of the last step that could be taken, with all steps named. Throws only what is no failure of one. */
export async function followPorts<F extends AnswerForm>(
  first: Merge<F>,
  given: FollowPorts<F>,
): Promise<Merge<F>> {
  const visited = new Set<string>();
  let at: Merge<F> = first;
  let here = given.csi;
  for (;;) {
    const { portedTo: to, verified } = at.merged.content;
    const zone = at.slots[0]?.zone;
    // Without a mapping that counts now nothing says that this key is the identifier's.
    if (to === "" || zone === undefined || !verified || at.merged.content.mappings.length === 0)
      return at;
    visited.add(here).add(placeOf(here, zone));
    const isElsewhere = isCanonicalCsi(to);
    given.onStep({ zone, learnt: `ported to ${isElsewhere ? "another identifier" : to}` });
    const isCircle = visited.has(isElsewhere ? to : placeOf(here, to));
    const { outcome, found } = isCircle
      ? refused(at, new DiscoveryError("BAD_STATEMENT", "ported in a circle", { upstream: zone }))
      : await step(at, given, { here, zone, to });
    const port = { zone, to, outcome };
    at = { ...found, merged: { ...found.merged, ports: [...at.merged.ports, port] } };
    if (outcome !== "followed") return at;
    if (isElsewhere) here = to;
  }
}

function placeOf(csi: Csi, zone: string): string {
  return `${csi} ${zone}`;
}

async function step<F extends AnswerForm>(
  at: Merge<F>,
  given: FollowPorts<F>,
  { here, zone, to }: { readonly here: Csi; readonly zone: ZoneName; readonly to: string },
): Promise<Step<F>> {
  const { csi: origin, spend, ask } = given;
  try {
    spend();
    if (!isCanonicalCsi(to)) return toZone(at, { zone: to, here, origin });
    return arrived(at, to, await ask(to));
  } catch (error) {
    // The caller's own end is no failure of a step.
    if (!isDiscoveryError(error) || error.code === "CANCELLED") throw error;
    const { complete } = at.merged;
    // Whoever should have answered did not, however many they are.
    const asked = error.code === "BUDGET" ? complete.asked : complete.asked + 1;
    const missing = { ...at.merged, complete: { ...complete, asked } };
    return refused({ ...at, merged: missing }, error, zone);
  }
}

/** Every zone that the directory names for the identifier has been asked already. */
function toZone<F extends AnswerForm>(
  at: Merge<F>,
  { zone, here, origin }: { readonly zone: string; readonly here: Csi; readonly origin: Csi },
): Step<F> {
  const part = at.merged.dps.find((one) => one.zone === zone && (one.csi ?? origin) === here);
  const there = at.slots.filter((one) => one.zone === zone);
  if (part === undefined) {
    const text = "ported to a zone that the directory does not name";
    return refused(at, new DiscoveryError("NOT_AUTHORITATIVE", text, { upstream: zone }));
  }
  if (part.outcome !== "present") {
    const failure = at.merged.errors.find(({ upstream }) => upstream === zone)?.code;
    const outcome = part.outcome === "failed" ? (failure ?? "UNREACHABLE") : part.outcome;
    return { outcome, found: at };
  }
  const winner = contentOfSlots(there);
  if (winner.mappings.length === 0) return { outcome: "absent", found: at };
  const endsAt = Math.min(at.merged.content.endsAt, winner.endsAt);
  // The slot there is one of this holder's, whichever slot holds the link that says so.
  const holderKeys = distinctKeys([...winner.holderKeys, ...at.merged.content.holderKeys]);
  const proof = {
    ...at.merged.proof,
    zone: part.zone,
    serial: part.serial ?? 0,
    kid: part.kid ?? "",
  };
  const content = { ...winner, endsAt, holderKeys };
  const merged = { ...at.merged, proof, content } as Merged<F>; // slots are found in the verbose form only
  return {
    outcome: "followed",
    found: { ...at, merged, slots: there },
  };
}

/** Both ends of a step: what was asked on the way counts, whether or not its content does. */
function arrived<F extends AnswerForm>(at: Merge<F>, csi: Csi, there: Merge<F>): Step<F> {
  const [from, to] = [at.merged, there.merged];
  const dps = to.dps.map((part): DpPart => ({ ...part, csi }));
  const way = {
    complete: {
      answered: from.complete.answered + to.complete.answered,
      asked: from.complete.asked + to.complete.asked,
    },
    dps: [...from.dps, ...dps],
    warnings: [...from.warnings, ...to.warnings],
    errors: [...from.errors, ...to.errors],
    ttlSeconds: Math.min(from.ttlSeconds, to.ttlSeconds),
  };
  // One holder's mappings are never shown as another's: who is named elsewhere has to agree, by the same key or
  // by one that a link joins to it.
  const isSame = isSameHolder(from.content.holderKeys, to.content.holderKeys);
  const isFound = to.content.mappings.length > 0;
  if (isFound && isSame && to.content.verified) {
    const endsAt = Math.min(from.content.endsAt, to.content.endsAt);
    const merged = { ...to, ...way, content: { ...to.content, endsAt } };
    return { outcome: "followed", found: { ...there, merged } };
  }
  const found = { ...at, merged: { ...from, ...way } };
  if (isFound) return { outcome: "conflict", found };
  const [error] = to.errors;
  const isProven = to.complete.answered === to.complete.asked;
  return { outcome: isProven ? "absent" : (error?.code ?? "UNREACHABLE"), found };
}

function refused<F extends AnswerForm>(
  at: Merge<F>,
  error: DiscoveryError,
  upstream = "",
): Step<F> {
  const errors = [...at.merged.errors, answerError(error, upstream)];
  return { outcome: error.code, found: { ...at, merged: { ...at.merged, errors } } };
}
