// The rollover of a zone key as steps that follow from what the files and the directory say (protocol.md section 2,
// "Rollover": publish, wait max TTL + 1 h, switch, drop). Decides; reading and writing is rollover.ts.

import { equalBytes } from "@whither/crypto";
import {
  DiscoveryError,
  limits,
  type KeyPeriod,
  type Manifest,
  type Node,
} from "@whither/protocol";

/** Where a rollover stands. Times are Unix seconds. */
export type RolloverPhase =
  /** Key and manifest are made; the directory does not name the manifest yet. */
  | { readonly kind: "prepared" }
  /** Named beside the one in force; whoever holds an older node does not know it before `switchAt`. */
  | { readonly kind: "published"; readonly namedAt: number; readonly switchAt: number }
  /** Everybody can know it, and the zone speaks under it; the directory still names the one before. */
  | { readonly kind: "active"; readonly since: number }
  /** Named alone: the key before is of no use to anybody. */
  | { readonly kind: "retired" };

/**
 * The manifest that introduces a zone key: the same policy and other keys, the new key first. Its period begins with
 * that of the key before, since it signs the acceptances of that time anew (docs/adr 12). Throws CONFIG where the
 * present zone key is not the manifest's.
 */
export function makeSuccessor(of: {
  readonly current: Manifest;
  /** Public key that signs now. */
  readonly zoneKey: Uint8Array;
  readonly next: Pick<KeyPeriod, "publicKey" | "notAfter">;
  readonly nowSeconds: number;
}): Manifest {
  const { current, zoneKey, next, nowSeconds } = of;
  const present = current.zoneKeys.find(({ publicKey }) => equalBytes(publicKey, zoneKey));
  if (present === undefined) {
    throw new DiscoveryError("CONFIG", "the zone key is not one of the manifest");
  }
  return {
    ...current,
    version: current.version + 1,
    zoneKeys: [{ ...next, notBefore: present.notBefore }, present],
    notBefore: nowSeconds - limits.clockSkewSeconds,
  };
}

/** What the nodes of a directory say of a zone's two manifests. Throws CONFIG where they name neither. */
export function rolloverPhase(of: {
  readonly zone: string;
  readonly currentSha256: Uint8Array;
  readonly nextSha256: Uint8Array;
  readonly nodes: Iterable<Node>;
  readonly nowSeconds: number;
}): RolloverPhase {
  const { zone, currentSha256, nextSha256, nowSeconds } = of;
  const named = [...of.nodes].flatMap((node) =>
    node.authorities.flatMap(({ zone: name, manifestSha256 }) => {
      if (name !== zone) return [];
      const has = (sha256: Uint8Array): boolean =>
        manifestSha256.some((one) => equalBytes(one, sha256));
      return [{ node, hasCurrent: has(currentSha256), hasNext: has(nextSha256) }];
    }),
  );
  if (!named.some(({ hasCurrent, hasNext }) => hasCurrent || hasNext)) {
    throw new DiscoveryError("CONFIG", "the directory names neither manifest of the zone");
  }
  if (!named.every(({ hasNext }) => hasNext)) return { kind: "prepared" };
  if (!named.some(({ hasCurrent }) => hasCurrent)) return { kind: "retired" };
  // A node that is signed anew begins later than it first named it: then the wait is longer, never shorter.
  const namedAt = Math.max(...named.map(({ node }) => node.notBefore));
  const ttlSeconds = Math.max(...named.map(({ node }) => node.ttlSeconds));
  const switchAt = namedAt + ttlSeconds + limits.switchDelaySeconds;
  if (nowSeconds < switchAt) return { kind: "published", namedAt, switchAt };
  return { kind: "active", since: switchAt };
}
