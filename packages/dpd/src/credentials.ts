// Everything whither-dpd reads from files before it serves: anchors, certificates, manifests, keys, checked
// against one another. What concerns the process stops its start; what concerns a zone stops that zone.

import {
  makeZoneKeys,
  parseManifestFile,
  type ReplicaSecret,
  type ZoneSecrets,
} from "@whither/authority";
import {
  createSigner,
  decodeHpkeKeyPem,
  decodePrivateKeyPem,
  decodeVaultKey,
  decodeVoprfKey,
} from "@whither/crypto/node";
import { DiscoveryError, type SignedObject } from "@whither/protocol";
import { tlsIdentityFromFiles, type TlsIdentity } from "@whither/rpc";
import { readFileBounded, readSecretFile } from "@whither/runtime";
import { parseAnchors, type Anchors } from "@whither/zone";
import type { DpdConfig } from "./config.js";
import type { ReplicaConfig, ZoneConfig } from "./config-zones.js";

const fileBytesMax = 256 * 1024;

export interface ZoneCredentials {
  readonly config: ZoneConfig;
  readonly manifest: SignedObject;
  /** 32 bytes. */
  readonly manifestSha256: Uint8Array;
  readonly secrets: ZoneSecrets;
  /** The manifest's current one first. */
  readonly voprfPublicKeys: readonly Uint8Array[];
  /** 32 bytes; undefined: the zone has no vault. */
  readonly vaultKey: Uint8Array | undefined;
}

export interface ReplicaCredentials {
  readonly config: ReplicaConfig;
  /** Of a full replica: its key, and the one that replaces it. */
  readonly secretKeys: readonly ReplicaSecret[];
}

export interface Credentials {
  readonly anchors: Anchors;
  readonly identity: TlsIdentity;
  readonly clientCaPem: string;
  readonly replicas: readonly ReplicaCredentials[];
}

/** Reads and checks the files that are not a zone's. Throws CONFIG naming the file. */
export async function readCredentials(config: DpdConfig): Promise<Credentials> {
  const anchors = parseAnchors(await readText(config.directory.anchorsFile));
  const identity = await readIdentity(config);
  const clientCaPem = await readText(config.tls.clientCaFile);
  const replicas: ReplicaCredentials[] = [];
  for (const replica of config.replicas) {
    const secretKeys: ReplicaSecret[] = [];
    for (const from of [replica.voprfKeyFile, replica.nextVoprfKeyFile]) {
      if (from === undefined) continue;
      secretKeys.push({ secretKey: await readKey(from, decodeVoprfKey), from });
    }
    replicas.push({ config: replica, secretKeys });
  }
  return { anchors, identity, clientCaPem, replicas };
}

/** The certificate that both listeners show. */
export function readIdentity({ tls }: DpdConfig): Promise<TlsIdentity> {
  return tlsIdentityFromFiles({ certPath: tls.certificateFile, keyPath: tls.keyFile });
}

/** Reads and checks the files of one zone. Throws CONFIG naming the file. */
export async function readZone(config: ZoneConfig, nowSeconds: number): Promise<ZoneCredentials> {
  const { name, manifestFile, zoneKeyFile, nextZoneKeyFile, vaultKeyFile } = config;
  const { voprfKeyFile, nextVoprfKeyFile, hpkeKeyFiles } = config;
  const manifestBytes = await readFileBounded(manifestFile, { bytesMax: fileBytesMax });
  const manifest = parseManifestFile(manifestBytes);
  const secrets = {
    signer: createSigner(await readKey(zoneKeyFile, decodePrivateKeyPem)),
    nextSigner:
      nextZoneKeyFile === undefined
        ? undefined
        : createSigner(await readKey(nextZoneKeyFile, decodePrivateKeyPem)),
    voprfSecretKey: await readKey(voprfKeyFile, decodeVoprfKey),
    nextVoprfSecretKey:
      nextVoprfKeyFile === undefined ? undefined : await readKey(nextVoprfKeyFile, decodeVoprfKey),
    hpkeSecretKeys: await Promise.all(hpkeKeyFiles.map((file) => readKey(file, decodeHpkeKeyPem))),
  };
  const keys = makeZoneKeys({ zone: name, manifest, secrets, nowSeconds });
  const voprfPublicKeys = [keys.tree, ...(keys.other === undefined ? [] : [keys.other])].map(
    ({ publicKey }) => publicKey,
  );
  const vaultKey =
    vaultKeyFile === undefined ? undefined : await readKey(vaultKeyFile, decodeVaultKey);
  const { sha256: manifestSha256 } = keys.under;
  return { config, manifest, manifestSha256, secrets, voprfPublicKeys, vaultKey };
}

async function readKey(path: string, decode: (text: string) => Uint8Array): Promise<Uint8Array> {
  const text = new TextDecoder().decode(await readSecretFile(path));
  try {
    return decode(text);
  } catch (cause) {
    throw new DiscoveryError("CONFIG", "a key file holds no key of its kind", {
      cause: new Error(path, { cause }),
    });
  }
}

async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readFileBounded(path, { bytesMax: fileBytesMax }));
}
