// Who takes part in a simulated federation: DPs with their zones, MSPs, provers, each with its keys and
// its registry record. Keys depend on names alone and guard nothing. Nothing here runs.

import { portableVoprf, sha256, utf8, type Signer, type VoprfKeyPair } from "@whither/crypto/node";
import type { AdmissionLimits } from "@whither/authority";
import {
  parseCsi,
  parseDpId,
  parseMspId,
  parsePrefix,
  parseProverId,
  parseZoneName,
  type Csi,
  type DpRecord,
  type Endpoint,
  type KeyPeriod,
  type Manifest,
  type MspRecord,
  type ProverRecord,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import { encodeManifest } from "@whither/wire";
import type { RegistrySource } from "@whither/zone";
import { fixedBytes, fixedSigner } from "./registration-fixtures.js";

const day = 86_400;

export interface ZoneSpec {
  /** Part before `@`. */
  readonly name: string;
  readonly manifest?: Partial<Manifest>;
  /** Slots that nobody opens, with bodies: 600 make a tree of 4 buckets. None unless told. */
  readonly fillers?: number;
  /** An identifier that lies in it: the zone has a vault then, and goes on to a manifest when the directory names it. */
  readonly probe?: Csi;
}

export interface DpSpec {
  readonly id: string;
  /** `Operator of <id>` unless told. */
  readonly operator?: string;
  /** Names, or names with what differs. */
  readonly zones: readonly (string | ZoneSpec)[];
  /** Who follows its zones. */
  readonly replicas?: readonly ReplicaSpec[];
  readonly limits?: Partial<AdmissionLimits>;
}

/** A process of somebody else, or of the same operator, that follows one zone of a DP. */
export interface ReplicaSpec {
  /** Its host, and the name under which it connects. */
  readonly id: string;
  /** `Operator of <id>` unless told. */
  readonly operator?: string;
  /** Part before `@`; the first zone of the DP unless told. */
  readonly zone?: string;
  /** An identifier in the zone, real or not. */
  readonly probe: string;
  /** Whether it has the VOPRF keys and evaluates too. Default: false. */
  readonly full?: boolean;
  /** Scalar of a full replica for the key that is to replace the zone's. */
  readonly nextVoprfSecretKey?: Uint8Array;
}

export interface MspSpec {
  readonly id: string;
  readonly operator?: string;
  /** Position in compact answers; its place in the list unless told. */
  readonly bit?: number;
  readonly record?: Partial<MspRecord>;
  /** Left out of the registry. */
  readonly unregistered?: boolean;
}

export interface ProverSpec {
  readonly id: string;
  readonly operator?: string;
  /** `tel:`, `mailto:` and `acct:` unless told. */
  readonly prefixes?: readonly string[];
  /** 2 unless told. */
  readonly maxLevel?: number;
  readonly record?: Partial<ProverRecord>;
  readonly unregistered?: boolean;
}

/** A party with the key it signs with. */
export interface Signing<Record> {
  readonly record: Record;
  readonly signer: Signer;
}

/** A zone's identity: what its operator knows before anything runs. */
export interface ZoneIdentity {
  readonly zone: ZoneName;
  readonly manifest: Manifest;
  readonly manifestObject: SignedObject;
  readonly manifestSha256: Uint8Array;
  readonly signer: Signer;
  readonly voprfKeys: VoprfKeyPair;
  readonly fillers: number;
  readonly probe: Csi | undefined;
}

/** A zone that is followed. */
export interface FollowedZone {
  readonly of: ZoneIdentity;
  readonly probe: Csi;
  /** Scalars of a full replica. */
  readonly secretKeys: readonly Uint8Array[];
}

export interface DpIdentity {
  readonly record: DpRecord;
  readonly zones: readonly ZoneIdentity[];
  /** Zones of others. */
  readonly follows: readonly FollowedZone[];
  readonly limits: Partial<AdmissionLimits>;
  /** `host:port` with client certificates, and without. */
  readonly clientAddress: string;
  readonly publicAddress: string;
  readonly spkiSha256: Uint8Array;
}

const clientPort = 7354;
const publicPort = 7364;

export function makeDpIdentity(spec: DpSpec, nowSeconds: number): DpIdentity {
  const server = makeServer(spec);
  const { id, operator } = server.record;
  const zones = spec.zones.map((given): ZoneIdentity => {
    const zoneSpec = typeof given === "string" ? { name: given } : given;
    return makeZoneIdentity(zoneSpec, { dp: id, operator, nowSeconds });
  });
  return { ...server, zones, follows: [], limits: spec.limits ?? {} };
}

/** Of a process without zones of its own. */
export function makeReplicaIdentity(spec: ReplicaSpec, dp: DpIdentity): DpIdentity {
  const { zone = dp.zones[0]?.zone.split("@")[0], probe, full = false } = spec;
  const of = dp.zones.find((one) => one.zone === `${zone ?? ""}@${dp.record.id}`);
  if (of === undefined) throw new TypeError(`${dp.record.id} has no zone for ${spec.id}`);
  const { nextVoprfSecretKey: next } = spec;
  const secretKeys = full ? [of.voprfKeys.secretKey, ...(next === undefined ? [] : [next])] : [];
  const follows = [{ of, probe: parseCsi(probe), secretKeys }];
  return { ...makeServer(spec), zones: [], follows, limits: {} };
}

/** What a process is known by. */
function makeServer(spec: { readonly id: string; readonly operator?: string }) {
  const id = parseDpId(spec.id);
  const operator = spec.operator ?? `Operator of ${id}`;
  const spkiSha256 = fixedBytes(`spki ${id}`);
  const endpoint = {
    host: id,
    port: clientPort,
    publicPort,
    spkiSha256: [spkiSha256],
    jurisdiction: "",
    operator: "",
  };
  const record: DpRecord = {
    kind: "dp",
    id,
    operator,
    endpoints: [endpoint],
    maxQps: 1000,
    jurisdictions: [],
    termsHash: new Uint8Array(),
  };
  return {
    record,
    clientAddress: `${id}:${clientPort}`,
    publicAddress: `${id}:${publicPort}`,
    spkiSha256,
  };
}

function makeZoneIdentity(
  spec: ZoneSpec,
  of: { readonly dp: string; readonly operator: string; readonly nowSeconds: number },
): ZoneIdentity {
  const zone = parseZoneName(`${spec.name}@${of.dp}`);
  const signer = fixedSigner(`zone ${zone}`);
  const voprfKeys = portableVoprf.deriveKeyPair(fixedBytes(`voprf ${zone}`), utf8("federation"));
  const voprfKey = {
    kid: fixedBytes(`kid ${zone}`, 4),
    publicKey: voprfKeys.publicKey,
    notAfter: of.nowSeconds + 90 * day,
  };
  const manifest: Manifest = {
    zone,
    operator: of.operator,
    suite: 1,
    version: 1,
    zoneKeys: [periodOf(signer, of.nowSeconds)],
    voprfKeys: [voprfKey],
    hpkeKeys: [],
    entryLength: 68,
    epochSeconds: 30,
    mappingTtlSeconds: 3600,
    absenceTtlSeconds: 60,
    policy: {
      federationDefault: "local",
      preferredDps: [],
      quotas: [],
      discoveryMaxSeconds: 180,
      removalMaxSeconds: 180,
      retentionSeconds: day,
      replicaJurisdictions: [],
      preferenceHandling: "the holder's order is kept",
      publicQueries: false,
    },
    notBefore: of.nowSeconds - day,
    ...spec.manifest,
  };
  const payload = encodeManifest(manifest);
  return {
    zone,
    manifest,
    manifestObject: { payload, signatures: [] },
    manifestSha256: sha256(payload),
    signer,
    voprfKeys,
    fillers: spec.fillers ?? 0,
    probe: spec.probe,
  };
}

function periodOf(signer: Signer, nowSeconds: number): KeyPeriod {
  return {
    publicKey: signer.publicKey,
    notBefore: nowSeconds - 100 * day,
    notAfter: nowSeconds + 300 * day,
  };
}

export function makeMsp(
  spec: MspSpec,
  at: { readonly place: number; readonly nowSeconds: number },
): Signing<MspRecord> {
  const id = parseMspId(spec.id);
  const signer = fixedSigner(`msp ${id}`);
  const record: MspRecord = {
    kind: "msp",
    id,
    operator: spec.operator ?? `Operator of ${id}`,
    bit: spec.bit ?? at.place,
    keys: [periodOf(signer, at.nowSeconds)],
    spkiSha256: [clientSpki(id)],
    endpoint: "",
    mimiDirectoryUrl: `https://${id}/mimi`,
    accreditedFrom: at.nowSeconds - 100 * day,
    accreditedTo: at.nowSeconds + 300 * day,
    termsHash: new Uint8Array(),
    tokenIssuerKey: new Uint8Array(),
    ...spec.record,
  };
  return { record, signer };
}

/** Key of the certificate under which a client of this name connects; an MSP's is in its record. */
function clientSpki(name: string): Uint8Array {
  return fixedBytes(`client ${name}`);
}

/** What a server reads from the certificate of a client of that name. */
export function peerNamed(client: string) {
  return {
    kind: "certificate",
    spkiSha256: clientSpki(client),
    names: [client],
    certificateDer: new Uint8Array(),
  } as const;
}

export function makeProver(spec: ProverSpec, nowSeconds: number): Signing<ProverRecord> {
  const id = parseProverId(spec.id);
  const signer = fixedSigner(`prover ${id}`);
  const record: ProverRecord = {
    kind: "prover",
    id,
    operator: spec.operator ?? `Operator of ${id}`,
    keys: [periodOf(signer, nowSeconds)],
    prefixes: (spec.prefixes ?? ["tel:", "mailto:", "acct:"]).map(parsePrefix),
    methods: ["sms", "email"],
    maxLevel: spec.maxLevel ?? 2,
    ...spec.record,
  };
  return { record, signer };
}

/** `registry.yaml` of these parties, as if it had been read. */
export function registrySourceOf(parties: {
  readonly dps: readonly DpIdentity[];
  readonly replicas: readonly DpIdentity[];
  readonly msps: readonly MspRecord[];
  readonly provers: readonly ProverRecord[];
  /** Hashes of the manifests of zones that have others than their first, newest first. */
  readonly manifests: ReadonlyMap<string, readonly Uint8Array[]>;
}): RegistrySource {
  const replicasOf = (zone: ZoneName, dpOperator: string): readonly Endpoint[] =>
    parties.replicas.flatMap(({ record: { endpoints, operator }, follows }) =>
      follows
        .filter(({ of }) => of.zone === zone)
        .flatMap(({ secretKeys }) =>
          endpoints.map((endpoint) => ({
            ...endpoint,
            port: secretKeys.length > 0 ? endpoint.port : 0,
            operator: operator === dpOperator ? "" : operator,
          })),
        ),
    );
  return {
    file: "registry.yaml",
    dps: parties.dps.map(({ record, zones }) => ({
      record,
      zones: zones.map(({ zone, manifestSha256 }) => ({
        name: zone,
        line: 1,
        manifests: { kind: "hashes", sha256: parties.manifests.get(zone) ?? [manifestSha256] },
        replicas: replicasOf(zone, record.operator),
      })),
    })),
    msps: parties.msps,
    provers: parties.provers,
    relays: [],
    lineOf: () => 1,
  };
}
