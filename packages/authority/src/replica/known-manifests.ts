// Which manifests of a zone count for a replica (protocol.md section 2, docs/adr 24): those that the directory names, but
// a later one that its predecessor did not sign waits 72 h, also here. Else a replica would carry to its readers what
// the directory's key alone put in the place of a zone. The rule is judgeSuccession, what is remembered ManifestMemory.

import { equalBytes, toHex } from "@whither/crypto/node";
import type { ManifestMemory } from "@whither/directory";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Authority,
  type SignedObject,
} from "@whither/protocol";
import { deadlineSignal, type Clock, type Logger } from "@whither/runtime";
import { encodeSignedObject } from "@whither/wire";
import {
  checkManifestTimes,
  payloadSha256,
  verifyManifest,
  type NamedManifest,
  type SignatureVerifier,
  type Succession,
} from "@whither/zone";

/** What the signed directory says of a zone. */
export interface NamedAuthority {
  readonly authority: Authority;
  /** `not_before` of the node that says so, Unix seconds. */
  readonly namedAt: number;
}

/** What of a ManifestMemory is needed; it stays its owner's to close. */
export type RememberedManifests = Pick<ManifestMemory, "judge" | "named" | "seen">;

export interface KnownManifestsOptions {
  readonly zone: string;
  readonly manifests: RememberedManifests;
  readonly clock: Clock;
  readonly verifier: SignatureVerifier;
  readonly logger: Logger;
}

/** Asks a server of the zone for a manifest by its hash. */
type AskManifest = (sha256: Uint8Array, signal: AbortSignal) => Promise<SignedObject>;

/** For all manifests that are missing together: a head does not wait longer for them. */
const askMs = 5_000;
/** The look at the directory that was remembered last is no older, however the process ends. */
const judgedSecondsMax = 3600;

export class KnownManifests {
  readonly #options: KnownManifestsOptions;
  #named: NamedAuthority | undefined;
  /** Those that the directory names and that were received since the start. */
  #received: readonly NamedManifest[] = [];
  #succession: Succession | undefined;
  #judgedAt = 0;
  /** When a manifest was last asked for, by its hash. */
  readonly #askedAt = new Map<string, number>();
  #told: readonly string[] = [];

  constructor(options: KnownManifestsOptions) {
    this.#options = options;
  }

  /** What the directory says now; what counts is judged by it from here on. */
  see(named: NamedAuthority): void {
    const { manifests, clock, zone } = this.#options;
    const before = this.#named;
    this.#named = named;
    const isDue = this.#judgedAt + judgedSecondsMax <= clock.nowSeconds();
    const isSettled = before !== undefined && isSame(before, named) && !this.#isWaiting;
    if (isSettled && !isDue) {
      manifests.seen(zone);
      return;
    }
    this.#received = this.#received.filter(({ sha256 }) => isIn(named, sha256));
    this.#judge();
  }

  /**
   * Asks for what is named and not in effect: one that waits may come with its signature, and one that is missing may
   * be the signed successor of a stolen key. Failures leave things as they are.
   */
  async complete(ask: AskManifest, signal: AbortSignal): Promise<void> {
    const due = this.#due();
    if (due.length === 0) return;
    using deadline = deadlineSignal(this.#options.clock, askMs, signal);
    for (const sha256 of due) {
      this.#askedAt.set(toHex(sha256), this.#options.clock.nowSeconds());
      try {
        this.#take(await ask(sha256, deadline.signal));
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
      }
    }
    this.#judge();
  }

  /** A manifest that came with a head, if it counts. Throws BOGUS, EXPIRED and the like, MANIFEST_WAITS. */
  admit(object: SignedObject): NamedManifest {
    const sha256 = payloadSha256(object);
    const known = this.#inEffect(sha256);
    if (known !== undefined) {
      checkManifestTimes(known.manifest, this.#options.clock.nowSeconds());
      return known;
    }
    this.#take(object);
    this.#judge();
    const admitted = this.#inEffect(sha256);
    if (admitted !== undefined) return admitted;
    throw new DiscoveryError("MANIFEST_WAITS", "a head under a manifest that is not in effect", {
      upstream: this.#options.zone,
    });
  }

  /** Encoded signed object of a manifest that is known by this hash, in effect or not. */
  find(sha256: Uint8Array): Uint8Array | undefined {
    const all = [...(this.#succession?.inEffect ?? []), ...this.#received];
    const found = all.find((one) => equalBytes(one.sha256, sha256));
    return found === undefined ? undefined : encodeSignedObject(found.object);
  }

  get #isWaiting(): boolean {
    return this.#succession === undefined || this.#succession.waiting.length > 0;
  }

  #inEffect(sha256: Uint8Array): NamedManifest | undefined {
    return this.#succession?.inEffect.find((one) => equalBytes(one.sha256, sha256));
  }

  #due(): readonly Uint8Array[] {
    const { zone, manifests, clock } = this.#options;
    const named = this.#named?.authority.manifestSha256 ?? [];
    const inEffect = this.#succession?.history.inEffect ?? [];
    // The only one of a zone that nothing is known of comes with its head.
    if (named.length < 2 && inEffect.length === 0) return [];
    return named.filter((sha256) => {
      if (manifests.named(zone, sha256) !== undefined) return false;
      const askedAt = this.#askedAt.get(toHex(sha256)) ?? 0;
      return askedAt + limits.failureTtlSecondsMax <= clock.nowSeconds();
    });
  }

  /** Verifies and keeps it, in the place of a copy with other signatures. */
  #take(object: SignedObject): void {
    const { zone, clock, verifier } = this.#options;
    const manifestSha256 = this.#named?.authority.manifestSha256 ?? [];
    const nowSeconds = clock.nowSeconds();
    const verified = verifyManifest({ object, zone, manifestSha256, nowSeconds, verifier });
    const others = this.#received.filter((one) => !equalBytes(one.sha256, verified.sha256));
    this.#received = [...others, { object, ...verified }];
  }

  #judge(): void {
    const { manifests, verifier, logger, zone, clock } = this.#options;
    if (this.#named === undefined) return;
    const { authority, namedAt } = this.#named;
    const received = this.#received;
    this.#judgedAt = clock.nowSeconds();
    this.#succession = manifests.judge(authority, { received, namedAt, verifier });
    const { waiting } = this.#succession;
    for (const { sha256, manifest, effectiveAt } of waiting) {
      if (this.#told.includes(toHex(sha256))) continue;
      logger.warn("manifest waits", { zone, version: manifest.version, in_effect_at: effectiveAt });
    }
    this.#told = waiting.map(({ sha256 }) => toHex(sha256));
  }
}

function isSame(one: NamedAuthority, other: NamedAuthority): boolean {
  const { length } = one.authority.manifestSha256;
  return (
    one.namedAt === other.namedAt &&
    length === other.authority.manifestSha256.length &&
    other.authority.manifestSha256.every((sha256) => isIn(one, sha256))
  );
}

function isIn({ authority }: NamedAuthority, sha256: Uint8Array): boolean {
  return authority.manifestSha256.some((hash) => equalBytes(hash, sha256));
}
