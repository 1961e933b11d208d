// The public face of directory following: what the resolver and the daemons ask. How it is answered, by
// the mirror or by walking, is in mirror.ts and walk.ts.

import type { Csi, DirectoryHead, Prefix, RootKeys } from "@whither/protocol";
import type { Channel, TlsIdentity } from "@whither/rpc";
import type { Clock, Logger, Random } from "@whither/runtime";
import type { Anchors, Delegation, Registry, SignatureVerifier } from "@whither/zone";

/** Where a channel leads. The function that opens one is `openChannel` of @whither/rpc or a test's. */
export interface ChannelEndpoint {
  readonly host: string;
  readonly port: number;
  /** PEM bundle of the only CAs trusted. */
  readonly caPem: string;
  /** SHA-256 of the SubjectPublicKeyInfos accepted, 32 bytes each. */
  readonly pins?: readonly Uint8Array[];
  /** Client certificate; directories are asked without one. */
  readonly identity?: TlsIdentity;
  /** Name in the server's certificate, if it is not `host`. */
  readonly serverName?: string;
  /** Largest message either way, in bytes; that of the transport unless told. */
  readonly messageBytesMax?: number;
}
export type OpenChannel = (endpoint: ChannelEndpoint) => Channel;

/** A directory server's public port, a way to find one, or the signed artefact as a file. */
export type DirectorySource =
  | { readonly kind: "server"; readonly host: string; readonly port: number }
  | { readonly kind: "located"; readonly locator: DirectoryLocator }
  | { readonly kind: "file"; readonly path: string };

/** One step towards a delegation, for `+trace`. */
export interface Hop {
  /** Prefix that the step is about. */
  readonly prefix: Prefix;
  /** `host:port` of the server, `mirror` or `cache`. */
  readonly from: string;
  /** What that server was told: a prefix, or `nothing`. */
  readonly told: string;
  readonly learnt: string;
  /** Serial of the signed node; 0 when none came. */
  readonly serial: number;
  /** `verified`, `unverified` for what is only a hint, or the code of the failure. */
  readonly verdict: string;
  readonly rttMs: number;
}

export interface DirectoryPlace {
  readonly host: string;
  readonly port: number;
  /** Name that the server's certificate must bear; `host` unless told. */
  readonly serverName?: string;
}

export interface Located {
  /** At least one, in the order of trying. */
  readonly places: readonly [DirectoryPlace, ...DirectoryPlace[]];
  /** Monotonic milliseconds after which they are to be found again. */
  readonly untilMs: number;
}

export interface LocateOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onHop?: ((hop: Hop) => void) | undefined;
  /** None of what was found last can be reached: ask again although it has not ended. */
  readonly anew?: boolean;
}

/** Finds the servers of a directory. Shared by all who wait; keeps what it found and bounds how often it asks. */
export interface DirectoryLocator {
  /** As configured, such as `dns:example.org`. */
  readonly name: string;
  /** Throws UNREACHABLE, NETWORK, CANCELLED, DEADLINE. */
  locate(options: LocateOptions): Promise<Located>;
}

export type SpendKind = "rpc" | "referral" | "verification" | "bytes";

export interface DelegationOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onHop?: ((hop: Hop) => void) | undefined;
  /** Charges the query's work budget; throws BUDGET when it is used up. Called before the work where known. */
  readonly spend?: ((kind: SpendKind, amount: number) => void) | undefined;
  /** `false`: walk even if a valid mirror is held (`+nomirror`). Default: true. */
  readonly mirror?: boolean | undefined;
}

export interface SignalOption {
  readonly signal?: AbortSignal | undefined;
}

/** What the follower holds now. */
export interface DirectoryStatus {
  readonly head: DirectoryHead;
  readonly source: "mirror" | "walk";
  /** Verified: its KSKs are believed now, whatever the anchors say. */
  readonly rootKeys: RootKeys;
}

export interface DirectoryFollower extends AsyncDisposable {
  /**
   * Who is authoritative for an identifier, proven: from the mirror while it is valid, else by walking,
   * one label deeper only while there is something deeper, never below the disclosure limit (Req 14).
   * Throws UNREACHABLE, NETWORK, BOGUS, KEY_MISSING, DENIAL_MISSING, EXPIRED, NOT_YET_VALID, CLOCK_SKEW,
   * ROLLBACK, FORKED, INVALID_DATA, TOO_LARGE, BUDGET, CANCELLED, DEADLINE.
   */
  delegation(csi: Csi, options?: DelegationOptions): Promise<Delegation>;
  /** The registry of parties, from the mirror or record by record. Throws as `delegation`. */
  registry(options?: SignalOption): Promise<Registry>;
  /** Newest verified head and where it came from; undefined before anything was verified. */
  current(): DirectoryStatus | undefined;
  /** Fetches the directory now, if it is mirrored. Throws as `delegation`; the last good one stays. */
  refresh(options?: SignalOption): Promise<void>;
  close(): Promise<void>;
}

export interface DirectoryFollowerOptions {
  readonly anchors: Anchors;
  readonly source: DirectorySource;
  /** Default: TLS over gRPC. */
  readonly openChannel?: OpenChannel;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Logger;
  /** File that keeps the mirror, or without one the newest head, over restarts. */
  readonly statePath?: string;
  /** Whether to hold the whole directory (RFC 8806). A file source is always held whole. */
  readonly mirror: boolean;
  readonly verifier?: SignatureVerifier;
}
