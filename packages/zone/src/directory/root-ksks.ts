// Who may sign root key sets: the KSKs of the anchors, and from then on those of the newest set that was verified. A
// set with other KSKs is signed by enough of those before it and by enough of its own, as a root role of The Update
// Framework is (specification section 5.3); readers whose anchors are older go from set to set.

import { equalBytes, importPublicKey, keyIdOf, toHex } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  roles,
  type RootKeys,
  type SignedObject,
} from "@whither/protocol";
import { decodeRootKeys, type HeadVoucher } from "@whither/wire";
import { nodeVerifier, verifySigned, type SignatureVerifier } from "../signed.js";
import { checkObjectSize } from "./object-size.js";

export type RootVoucher = Extract<HeadVoucher, { readonly rootKeys: SignedObject }>;

/** `threshold` of these keys, 32 bytes each, have to sign a root key set. */
export interface RootKsks {
  readonly keys: readonly Uint8Array[];
  readonly threshold: number;
}

interface Opening {
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

/** Those that may sign what follows a set. */
export function ksksOf({ ksks, threshold }: Pick<RootKeys, "ksks" | "threshold">): RootKsks {
  return { keys: ksks, threshold };
}

/** Root keys with earlier sets where there are any. */
export function voucherOf({ rootKeys, earlierRootKeys = [] }: RootVoucher): RootVoucher {
  return earlierRootKeys.length === 0 ? { rootKeys } : { rootKeys, earlierRootKeys };
}

/** A verified root key set, and the sets that led to it from the trusted KSKs, each of them verified. */
export interface OpenedRootKeys {
  readonly rootKeys: RootKeys;
  readonly via: readonly SignedObject[];
}

/**
 * Verifies a root key set that the trusted KSKs have signed, or that earlier sets lead to, each later than `after`.
 * Times are the caller's to check: those of earlier sets may have ended. Throws KEY_MISSING, BOGUS,
 * UNSUPPORTED_SUITE, INVALID_DATA, TOO_LARGE.
 */
export function openRootKeys(
  check: Opening & {
    readonly voucher: RootVoucher;
    readonly trusted: RootKsks;
    /** Version of the set that names the trusted KSKs; 0 for anchors. */
    readonly after: number;
  },
): OpenedRootKeys {
  const { rootKeys: object, earlierRootKeys = [] } = check.voucher;
  if (earlierRootKeys.length > limits.earlierRootKeysMax) {
    throw new DiscoveryError("INVALID_DATA", "root-keys: too many earlier sets");
  }
  const direct = openUnlessUnknown(object, check.trusted, check);
  if (direct !== undefined) return { rootKeys: direct, via: [] };
  const via: SignedObject[] = [];
  let { trusted, after } = check;
  for (const earlier of earlierRootKeys) {
    const opened = openUnlessUnknown(earlier, trusted, check);
    // Of before the anchors, or no newer than what is trusted.
    if (opened === undefined || opened.version <= after) continue;
    if (!isSameKsks(trusted, ksksOf(opened))) via.push(earlier);
    trusted = ksksOf(opened);
    after = opened.version;
  }
  const rootKeys = openSet(object, trusted, check);
  if (rootKeys.version > after) return { rootKeys, via };
  throw new DiscoveryError("BOGUS", "root-keys: older than a set that leads to it");
}

/** Sets that lead from KSKs to those of `last`, where those before it have led so far. */
export function trailTo(
  last: { readonly object: SignedObject; readonly rootKeys: RootKeys },
  by: { readonly from: RootKsks; readonly trail: readonly SignedObject[] },
): readonly SignedObject[] {
  const [latest] = by.trail.slice(-1).map(({ payload }) => ksksOf(decodeRootKeys(payload)));
  const isThere = isSameKsks(latest ?? by.from, ksksOf(last.rootKeys));
  return isThere ? by.trail : [...by.trail, last.object];
}

/**
 * What readers of older anchors need beside `next`: the sets by which the KSKs changed, the latest of them. Throws
 * CONFIG when the set before has a higher version, or did not agree to other KSKs.
 */
export function earlierRootKeys(
  previous: { readonly voucher: RootVoucher; readonly rootKeys: RootKeys },
  next: SignedObject,
): readonly SignedObject[] {
  const { voucher, rootKeys: last } = previous;
  const { rootKeys, earlierRootKeys: earlier = [] } = voucher;
  if (equalBytes(rootKeys.payload, next.payload)) return earlier;
  const following = decodeRootKeys(next.payload);
  if (following.version <= last.version) {
    const text = `root-keys: expected a version above ${last.version}`;
    throw new DiscoveryError("CONFIG", text);
  }
  const isSame = isSameKsks(ksksOf(last), ksksOf(following));
  if (!isSame) checkAgreed(next, ksksOf(last));
  // Nobody needs the first set whose KSKs are still the same: the anchors are as old.
  if (isSame && earlier.length === 0) return earlier;
  const from = { keys: [], threshold: 1 };
  const all = trailTo({ object: rootKeys, rootKeys: last }, { from, trail: earlier });
  return all.slice(-limits.earlierRootKeysMax);
}

function checkAgreed(next: SignedObject, ksks: RootKsks): void {
  try {
    verifyByKsks(next, ksks, { nowSeconds: 0, verifier: nodeVerifier });
  } catch (cause) {
    if (!isDiscoveryError(cause)) throw cause;
    const text = `root-keys: other KSKs, not signed by ${ksks.threshold} before`;
    throw new DiscoveryError("CONFIG", text, { cause });
  }
}

/** Undefined when too few of the KSKs have signed it; a signature in one's name that is wrong is an attack. */
function openUnlessUnknown(
  object: SignedObject,
  trusted: RootKsks,
  by: Opening,
): RootKeys | undefined {
  try {
    return openSet(object, trusted, by);
  } catch (error) {
    if (isDiscoveryError(error, "KEY_MISSING")) return undefined;
    throw error;
  }
}

function openSet(object: SignedObject, trusted: RootKsks, by: Opening): RootKeys {
  checkObjectSize("root-keys", object);
  verifyByKsks(object, trusted, by);
  const rootKeys = decodeRootKeys(object.payload);
  const keys = [...rootKeys.ksks, ...rootKeys.zsks.map((key) => key.publicKey)];
  for (const key of keys) importPublicKey(key);
  if (new Set(keys.map((key) => toHex(keyIdOf(key)))).size !== keys.length) {
    throw new DiscoveryError("BOGUS", "root-keys: a key stands there twice");
  }
  const own = ksksOf(rootKeys);
  // Who cannot sign with the keys that it names would leave its readers without a way on.
  if (!isSameKsks(own, trusted) && !isSignedBy(object, own, by)) {
    throw new DiscoveryError("BOGUS", "root-keys: not signed by enough of its own KSKs");
  }
  return rootKeys;
}

function isSignedBy(object: SignedObject, ksks: RootKsks, by: Opening): boolean {
  try {
    verifyByKsks(object, ksks, by);
    return true;
  } catch (error) {
    if (isDiscoveryError(error)) return false;
    throw error;
  }
}

function verifyByKsks(
  object: SignedObject,
  { keys, threshold }: RootKsks,
  { nowSeconds: atSeconds, verifier }: Opening,
): void {
  const place = { type: "root-keys", role: roles.rootKsk, zone: "." } as const;
  verifySigned({ ...place, object, keys, threshold, atSeconds, verifier });
}

/** In whatever order. */
function isSameKsks(a: RootKsks, b: RootKsks): boolean {
  if (a.threshold !== b.threshold || a.keys.length !== b.keys.length) return false;
  const names = new Set(a.keys.map(toHex));
  return b.keys.every((key) => names.has(toHex(key)));
}
