// One contact at one zone: evaluate, look the bucket up, open the slot (protocol.md section 5). The order
// of the steps is here; how each is done, cached and verified is in the file named after it.

import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Authority,
  type ErrorCode,
  type ZoneName,
} from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { DroppedMapping, Entry, Registry } from "@whither/zone";
import type { VerifiedAnswerMapping } from "./answer.js";
import type { Bodies } from "./bodies.js";
import { lifetimeSeconds, type Buckets, type HeldBucket } from "./buckets.js";
import type { Evaluated, Evaluations } from "./evaluations.js";
import type { EvidenceFile } from "./evidence.js";
import type { HeadMemory } from "./head-memory.js";
import { answerMappingOf, byPreference, decodeMappings } from "./mappings.js";
import type { ZoneQuery } from "./query.js";
import { compactBits, openSlot, openSlotBody, type SlotOpening } from "./slots.js";
import type { Verdicts } from "./verdicts.js";
import { explained, tellWaiting } from "./waiting-manifests.js";
import type { ZoneView } from "./zone-view.js";
import type { ZoneViews } from "./zone-views.js";

/** A holder's slot, opened. */
export interface SlotPart {
  readonly kind: "slot";
  /** Those that count now, in the holder's order. */
  readonly mappings: readonly VerifiedAnswerMapping[];
  readonly dropped: readonly DroppedMapping[];
  /** All keys of the holder that this slot tells of, the statement's first; none: not verified. */
  readonly holderKeys: readonly Uint8Array[];
  readonly seq: number;
  readonly exclusive: boolean;
  readonly sameAppOnly: boolean;
  /** Lowest preference that the statement names, whether or not that mapping counts. */
  readonly firstPreference: number;
  readonly portedTo: string;
  /** First end of what counts, statement included, Unix seconds. */
  readonly endsAt: number;
  /** Why it is shown although it does not verify; only with `checkingDisabled`. */
  readonly unverified: DiscoveryError | undefined;
}

/** The DP's word. */
export interface BitsPart {
  readonly kind: "bits";
  readonly bits: readonly number[];
}

export interface ZonePart {
  readonly authority: Authority;
  readonly serial: number;
  readonly kidHex: string;
  readonly stale: boolean;
  readonly ttlSeconds: number;
  /** Undefined: proven absent. */
  readonly content: SlotPart | BitsPart | undefined;
}

export interface ZoneLookupParts {
  readonly views: ZoneViews;
  /** Told of zones in use, where they are listened to. */
  readonly watches: { readonly use: (zone: ZoneName) => void };
  readonly evaluations: Evaluations;
  readonly buckets: Buckets;
  readonly bodies: Bodies;
  readonly verdicts: Verdicts;
  readonly memory: HeadMemory;
  readonly evidence: EvidenceFile;
  readonly clock: Clock;
}

/** What one refresh of head or manifest may mend; the second time it is the server's failure. */
const refreshable: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "DEPTH_CHANGED",
  "UNKNOWN_KID",
  "UNKNOWN_BODY",
  "STALE",
]);

/**
 * The zone's part of an answer. Throws what the steps throw; a zone that is `relay_only` is not asked
 * (NOT_AVAILABLE): a direct question would tell too much.
 */
export async function askZone(
  parts: ZoneLookupParts,
  { authority, registry }: { readonly authority: Authority; readonly registry: Registry },
  query: ZoneQuery,
): Promise<ZonePart> {
  if (authority.relayOnly)
    throw new DiscoveryError("NOT_AVAILABLE", "zone is asked through a relay only");
  if (authority.kind !== "mappings") {
    throw new DiscoveryError("NOT_AVAILABLE", "a directory zone where mappings were expected");
  }
  const view = parts.views.held(authority, query) ?? (await parts.views.acquire(authority, query));
  tellWaiting(view, query, parts.clock.nowSeconds());
  if (query.realm === "") parts.watches.use(view.zone);
  try {
    return await askOnce(parts, { view, registry }, query);
  } catch (error) {
    if (!isDiscoveryError(error) || !isRefreshable(view, error)) throw error;
    const again = await refreshed(parts, view, error, query);
    try {
      return await askOnce(parts, { view: again, registry }, query);
    } catch (second) {
      throw explained(again, second, parts.clock.nowSeconds());
    }
  }
}

/** What does not verify may be by the manifest that could not be had when the view was made. */
function isRefreshable({ isPartial }: ZoneView, { code }: DiscoveryError): boolean {
  return refreshable.has(code) || (isPartial && unverified.has(code));
}

const unverified: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["BOGUS", "KEY_MISSING"]);

async function refreshed(
  parts: ZoneLookupParts,
  view: ZoneView,
  { code }: DiscoveryError,
  query: ZoneQuery,
): Promise<ZoneView> {
  const { views, buckets, evaluations } = parts;
  const evaluated = evaluations.held(view, query.csi);
  const b = view.head?.head.b;
  if (evaluated !== undefined && b !== undefined) buckets.forget(view, evaluated.idx, { b });
  if (code === "UNKNOWN_KID" || unverified.has(code)) {
    views.forget(view, query);
    return await views.acquire(view.authority, query);
  }
  views.forgetHead(view);
  return view;
}

interface Place {
  readonly view: ZoneView;
  readonly registry: Registry;
}

async function askOnce(
  parts: ZoneLookupParts,
  { view, registry }: Place,
  query: ZoneQuery,
): Promise<ZonePart> {
  const { evaluations, buckets, clock } = parts;
  const evaluated =
    evaluations.held(view, query.csi) ?? (await evaluateAndPrepare(parts, view, query));
  const { held, entry, stale } = await buckets.look(view, evaluated.idx, query);
  const ageSeconds = Math.floor((clock.monotonicMs() - held.fetchedMs) / 1_000);
  const ttlSeconds = lifetimeSeconds(held.head.manifest, entry !== undefined) - ageSeconds;
  const { serial } = held.head.head;
  const part = { authority: view.authority, serial, kidHex: view.kidHex, stale, ttlSeconds };
  if (entry === undefined) return { ...part, content: undefined };
  if (query.form === "compact") {
    return { ...part, content: { kind: "bits", bits: compactBits(evaluated, entry) } };
  }
  const content = await readSlot(parts, { view, registry, evaluated, held, entry }, query);
  const leftSeconds = content.endsAt - parts.memory.nowSeconds();
  return { ...part, content, ttlSeconds: Math.min(ttlSeconds, leftSeconds) };
}

/** The head, which tells the tree's depth, is fetched while the DP evaluates. */
async function evaluateAndPrepare(
  { evaluations, views }: ZoneLookupParts,
  view: ZoneView,
  query: ZoneQuery,
): Promise<Evaluated> {
  if (view.head !== undefined) return await evaluations.evaluate(view, query);
  const [evaluated] = await Promise.all([
    evaluations.evaluate(view, query),
    views.head(view, query),
  ]);
  return evaluated;
}

async function readSlot(
  parts: ZoneLookupParts,
  at: Place & {
    readonly evaluated: Evaluated;
    readonly held: HeldBucket;
    readonly entry: Entry;
  },
  query: ZoneQuery,
): Promise<SlotPart> {
  const { view, registry, evaluated, held, entry } = at;
  const dp = registry.dp(view.authority.dpId);
  if (dp === undefined) throw new DiscoveryError("KEY_MISSING", "the registry has no such DP");
  const body = await parts.bodies.body(view, { held, entry }, query);
  const opening: SlotOpening = {
    csi: query.csi,
    view,
    head: held.head,
    evaluated,
    entry,
    body,
    dp,
    registry,
    nowSeconds: parts.memory.nowSeconds(),
    verifier: parts.verdicts.charged(query.spend),
    evidence: parts.evidence,
  };
  try {
    return verifiedPart(opening);
  } catch (error) {
    if (!query.checkingDisabled || !isDiscoveryError(error, "BOGUS")) throw error;
    return unverifiedPart(opening, error);
  }
}

function verifiedPart(opening: SlotOpening): SlotPart {
  const slot = openSlot(opening);
  const { statement } = slot;
  return {
    kind: "slot",
    mappings: slot.mappings.map(answerMappingOf).sort(byPreference),
    dropped: slot.dropped,
    holderKeys: slot.holderKeys,
    seq: statement.seq,
    exclusive: statement.exclusive,
    sameAppOnly: statement.sameAppOnly,
    firstPreference: Math.min(...statement.items.map(({ preference }) => preference)),
    portedTo: statement.portedTo,
    endsAt:
      slot.mappings.length === 0
        ? Number.MAX_SAFE_INTEGER
        : Math.min(statement.notAfter, ...slot.mappings.map(({ notAfter }) => notAfter)),
    unverified: undefined,
  };
}

/** What the DP served, as it stands, for a person who wants to see it. */
function unverifiedPart(opening: SlotOpening, unverified: DiscoveryError): SlotPart {
  const plaintext = openSlotBody(opening);
  return {
    kind: "slot",
    mappings: decodeMappings(plaintext, opening.registry).slice(0, limits.mappingsPerSlotMax),
    dropped: [],
    holderKeys: [],
    seq: 0,
    exclusive: false,
    sameAppOnly: false,
    firstPreference: 0,
    portedTo: "",
    endsAt: Number.MAX_SAFE_INTEGER,
    unverified,
  };
}
