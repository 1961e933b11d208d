// What the resolver holds of one mapping zone: the manifest that the directory names by hash, the newest
// verified head, and the servers of both paths. Made by zone-views.ts, read by every step of a lookup.

import { toHex } from "@whither/crypto";
import { compareBytes, equalBytes } from "@whither/crypto/node";
import { DiscoveryError, type Authority, type Endpoint } from "@whither/protocol";
import type { Head, Manifest, SignedObject, ZoneName } from "@whither/protocol";
import type { Server } from "./peers.js";

/** A manifest with the hash it is trusted by. */
export interface HeldManifest {
  readonly manifest: Manifest;
  readonly sha256: Uint8Array;
}

/** A verified head with its bytes, so that the same one is not verified twice. */
export interface HeldHead {
  readonly object: SignedObject;
  readonly head: Head;
  readonly manifest: Manifest;
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
  /** Newest verified head; undefined before the first answer and after `forgetHead`. */
  head: HeldHead | undefined;
}

export function createZoneView(
  authority: Authority,
  manifests: readonly [HeldManifest, ...HeldManifest[]],
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
    head: undefined,
  };
}

/** Servers by path; a port of 0 is none. */
export function serversOf(authority: Authority): {
  readonly identified: readonly Server[];
  readonly anonymous: readonly Server[];
} {
  const at = (port: (endpoint: Endpoint) => number): readonly Server[] =>
    authority.endpoints
      .filter((endpoint) => port(endpoint) !== 0)
      .map((endpoint) => ({
        key: serverKey(endpoint.host, port(endpoint)),
        host: endpoint.host,
        port: port(endpoint),
        pins: endpoint.spkiSha256,
      }));
  return { identified: at(({ port }) => port), anonymous: at(({ publicPort }) => publicPort) };
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
    a.spkiSha256.length === b.spkiSha256.length &&
    a.spkiSha256.every((pin, i) => compareBytes(pin, b.spkiSha256[i] ?? empty) === 0)
  );
}
