// What the resolver holds of one mapping zone: the manifest that the directory names by hash, the newest
// verified head, and the servers of both paths. Made by zone-views.ts, read by every step of a lookup.

import { toHex } from "@whither/crypto";
import { compareBytes, equalBytes } from "@whither/crypto/node";
import { DiscoveryError, type Authority, type Endpoint } from "@whither/protocol";
import type { Head, Manifest, SignedObject, ZoneName } from "@whither/protocol";
import type { NamedManifest, WaitingManifest } from "@whither/zone";
import type { Server } from "./peers.js";

/** A manifest with the hash it is trusted by and the signatures beside it. */
export type HeldManifest = NamedManifest;

/** A verified head with its bytes, so that the same one is not verified twice. */
export interface HeldHead {
  readonly object: SignedObject;
  readonly head: Head;
  readonly manifest: Manifest;
  /** Told of, and in no answer yet: it tells the tree's depth and counts for nothing else. */
  readonly isPushed?: true;
}

export interface ZoneView {
  readonly zone: ZoneName;
  readonly authority: Authority;
  /** Servers that are asked in one's own name, and those that are asked without. */
  readonly identified: readonly Server[];
  readonly anonymous: readonly Server[];
  /** The current one first; two while one succeeds the other. */
  readonly manifests: readonly [HeldManifest, ...HeldManifest[]];
  /** VOPRF key of the current manifest, under which contacts are evaluated. */
  readonly kid: Uint8Array;
  readonly kidHex: string;
  readonly publicKey: Uint8Array;
  readonly publicKeyHex: string;
  /** Named by the directory, not in effect yet. */
  readonly waiting: readonly WaitingManifest[];
  /** A manifest that the directory names could not be had: the zone may go on to it at any moment. */
  readonly isPartial: boolean;
  /** When to ask again what is in effect, Unix seconds. */
  readonly reviewAt: number;
  /** Newest verified head; undefined before the first answer and after `forgetHead`. */
  head: HeldHead | undefined;
}

export function createZoneView(
  authority: Authority,
  manifests: readonly [HeldManifest, ...HeldManifest[]],
  {
    waiting = [],
    isPartial = false,
    reviewAt = Infinity,
  }: Partial<Pick<ZoneView, "isPartial" | "reviewAt" | "waiting">> = {},
): ZoneView {
  const [current] = manifests;
  const [key] = current.manifest.voprfKeys;
  if (key === undefined) throw new DiscoveryError("BOGUS", "manifest: no voprf key");
  return {
    zone: authority.zone,
    authority,
    ...serversOf(authority),
    manifests,
    kid: key.kid,
    kidHex: toHex(key.kid),
    publicKey: key.publicKey,
    publicKeyHex: toHex(key.publicKey),
    waiting,
    isPartial,
    reviewAt,
    head: undefined,
  };
}

/**
 * Servers by path; a port of 0 is none. Who evaluates learns who asks, so another operator comes first for the
 * anonymous path and last for the other: then nobody sees both (protocol.md section 5, path policy).
 */
export function serversOf(authority: Authority): {
  readonly identified: readonly Server[];
  readonly anonymous: readonly Server[];
} {
  const at = (port: (endpoint: Endpoint) => number, ranks: Ranks): readonly Server[] =>
    authority.endpoints
      .filter((endpoint) => port(endpoint) !== 0)
      .map((endpoint) => ({
        key: serverKey(endpoint.host, port(endpoint)),
        host: endpoint.host,
        port: port(endpoint),
        pins: endpoint.spkiSha256,
        operator: endpoint.operator,
        rank:
          2 * (endpoint.operator === "" ? ranks.own : ranks.other) +
          (isSuggested(endpoint) ? 0 : 1),
      }));
  return {
    identified: at(({ port }) => port, { own: 0, other: 1 }),
    anonymous: at(({ publicPort }) => publicPort, { own: 1, other: 0 }),
  };
}

/** An endpoint that something else than the directory speaks for as well: asked before its equals, and no more. */
interface SuggestedEndpoint extends Endpoint {
  readonly suggested: true;
}

function isSuggested(endpoint: Endpoint | undefined): endpoint is SuggestedEndpoint {
  return endpoint !== undefined && "suggested" in endpoint;
}

interface Ranks {
  readonly own: number;
  readonly other: number;
}

/** The authority with only the servers that lie where the caller demands. Throws UNREACHABLE if none does. */
export function within(
  authority: Authority,
  jurisdictions: ReadonlySet<string> | undefined,
): Authority {
  if (jurisdictions === undefined) return authority;
  const endpoints = authority.endpoints.filter((one) => jurisdictions.has(one.jurisdiction));
  if (endpoints.length > 0) return { ...authority, endpoints };
  throw new DiscoveryError("UNREACHABLE", "no server in the jurisdictions demanded", {
    upstream: authority.zone,
  });
}

/** With servers that the user named, in front of those that the directory names. */
export function withReplicas(authority: Authority, replicas: readonly Replica[]): Authority {
  const own = replicas.filter(({ zone }) => zone === authority.zone);
  if (own.length === 0) return authority;
  const endpoints = own.map(({ host, port, pins, jurisdiction = "" }): Endpoint => ({
    host,
    port: 0,
    publicPort: port,
    spkiSha256: pins,
    jurisdiction,
    operator: configuredOperator,
  }));
  return { ...authority, endpoints: [...endpoints, ...authority.endpoints] };
}

/** Stands for whoever runs a server that the user named himself. */
const configuredOperator = "configured here";

/** A server of a zone's public bytes that the user trusts not to tell the DP who asks; it needs no other trust. */
export interface Replica {
  readonly zone: string;
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the SubjectPublicKeyInfos accepted, 32 bytes each, at least one. */
  readonly pins: readonly Uint8Array[];
  /** ISO 3166-1 alpha-2, for lookups that demand one. */
  readonly jurisdiction?: string;
}

function serverKey(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether two delegations of a zone name the same manifests and servers. */
export function isSameAuthority(a: Authority, b: Authority): boolean {
  if (a === b) return true;
  return (
    a.zone === b.zone &&
    a.manifestSha256.length === b.manifestSha256.length &&
    a.manifestSha256.every((hash, i) => equalBytes(hash, b.manifestSha256[i] ?? empty)) &&
    a.endpoints.length === b.endpoints.length &&
    a.endpoints.every((endpoint, i) => isSameEndpoint(endpoint, b.endpoints[i]))
  );
}

const empty = new Uint8Array();

function isSameEndpoint(a: Endpoint, b: Endpoint | undefined): boolean {
  return (
    a.host === b?.host &&
    a.port === b.port &&
    a.publicPort === b.publicPort &&
    a.jurisdiction === b.jurisdiction &&
    a.operator === b.operator &&
    isSuggested(a) === isSuggested(b) &&
    a.spkiSha256.length === b.spkiSha256.length &&
    a.spkiSha256.every((pin, i) => compareBytes(pin, b.spkiSha256[i] ?? empty) === 0)
  );
}
