// A secondary of a mapping zone: follows the zone's servers, verifies, and serves the same bytes as the primary. With the
// VOPRF key it evaluates too (full replica); without it holds nothing but public bytes (bucket replica). It registers
// nobody. A row that its disk has changed or lost is never served: the replica fills itself anew. Refresh, retry and expire as a secondary of the DNS has them (RFC 1035 section 3.3.13).

import type { OpenChannel } from "@whither/directory";
import type { Head, ZoneName } from "@whither/protocol";
import type { Clock, Logger, Random } from "@whither/runtime";
import type { SignatureVerifier } from "@whither/zone";
import type { ReadableZone } from "../mapping/mapping-zone.js";
import type { ReplicaEvaluation } from "./evaluation-keys.js";
import type { NamedAuthority, RememberedManifests } from "./known-manifests.js";
import type { FollowedServer } from "./primary-link.js";
import type { ReplicaDisk } from "./replica-store.js";

export interface ReplicaZoneOptions {
  /** Where its store lies, which holds this zone and nothing else. */
  readonly disk: ReplicaDisk;
  readonly zone: ZoneName;
  /** What the signed directory says of the zone: the hashes its manifests are trusted by, and its servers. */
  readonly authority: (options: { readonly signal: AbortSignal }) => Promise<NamedAuthority>;
  /** Which manifests were in effect, over restarts. */
  readonly manifests: RememberedManifests;
  /** Servers to follow as anybody; those of the directory unless told. */
  readonly primaries?: readonly FollowedServer[];
  /** Pin of this server at the moment, which the directory may list too. */
  readonly ownSpkiSha256?: () => Uint8Array;
  /** Servers that name this one as a secondary, asked first; the others when none of them answers. */
  readonly replication?: readonly FollowedServer[];
  readonly openChannel: OpenChannel;
  /** The same with this server's certificate; needed for `replication`. */
  readonly openIdentified?: OpenChannel;
  /** PEM bundle of the only CAs trusted. */
  readonly caPem: string;
  /** Of a full replica. */
  readonly evaluation?: ReplicaEvaluation;
  readonly clock: Clock;
  readonly random: Random;
  /** The strict one on node:crypto unless told. */
  readonly verifier?: SignatureVerifier;
  readonly logger?: Logger;
  readonly bucketCacheBytes?: number;
}

export interface ReplicaStatus {
  /** `empty` before the first transfer; `expired`: held, and not served any more. */
  readonly state: "empty" | "serving" | "expired";
  readonly head: Head | undefined;
  /** Rounds in a row that brought nothing and no "nothing newer" either. */
  readonly failures: number;
}

/**
 * Reads throw UNREACHABLE before the first transfer and STALE after the head's end, both retryable: another server may do
 * better. `evaluate` throws NOT_AUTHORITATIVE without the key.
 */
export interface ReplicaZone extends ReadableZone, AsyncDisposable {
  status(): ReplicaStatus;
  /** Asks the zone's servers soon; whoever says so is not believed. */
  notify(): void;
  /** One round now. Throws what kept it from being current; what is served stays. */
  refresh(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** Follows from now on. */
  start(): void;
  /** Ends transfers under way. */
  close(): Promise<void>;
}
