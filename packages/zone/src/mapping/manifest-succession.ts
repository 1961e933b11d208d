// When a zone's later manifest takes effect for one reader (protocol.md section 2, docs/adr 24): at once if its
// predecessor's zone key or the root KSKs signed it, else after 72 h. Whoever has the directory's key alone
// can name another manifest; until then the zone's people have time to see it. Remembering is the reader's.

import { equalBytes, toHex } from "@whither/crypto/node";
import {
  isDiscoveryError,
  limits,
  roles,
  type Manifest,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import type { RootKsks } from "../directory/root-ksks.js";
import { verifySigned, type SignatureVerifier } from "../signed.js";

/** A manifest whose hash the directory named, with the signatures beside it. */
export interface NamedManifest {
  readonly object: SignedObject;
  readonly manifest: Manifest;
  /** 32 bytes. */
  readonly sha256: Uint8Array;
}

/** What a reader remembers of a zone. */
export interface ManifestHistory {
  /** Those that were in effect when they were named last, oldest first. */
  readonly inEffect: readonly NamedManifest[];
  /** Hashes (hex) that were named without a signature that counts: since when, Unix seconds. */
  readonly waiting: ReadonlyMap<string, number>;
  /** When the reader last knew what the directory names, Unix seconds. */
  readonly seenAt: number;
}

/** A successor that is not in effect yet. */
export interface WaitingManifest extends NamedManifest {
  /** When it will be, Unix seconds. */
  readonly effectiveAt: number;
}

export interface Succession {
  /** To be remembered, also where nothing is in effect now: it is what successors are judged by. */
  readonly history: ManifestHistory;
  /** In effect now, oldest first. */
  readonly inEffect: readonly NamedManifest[];
  readonly waiting: readonly WaitingManifest[];
}

export interface SuccessionCheck {
  readonly zone: ZoneName;
  /** Undefined: nothing is known of the zone. */
  readonly history: ManifestHistory | undefined;
  /** Hashes that the directory names, 32 bytes each. */
  readonly manifestSha256: readonly Uint8Array[];
  /** Those of them that were received, verified by their hash. */
  readonly received: readonly NamedManifest[];
  /** `not_before` of the node that names them; 0: unknown. */
  readonly namedAt: number;
  readonly nowSeconds: number;
  /** Of the newest root key set, or of the anchors. */
  readonly ksks: RootKsks;
  readonly verifier: SignatureVerifier;
}

/**
 * Which manifests are in effect now. None are, where one that is not known could not be received: it may be the
 * signed successor of those that were. Throws what the verifier throws (BUDGET).
 */
export function judgeSuccession(check: SuccessionCheck): Succession {
  const { history, manifestSha256, nowSeconds, namedAt } = check;
  const before = history?.inEffect ?? [];
  const good = before.filter((one) => !isSpent(one, nowSeconds));
  const waiting: WaitingManifest[] = [];
  const later = check.received
    .filter((one) => !before.some(({ sha256 }) => equalBytes(sha256, one.sha256)))
    .toSorted((a, b) => a.manifest.version - b.manifest.version);
  for (const one of later) {
    const hash = toHex(one.sha256);
    // The first that is known of a zone has no predecessor to ask. Past the last key of those in effect
    // nothing could be served under them, and nothing is protected by waiting.
    const isFirst = good.length === 0;
    // A node can be dated back by who signs it; that it was not named when last seen cannot.
    const since = history?.waiting.get(hash) ?? Math.max(namedAt, history?.seenAt ?? 0);
    const effectiveAt = since + limits.manifestHoldSeconds;
    if (isFirst || nowSeconds >= effectiveAt || isVouchedFor(check, one, good)) good.push(one);
    else waiting.push({ ...one, effectiveAt });
  }
  const isNamed = ({ sha256 }: NamedManifest): boolean =>
    manifestSha256.some((hash) => equalBytes(hash, sha256));
  const named = good.filter(isNamed);
  // The earlier ones stay in use only while all that are named are known to wait.
  const allWait = waiting.length === manifestSha256.length;
  return {
    inEffect: named.length > 0 || !allWait ? named : before,
    history: {
      inEffect: named.length > 0 ? named : before,
      waiting: new Map([
        ...unseen(check),
        ...waiting.map(({ sha256, effectiveAt }): [string, number] => [
          toHex(sha256),
          effectiveAt - limits.manifestHoldSeconds,
        ]),
      ]),
      seenAt: Math.max(nowSeconds, history?.seenAt ?? 0),
    },
    waiting,
  };
}

/** Waiting, named still, and not received this time: a server that holds one back must not make it wait anew. */
function unseen({
  history,
  manifestSha256,
  received,
}: SuccessionCheck): readonly (readonly [string, number])[] {
  const missing = manifestSha256
    .filter((hash) => !received.some(({ sha256 }) => equalBytes(sha256, hash)))
    .map((hash) => toHex(hash));
  return [...(history?.waiting ?? [])].filter(([hash]) => missing.includes(hash));
}

function isSpent({ manifest }: NamedManifest, nowSeconds: number): boolean {
  return manifest.zoneKeys.every((key) => key.notAfter + limits.clockSkewSeconds < nowSeconds);
}

/** Signed over its bytes by a zone key of one in effect, or by k of n root KSKs. */
function isVouchedFor(
  { zone, nowSeconds, ksks, verifier }: SuccessionCheck,
  { object }: NamedManifest,
  predecessors: readonly NamedManifest[],
): boolean {
  const place = { type: "manifest", zone, object, atSeconds: nowSeconds, verifier } as const;
  const { keys, threshold } = ksks;
  return (
    predecessors.some(({ manifest }) =>
      isSigned({ ...place, role: roles.zone, keys: manifest.zoneKeys }),
    ) || isSigned({ ...place, role: roles.rootKsk, keys, threshold })
  );
}

function isSigned(check: Parameters<typeof verifySigned>[0]): boolean {
  try {
    verifySigned(check);
    return true;
  } catch (error) {
    if (isDiscoveryError(error, "BUDGET") || !isDiscoveryError(error)) throw error;
    return false;
  }
}
