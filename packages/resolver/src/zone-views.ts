// What is held of each zone: its manifests in effect and its newest head, verified against the manifest's zone keys
// and the newest one seen. How they are fetched is zone-fetches.ts.

import { equalBytes } from "@whither/crypto";
import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import type { Authority, Head, Manifest, SignedObject, ZoneName } from "@whither/protocol";
import { verifyHead } from "@whither/zone";
import { LRUCache } from "lru-cache";
import type { CacheUse } from "./cache-shares.js";
import type { ZoneQuery } from "./query.js";
import { refuseWaiting, reviewOf } from "./waiting-manifests.js";
import { copyOf, ZoneFetches, type ZoneFetchesOptions } from "./zone-fetches.js";
import { createZoneView, isSameAuthority } from "./zone-view.js";
import type { HeldHead, HeldManifest, ZoneView } from "./zone-view.js";

export interface ZoneViewsOptions extends ZoneFetchesOptions {
  /** Hears of a second head, rightly signed, where another one was seen. */
  readonly onFork: (view: ZoneView) => void;
  readonly cacheBytes: number;
}

const currentKid = new Uint8Array();
/** Manifest, delegation, newest head, and their objects. */
const viewBytes = 6_000;

export class ZoneViews {
  readonly #options: ZoneViewsOptions;
  readonly #views: LRUCache<string, ZoneView>;
  readonly #fetches: ZoneFetches;

  constructor(options: ZoneViewsOptions) {
    this.#options = options;
    this.#fetches = new ZoneFetches(options);
    this.#views = new LRUCache({ max: Math.max(1, Math.floor(options.cacheBytes / viewBytes)) });
  }

  get use(): CacheUse {
    const entries = this.#views.size;
    return { entries, bytes: entries * viewBytes, bytesMax: this.#options.cacheBytes };
  }

  /** What is held of a zone, wherever its servers lie and whoever delegated it. */
  named(zone: ZoneName): ZoneView | undefined {
    return this.#views.peek(viewKey({ zone }, ""));
  }

  /** Zones held, those used latest first. */
  rows(): readonly ZoneView[] {
    return [...this.#views.values()];
  }

  clear(): void {
    this.#views.clear();
  }

  /** The view of a zone if it is held for just this delegation. */
  held(authority: Authority, { realm }: Pick<ZoneQuery, "realm">): ZoneView | undefined {
    const view = this.#views.get(viewKey(authority, realm));
    if (view === undefined || !isSameAuthority(view.authority, authority)) return undefined;
    this.#options.manifests.seen(authority.zone);
    return this.#options.clock.nowSeconds() < view.reviewAt ? view : undefined;
  }

  /** Fetches what the directory names by hash. Throws BOGUS, EXPIRED, NOT_YET_VALID and transport errors. */
  async acquire(authority: Authority, query: ZoneQuery): Promise<ZoneView> {
    const fetched = await Promise.allSettled(
      authority.manifestSha256.map((sha256) => this.#fetches.manifest(authority, sha256, query)),
    );
    const received = fetched.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const { inEffect, waiting } = this.#options.manifests.judge(authority, {
      received,
      namedAt: query.namedAt,
      verifier: this.#options.verdicts.charged(query.spend),
    });
    // In the directory's order, newest first.
    const [current, ...others] = inEffect.toReversed();
    if (current === undefined) {
      const failure = fetched.find((one) => one.status === "rejected");
      throw failure?.reason instanceof Error
        ? failure.reason
        : new DiscoveryError("KEY_MISSING", "the directory names no manifest");
    }
    // Whoever waited for the same manifest has made the view by now: one view carries one newest head.
    const made = this.held(authority, query);
    if (made !== undefined) return made;
    const view = await this.#underHead(
      createZoneView(
        authority,
        [current, ...others],
        reviewOf(
          { waiting, isPartial: received.length < authority.manifestSha256.length },
          this.#options.clock.nowSeconds(),
        ),
      ),
      query,
    );
    this.#views.set(viewKey(authority, query.realm), view);
    return view;
  }

  /** While one manifest succeeds another, the zone's head says which of them is in use, and so which VOPRF key. */
  async #underHead(view: ZoneView, query: ZoneQuery): Promise<ZoneView> {
    if (view.manifests.length === 1) return view;
    const head = await this.#fetchHead(view, query, currentKid);
    const used = view.manifests.find(({ manifest }) => manifest === head.manifest);
    if (used === undefined) return view;
    const others = view.manifests.filter((one) => one !== used);
    const ordered = createZoneView(view.authority, [used, ...others], view);
    // A head of another kid than the manifest's current one is fetched anew, by that kid.
    if (equalBytes(head.head.kid, ordered.kid)) ordered.head = head;
    return ordered;
  }

  /** The newest head held, or a fetched one. Throws as `accept`. */
  async head(view: ZoneView, query: ZoneQuery): Promise<HeldHead> {
    if (view.head !== undefined) return view.head;
    const kept = this.#options.keeps === true ? this.#keptHead(view, query) : undefined;
    if (kept !== undefined) return kept;
    const head = await this.#fetchHead(view, query, view.kid);
    view.head ??= head;
    return view.head;
  }

  /** That of an earlier run, if it is not too old to be answered from. */
  #keptHead(view: ZoneView, query: ZoneQuery): HeldHead | undefined {
    const { memory, clock } = this.#options;
    const object = memory.takeKept(view);
    if (object === undefined) return undefined;
    try {
      const head = this.accept(view, object, query, { askedMs: clock.monotonicMs() });
      if (!this.isStale(head.head)) return head;
    } catch (error) {
      // Expired, or of a manifest that counts no longer: a newer one tells.
      if (!isDiscoveryError(error) || error.code === "BUDGET") throw error;
    }
    view.head = undefined;
    return undefined;
  }

  /** The newest head of a kid's tree; of the one that the zone calls current for an empty kid. */
  #fetchHead(view: ZoneView, query: ZoneQuery, kid: Uint8Array): Promise<HeldHead> {
    const anyKid = kid.length === 0;
    return this.#fetches.head(view, query, {
      kid,
      accept: (object, askedMs) => this.accept(view, object, query, { askedMs, anyKid }),
    });
  }

  /**
   * Verifies a head that came with an answer: of the view's tree unless `anyKid`. Throws BOGUS, KEY_MISSING,
   * EXPIRED, CLOCK_SKEW, ROLLBACK, FORKED, STALE.
   */
  accept(
    view: ZoneView,
    object: SignedObject,
    query: ZoneQuery,
    asked: { readonly askedMs: number; readonly anyKid?: boolean },
  ): HeldHead {
    const { memory, verdicts, clock } = this.#options;
    const held = view.head;
    // Known to be signed, not to be in its time: what was good once can be served again for ever.
    const isInTime = (head: Head): boolean =>
      head.notAfter + limits.clockSkewSeconds >= clock.nowSeconds();
    const isHeld =
      held !== undefined && held.isPushed !== true && isSameObject(held.object, object);
    if (isHeld && isInTime(held.head)) return held;
    const verified = this.#verifyWithAny(view, object, {
      nowSeconds: memory.nowSeconds(),
      verifier: verdicts.charged(query.spend),
    });
    const isOwnTree = equalBytes(verified.head.kid, view.kid);
    if (!isOwnTree && asked.anyKid !== true) {
      throw new DiscoveryError("BOGUS", "head: of another kid than asked");
    }
    // Copied: a view would keep the whole answer that carried it.
    const own = copyOf(object);
    try {
      memory.accept(own, verified.head, asked);
    } catch (error) {
      if (isDiscoveryError(error, "FORKED")) this.#options.onFork(view);
      throw error;
    }
    const next = { ...verified, object: own };
    if (isOwnTree) view.head = next;
    this.#followManifest(view, verified.manifest, query);
    return next;
  }

  /**
   * A head that was pushed becomes the view's newest if it is one, so that the next question is put as its tree
   * demands. It counts as no answer, neither against rollback nor as evidence. Undefined where it does not verify.
   */
  hear(view: ZoneView, object: SignedObject): Head | undefined {
    const { memory, verdicts } = this.#options;
    const { zone, head: held } = view;
    const check = { zone, nowSeconds: memory.nowSeconds(), verifier: verdicts.charged(free) };
    for (const { manifest, sha256 } of view.manifests) {
      const head = verifiedHead({ ...check, object, manifest, manifestSha256: sha256 });
      if (head === undefined) continue;
      const isNewer = held === undefined || isAfter(head, held.head);
      if (equalBytes(head.kid, view.kid) && isNewer) {
        view.head = { object: copyOf(object), head, manifest, isPushed: true };
      }
      return head;
    }
    return undefined;
  }

  /** Once the zone speaks under another VOPRF key, the next lookup evaluates under it; this one ends as begun. */
  #followManifest(
    view: ZoneView,
    { voprfKeys: [current] }: Manifest,
    { realm }: Pick<ZoneQuery, "realm">,
  ): void {
    const isFollowed = current === undefined || equalBytes(current.kid, view.kid);
    const key = viewKey(view, realm);
    if (!isFollowed && this.#views.get(key) === view) this.#views.delete(key);
  }

  /** The next lookup asks for the head, and for manifests if the directory names others. */
  forgetHead(view: ZoneView): void {
    view.head = undefined;
  }

  /** After UNKNOWN_KID: the manifests too. */
  forget(view: ZoneView, { realm }: Pick<ZoneQuery, "realm">): void {
    view.head = undefined;
    this.#views.delete(viewKey(view, realm));
  }

  /** A head is older than it should be: `time` plus 15 min plus the clocks' tolerance. */
  isStale({ time }: Head): boolean {
    return (
      time + limits.headStaleSeconds + limits.clockSkewSeconds < this.#options.clock.nowSeconds()
    );
  }

  #verifyWithAny(
    view: ZoneView,
    object: SignedObject,
    check: Pick<Parameters<typeof verifyHead>[0], "nowSeconds" | "verifier">,
  ): { readonly head: Head; readonly manifest: HeldManifest["manifest"] } {
    const { zone } = view;
    let first: DiscoveryError | undefined;
    for (const { manifest, sha256 } of view.manifests) {
      try {
        const head = verifyHead({ ...check, object, zone, manifest, manifestSha256: sha256 });
        return { head, manifest };
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
        if (error.code === "EXPIRED") throw this.#options.memory.expired(zone);
        first ??= error;
      }
    }
    refuseWaiting(view, object, check);
    throw first ?? new TypeError("a view without manifests");
  }
}

/** What is pushed is no query's, and bounded by zone-watch.ts. */
const free = (): void => undefined;

function verifiedHead(check: Parameters<typeof verifyHead>[0]): Head | undefined {
  try {
    return verifyHead(check);
  } catch (error) {
    if (isDiscoveryError(error)) return undefined;
    throw error;
  }
}

/** Of two heads of one zone the later. */
export function isAfter(one: Head, other: Head): boolean {
  return one.epoch > other.epoch || (one.epoch === other.epoch && one.serial > other.serial);
}

function viewKey({ zone }: { readonly zone: string }, realm: string): string {
  return `${zone} ${realm}`;
}

function isSameObject(a: SignedObject, b: SignedObject): boolean {
  const [signature, ...others] = b.signatures;
  const [own] = a.signatures;
  return (
    signature !== undefined &&
    own !== undefined &&
    others.length + 1 === a.signatures.length &&
    Buffer.compare(a.payload, b.payload) === 0 &&
    Buffer.compare(own.signature, signature.signature) === 0
  );
}
