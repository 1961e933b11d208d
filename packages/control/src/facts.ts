// What a daemon tells its operator of itself. Plain facts; how they are worded on the wire is
// common-control.ts.

import type { DiscoveryError } from "@whither/protocol";

/** A zone of the daemon, served or not. */
export type ZoneFact = {
  /** `de@dp-a.example`, or `.` for the root directory. */
  readonly zone: string;
  readonly kind: "mappings" | "directory" | "replica";
} & (
  | {
      readonly serving: true;
      readonly epoch: number;
      readonly serial: number;
      /** Slots of a mapping zone, nodes of a directory. */
      readonly size: number;
      /** Depth of the bucket tree; 0 for a directory. */
      readonly depth: number;
      /** Unix seconds. */
      readonly signedAt: number;
      readonly notAfter: number;
      /** Hexadecimal; "" for a directory. */
      readonly manifestSha256: string;
      /** Why it does not all that it should: its files do not fit, or its disk takes no writes. */
      readonly problem?: DiscoveryError | undefined;
      /** Of a mapping zone whose manifest or VOPRF key is being replaced. */
      readonly succession?: SuccessionFact | undefined;
      /** Of a mapping zone: its VOPRF key can never be replaced. */
      readonly withoutVault?: boolean;
    }
  | { readonly serving: false; readonly error: DiscoveryError }
);

/** How far a zone has come from one manifest and VOPRF key to the next. */
export interface SuccessionFact {
  /** Configured and not in force, hexadecimal; "": none. */
  readonly manifestSha256: string;
  /** Unix seconds; 0: the directory does not name it. */
  readonly namedAt: number;
  /** Unix seconds; 0: not known, or as soon as the next tree is built. */
  readonly switchAt: number;
  readonly next: NextTreeFact | undefined;
  /** Trees of earlier keys, each with the time of its end. */
  readonly previous: readonly { readonly kid: string; readonly dropAt: number }[];
  /** Why it does not go on. */
  readonly problem: DiscoveryError | undefined;
  /** Acceptances in slots are still by the zone key before. */
  readonly acceptancesToRenew: boolean;
}

interface NextTreeFact {
  /** Hexadecimal. */
  readonly kid: string;
  readonly phase: "copying" | "loading" | "built";
  /** Identifiers done, of so many slots. */
  readonly done: number;
  readonly total: number;
  /** Slots that the vault does not know. */
  readonly missing: number;
}

/** Something that ends. */
export interface ExpiryFact {
  readonly what:
    | "tls certificate"
    | "zone key"
    | "voprf key"
    | "hpke key"
    | "head"
    | "directory"
    | "root key set"
    | "root zsk"
    | "msp accreditation"
    | "msp key"
    | "prover key"
    | "online zsk";
  /** Zone, file or party. */
  readonly subject: string;
  /** Unix seconds. */
  readonly notAfter: number;
}

export interface ReloadedZoneFact {
  readonly zone: string;
  readonly outcome: "opened" | "closed" | "replaced" | "changed" | "kept" | "failed";
  /** Where it failed. */
  readonly error?: DiscoveryError;
}

export interface ReloadReport {
  /** Keys of the configuration that changed and wait for a restart. */
  readonly restartNeeded: readonly string[];
  readonly zones: readonly ReloadedZoneFact[];
}
