// A zone's manifest: its keys and its policy, trusted by the hash that stands in the signed
// directory, not by a signature (protocol.md sections 2 and 4).

import {
  equalBytes,
  importHpkePublicKey,
  importPublicKey,
  keyIdOf,
  portableVoprf,
  toHex,
} from "@whither/crypto";
import { DiscoveryError, limits, type Manifest, type SignedObject } from "@whither/protocol";
import { decodeManifest } from "@whither/wire";
import { payloadSha256 } from "../signed.js";
import type { SignatureVerifier } from "../signed.js";

/**
 * Checks a received manifest: its hash is one of the directory's, it is for this zone, in force, and
 * every key in it may be used. Throws BOGUS, UNSUPPORTED_SUITE, NOT_YET_VALID or EXPIRED.
 */
export function verifyManifest(check: {
  readonly object: SignedObject;
  readonly zone: string;
  /** Hashes that the directory names, 32 bytes each. */
  readonly manifestSha256: readonly Uint8Array[];
  readonly nowSeconds: number;
  /** For a successor that carries its predecessor's signature; the hash alone decides today. */
  readonly verifier: SignatureVerifier;
}): { readonly manifest: Manifest; readonly sha256: Uint8Array } {
  const verified = openManifest(check);
  checkVoprfKeys(verified.manifest);
  checkHpkeKeys(verified.manifest);
  return verified;
}

/** As verifyManifest, for a zone that serves a part of the directory and evaluates nothing. */
export function verifyDirectoryManifest(check: Parameters<typeof verifyManifest>[0]): {
  readonly manifest: Manifest;
  readonly sha256: Uint8Array;
} {
  const verified = openManifest(check);
  const { voprfKeys, hpkeKeys } = verified.manifest;
  if (voprfKeys.length + hpkeKeys.length > 0) throw bogus("of a mapping zone, not of a directory");
  return verified;
}

function openManifest(check: Parameters<typeof verifyManifest>[0]) {
  const { object, zone, manifestSha256, nowSeconds } = check;
  const sha256 = payloadSha256(object);
  if (!manifestSha256.some((hash) => equalBytes(hash, sha256))) {
    throw bogus("hash is not the directory's");
  }
  const manifest = decodeManifest(object.payload);
  if (manifest.zone !== zone) throw bogus("zone is another one");
  checkZoneKeys(manifest);
  checkManifestTimes(manifest, nowSeconds);
  return { manifest, sha256 };
}

/** Throws BOGUS unless every zone key is safe to use and has an id of its own. */
function checkZoneKeys({ zoneKeys }: Manifest): void {
  const ids = new Set<string>();
  for (const { publicKey } of zoneKeys) {
    importKey(() => importPublicKey(publicKey));
    ids.add(toHex(keyIdOf(publicKey)));
  }
  if (ids.size !== zoneKeys.length) throw bogus("two zone keys share an id");
}

/** The same of what a mapping zone evaluates with. */
function checkVoprfKeys({ voprfKeys }: Manifest): void {
  if (voprfKeys.length === 0) throw bogus("of a directory, not of a mapping zone");
  importKey(() => {
    portableVoprf.checkElements(voprfKeys.map((key) => key.publicKey));
  });
  if (new Set(voprfKeys.map((key) => toHex(key.kid))).size !== voprfKeys.length) {
    throw bogus("two voprf keys share a kid");
  }
}

/** The same of what relayed queries are sealed to. One that has ended is its DP's to replace: it stops nothing else. */
function checkHpkeKeys({ hpkeKeys }: Manifest): void {
  for (const { publicKey } of hpkeKeys) importKey(() => importHpkePublicKey(publicKey));
  if (new Set(hpkeKeys.map(({ id }) => id)).size !== hpkeKeys.length) {
    throw bogus("two hpke keys share an id");
  }
}

function importKey(importing: () => unknown): void {
  try {
    importing();
  } catch (cause) {
    throw new DiscoveryError("BOGUS", "manifest: a key is not usable", { cause });
  }
}

/** Whether a manifest that was verified before is in force still. Throws NOT_YET_VALID, EXPIRED. */
export function checkManifestTimes(manifest: Manifest, nowSeconds: number): void {
  const { clockSkewSeconds } = limits;
  if (manifest.notBefore > nowSeconds + clockSkewSeconds) {
    throw new DiscoveryError("NOT_YET_VALID", "manifest: before its not_before");
  }
  const oldest = nowSeconds - clockSkewSeconds;
  if (!manifest.zoneKeys.some((key) => key.notAfter >= oldest)) {
    throw new DiscoveryError("EXPIRED", "manifest: every zone key is expired");
  }
  const { voprfKeys } = manifest; // none in a directory's
  if (voprfKeys.length > 0 && !voprfKeys.some((key) => key.notAfter >= oldest)) {
    throw new DiscoveryError("EXPIRED", "manifest: every voprf key is expired");
  }
}

function bogus(text: string): DiscoveryError {
  return new DiscoveryError("BOGUS", `manifest: ${text}`);
}
