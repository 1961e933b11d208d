// What a whither-dpd serves, as dpd.yaml names it: its mapping zones, zones of others that it follows, and parts of the
// directory. What each key is for is written in configs/dpd.yaml.

import type { FollowedServer, ReplicationPeer } from "@whither/authority";
import { parsePin } from "@whither/crypto/node";
import {
  isCanonicalCsi,
  limits,
  parsePrefix,
  parseZoneName,
  type Csi,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";
import {
  field,
  hostPortField,
  integerField,
  sizeField,
  textField,
  type pathField,
  type secretPathField,
} from "@whither/runtime";
import { z } from "zod";

const mib = 1024 ** 2;

export interface ZoneConfig {
  readonly name: ZoneName;
  readonly manifestFile: string;
  readonly zoneKeyFile: string;
  readonly nextZoneKeyFile: string | undefined;
  readonly voprfKeyFile: string;
  /** Of the key that replaces it. */
  readonly nextVoprfKeyFile: string | undefined;
  readonly vaultKeyFile: string | undefined;
  /** What relayed queries are sealed to, and the key that is to replace it. */
  readonly hpkeKeyFiles: readonly string[];
  readonly epoch: number;
  readonly probe: Csi | undefined;
  readonly replication: {
    /** Own secondaries of the zone. */
    readonly peers: readonly ReplicationPeer[];
  };
  readonly storeCacheBytes: number;
  readonly bucketCacheBytes: number;
}

/** A zone of somebody that is followed and served. */
export interface ReplicaConfig {
  readonly name: ZoneName;
  readonly probe: Csi;
  /** Servers to follow; undefined: those of the directory. */
  readonly primaries: readonly FollowedServer[] | undefined;
  /** Own servers of the zone that name this one as a secondary. */
  readonly replication: readonly FollowedServer[];
  /** Whether the zone's vault is kept too, sealed, for the day on which this becomes the primary. */
  readonly vault: boolean;
  /** Of a full replica. */
  readonly voprfKeyFile: string | undefined;
  /** Of the key that replaces it. */
  readonly nextVoprfKeyFile: string | undefined;
  readonly storeCacheBytes: number;
  readonly bucketCacheBytes: number;
}

/** A part of the directory that the root, or another part, delegates to this DP. */
export interface PartConfig {
  readonly name: ZoneName;
  /** Where the part begins. */
  readonly apex: Prefix;
  readonly manifestFile: string;
  readonly artefactFile: string;
}

/** Fields for paths, which start from the configuration's directory. */
export interface PathFields {
  readonly path: ReturnType<typeof pathField>;
  readonly secret: ReturnType<typeof secretPathField>;
}

export function zoneSchema({ path, secret }: PathFields) {
  return z
    .strictObject({
      name: textField("a zone name, name@dp_id", orUndefined(parseZoneName)),
      manifest_file: path,
      zone_key_file: secret,
      next_zone_key_file: secret.optional(),
      voprf_key_file: secret,
      next_voprf_key_file: secret.optional(),
      vault_key_file: secret.optional(),
      hpke_key_file: secret.optional(),
      next_hpke_key_file: secret.optional(),
      epoch: integerField({ min: 1, max: 2 ** 32 }).default(1),
      probe: field("a canonical identifier such as tel:+4930123456", (value) =>
        typeof value === "string" && isCanonicalCsi(value) ? value : undefined,
      ).optional(),
      replication: z
        .strictObject({
          peers: z
            .array(z.strictObject({ spki: pins(), vault: z.boolean().default(false) }))
            .max(limits.replicationPeersMax)
            .default([]),
        })
        .prefault({}),
      store_cache: sizeField({ min: mib, max: 64 * 1024 * mib }).default(8 * mib),
      bucket_cache: sizeField({ min: 0, max: 64 * 1024 * mib }).default(8 * mib),
    })
    .refine(
      (value) => value.next_voprf_key_file === undefined || value.vault_key_file !== undefined,
      {
        path: ["next_voprf_key_file"],
        message: "expected vault_key_file beside it",
        params: { expected: "vault_key_file beside it: the next tree is made from the vault" },
      },
    )
    .transform((value): ZoneConfig => ({
      name: value.name,
      manifestFile: value.manifest_file,
      zoneKeyFile: value.zone_key_file,
      nextZoneKeyFile: value.next_zone_key_file,
      voprfKeyFile: value.voprf_key_file,
      nextVoprfKeyFile: value.next_voprf_key_file,
      vaultKeyFile: value.vault_key_file,
      hpkeKeyFiles: [value.hpke_key_file, value.next_hpke_key_file].filter(
        (file) => file !== undefined,
      ),
      epoch: value.epoch,
      probe: value.probe,
      replication: {
        peers: value.replication.peers.map(({ spki, vault }) => ({ spkiSha256: spki, vault })),
      },
      storeCacheBytes: value.store_cache,
      bucketCacheBytes: value.bucket_cache,
    }));
}

export function partSchema({ path }: PathFields) {
  return z
    .strictObject({
      name: textField("a zone name, name@dp_id", orUndefined(parseZoneName)),
      apex: textField("a canonical prefix such as tel:+49", orUndefined(parsePrefix)),
      manifest_file: path,
      artefact_file: path,
    })
    .transform((value): PartConfig => ({
      name: value.name,
      apex: value.apex,
      manifestFile: value.manifest_file,
      artefactFile: value.artefact_file,
    }));
}

export function replicaSchema({ secret }: PathFields) {
  const followed = (way: FollowedServer["way"]) =>
    z
      .strictObject({ server: hostPortField(), spki: pins() })
      .transform(({ server, spki }): FollowedServer => ({ ...server, spkiSha256: spki, way }));
  return z
    .strictObject({
      name: textField("a zone name, name@dp_id", orUndefined(parseZoneName)),
      probe: field("a canonical identifier such as tel:+4930123456", (value) =>
        typeof value === "string" && isCanonicalCsi(value) ? value : undefined,
      ),
      primaries: z.array(followed("public")).min(1).max(limits.endpointsMax).optional(),
      replication: z.array(followed("replication")).max(limits.endpointsMax).default([]),
      vault: z.boolean().default(false),
      voprf_key_file: secret.optional(),
      next_voprf_key_file: secret.optional(),
      store_cache: sizeField({ min: mib, max: 64 * 1024 * mib }).default(8 * mib),
      bucket_cache: sizeField({ min: 0, max: 64 * 1024 * mib }).default(8 * mib),
    })
    .refine((value) => !value.vault || value.replication.length > 0, {
      path: ["vault"],
      message: "expected replication beside it",
      params: { expected: "replication beside it: nobody else gives a vault" },
    })
    .refine(
      (value) => value.next_voprf_key_file === undefined || value.voprf_key_file !== undefined,
      {
        path: ["next_voprf_key_file"],
        message: "expected voprf_key_file beside it",
        params: { expected: "voprf_key_file beside it: a full replica has the key in use too" },
      },
    )
    .transform((value): ReplicaConfig => ({
      name: value.name,
      probe: value.probe,
      primaries: value.primaries,
      replication: value.replication,
      vault: value.vault,
      voprfKeyFile: value.voprf_key_file,
      nextVoprfKeyFile: value.next_voprf_key_file,
      storeCacheBytes: value.store_cache,
      bucketCacheBytes: value.bucket_cache,
    }));
}

function pins() {
  return z
    .array(textField("a pin, sha256:<base64url>", orUndefined(parsePin)))
    .min(1)
    .max(limits.pinsMax);
}

/** For a field of text that says itself what it expects. */
export function orUndefined<T>(parse: (text: string) => T): (text: string) => T | undefined {
  return (text) => {
    try {
      return parse(text);
    } catch {
      return undefined; // the field says what it expects
    }
  };
}
