// What operators may see and drop of a resolver's caches: figures, redacted rows, flushes. Rows name contacts
// by a keyed hash unless asked for in the clear; secrets (VOPRF outputs, places in a tree) are in no row.

import { hmacSha256, lp, toHex, utf8 } from "@whither/crypto/node";
import { isCsiWithin, type Csi, type Prefix } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { AnswerForm } from "./answer.js";
import type { AnswerCache, AnswerRow } from "./answer-cache.js";
import type { Bodies } from "./bodies.js";
import type { Buckets } from "./buckets.js";
import type { CacheShares, CacheUse } from "./cache-shares.js";
import type { Evaluations } from "./evaluations.js";
import type { FailureCache } from "./failure-cache.js";
import type { Verdicts } from "./verdicts.js";
import type { ZoneViews } from "./zone-views.js";

interface ContactRow {
  /** 32 hex digits of a keyed hash, the same each time on this machine; the CSI itself if asked for. */
  readonly contact: string;
  readonly form: AnswerForm;
}

interface CachedAnswerRow extends ContactRow {
  readonly kind: "answer";
  readonly status: "found" | "none" | "incomplete";
  readonly zones: readonly string[];
  /** Seconds for which it is fresh; 0 when it is not. */
  readonly ttlSeconds: number;
  /** Seconds for which it may be served stale after that; 0: never. */
  readonly staleSeconds: number;
  readonly bytes: number;
  /** Times that it was given out. */
  readonly hits: number;
}

interface CachedFailureRow extends ContactRow {
  readonly kind: "failure";
  /** Of our registry of errors. */
  readonly code: string;
  readonly upstream: string;
  /** Seconds until the next try. */
  readonly waitSeconds: number;
}

interface CachedZoneRow {
  readonly kind: "zone";
  readonly zone: string;
  /** 8 hex digits, the VOPRF key. */
  readonly kid: string;
  /** Of the newest head held; undefined: none is. */
  readonly serial: number | undefined;
}

export type CacheRow = CachedAnswerRow | CachedFailureRow | CachedZoneRow;

export interface CacheDumpOptions {
  /** CSIs in the clear: for the operator's eyes, never for a log. Default: keyed hashes. */
  readonly clear?: boolean;
}

/**
 * `all`: everything but evaluations. `csi`, `subtree`: answers and failures of one contact, or of those
 * below a prefix. `negative`: proven absences and incomplete answers. With an answer goes the bucket that
 * proves it.
 */
export type CacheFlush =
  | { readonly kind: "all" | "negative" | "failures" }
  | { readonly kind: "csi"; readonly csi: Csi }
  | { readonly kind: "subtree"; readonly prefix: Prefix };

export interface CacheStats {
  /** Sum over all caches, as accounted; never above `bytesMax`. */
  readonly bytes: number;
  readonly bytesMax: number;
  readonly caches: Readonly<Record<keyof CacheShares, CacheUse>>;
}

export interface ResolverCache {
  /** Answers, failures and zones held, stale ones included; the caches stay as they are, in use and order. */
  dump(options?: CacheDumpOptions): AsyncIterableIterator<CacheRow>;
  /**
   * Drops entries and says how many. A contact's evaluations stay, since each costs the client's quota to
   * get again and none grows old, unless `evaluations` is set; then those of the contact (`csi`) or all
   * of them (`all`) go too.
   */
  flush(what: CacheFlush, options?: { readonly evaluations?: boolean }): number;
  stats(): CacheStats;
}

export interface ResolverCacheParts {
  readonly cache: AnswerCache;
  readonly failures: FailureCache;
  readonly evaluations: Evaluations;
  readonly buckets: Buckets;
  readonly bodies: Bodies;
  readonly views: ZoneViews;
  readonly verdicts: Verdicts;
  readonly clock: Clock;
  /** 32 bytes that key the hashes of contacts. */
  readonly secret: Uint8Array;
}

const contactLabel = utf8("whither/cache-dump/v1");
const contactHexChars = 32;
/** Rows between two turns of the event loop: a dump must not hold up lookups. */
const rowsPerTurn = 500;

export function createResolverCache(parts: ResolverCacheParts): ResolverCache {
  return {
    dump: ({ clear = false } = {}) => dump(parts, clear),
    flush: (what, { evaluations = false } = {}) => flush(parts, what, evaluations),
    stats: () => stats(parts),
  };
}

async function* dump(parts: ResolverCacheParts, clear: boolean): AsyncGenerator<CacheRow> {
  let rows = 0;
  for (const row of rowsOf(parts, clear)) {
    rows += 1;
    if (rows % rowsPerTurn === 0) await new Promise<void>((done) => setImmediate(done));
    yield row;
  }
}

function* rowsOf(parts: ResolverCacheParts, clear: boolean): Generator<CacheRow> {
  const { cache, failures, views, clock, secret } = parts;
  const nameOf = (csi: Csi): string =>
    clear ? csi : toHex(hmacSha256(secret, contactLabel, lp(csi))).slice(0, contactHexChars);
  for (const view of views.rows()) {
    const { zone, kidHex: kid, head } = view;
    yield { kind: "zone", zone, kid, serial: head?.head.serial };
  }
  for (const row of cache.rows()) yield answerRow(row, nameOf(row.csi), clock.monotonicMs());
  for (const { form, csi, error, waitMs } of failures.rows()) {
    const { code, upstream = "" } = error;
    const waitSeconds = Math.ceil(waitMs / 1_000);
    yield { kind: "failure", contact: nameOf(csi), form, code, upstream, waitSeconds };
  }
}

function answerRow(
  { form, cached: { answer, expiresMs, staleUntilMs, bytes, hits } }: AnswerRow,
  contact: string,
  nowMs: number,
): CachedAnswerRow {
  const { status, dps, ttlSeconds } = answer;
  const staleMs = Math.max(0, staleUntilMs - Math.max(nowMs, expiresMs));
  return {
    kind: "answer",
    contact,
    form,
    status,
    zones: dps.map(({ zone }) => zone),
    ttlSeconds,
    staleSeconds: Math.floor(staleMs / 1_000),
    bytes,
    hits,
  };
}

function flush(parts: ResolverCacheParts, what: CacheFlush, withEvaluations: boolean): number {
  const { failures, evaluations } = parts;
  switch (what.kind) {
    case "all":
      return flushAll(parts, withEvaluations);
    case "csi": {
      forgetBuckets(parts, what.csi);
      const dropped = parts.cache.forget(what.csi) + failures.forget(what.csi);
      return dropped + (withEvaluations ? evaluations.forget(what.csi) : 0);
    }
    case "subtree": {
      const isBelow = (csi: Csi): boolean => isCsiWithin(csi, what.prefix);
      return flushAnswers(parts, ({ csi }) => isBelow(csi)) + failures.forgetWhere(isBelow);
    }
    case "negative":
      return flushAnswers(parts, ({ cached }) => cached.answer.status !== "found");
    case "failures": {
      const { entries } = failures.use;
      failures.clear();
      return entries;
    }
  }
}

function flushAnswers(parts: ResolverCacheParts, test: (row: AnswerRow) => boolean): number {
  return parts.cache.forgetWhere((row) => {
    const isMeant = test(row);
    if (isMeant) forgetBuckets(parts, row.csi);
    return isMeant;
  });
}

/** Without its bucket, the same answer would be made of what is held, and nobody asked anew. */
function forgetBuckets({ views, evaluations, buckets }: ResolverCacheParts, csi: Csi): void {
  for (const view of views.rows()) {
    const evaluated = evaluations.peek(view, csi);
    const b = view.head?.head.b;
    if (evaluated !== undefined && b !== undefined) buckets.forget(view, evaluated.idx, { b });
  }
}

function flushAll(parts: ResolverCacheParts, withEvaluations: boolean): number {
  const { cache, failures, buckets, bodies, views, verdicts, evaluations } = parts;
  const flushed = [cache, failures, buckets, bodies, views, verdicts];
  const all = withEvaluations ? [...flushed, evaluations] : flushed;
  const entries = all.reduce((sum, one) => sum + one.use.entries, 0);
  for (const one of all) one.clear();
  return entries;
}

function stats(parts: ResolverCacheParts): CacheStats {
  const caches = {
    answers: parts.cache.use,
    failures: parts.failures.use,
    evaluations: parts.evaluations.use,
    buckets: parts.buckets.use,
    bodies: parts.bodies.use,
    views: parts.views.use,
    verdicts: parts.verdicts.use,
  };
  const sum = (of: (use: CacheUse) => number): number =>
    Object.values(caches).reduce((total, use) => total + of(use), 0);
  return { bytes: sum(({ bytes }) => bytes), bytesMax: sum((use) => use.bytesMax), caches };
}
