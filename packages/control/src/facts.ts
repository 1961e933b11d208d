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
    }
  | { readonly serving: false; readonly error: DiscoveryError }
);

/** Something that ends. */
export interface ExpiryFact {
  readonly what: "tls certificate" | "zone key" | "voprf key" | "head" | "directory";
  /** Zone or file. */
  readonly subject: string;
  /** Unix seconds. */
  readonly notAfter: number;
}

export interface ReloadedZoneFact {
  readonly zone: string;
  readonly outcome: "opened" | "closed" | "replaced" | "kept" | "failed";
  /** Where it failed. */
  readonly error?: DiscoveryError;
}

export interface ReloadReport {
  /** Keys of the configuration that changed and wait for a restart. */
  readonly restartNeeded: readonly string[];
  readonly zones: readonly ReloadedZoneFact[];
}
