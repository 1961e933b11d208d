// The parts of several DPs as one result (protocol.md section 5): who answered, whose holder counts, what
// is reported beside it. Mappings of different holder keys are never mixed. Pure.

import { toHex } from "@whither/crypto";
import { DiscoveryError, type Authority, type MspId, type ZoneName } from "@whither/protocol";
import type { Registry } from "@whither/zone";
import { answerError } from "./answer.js";
import type {
  AnswerError,
  AnswerForm,
  AnswerMapping,
  AnswerWarning,
  Completeness,
  DpPart,
  PortStep,
  ProofSummary,
} from "./answer.js";
import { requireDiscoveryError, worstFailure } from "./failure.js";
import { attestedMappings, decodeMappings } from "./mappings.js";
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

/** What counts of all that was found. */
interface Content<F extends AnswerForm = AnswerForm> {
  /** The mappings that count, in order, from the bytes that are kept. */
  readonly decode: () => readonly AnswerMapping<F>[];
  /** Bytes that `decode` keeps. */
  readonly bytes: number;
  readonly exclusive: boolean;
  readonly sameAppOnly: boolean;
  readonly firstPreference: number;
  readonly portedTo: string;
  /** First end of what counts, Unix seconds. */
  readonly endsAt: number;
  readonly holderPublicKey: Uint8Array | undefined;
  readonly verified: boolean;
}

/** A result with its mappings as they were just decoded. */
export interface Result<F extends AnswerForm = AnswerForm> {
  readonly merged: Merged<F>;
  readonly mappings: readonly AnswerMapping<F>[];
}

/** A result just merged, with the slots of the holder who counts, the newest statement first. */
export interface Merge<F extends AnswerForm = AnswerForm> extends Result<F> {
  readonly slots: readonly Placed<SlotPart>[];
}

/** A part and the zone that showed it. */
export interface Placed<T> {
  readonly zone: ZoneName;
  readonly content: T;
}

interface Shown<F extends AnswerForm> {
  readonly content: Content<F>;
  readonly mappings: readonly AnswerMapping<F>[];
}

interface Winner<F extends AnswerForm> extends Shown<F> {
  readonly slots: readonly Placed<SlotPart>[];
  readonly conflicts: ReadonlySet<ZoneName>;
  readonly warnings: readonly AnswerWarning[];
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
    form === "compact" ? winnerOfBits(parts, registry) : winnerOfSlots(parts, registry)
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
  return { merged, mappings: winner.mappings, slots: winner.slots };
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

const noContent = {
  decode: () => [],
  bytes: 0,
  exclusive: false,
  sameAppOnly: false,
  firstPreference: 0,
  portedTo: "",
  endsAt: Number.MAX_SAFE_INTEGER,
  holderPublicKey: undefined,
  verified: true,
} satisfies Content;
const nothing = {
  content: noContent,
  mappings: [],
  slots: [],
  conflicts: new Set<ZoneName>(),
  warnings: [],
} satisfies Winner<AnswerForm>;

function winnerOfSlots(parts: readonly ZonePart[], registry: Registry): Winner<"verbose"> {
  const slots = parts.flatMap(({ authority, content }): Placed<SlotPart>[] =>
    content?.kind === "slot" ? [{ zone: authority.zone, content }] : [],
  );
  const [best = [], ...others] = groupByHolder(slots).sort(compareHolders);
  const newest = best.toSorted((a, b) => b.content.seq - a.content.seq);
  if (newest.length === 0) return nothing;
  const losing = others.flat().filter(({ content }) => content.mappings.length > 0);
  return {
    ...contentOfSlots(newest, registry),
    slots: newest,
    conflicts: new Set(losing.map(({ zone }) => zone)),
    warnings: losing.map(({ zone }) => ({
      code: "CONFLICT",
      text: "shows another holder, who does not count",
      upstream: zone,
    })),
  };
}

/** What one holder's slots show together, the newest statement first. */
export function contentOfSlots(
  newest: readonly Placed<SlotPart>[],
  registry: Registry,
): Shown<"verbose"> {
  const [first, ...older] = newest;
  if (first === undefined) return nothing;
  // An older slot that sends on to a newer one stands there as a proof: what it names is not meant any more.
  const meant = [
    first,
    ...older.filter(
      ({ content }, at) => !newest.slice(0, at + 1).some(({ zone }) => zone === content.portedTo),
    ),
  ];
  const sources = meant.map(({ content }) => ({
    plaintext: content.plaintext,
    keep: new Set(content.mappings.map(({ preference }) => preference)),
  }));
  const { exclusive, sameAppOnly, firstPreference, portedTo, holderPublicKey } = first.content;
  return {
    mappings: joined(meant.map(({ content }) => content.mappings)),
    content: {
      decode: () =>
        joined(sources.map(({ plaintext, keep }) => decodeMappings(plaintext, registry, keep))),
      bytes: sources.reduce((sum, { plaintext }) => sum + plaintext.length, 0),
      exclusive,
      sameAppOnly,
      firstPreference,
      portedTo,
      endsAt: Math.min(...meant.map(({ content }) => content.endsAt)),
      holderPublicKey,
      verified: meant.every(({ content }) => content.unverified === undefined),
    },
  };
}

function groupByHolder(slots: readonly Placed<SlotPart>[]): Placed<SlotPart>[][] {
  const groups = new Map<string, Placed<SlotPart>[]>();
  for (const slot of slots) {
    const holder = toHex(slot.content.holderPublicKey ?? new Uint8Array());
    const group = groups.get(holder);
    if (group === undefined) groups.set(holder, [slot]);
    else group.push(slot);
  }
  return [...groups.values()];
}

/** The better first: higher level, then the older claim; a holder without mappings last. */
function compareHolders(a: readonly Placed<SlotPart>[], b: readonly Placed<SlotPart>[]): number {
  const [one, other] = [strengthOf(a), strengthOf(b)];
  return other.level - one.level || one.establishedAt - other.establishedAt;
}

function strengthOf(slots: readonly Placed<SlotPart>[]): {
  readonly level: number;
  readonly establishedAt: number;
} {
  const mappings = slots.flatMap(({ content }) => content.mappings);
  return {
    level: Math.max(0, ...mappings.map(({ level }) => level)),
    establishedAt: Math.min(Number.MAX_SAFE_INTEGER, ...mappings.map((m) => m.establishedAt)),
  };
}

/** The newest statement's order; what only older ones know of the same holder comes behind. */
function joined(
  lists: readonly (readonly AnswerMapping<"verbose">[])[],
): readonly AnswerMapping<"verbose">[] {
  const seen = new Set<MspId>();
  return lists.flatMap((mappings) => {
    const fresh = mappings.filter(({ msp }) => !seen.has(msp));
    for (const { msp } of fresh) seen.add(msp);
    return fresh;
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
  const decode = (): readonly AnswerMapping<"compact">[] => attestedMappings(bits, registry);
  return {
    mappings: decode(),
    content: {
      decode,
      bytes: 8 * bits.length,
      exclusive: false,
      sameAppOnly: false,
      firstPreference: 0,
      portedTo: "",
      endsAt: Number.MAX_SAFE_INTEGER,
      holderPublicKey: undefined,
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
  return { merged, mappings: [], slots: [] };
}

/** An authority's outcome from what its lookup threw. */
export function failedOutcome(authority: Authority, error: unknown): Outcome {
  return { authority, result: requireDiscoveryError(error) };
}
