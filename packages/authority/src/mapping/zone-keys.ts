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

export interface ZoneKeys {
  readonly zone: ZoneName;
  readonly manifest: Manifest;
  readonly manifestObject: SignedObject;
  /** Encoded signed object. */
  readonly manifestBytes: Uint8Array;
  readonly manifestSha256: Uint8Array;
  readonly signer: Signer;
  readonly kid: Uint8Array;
  readonly voprfPublicKey: Uint8Array;
  readonly voprfSecretKey: Uint8Array;
}

/** Checks manifest and keys against one another. Throws CONFIG with what does not fit. */
export function makeZoneKeys(parts: {
  readonly zone: ZoneName;
  readonly manifest: SignedObject;
  readonly secrets: ZoneSecrets;
  readonly nowSeconds: number;
}): ZoneKeys {
  const { zone, secrets, nowSeconds } = parts;
  const { manifest, sha256 } = verifyOwnManifest(parts);
  const ownKey = manifest.zoneKeys.find((key) =>
    equalBytes(key.publicKey, secrets.signer.publicKey),
  );
  if (ownKey === undefined) throw config("the zone key is not one of its manifest");
  if (nowSeconds < ownKey.notBefore || nowSeconds > ownKey.notAfter) {
    throw config("the manifest's time for the zone key is not now");
  }
  const [current] = manifest.voprfKeys;
  const publicKey = portableVoprf.publicKeyOf(secrets.voprfSecretKey);
  if (current === undefined || !equalBytes(current.publicKey, publicKey)) {
    throw config("the voprf key is not the manifest's current one");
  }
  return {
    zone,
    manifest,
    manifestObject: parts.manifest,
    manifestBytes: encodeSignedObject(parts.manifest),
    manifestSha256: sha256,
    signer: secrets.signer,
    kid: current.kid,
    voprfPublicKey: publicKey,
    voprfSecretKey: secrets.voprfSecretKey,
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
