// Strict codecs of the directory's records: root keys, nodes, registry records, head (protocol.md section 3).

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  limits,
  parseDpId,
  parsePrefix,
  parseZoneName,
  suiteV1,
  DiscoveryError,
  type Authority,
  type DirectoryHead,
  type Node,
  type RootKeys,
} from "@whither/protocol";
import {
  AuthorityKind,
  DirectoryHeadSchema,
  Disposition,
  Federation,
  NodeSchema,
  RootKeysSchema,
  type Authority as WireAuthority,
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
import { endpointFromWire, endpointToWire, hash32, wireKeyPeriod } from "./record-parts.js";
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
    ...(m.withdrawnAt === 0n
      ? {}
      : { withdrawnAt: integer(context, "withdrawn_at", m.withdrawnAt, { min: 1 }) }),
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
        withdrawnAt: BigInt(a.withdrawnAt ?? 0),
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
