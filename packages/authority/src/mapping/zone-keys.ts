// What a zone needs to speak for itself: its manifest, the zone key that signs and the VOPRF key that
// evaluates, checked against one another once. The scalar leaves this module only for the engine.

import { equalBytes, portableVoprf, type Signer } from "@whither/crypto";
import { DiscoveryError, type Manifest, type SignedObject, type ZoneName } from "@whither/protocol";
import { decodeSignedObject, encodeSignedObject } from "@whither/wire";
import { nodeVerifier, payloadSha256, verifyManifest } from "@whither/zone";

export interface ZoneSecrets {
  /** Signs heads, acceptances and promises. */
  readonly signer: Signer;
  /** 32-byte scalar. Whoever has it can test every identifier against the zone. */
  readonly voprfSecretKey: Uint8Array;
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
  readonly tree: TreeKey;
}

/** Checks manifest and keys against one another. Throws CONFIG with what does not fit. */
export function makeZoneKeys(parts: {
  readonly zone: ZoneName;
  readonly manifest: SignedObject;
  readonly secrets: ZoneSecrets;
  readonly nowSeconds: number;
}): ZoneKeys {
  const { zone, secrets, nowSeconds } = parts;
  const { signer, voprfSecretKey: secretKey } = secrets;
  const { manifest, sha256 } = verifyOwnManifest(parts);
  const ownKey = manifest.zoneKeys.find((key) => equalBytes(key.publicKey, signer.publicKey));
  if (ownKey === undefined) throw config("the zone key is not one of its manifest");
  if (nowSeconds < ownKey.notBefore || nowSeconds > ownKey.notAfter) {
    throw config("the manifest's time for the zone key is not now");
  }
  const [current] = manifest.voprfKeys;
  const publicKey = portableVoprf.publicKeyOf(secretKey);
  if (current === undefined || !equalBytes(current.publicKey, publicKey)) {
    throw config("the voprf key is not the manifest's current one");
  }
  return {
    under: { zone, manifest, bytes: encodeSignedObject(parts.manifest), sha256, signer },
    tree: { kid: current.kid, publicKey, secretKey },
  };
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
