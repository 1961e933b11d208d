// Strict codecs of the directory's records: root keys, nodes, registry records, head (protocol.md section 3).

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  limits,
  parseDpId,
  parseMspId,
  parsePrefix,
  parseProverId,
  parseZoneName,
  suiteV1,
  DiscoveryError,
  type Authority,
  type DirectoryHead,
  type Endpoint,
  type Node,
  type Party,
  type RegistryRecord,
  type RootKeys,
} from "@whither/protocol";
import {
  AuthorityKind,
  DirectoryHeadSchema,
  Disposition,
  Federation,
  NodeSchema,
  RegistryRecordSchema,
  RootKeysSchema,
  type Authority as WireAuthority,
  type Endpoint as WireEndpoint,
  type RegistryRecord as WireRegistryRecord,
} from "./gen/whither/v1/record_pb.js";
import {
  closedSet,
  integer,
  invalid,
  keyPeriod,
  list,
  octets,
  period,
  text,
  type FieldContext,
} from "./fields.js";
import { parseMessage } from "./signed-object.js";

const dispositions = closedSet({
  delegated: Disposition.DELEGATED,
  parent: Disposition.PARENT,
  unassigned: Disposition.UNASSIGNED,
});
const authorityKinds = closedSet({
  directory: AuthorityKind.DIRECTORY,
  mappings: AuthorityKind.MAPPINGS,
});
export const federations = closedSet({
  local: Federation.LOCAL,
  preferred: Federation.PREFERRED,
  list: Federation.LIST,
  all: Federation.ALL,
});

export function suite(context: FieldContext, value: number): number {
  if (value !== suiteV1) {
    throw new DiscoveryError("UNSUPPORTED_SUITE", `${context.record}: suite ${value} is unknown`);
  }
  return value;
}

const hash32 =
  (context: FieldContext, field: string) =>
  (value: Uint8Array): Uint8Array =>
    octets(context, field, value, 32);

export function decodeRootKeys(payload: Uint8Array): RootKeys {
  const context = { record: "root-keys" };
  const m = parseMessage(() => fromBinary(RootKeysSchema, payload));
  const ksks = list(context, { field: "ksks", min: 2, max: 16 }, m.ksks, hash32(context, "ksks"));
  return {
    suite: suite(context, m.suite),
    version: integer(context, "version", m.version, { min: 1 }),
    threshold: integer(context, "threshold", m.threshold, { min: 1, max: ksks.length }),
    ksks,
    zsks: list(context, { field: "zsks", min: 1, max: 4 }, m.zsks, (k) =>
      keyPeriod(context, "zsks", k),
    ),
    ...period(context, m),
  };
}

export function encodeRootKeys(value: RootKeys): Uint8Array {
  return toBinary(
    RootKeysSchema,
    create(RootKeysSchema, {
      suite: value.suite,
      version: BigInt(value.version),
      threshold: value.threshold,
      ksks: [...value.ksks],
      zsks: value.zsks.map(wireKeyPeriod),
      notBefore: BigInt(value.notBefore),
      notAfter: BigInt(value.notAfter),
    }),
  );
}

export function wireKeyPeriod(key: {
  readonly publicKey: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
}): { publicKey: Uint8Array; notBefore: bigint; notAfter: bigint } {
  return {
    publicKey: key.publicKey,
    notBefore: BigInt(key.notBefore),
    notAfter: BigInt(key.notAfter),
  };
}

function endpointFromWire(context: FieldContext, m: WireEndpoint): Endpoint {
  const host = text(context, "host", m.host, 255);
  if (!/^[0-9a-zA-Z.:_-]+$/.test(host)) throw invalid(context, "host", "a host name or address");
  const port = { max: 65_535 };
  return {
    host,
    port: integer(context, "port", m.port, port),
    publicPort: integer(context, "public_port", m.publicPort, port),
    spkiSha256: list(
      context,
      { field: "spki_sha256", min: 1, max: limits.pinsMax },
      m.spkiSha256,
      hash32(context, "spki_sha256"),
    ),
    jurisdiction: text(context, "jurisdiction", m.jurisdiction, 2),
  };
}

function endpointToWire(value: Endpoint) {
  return {
    host: value.host,
    port: value.port,
    publicPort: value.publicPort,
    spkiSha256: [...value.spkiSha256],
    jurisdiction: value.jurisdiction,
  };
}

function authorityFromWire(m: WireAuthority): Authority {
  const context = { record: "node authority" };
  return {
    zone: parseZoneName(m.zone),
    dpId: parseDpId(m.dpId),
    kind: authorityKinds.decode(context, "kind", m.kind),
    relayOnly: m.relayOnly,
    manifestSha256: list(
      context,
      { field: "manifest_sha256", min: 1, max: limits.manifestHashesMax },
      m.manifestSha256,
      hash32(context, "manifest_sha256"),
    ),
    endpoints: list(
      context,
      { field: "endpoints", min: 1, max: limits.endpointsMax },
      m.endpoints,
      (e) => endpointFromWire(context, e),
    ),
  };
}

export function decodeNode(payload: Uint8Array): Node {
  const context = { record: "node" };
  const m = parseMessage(() => fromBinary(NodeSchema, payload));
  const disposition = dispositions.decode(context, "disposition", m.disposition);
  const delegated = disposition === "delegated";
  const { notBefore, notAfter } = period(context, m);
  if (notAfter - notBefore > limits.nodeLifetimeSeconds) {
    throw invalid(context, "not_after", "at most 7 d after not_before");
  }
  return {
    prefix: parsePrefix(m.prefix),
    disposition,
    firstChild: text(context, "first_child", m.firstChild, 63),
    nextSibling: text(context, "next_sibling", m.nextSibling, 63),
    authorities: list(
      context,
      { field: "authorities", min: delegated ? 1 : 0, max: delegated ? limits.authoritiesMax : 0 },
      m.authorities,
      authorityFromWire,
    ),
    ttlSeconds: integer(context, "ttl_s", m.ttlS, { min: 60, max: limits.directoryTtlSecondsMax }),
    notBefore,
    notAfter,
    serial: integer(context, "serial", m.serial, { min: 1 }),
  };
}

export function encodeNode(value: Node): Uint8Array {
  return toBinary(
    NodeSchema,
    create(NodeSchema, {
      prefix: value.prefix,
      disposition: dispositions.encode(value.disposition),
      firstChild: value.firstChild,
      nextSibling: value.nextSibling,
      authorities: value.authorities.map((a) => ({
        zone: a.zone,
        dpId: a.dpId,
        kind: authorityKinds.encode(a.kind),
        relayOnly: a.relayOnly,
        manifestSha256: [...a.manifestSha256],
        endpoints: a.endpoints.map(endpointToWire),
      })),
      ttlS: value.ttlSeconds,
      notBefore: BigInt(value.notBefore),
      notAfter: BigInt(value.notAfter),
      serial: BigInt(value.serial),
    }),
  );
}

export function decodeDirectoryHead(payload: Uint8Array): DirectoryHead {
  const context = { record: "directory-head" };
  const m = parseMessage(() => fromBinary(DirectoryHeadSchema, payload));
  const seconds = { min: 1, max: 90 * 86_400 };
  return {
    zone: parseZoneName(m.zone),
    epoch: integer(context, "epoch", m.epoch, { min: 1 }),
    serial: integer(context, "serial", m.serial, { min: 1 }),
    registryVersion: integer(context, "registry_version", m.registryVersion),
    nodeCount: integer(context, "node_count", m.nodeCount, {
      min: 1,
      max: limits.directoryNodesMax,
    }),
    recordCount: integer(context, "record_count", m.recordCount, {
      max: limits.registryRecordsMax,
    }),
    digest: octets(context, "digest", m.digest, 48),
    ...period(context, m),
    refreshSeconds: integer(context, "refresh_s", m.refreshS, seconds),
    retrySeconds: integer(context, "retry_s", m.retryS, seconds),
    expireSeconds: integer(context, "expire_s", m.expireS, seconds),
    federationDefault: federations.decode(context, "federation_default", m.federationDefault),
  };
}

export function encodeDirectoryHead(value: DirectoryHead): Uint8Array {
  return toBinary(
    DirectoryHeadSchema,
    create(DirectoryHeadSchema, {
      zone: value.zone,
      epoch: BigInt(value.epoch),
      serial: BigInt(value.serial),
      registryVersion: value.registryVersion,
      nodeCount: BigInt(value.nodeCount),
      recordCount: BigInt(value.recordCount),
      digest: value.digest,
      notBefore: BigInt(value.notBefore),
      notAfter: BigInt(value.notAfter),
      refreshS: value.refreshSeconds,
      retryS: value.retrySeconds,
      expireS: value.expireSeconds,
      federationDefault: federations.encode(value.federationDefault),
    }),
  );
}

function partyFromWire(m: WireRegistryRecord): Party {
  const context = { record: "registry" };
  const operator = (value: string): string => {
    if (value.length === 0) throw invalid(context, "operator", "to be present");
    return text(context, "operator", value, 255);
  };
  switch (m.party.case) {
    case "dp": {
      const p = m.party.value;
      return {
        kind: "dp",
        id: parseDpId(p.id),
        operator: operator(p.operator),
        endpoints: list(
          context,
          { field: "endpoints", min: 0, max: limits.endpointsMax },
          p.endpoints,
          (e) => endpointFromWire(context, e),
        ),
        maxQps: integer(context, "max_qps", p.maxQps),
        jurisdictions: list(
          context,
          { field: "jurisdictions", min: 0, max: 64 },
          p.jurisdictions,
          (j) => text(context, "jurisdictions", j, 2),
        ),
        termsHash: octets(context, "terms_hash", p.termsHash, 0, 32),
      };
    }
    case "msp": {
      const p = m.party.value;
      return {
        kind: "msp",
        id: parseMspId(p.id),
        operator: operator(p.operator),
        bit: integer(context, "bit", p.bit, { max: 65_535 }),
        keys: list(context, { field: "keys", min: 1, max: 4 }, p.keys, (k) =>
          keyPeriod(context, "keys", k),
        ),
        spkiSha256: list(
          context,
          { field: "spki_sha256", min: 0, max: 8 },
          p.spkiSha256,
          hash32(context, "spki_sha256"),
        ),
        endpoint: text(context, "endpoint", p.endpoint, 300),
        mimiDirectoryUrl: text(context, "mimi_directory_url", p.mimiDirectoryUrl, 1024),
        accreditedFrom: integer(context, "accredited_from", p.accreditedFrom),
        accreditedTo: integer(context, "accredited_to", p.accreditedTo),
        termsHash: octets(context, "terms_hash", p.termsHash, 0, 32),
        tokenIssuerKey: p.tokenIssuerKey.slice(0, 1024),
      };
    }
    case "prover": {
      const p = m.party.value;
      return {
        kind: "prover",
        id: parseProverId(p.id),
        operator: operator(p.operator),
        keys: list(context, { field: "keys", min: 1, max: 4 }, p.keys, (k) =>
          keyPeriod(context, "keys", k),
        ),
        prefixes: list(context, { field: "prefixes", min: 1, max: 512 }, p.prefixes, parsePrefix),
        methods: list(context, { field: "methods", min: 1, max: 32 }, p.methods, (x) =>
          text(context, "methods", x, 32),
        ),
        maxLevel: integer(context, "max_level", p.maxLevel, { min: 1, max: 3 }),
      };
    }
    case "relay": {
      const p = m.party.value;
      return {
        kind: "relay",
        id: text(context, "id", p.id, 253),
        operator: operator(p.operator),
        endpoint: text(context, "endpoint", p.endpoint, 300),
        spkiSha256: list(
          context,
          { field: "spki_sha256", min: 1, max: limits.pinsMax },
          p.spkiSha256,
          hash32(context, "spki_sha256"),
        ),
      };
    }
    case undefined:
      throw invalid(context, "party", "to be present");
  }
}

export function decodeRegistryRecord(payload: Uint8Array): RegistryRecord {
  const context = { record: "registry" };
  const m = parseMessage(() => fromBinary(RegistryRecordSchema, payload));
  return {
    serial: integer(context, "serial", m.serial, { min: 1 }),
    ...period(context, m),
    party: partyFromWire(m),
  };
}

function partyToWire(party: Party) {
  switch (party.kind) {
    case "dp":
      return {
        case: "dp" as const,
        value: {
          id: party.id,
          operator: party.operator,
          endpoints: party.endpoints.map(endpointToWire),
          maxQps: party.maxQps,
          jurisdictions: [...party.jurisdictions],
          termsHash: party.termsHash,
        },
      };
    case "msp":
      return {
        case: "msp" as const,
        value: {
          id: party.id,
          operator: party.operator,
          bit: party.bit,
          keys: party.keys.map(wireKeyPeriod),
          spkiSha256: [...party.spkiSha256],
          endpoint: party.endpoint,
          mimiDirectoryUrl: party.mimiDirectoryUrl,
          accreditedFrom: BigInt(party.accreditedFrom),
          accreditedTo: BigInt(party.accreditedTo),
          termsHash: party.termsHash,
          tokenIssuerKey: party.tokenIssuerKey,
        },
      };
    case "prover":
      return {
        case: "prover" as const,
        value: {
          id: party.id,
          operator: party.operator,
          keys: party.keys.map(wireKeyPeriod),
          prefixes: [...party.prefixes],
          methods: [...party.methods],
          maxLevel: party.maxLevel,
        },
      };
    case "relay":
      return {
        case: "relay" as const,
        value: {
          id: party.id,
          operator: party.operator,
          endpoint: party.endpoint,
          spkiSha256: [...party.spkiSha256],
        },
      };
  }
}

export function encodeRegistryRecord(value: RegistryRecord): Uint8Array {
  return toBinary(
    RegistryRecordSchema,
    create(RegistryRecordSchema, {
      serial: BigInt(value.serial),
      notBefore: BigInt(value.notBefore),
      notAfter: BigInt(value.notAfter),
      party: partyToWire(value.party),
    }),
  );
}
