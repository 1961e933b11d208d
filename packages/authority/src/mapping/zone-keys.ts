// What a zone needs to speak for itself: its manifest, the zone key that signs and the VOPRF key that
// evaluates, checked against one another once. The scalar leaves this module only for the engine.

import {
  equalBytes,
  hpkePublicKeyOf,
  portableVoprf,
  sha256 as sha256Of,
  type Signer,
} from "@whither/crypto";
import {
  DiscoveryError,
  type HpkeKey,
  type Manifest,
  type SignedObject,
  type VoprfKey,
  type ZoneName,
} from "@whither/protocol";
import { decodeSignedObject, encodeSignedObject } from "@whither/wire";
import { nodeVerifier, payloadSha256, verifyManifest } from "@whither/zone";

export interface ZoneSecrets {
  /** Signs heads, acceptances and promises. */
  readonly signer: Signer;
  /** The zone key that replaces it, from the day it is made until the zone is under its manifest. */
  readonly nextSigner?: Signer | undefined;
  /** 32-byte scalar. Whoever has it can test every identifier against the zone. */
  readonly voprfSecretKey: Uint8Array;
  /** The scalar that replaces it, from the day it is made until the tree of the first is dropped. */
  readonly nextVoprfSecretKey?: Uint8Array | undefined;
  /** 32 bytes each: what relayed queries are sealed to, and the key that is to replace it. */
  readonly hpkeSecretKeys?: readonly Uint8Array[] | undefined;
}

/** What the zone's heads say they are signed under, and who signs them. */
export interface ManifestKeys {
  readonly zone: ZoneName;
  readonly manifest: Manifest;
  /** Encoded signed object. */
  readonly bytes: Uint8Array;
  /** Hash of the payload, 32 bytes. */
  readonly sha256: Uint8Array;
  readonly signer: Signer;
}

/** A VOPRF key and the id of the tree whose slots lie under its outputs. */
export interface TreeKey {
  /** 4 bytes. */
  readonly kid: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

export interface ZoneKeys {
  readonly under: ManifestKeys;
  /** Of the manifest's current VOPRF key. */
  readonly tree: TreeKey;
  /** Of the other VOPRF key at hand: the manifest's key before the current one, or one that no manifest names yet. */
  readonly other: TreeKey | undefined;
  /** A tree is to be made of `other`: it is the next key, and the manifest does not know it. */
  readonly isOtherNext: boolean;
}

const kidBytes = 4;

interface ZoneKeyParts {
  readonly zone: ZoneName;
  readonly manifest: SignedObject;
  readonly secrets: ZoneSecrets;
  readonly nowSeconds: number;
}

/**
 * Checks the manifest that is configured and the keys against one another; its current VOPRF key is either of the two.
 * Throws CONFIG with what does not fit.
 */
export function makeZoneKeys(parts: ZoneKeyParts): ZoneKeys {
  const keys = zoneKeysUnder(parts);
  checkHpkeKeys(keys.under.manifest, parts.secrets.hpkeSecretKeys ?? []);
  return keys;
}

/**
 * The same of the manifest that a zone is under. It stays under it although the operator has taken an HPKE key away:
 * readers know no other yet.
 */
export function zoneKeysUnder(parts: ZoneKeyParts): ZoneKeys {
  const { zone, secrets, nowSeconds } = parts;
  const { voprfSecretKey, nextVoprfSecretKey } = secrets;
  const { manifest, sha256 } = verifyOwnManifest(parts);
  const signer = signerUnder(manifest, { secrets, nowSeconds });
  const at = [voprfSecretKey, ...(nextVoprfSecretKey === undefined ? [] : [nextVoprfSecretKey])];
  const keys = at.map((secretKey) => treeKeyOf(manifest, secretKey));
  const [current] = manifest.voprfKeys;
  const tree = keys.find(({ publicKey }) => isKeyOf(current, publicKey));
  if (tree === undefined) throw config("the voprf key is not the manifest's current one");
  const other = keys.find((key) => key !== tree);
  if (other !== undefined && equalBytes(other.kid, tree.kid)) throw config("two keys share a kid");
  const isListed = manifest.voprfKeys.some((key) => isKeyOf(key, other?.publicKey));
  return {
    under: { zone, manifest, bytes: encodeSignedObject(parts.manifest), sha256, signer },
    tree,
    other,
    isOtherNext: other !== undefined && !isListed && tree === keys[0],
  };
}

/** A query sealed to a key that nobody here has could not be answered. A key that is not named yet harms nobody. */
function checkHpkeKeys({ hpkeKeys }: Manifest, secretKeys: readonly Uint8Array[]): void {
  const own = secretKeys.map(hpkePublicKeyOf);
  const isOwn = (key: HpkeKey): boolean => own.some((one) => equalBytes(one, key.publicKey));
  if (!hpkeKeys.every(isOwn)) throw config("an hpke key of the manifest is not at hand");
}

/** Of the zone keys at hand the first that the manifest names: while one replaces another it names both. */
function signerUnder(
  { zoneKeys }: Manifest,
  by: { readonly secrets: ZoneSecrets; readonly nowSeconds: number },
): Signer {
  const { signer, nextSigner = signer } = by.secrets;
  const named = zoneKeys.flatMap((key) => {
    const own = [signer, nextSigner].find((one) => equalBytes(one.publicKey, key.publicKey));
    return own === undefined ? [] : [{ key, own }];
  });
  if (named.length === 0) throw config("the zone key is not one of its manifest");
  const now = named.find(
    ({ key }) => by.nowSeconds >= key.notBefore && by.nowSeconds <= key.notAfter,
  );
  if (now === undefined) throw config("the manifest's time for the zone key is not now");
  return now.own;
}

/** The kid is the manifest's; that of a key which it does not name is as `whitherctl manifest create` will choose it. */
function treeKeyOf(manifest: Manifest, secret: Uint8Array): TreeKey {
  const publicKey = portableVoprf.publicKeyOf(secret);
  const listed = manifest.voprfKeys.find((key) => isKeyOf(key, publicKey));
  const kid = listed?.kid ?? sha256Of(publicKey).slice(0, kidBytes);
  // A copy: it is wiped with its tree, whoever else holds what came from the file.
  return { kid, publicKey, secretKey: secret.slice() };
}

function isKeyOf(key: VoprfKey | undefined, publicKey: Uint8Array | undefined): boolean {
  return key !== undefined && publicKey !== undefined && equalBytes(key.publicKey, publicKey);
}

/** The VOPRF key that the zone is to go on to from what it is under, if it is another one. */
export function nextKeyOf(under: ManifestKeys, configured: ZoneKeys): TreeKey | undefined {
  const { tree, other, isOtherNext } = configured;
  const isKnown = under.manifest.voprfKeys.some((key) => isKeyOf(key, tree.publicKey));
  if (!isKnown) return tree;
  const isOtherKnown = under.manifest.voprfKeys.some((key) => isKeyOf(key, other?.publicKey));
  return isOtherNext && !isOtherKnown ? other : undefined;
}

/** A manifest as its file holds it, not yet checked. Throws CONFIG. */
export function parseManifestFile(bytes: Uint8Array): SignedObject {
  try {
    return decodeSignedObject(bytes);
  } catch (cause) {
    throw new DiscoveryError("CONFIG", "a manifest file holds no manifest", { cause });
  }
}

function verifyOwnManifest(parts: {
  readonly zone: ZoneName;
  readonly manifest: SignedObject;
  readonly nowSeconds: number;
}) {
  const { zone, manifest, nowSeconds } = parts;
  try {
    const manifestSha256 = [payloadSha256(manifest)];
    return verifyManifest({
      object: manifest,
      zone,
      manifestSha256,
      nowSeconds,
      verifier: nodeVerifier,
    });
  } catch (cause) {
    throw new DiscoveryError("CONFIG", `manifest of ${zone}`.slice(0, 64), { cause });
  }
}

function config(text: string): DiscoveryError {
  return new DiscoveryError("CONFIG", text);
}
