// Presentation format of the signed directory, and the difference of two of them. Decodes; whether the
// records were verified is said, not decided here.

import {
  comparePrefixes,
  isWithin,
  parentPrefix,
  type DirectoryHead,
  type Endpoint,
  type KeyPeriod,
  type Node,
  type Party,
  type Prefix,
} from "@whither/protocol";
import { formatPin, formatPublicKey, toHex } from "@whither/crypto";
import {
  decodeDirectoryHead,
  decodeNode,
  decodeRegistryRecord,
  type HeadVoucher,
} from "@whither/wire";
import type { DirectoryObjects } from "@whither/zone";
import { formatUtc } from "../utc.js";

interface ShownArtefact {
  readonly objects: DirectoryObjects<HeadVoucher>;
  readonly verified: boolean;
  /** Only the part below it; the parties are left out then. */
  readonly prefix?: Prefix | undefined;
}

interface Content {
  readonly head: DirectoryHead;
  readonly nodes: readonly Node[];
  readonly parties: readonly Party[];
}

function contentOf(objects: DirectoryObjects<HeadVoucher>): Content {
  return {
    head: decodeDirectoryHead(objects.head.payload),
    nodes: objects.nodes.map(({ payload }) => decodeNode(payload)),
    parties: objects.records.map(({ payload }) => decodeRegistryRecord(payload).party),
  };
}

/** Nodes at and below a prefix; when there are none, the closest node above, which answers for it. */
function nodesBelow(nodes: readonly Node[], prefix: Prefix | undefined): readonly Node[] {
  if (prefix === undefined) return nodes;
  const below = nodes.filter((node) => isWithin(node.prefix, prefix));
  if (below.length > 0) return below;
  const byPrefix = new Map(nodes.map((node) => [node.prefix, node]));
  for (let above = parentPrefix(prefix); above !== undefined; above = parentPrefix(above)) {
    const node = byPrefix.get(above);
    if (node !== undefined) return [node];
  }
  return [];
}

/** One JSON value: head, nodes with their authorities, parties. */
export function describeArtefact({ objects, verified, prefix }: ShownArtefact): unknown {
  const { head, nodes, parties } = contentOf(objects);
  return {
    verified,
    ...describeHead(head),
    nodes: nodesBelow(nodes, prefix).map(describeNode),
    ...(prefix === undefined ? { parties: parties.map(describeParty) } : {}),
  };
}

function describeHead(head: DirectoryHead): Readonly<Record<string, unknown>> {
  return {
    zone: head.zone,
    epoch: head.epoch,
    serial: head.serial,
    registry_version: head.registryVersion,
    node_count: head.nodeCount,
    record_count: head.recordCount,
    digest: toHex(head.digest),
    not_before: head.notBefore,
    not_after: head.notAfter,
    refresh_s: head.refreshSeconds,
    retry_s: head.retrySeconds,
    expire_s: head.expireSeconds,
    federation_default: head.federationDefault,
  };
}

function describeNode(node: Node): Readonly<Record<string, unknown>> {
  return {
    prefix: node.prefix,
    disposition: node.disposition,
    ttl_s: node.ttlSeconds,
    authorities: node.authorities.map((authority) => ({
      kind: authority.kind,
      zone: authority.zone,
      relay_only: authority.relayOnly,
      ...(authority.withdrawnAt === undefined ? {} : { withdrawn_at: authority.withdrawnAt }),
      manifest_sha256: authority.manifestSha256.map(toHex),
      endpoints: authority.endpoints.map(describeEndpoint),
    })),
  };
}

function describeEndpoint(endpoint: Endpoint): Readonly<Record<string, unknown>> {
  return {
    host: endpoint.host,
    port: endpoint.port,
    public_port: endpoint.publicPort,
    spki: endpoint.spkiSha256.map(formatPin),
    jurisdiction: endpoint.jurisdiction,
    ...(endpoint.operator === "" ? {} : { operator: endpoint.operator }),
  };
}

function describeParty(party: Party): Readonly<Record<string, unknown>> {
  const { kind, id, operator } = party;
  switch (party.kind) {
    case "dp":
      return {
        kind,
        id,
        operator,
        max_qps: party.maxQps,
        jurisdictions: party.jurisdictions,
        endpoints: party.endpoints.map(describeEndpoint),
      };
    case "msp":
      return {
        kind,
        id,
        operator,
        bit: party.bit,
        keys: describeKeys(party.keys),
        spki: party.spkiSha256.map(formatPin),
        mimi_directory_url: party.mimiDirectoryUrl,
        accredited_from: party.accreditedFrom,
        accredited_to: party.accreditedTo,
      };
    case "prover":
      return {
        kind,
        id,
        operator,
        keys: describeKeys(party.keys),
        prefixes: party.prefixes,
        methods: party.methods,
        max_level: party.maxLevel,
      };
    case "relay":
      return {
        kind,
        id,
        operator,
        endpoint: party.endpoint,
        spki: party.spkiSha256.map(formatPin),
      };
  }
}

function describeKeys(keys: readonly KeyPeriod[]): readonly unknown[] {
  return keys.map((key) => ({
    public_key: formatPublicKey(key.publicKey),
    not_before: key.notBefore,
    not_after: key.notAfter,
  }));
}

/** The artefact as lines: comment with head, one line a node, one a party. */
export function formatArtefact({ objects, verified, prefix }: ShownArtefact): string {
  const { head, nodes, parties } = contentOf(objects);
  const lines = [
    `; zone ${head.zone}  epoch ${head.epoch}  serial ${head.serial}  registry ${head.registryVersion}`,
    `; ${head.nodeCount} nodes, ${head.recordCount} records, ${verified ? "verified" : "not verified (no --anchors)"}`,
    `; valid ${formatUtc(head.notBefore)} to ${formatUtc(head.notAfter)}, federation ${head.federationDefault}`,
    ...nodesBelow(nodes, prefix).flatMap(nodeLines),
    ...(prefix === undefined ? parties.map(partyLine) : []),
  ];
  return lines.join("\n");
}

const prefixWidth = 24;

function nodeLines(node: Node): readonly string[] {
  const start = `${node.prefix.padEnd(prefixWidth)} ${String(node.ttlSeconds).padStart(5)}`;
  if (node.authorities.length === 0) return [`${start}  ${node.disposition.toUpperCase()}`];
  return node.authorities.map((authority) => {
    const { kind, zone, relayOnly, endpoints, manifestSha256, withdrawnAt } = authority;
    const at = endpoints
      .map(({ host, port, publicPort }) => `${host} ${port}/${publicPort}`)
      .join(", ");
    const manifest = manifestSha256.map((hash) => toHex(hash).slice(0, 16)).join(",");
    const only = relayOnly ? " relay-only" : "";
    const held = withdrawnAt === undefined ? "" : ` withdrawn since ${formatUtc(withdrawnAt)}`;
    return `${start}  ${kind.toUpperCase()} ${zone}${only}${held}  manifest ${manifest}  at ${at}`;
  });
}

function partyLine(party: Party): string {
  const start = `${party.kind.toUpperCase().padEnd(7)}${party.id.padEnd(prefixWidth)} "${party.operator}"`;
  switch (party.kind) {
    case "dp":
      return `${start}  ${party.jurisdictions.join(",") || "-"}  at most ${party.maxQps} queries/s`;
    case "msp":
      return `${start}  bit ${party.bit}  ${party.keys.length} keys  to ${formatUtc(party.accreditedTo)}`;
    case "prover":
      return `${start}  ${party.prefixes.join(",")}  ${party.methods.join(",")}  level ≤ ${party.maxLevel}`;
    case "relay":
      return `${start}  at ${party.endpoint}`;
  }
}

/** `added`, `removed`, `changed`: prefixes and `kind id` of parties, in digest order. */
export interface ArtefactDiff {
  readonly old_serial: number;
  readonly new_serial: number;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** What differs besides serials and times of validity. */
export function diffArtefacts(of: {
  readonly older: DirectoryObjects<HeadVoucher>;
  readonly newer: DirectoryObjects<HeadVoucher>;
}): ArtefactDiff {
  const older = contentOf(of.older);
  const newer = contentOf(of.newer);
  const nodes = compareMaps({
    older: new Map(older.nodes.map((node) => [node.prefix, JSON.stringify(describeNode(node))])),
    newer: new Map(newer.nodes.map((node) => [node.prefix, JSON.stringify(describeNode(node))])),
    order: comparePrefixes,
  });
  const parties = compareMaps({
    older: new Map(older.parties.map(namedParty)),
    newer: new Map(newer.parties.map(namedParty)),
    order: (a, b) => (a < b ? -1 : 1),
  });
  return {
    old_serial: older.head.serial,
    new_serial: newer.head.serial,
    added: [...nodes.added, ...parties.added],
    removed: [...nodes.removed, ...parties.removed],
    changed: [...nodes.changed, ...parties.changed],
  };
}

function namedParty(party: Party): [name: string, content: string] {
  return [`${party.kind} ${party.id}`, JSON.stringify(describeParty(party))];
}

function compareMaps<K extends string>(of: {
  readonly older: ReadonlyMap<K, string>;
  readonly newer: ReadonlyMap<K, string>;
  readonly order: (a: K, b: K) => number;
}): Pick<ArtefactDiff, "added" | "removed" | "changed"> {
  const { older, newer, order } = of;
  return {
    added: [...newer.keys()].filter((key) => !older.has(key)).toSorted(order),
    removed: [...older.keys()].filter((key) => !newer.has(key)).toSorted(order),
    changed: [...newer]
      .filter(([key, content]) => older.has(key) && older.get(key) !== content)
      .map(([key]) => key)
      .toSorted(order),
  };
}

/** `+ tel:+49`, `- …`, `~ …`, and a line of sums. */
export function formatDiff(diff: ArtefactDiff): string {
  const lines = [
    ...diff.removed.map((name) => `- ${name}`),
    ...diff.added.map((name) => `+ ${name}`),
    ...diff.changed.map((name) => `~ ${name}`),
  ];
  const { added, removed, changed } = diff;
  const sum = `; serial ${diff.old_serial} to ${diff.new_serial}: ${added.length} added, ${removed.length} removed, ${changed.length} changed`;
  return [...lines, sum].join("\n");
}
