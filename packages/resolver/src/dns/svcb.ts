// SVCB records (RFC 9460): the octets after the type, which of a set may be used, and in which order. The names of
// section 2.2 and 7 stand for the numbers. Pure; whoever asks for them is service.ts.

import { DiscoveryError, limits } from "@whither/protocol";
import { randomBelow, type Random } from "@whither/runtime";

export interface Svcb {
  /** 0: AliasMode. */
  readonly priority: number;
  /** In lower case without a trailing dot; "." for the owner (ServiceMode) or for nothing at all (AliasMode). */
  readonly target: string;
  readonly port: number | undefined;
  /** IPv4 before IPv6, as text. */
  readonly hints: readonly string[];
  /** Whether a client that knows what we know may use it. */
  readonly isUsable: boolean;
}

/** What a set of records says to do. `unusable`: malformed, or meant for others: as if there were none. */
export type SvcbChoice =
  | { readonly kind: "alias"; readonly target: string }
  | { readonly kind: "endpoints"; readonly records: readonly Svcb[] }
  | { readonly kind: "unavailable" }
  | { readonly kind: "unusable" };

const keys = {
  mandatory: 0,
  alpn: 1,
  noDefaultAlpn: 2,
  port: 3,
  ipv4hint: 4,
  ipv6hint: 6,
} as const;
const knownKeys: ReadonlySet<number> = new Set(Object.values(keys));
/** gRPC is HTTP/2: the protocol a record offers unless it says otherwise. */
const protocolId = "h2";
const labelBytesMax = 63;
const nameBytesMax = 255;

/** Section 2.4: AliasMode before all, else ServiceMode by priority, equals in a random order. */
export function chooseSvcb(rdatas: readonly Uint8Array[], random: Random): SvcbChoice {
  let records: readonly Svcb[];
  try {
    records = rdatas.map(parseSvcb);
  } catch (error) {
    // Section 2.2: one malformed record and the whole set is as if it were not there.
    if (error instanceof DiscoveryError) return { kind: "unusable" };
    throw error;
  }
  const aliases = records.filter(({ priority }) => priority === 0);
  const alias = aliases[aliases.length === 0 ? 0 : randomBelow(random, aliases.length)];
  if (alias !== undefined) {
    // Section 2.5.1: the root as the target says that the service is not offered.
    return alias.target === "." ? { kind: "unavailable" } : { kind: "alias", target: alias.target };
  }
  const usable = shuffled(
    records.filter(({ isUsable }) => isUsable),
    random,
  ).sort((a, b) => a.priority - b.priority);
  if (usable.length === 0) return { kind: "unusable" };
  return { kind: "endpoints", records: usable.slice(0, limits.endpointsMax) };
}

export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  const order: T[] = [];
  while (left.length > 0) order.push(...left.splice(randomBelow(random, left.length), 1));
  return order;
}

/** Reads one record's RDATA. Throws INVALID_DATA for what section 2.2 calls malformed. */
export function parseSvcb(rdata: Uint8Array): Svcb {
  const octets = Buffer.from(rdata.buffer, rdata.byteOffset, rdata.byteLength);
  if (octets.length < 3) throw malformed("too short");
  const priority = octets.readUInt16BE(0);
  const { name, end } = readName(octets, 2);
  const params = readParams(octets, end);
  // Section 2.4.2: recipients ignore the parameters of an alias.
  if (priority === 0) {
    return { priority, target: name, port: undefined, hints: [], isUsable: true };
  }
  const port = portOf(params.get(keys.port));
  return {
    priority,
    target: name,
    port,
    hints: [
      ...hintsOf(params.get(keys.ipv4hint), 4).map((one) => one.join(".")),
      ...hintsOf(params.get(keys.ipv6hint), 16).map(formatIpv6),
    ],
    isUsable:
      mandatoryOf(params).every((key) => knownKeys.has(key)) && speaks(params) && port !== 0,
  };
}

/** TargetName: without compression, and of letters that a host name has. */
function readName(octets: Buffer, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = octets[at];
    if (length === undefined || length > labelBytesMax) throw malformed("target name");
    at += 1;
    if (length === 0) break;
    const label = octets.toString("latin1", at, at + length);
    at += length;
    if (at > octets.length || at - start >= nameBytesMax || !/^[A-Za-z0-9_-]+$/.test(label)) {
      throw malformed("target name");
    }
    labels.push(label.toLowerCase());
  }
  return { name: labels.length === 0 ? "." : labels.join("."), end: at };
}

function readParams(octets: Buffer, start: number): ReadonlyMap<number, Buffer> {
  const params = new Map<number, Buffer>();
  let last = -1;
  for (let at = start; at < octets.length;) {
    if (at + 4 > octets.length) throw malformed("a parameter cut off");
    const key = octets.readUInt16BE(at);
    const end = at + 4 + octets.readUInt16BE(at + 2);
    if (end > octets.length) throw malformed("a parameter cut off");
    if (key <= last) throw malformed("keys out of order");
    params.set(key, octets.subarray(at + 4, end));
    last = key;
    at = end;
  }
  return params;
}

/** Section 8: ascending, without itself, each of them there. */
function mandatoryOf(params: ReadonlyMap<number, Buffer>): readonly number[] {
  const value = params.get(keys.mandatory);
  if (value === undefined) return [];
  if (value.length === 0 || value.length % 2 !== 0) throw malformed("mandatory");
  const listed: number[] = [];
  for (let at = 0; at < value.length; at += 2) {
    const key = value.readUInt16BE(at);
    if (key <= (listed.at(-1) ?? keys.mandatory) || !params.has(key)) throw malformed("mandatory");
    listed.push(key);
  }
  return listed;
}

/** Section 7.1: whether our protocol is among those that the endpoint speaks. */
function speaks(params: ReadonlyMap<number, Buffer>): boolean {
  const value = params.get(keys.alpn);
  const noDefault = params.get(keys.noDefaultAlpn);
  if (noDefault !== undefined && (noDefault.length > 0 || value === undefined)) {
    throw malformed("no-default-alpn");
  }
  if (value === undefined) return true;
  if (value.length === 0) throw malformed("alpn");
  const ids: string[] = [];
  for (let at = 0; at < value.length;) {
    const end = at + 1 + (value[at] ?? 0); // at < value.length
    if (end === at + 1 || end > value.length) throw malformed("alpn");
    ids.push(value.toString("latin1", at + 1, end));
    at = end;
  }
  return noDefault === undefined || ids.includes(protocolId);
}

function portOf(value: Buffer | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (value.length !== 2) throw malformed("port");
  return value.readUInt16BE(0);
}

function hintsOf(value: Buffer | undefined, bytes: number): readonly (readonly number[])[] {
  if (value === undefined) return [];
  if (value.length === 0 || value.length % bytes !== 0) throw malformed("address hint");
  const addresses: (readonly number[])[] = [];
  for (let at = 0; at < value.length; at += bytes) {
    addresses.push([...value.subarray(at, at + bytes)]);
  }
  return addresses.slice(0, limits.dnsAddressesPerName);
}

function formatIpv6(octets: readonly number[]): string {
  const groups: string[] = [];
  for (let at = 0; at < octets.length; at += 2) {
    groups.push(((octets[at] ?? 0) * 256 + (octets[at + 1] ?? 0)).toString(16)); // 16 octets
  }
  return groups.join(":");
}

function malformed(what: string): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", `svcb: ${what}`);
}
