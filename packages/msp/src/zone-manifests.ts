// Which manifests of a zone count for a registrant (protocol.md section 2, docs/adr 24, 44): those that the directory
// names, but a later one that its predecessor did not sign waits 72 h. Until then who registers under it would show an
// identifier, and its opening, to whoever has the directory's key alone.

import { equalBytes, toHex } from "@whither/crypto/node";
import type { ManifestMemory } from "@whither/directory";
import {
  DiscoveryError,
  limits,
  type Authority,
  type Manifest,
  type SignedObject,
} from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { verifyManifest, type NamedManifest, type SignatureVerifier } from "@whither/zone";

/** What the signed directory says of a zone. */
export interface NamedAuthority {
  readonly authority: Authority;
  /** `not_before` of the node that says so, Unix seconds. */
  readonly namedAt: number;
}

export interface ZoneManifestsOptions {
  readonly memory: Pick<ManifestMemory, "judge" | "named">;
  /** Asks the zone's servers for a manifest by its hash. */
  readonly fetch: (
    authority: Authority,
    sha256: Uint8Array,
    options: { readonly signal?: AbortSignal | undefined },
  ) => Promise<SignedObject>;
  readonly clock: Clock;
  readonly verifier: SignatureVerifier;
}

/** Manifests held that are not in effect. */
const receivedMax = 1_000;

interface Received {
  readonly named: NamedManifest;
  readonly atSeconds: number;
}

export class ZoneManifests {
  readonly #options: ZoneManifestsOptions;
  /** By zone and hash: what was received and is perhaps not in effect. */
  readonly #received = new Map<string, Received>();

  constructor(options: ZoneManifestsOptions) {
    this.#options = options;
  }

  /**
   * The manifest of that hash, if it is in effect. Throws BOGUS for one that the directory does not name, MANIFEST_WAITS,
   * and what kept it from being had.
   */
  async inEffect(
    of: NamedAuthority,
    sha256: Uint8Array,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Manifest> {
    const { memory, verifier } = this.#options;
    const { authority, namedAt } = of;
    const fetched = await Promise.allSettled(
      authority.manifestSha256.map((hash) => this.#named(authority, hash, options)),
    );
    const received = fetched.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const { inEffect, waiting } = memory.judge(authority, { received, namedAt, verifier });
    const isAsked = (one: NamedManifest): boolean => equalBytes(one.sha256, sha256);
    const found = inEffect.find(isAsked);
    if (found !== undefined) return found.manifest;
    const upstream = authority.zone;
    if (waiting.some(isAsked)) {
      const text = "the zone speaks under a manifest that is not in effect";
      throw new DiscoveryError("MANIFEST_WAITS", text, { upstream });
    }
    const place = authority.manifestSha256.findIndex((hash) => equalBytes(hash, sha256));
    const failed = fetched[place];
    if (failed?.status === "rejected") throw failed.reason;
    const text = "offer: not of a manifest that the directory names";
    throw new DiscoveryError("BOGUS", text, { upstream });
  }

  /** One that is in effect as it is known; another as it was received, and anew while it may come with its signature. */
  async #named(
    authority: Authority,
    sha256: Uint8Array,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<NamedManifest> {
    const { memory, fetch, clock } = this.#options;
    const { zone } = authority;
    const known = memory.named(zone, sha256);
    if (known !== undefined) return this.#verified(authority, known);
    const key = `${zone} ${toHex(sha256)}`;
    const held = this.#received.get(key);
    const isFresh =
      held !== undefined && held.atSeconds + limits.failureTtlSecondsMax > clock.nowSeconds();
    if (isFresh) return held.named;
    const named = this.#verified(authority, await fetch(authority, sha256, options));
    this.#received.delete(key);
    const [oldest] = this.#received.keys();
    if (this.#received.size >= receivedMax && oldest !== undefined) this.#received.delete(oldest);
    this.#received.set(key, { named, atSeconds: clock.nowSeconds() });
    return named;
  }

  #verified({ zone, manifestSha256 }: Authority, object: SignedObject): NamedManifest {
    const { clock, verifier } = this.#options;
    const nowSeconds = clock.nowSeconds();
    return { object, ...verifyManifest({ object, zone, manifestSha256, nowSeconds, verifier }) };
  }
}
