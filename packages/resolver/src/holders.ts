// Whose mappings count where several slots are shown (protocol.md section 5, "Across DPs"): one holder's, of whom the
// claim is the stronger; of his slots the newest statement's order. Mappings of different keys are never mixed. Pure.

import type { MspId, ZoneName } from "@whither/protocol";
import { includesKey } from "@whither/zone";
import type { AnswerForm, AnswerMapping, AnswerWarning } from "./answer.js";
import type { SlotPart, ZonePart } from "./zone-lookup.js";

/** What counts of all that was found. */
export interface Content<F extends AnswerForm = AnswerForm> {
  /** Those that count, in order. */
  readonly mappings: readonly AnswerMapping<F>[];
  readonly exclusive: boolean;
  readonly sameAppOnly: boolean;
  readonly firstPreference: number;
  readonly portedTo: string;
  /** First end of what counts, Unix seconds. */
  readonly endsAt: number;
  /** Keys of the holder, the one that signed first; none: nobody's name stands for it. */
  readonly holderKeys: readonly Uint8Array[];
  readonly verified: boolean;
}

/** A part and the zone that showed it. */
export interface Placed<T> {
  readonly zone: ZoneName;
  readonly content: T;
}

export interface Winner<F extends AnswerForm> {
  readonly content: Content<F>;
  readonly slots: readonly Placed<SlotPart>[];
  readonly conflicts: ReadonlySet<ZoneName>;
  readonly warnings: readonly AnswerWarning[];
}

export const noContent = {
  mappings: [],
  exclusive: false,
  sameAppOnly: false,
  firstPreference: 0,
  portedTo: "",
  endsAt: Number.MAX_SAFE_INTEGER,
  holderKeys: [],
  verified: true,
} satisfies Content;
export const nothing = {
  content: noContent,
  slots: [],
  conflicts: new Set<ZoneName>(),
  warnings: [],
} satisfies Winner<AnswerForm>;

export function winnerOfSlots(parts: readonly ZonePart[]): Winner<"verbose"> {
  const slots = parts.flatMap(({ authority, content }): Placed<SlotPart>[] =>
    content?.kind === "slot" ? [{ zone: authority.zone, content }] : [],
  );
  const [best = [], ...others] = groupByHolder(slots).sort(compareHolders);
  const newest = best.toSorted((a, b) => b.content.seq - a.content.seq);
  if (newest.length === 0) return nothing;
  const losing = others.flat().filter(({ content }) => content.mappings.length > 0);
  return {
    content: contentOfSlots(newest),
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
export function contentOfSlots(newest: readonly Placed<SlotPart>[]): Content<"verbose"> {
  const [first, ...older] = newest;
  if (first === undefined) return noContent;
  // An older slot that sends on to a newer one stands there as a proof: what it names is not meant any more.
  const meant = [
    first,
    ...older.filter(
      ({ content }, at) => !newest.slice(0, at + 1).some(({ zone }) => zone === content.portedTo),
    ),
  ];
  const { exclusive, sameAppOnly, firstPreference, portedTo } = first.content;
  return {
    mappings: joined(meant.map(({ content }) => content.mappings)),
    exclusive,
    sameAppOnly,
    firstPreference,
    portedTo,
    endsAt: Math.min(...meant.map(({ content }) => content.endsAt)),
    holderKeys: distinctKeys(newest.flatMap(({ content }) => content.holderKeys)),
    verified: meant.every(({ content }) => content.unverified === undefined),
  };
}

/** One group for each holder: slots that have a key in common, directly or through others (key-links, ADR 38). */
function groupByHolder(slots: readonly Placed<SlotPart>[]): Placed<SlotPart>[][] {
  const groups: Placed<SlotPart>[][] = [];
  for (const slot of slots) {
    const [own, ...joined] = groups.filter((group) => group.some((one) => isOneHolder(one, slot)));
    if (own === undefined) groups.push([slot]);
    else {
      own.push(slot, ...joined.flat());
      for (const group of joined) groups.splice(groups.indexOf(group), 1);
    }
  }
  return groups;
}

function isOneHolder({ content: a }: Placed<SlotPart>, { content: b }: Placed<SlotPart>): boolean {
  return (
    isSameHolder(a.holderKeys, b.holderKeys) || a.holderKeys.length + b.holderKeys.length === 0
  );
}

/** Whether one key is among both. */
export function isSameHolder(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.some((key) => includesKey(b, key));
}

export function distinctKeys(all: readonly Uint8Array[]): readonly Uint8Array[] {
  return all.filter((key, at) => !includesKey(all.slice(0, at), key));
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
