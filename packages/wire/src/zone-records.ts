// Strict codecs of a mapping zone's public records: manifest and head (protocol.md section 4).

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  DiscoveryError,
  limits,
  parseDpId,
  parseZoneName,
  type Head,
  type HpkeKey,
  type Manifest,
  type Policy,
} from "@whither/protocol";
import {
  HeadSchema,
  ManifestSchema,
  type HpkeKey as WireHpkeKey,
  type Policy as WirePolicy,
} from "./gen/whither/v1/record_pb.js";
import { federations, suite } from "./directory-records.js";
import { wireKeyPeriod } from "./record-parts.js";
import { integer, invalid, keyPeriod, list, octets, text, type FieldContext } from "./fields.js";
import { parseMessage } from "./signed-object.js";

function policyFromWire(m: WirePolicy): Policy {
  const context = { record: "manifest policy" };
  return {
    federationDefault: federations.decode(context, "federation_default", m.federationDefault),
    preferredDps: list(
      context,
      { field: "preferred_dps", min: 0, max: 64 },
      m.preferredDps,
      parseDpId,
    ),
    quotas: list(context, { field: "quotas", min: 0, max: 16 }, m.quotas, (q) => ({
      class: text(context, "class", q.class, 32),
      requestsPerSecond: q.requestsPerS,
      requestsBurst: q.requestsBurst,
      contactsBurst: q.contactsBurst,
      contactsPerDay: q.contactsPerDay,
    })),
    discoveryMaxSeconds: m.discoveryMaxS,
    removalMaxSeconds: m.removalMaxS,
    retentionSeconds: m.retentionS,
    replicaJurisdictions: list(
      context,
      { field: "replica_jurisdictions", min: 0, max: 64 },
      m.replicaJurisdictions,
      (j) => text(context, "replica_jurisdictions", j, 2),
    ),
    preferenceHandling: text(context, "preference_handling", m.preferenceHandling, 1024),
    publicQueries: m.publicQueries,
  };
}

export function decodeManifest(payload: Uint8Array): Manifest {
  const context = { record: "manifest" };
  const m = parseMessage(() => fromBinary(ManifestSchema, payload));
  if (m.policy === undefined) throw invalid(context, "policy", "to be present");
  return {
    zone: parseZoneName(m.zone),
    operator: text(context, "operator", m.operator, 255),
    suite: suite(context, m.suite),
    version: integer(context, "version", m.version, { min: 1 }),
    zoneKeys: list(context, { field: "zone_keys", min: 1, max: 4 }, m.zoneKeys, (k) =>
      keyPeriod(context, "zone_keys", k),
    ),
    voprfKeys: list(context, { field: "voprf_keys", min: 0, max: 2 }, m.voprfKeys, (k) => ({
      kid: octets(context, "kid", k.kid, 4),
      publicKey: octets(context, "voprf_keys", k.publicKey, 32),
      notAfter: integer(context, "not_after", k.notAfter),
    })),
    hpkeKeys: list(context, { field: "hpke_keys", min: 0, max: 2 }, m.hpkeKeys, (k) =>
      hpkeKeyFromWire(context, k),
    ),
    entryLength: integer(context, "entry_len", m.entryLen, {
      min: limits.entryBytes,
      max: limits.entryBytes,
    }),
    epochSeconds: integer(context, "epoch_s", m.epochS, { min: 1, max: limits.promiseSeconds }),
    mappingTtlSeconds: integer(context, "mapping_ttl_s", m.mappingTtlS, {
      min: limits.mappingTtlSecondsMin,
      max: limits.mappingTtlSecondsMax,
    }),
    absenceTtlSeconds: integer(context, "absence_ttl_s", m.absenceTtlS, {
      min: 1,
      max: limits.absenceTtlSecondsZoneMax,
    }),
    policy: policyFromWire(m.policy),
    notBefore: integer(context, "not_before", m.notBefore),
  };
}

/** DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM (RFC 9180 section 7): the only one of suite 1. */
const hpkeSuite = { kem: 0x0020, kdf: 0x0001, aead: 0x0001 } as const;

function hpkeKeyFromWire(context: FieldContext, key: WireHpkeKey): HpkeKey {
  const { kem, kdf, aead } = key;
  if (kem !== hpkeSuite.kem || kdf !== hpkeSuite.kdf || aead !== hpkeSuite.aead) {
    const text = `${context.record}: hpke ${kem}, ${kdf}, ${aead} is unknown`;
    throw new DiscoveryError("UNSUPPORTED_SUITE", text);
  }
  return {
    id: integer(context, "hpke_keys", key.id, { max: 255 }),
    publicKey: octets(context, "hpke_keys", key.publicKey, 32),
    notAfter: integer(context, "not_after", key.notAfter),
  };
}

export function encodeManifest(value: Manifest): Uint8Array {
  const { policy } = value;
  return toBinary(
    ManifestSchema,
    create(ManifestSchema, {
      zone: value.zone,
      operator: value.operator,
      suite: value.suite,
      version: BigInt(value.version),
      zoneKeys: value.zoneKeys.map(wireKeyPeriod),
      voprfKeys: value.voprfKeys.map((k) => ({
        kid: k.kid,
        publicKey: k.publicKey,
        notAfter: BigInt(k.notAfter),
      })),
      hpkeKeys: value.hpkeKeys.map(({ id, publicKey, notAfter }) => {
        return { id, ...hpkeSuite, publicKey, notAfter: BigInt(notAfter) };
      }),
      entryLen: value.entryLength,
      epochS: value.epochSeconds,
      mappingTtlS: value.mappingTtlSeconds,
      absenceTtlS: value.absenceTtlSeconds,
      policy: {
        federationDefault: federations.encode(policy.federationDefault),
        preferredDps: [...policy.preferredDps],
        quotas: policy.quotas.map((q) => ({
          class: q.class,
          requestsPerS: q.requestsPerSecond,
          requestsBurst: q.requestsBurst,
          contactsBurst: q.contactsBurst,
          contactsPerDay: q.contactsPerDay,
        })),
        discoveryMaxS: policy.discoveryMaxSeconds,
        removalMaxS: policy.removalMaxSeconds,
        retentionS: policy.retentionSeconds,
        replicaJurisdictions: [...policy.replicaJurisdictions],
        preferenceHandling: policy.preferenceHandling,
        publicQueries: policy.publicQueries,
      },
      notBefore: BigInt(value.notBefore),
    }),
  );
}

export function decodeHead(payload: Uint8Array): Head {
  const context = { record: "head" };
  const m = parseMessage(() => fromBinary(HeadSchema, payload));
  const pad = integer(context, "pad", m.pad, { max: limits.messageBytesMax });
  if (pad % limits.padBytes !== 0) throw invalid(context, "pad", "a multiple of 4096");
  return {
    zone: parseZoneName(m.zone),
    epoch: integer(context, "epoch", m.epoch, { min: 1 }),
    serial: integer(context, "serial", m.serial, { min: 1 }),
    mapRoot: octets(context, "map_root", m.mapRoot, 32),
    mapSize: integer(context, "map_size", m.mapSize),
    kid: octets(context, "kid", m.kid, 4),
    b: integer(context, "b", m.b, { max: limits.bucketDepthMax }),
    pad,
    manifestSha256: octets(context, "manifest_sha256", m.manifestSha256, 32),
    changesRoot: octets(context, "changes_root", m.changesRoot, 32),
    time: integer(context, "time", m.time),
    prevSha256: octets(context, "prev_sha256", m.prevSha256, 32),
    notAfter: integer(context, "not_after", m.notAfter),
  };
}

export function encodeHead(value: Head): Uint8Array {
  return toBinary(
    HeadSchema,
    create(HeadSchema, {
      zone: value.zone,
      epoch: BigInt(value.epoch),
      serial: BigInt(value.serial),
      mapRoot: value.mapRoot,
      mapSize: BigInt(value.mapSize),
      kid: value.kid,
      b: value.b,
      pad: value.pad,
      manifestSha256: value.manifestSha256,
      changesRoot: value.changesRoot,
      time: BigInt(value.time),
      prevSha256: value.prevSha256,
      notAfter: BigInt(value.notAfter),
    }),
  );
}
