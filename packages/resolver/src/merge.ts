// The parts of several DPs as one result (protocol.md section 5): who answered, what counts, what is reported
// beside it. Which holder counts is holders.ts. Pure.

import { DiscoveryError, type Authority, type ZoneName } from "@whither/protocol";
import type { Registry } from "@whither/zone";
import { answerError } from "./answer.js";
import type {
  AnswerError,
  AnswerForm,
  AnswerWarning,
  Completeness,
  DpPart,
  PortStep,
  ProofSummary,
} from "./answer.js";
import { requireDiscoveryError, worstFailure } from "./failure.js";
import {
  noContent,
  nothing,
  winnerOfSlots,
  type Content,
  type Placed,
  type Winner,
} from "./holders.js";
import { attestedMappings } from "./mappings.js";
import type { BitsPart, SlotPart, ZonePart } from "./zone-lookup.js";

/** What was asked of one authority and how it ended. */
export interface Outcome {
  readonly authority: Authority;
  readonly result: ZonePart | DiscoveryError;
}

/** Everything an answer is made of, before filter and choice, in the form that a cache keeps. */
export interface Merged<F extends AnswerForm = AnswerForm> {
  readonly form: F;
  readonly complete: Completeness;
  readonly dps: readonly DpPart[];
  readonly proof: ProofSummary;
  readonly registryVersion: number;
  readonly warnings: readonly AnswerWarning[];
  readonly errors: readonly AnswerError[];
  readonly ttlSeconds: number;
  /** Where the holder said it moved, step by step. */
  readonly ports: readonly PortStep[];
  readonly content: Content<F>;
}

/** A result just merged, with the slots of the holder who counts, the newest statement first. */
export interface Merge<F extends AnswerForm = AnswerForm> {
  readonly merged: Merged<F>;
  readonly slots: readonly Placed<SlotPart>[];
}

/** Throws the worst failure when no DP answered. */
export function mergeOutcomes<F extends AnswerForm>(
  form: F,
  outcomes: readonly Outcome[],
  registry: Registry,
): Merge<F> {
  // Canonical order: no DP gains from answering first.
  const sorted = outcomes.toSorted((a, b) => (a.authority.zone < b.authority.zone ? -1 : 1));
  const parts: ZonePart[] = [];
  const failures: DiscoveryError[] = [];
  const errors: AnswerError[] = [];
  for (const { authority, result } of sorted) {
    if (result instanceof DiscoveryError) {
      failures.push(result);
      errors.push(answerError(result, authority.zone));
    } else parts.push(result);
  }
  const [proving] = parts;
  const [failure, ...further] = failures;
  if (proving === undefined) {
    if (failure === undefined) throw new TypeError("a delegation without authorities");
    throw worstFailure([failure, ...further]);
  }
  const winner = (
    form === "compact" ? winnerOfBits(parts, registry) : winnerOfSlots(parts)
  ) as Winner<F>; // parts of a compact query are bits, those of a verbose one slots
  const present = parts.find(({ content }) => content !== undefined) ?? proving;
  const merged: Merged<F> = {
    form,
    complete: { answered: parts.length, asked: outcomes.length },
    dps: sorted.map((outcome) => dpPart(outcome, winner.conflicts)),
    proof: {
      kind: present.content === undefined ? "absence" : "presence",
      verified: winner.content.verified,
      zone: present.authority.zone,
      serial: present.serial,
      kid: present.kidHex,
    },
    registryVersion: registry.version,
    warnings: [...winner.warnings, ...staleWarnings(parts)],
    errors: [...errors, ...partErrors(parts)],
    ttlSeconds: Math.max(0, Math.min(...parts.map(({ ttlSeconds }) => ttlSeconds))),
    ports: [],
    content: winner.content,
  };
  return { merged, slots: winner.slots };
}

function dpPart({ authority, result }: Outcome, conflicts: ReadonlySet<ZoneName>): DpPart {
  const { dpId: dp, zone } = authority;
  if (result instanceof DiscoveryError) {
    return { dp, zone, outcome: "failed", serial: undefined, kid: undefined };
  }
  const present = conflicts.has(zone) ? "conflict" : "present";
  const outcome = result.content === undefined ? "absent" : present;
  return { dp, zone, outcome, serial: result.serial, kid: result.kidHex };
}

function staleWarnings(parts: readonly ZonePart[]): readonly AnswerWarning[] {
  return parts
    .filter(({ stale }) => stale)
    .map(({ authority }) => ({
      code: "STALE",
      text: "the newest head that could be had is old",
      upstream: authority.zone,
    }));
}

/** Failures that did not cost the part: dropped mappings, a slot shown unvalidated. */
function partErrors(parts: readonly ZonePart[]): readonly AnswerError[] {
  return parts.flatMap(({ authority, content }) => {
    if (content?.kind !== "slot") return [];
    const dropped = content.dropped.map(({ mspId, code }) =>
      answerError(new DiscoveryError(code, "a mapping does not count now"), mspId),
    );
    const { unverified } = content;
    return unverified === undefined
      ? dropped
      : [...dropped, answerError(unverified, authority.zone)];
  });
}

/** Bits name no holder: those of several DPs are shown only if they agree. */
function winnerOfBits(parts: readonly ZonePart[], registry: Registry): Winner<"compact"> {
  const shown = parts.flatMap(({ authority, content }): Placed<BitsPart>[] =>
    content?.kind === "bits" ? [{ zone: authority.zone, content }] : [],
  );
  const [first, ...others] = shown;
  if (first === undefined) return nothing;
  const { bits } = first.content;
  const differing = others.filter(({ content }) => content.bits.join() !== bits.join());
  const conflict: readonly AnswerWarning[] = differing.map(({ zone }) => ({
    code: "CONFLICT",
    text: "shows other MSPs; a verbose answer tells whose",
    upstream: zone,
  }));
  const unnamed: readonly AnswerWarning[] =
    bits.length > 0
      ? []
      : [{ code: "VERBOSE_ONLY", text: "a slot without compact bits", upstream: first.zone }];
  return {
    content: {
      mappings: attestedMappings(bits, registry),
      exclusive: false,
      sameAppOnly: false,
      firstPreference: 0,
      portedTo: "",
      endsAt: Number.MAX_SAFE_INTEGER,
      holderKeys: [],
      verified: true,
    },
    slots: [],
    conflicts: new Set(differing.map(({ zone }) => zone)),
    warnings: [...conflict, ...unnamed],
  };
}

/** The result of a prefix that nobody serves, proven by the directory. */
export function unassigned<F extends AnswerForm>(
  form: F,
  {
    zone,
    serial,
    ttlSeconds,
    registryVersion,
  }: {
    /** Of the directory whose node proves it. */
    readonly zone: ZoneName;
    readonly serial: number;
    readonly ttlSeconds: number;
    readonly registryVersion: number;
  },
): Merge<F> {
  const error = new DiscoveryError("UNASSIGNED", "the directory proves that nobody serves it");
  const merged: Merged<F> = {
    form,
    complete: { answered: 0, asked: 0 },
    dps: [],
    proof: { kind: "absence", verified: true, zone, serial, kid: "" },
    registryVersion,
    warnings: [],
    errors: [answerError(error, zone)],
    ttlSeconds,
    ports: [],
    content: noContent,
  };
  return { merged, slots: [] };
}

/** An authority's outcome from what its lookup threw. */
export function failedOutcome(authority: Authority, error: unknown): Outcome {
  return { authority, result: requireDiscoveryError(error) };
}
