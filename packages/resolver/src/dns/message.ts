// Messages of the DNS as a stub resolver writes and reads them (RFC 1035, RFC 6891). dns-packet reads names and
// records; whether a packet is a response to our question is decided before it, on the octets. No I/O.

import { decode, encode, type Answer, type RecordType } from "dns-packet";
import { DiscoveryError, limits } from "@whither/protocol";

type DnsType = "A" | "AAAA" | "SRV" | "SVCB";

export interface DnsQuestion {
  /** Without a trailing dot. */
  readonly name: string;
  readonly type: DnsType;
}

export interface DnsQuery {
  readonly id: number;
  readonly packet: Buffer;
}

export type DnsRecord =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | {
      readonly type: "SRV";
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      /** "." for none. */
      readonly target: string;
    }
  | { readonly type: "SVCB"; readonly rdata: Uint8Array };

export interface DnsResponse {
  /** Without the extension of RFC 6891: only 0 and 3 are of use here. */
  readonly rcode: number;
  readonly isTruncated: boolean;
  /** The name at the end of the CNAMEs, in lower case. */
  readonly name: string;
  /** CNAMEs on the way there. */
  readonly aliases: number;
  /** Of that name and the type asked for. */
  readonly records: readonly DnsRecord[];
  /** The least on the way; of an absence what RFC 2308 section 5 says, 0 if nothing says it. */
  readonly ttlSeconds: number;
}

const headerBytes = 12;
const typeNumbers = { A: 1, AAAA: 28, SRV: 33, SVCB: 64 } as const;
const flags = { response: 0x8000, opcode: 0x7800, truncated: 0x0200, recursionDesired: 0x0100 };
/** dns-packet's name for a type that it does not know, whose data it leaves as octets. */
const svcbType = `UNKNOWN_${typeNumbers.SVCB}`;

export function makeQuery({ name, type }: DnsQuestion, id: number): DnsQuery {
  const known = type === "SVCB" ? svcbType : type;
  const packet = encode({
    type: "query",
    id,
    flags: flags.recursionDesired,
    questions: [{ name, type: known as RecordType }], // its types leave out UNKNOWN_…, its code does not
    additionals: [
      {
        type: "OPT",
        name: ".",
        udpPayloadSize: limits.dnsUdpBytesMax,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  });
  return { id, packet };
}

/** Whether id, kind and question are those of our query (RFC 5452 section 9.1). Never throws. */
export function isResponseTo(query: DnsQuery, packet: Uint8Array): boolean {
  const received = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength);
  const questionEnd = questionEndOf(query.packet);
  if (received.length < questionEnd || received.readUInt16BE(0) !== query.id) return false;
  const word = received.readUInt16BE(2);
  if ((word & flags.response) === 0 || (word & flags.opcode) !== 0) return false;
  if (received.readUInt16BE(4) !== 1) return false;
  // Case does not matter in names (RFC 4343); type and class have no letters to fold.
  const asked = query.packet.toString("latin1", headerBytes, questionEnd);
  const echoed = received.toString("latin1", headerBytes, questionEnd);
  return lowerCased(echoed) === lowerCased(asked);
}

/** Our own packet: name, type, class, then OPT with its eleven octets. */
function questionEndOf(packet: Buffer): number {
  return packet.length - optBytes;
}
const optBytes = 11;

/** Reads what `isResponseTo` let through. Throws INVALID_DATA. */
export function readResponse(question: DnsQuestion, packet: Uint8Array): DnsResponse {
  const received = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength);
  let message: ReturnType<typeof decode>;
  try {
    message = decode(received);
  } catch (cause) {
    throw new DiscoveryError("INVALID_DATA", "dns: a response that cannot be read", { cause });
  }
  // Lengths that lead beyond the end were cut off silently.
  if (decode.bytes > received.length) throw invalid("dns: records beyond the end of a response");
  const answers = (message.answers ?? []).filter(isInternet);
  const chain = followAliases(question, answers);
  const wanted = question.type === "SVCB" ? svcbType : question.type;
  const found = answers.filter(
    (one) => (one.type as string) === wanted && bare(one.name) === chain.name, // as above
  );
  const ttls = [...chain.ttls, ...found.map(ttlOf)];
  if (found.length === 0) ttls.push(absenceTtl(message.authorities ?? []));
  return {
    rcode: received.readUInt16BE(2) & 0x0f,
    isTruncated: (received.readUInt16BE(2) & flags.truncated) !== 0,
    name: chain.name,
    aliases: chain.ttls.length,
    records: found.map((one) => recordOf(question.type, one)),
    ttlSeconds: Math.min(...ttls),
  };
}

/** The server follows CNAMEs; we only look where they led, a bounded number of times. */
function followAliases(
  question: DnsQuestion,
  answers: readonly Answer[],
): { readonly name: string; readonly ttls: readonly number[] } {
  let name = bare(question.name);
  const ttls: number[] = [];
  for (;;) {
    const alias = answers.find((one) => one.type === "CNAME" && bare(one.name) === name);
    if (alias?.type !== "CNAME") return { name, ttls };
    if (ttls.length >= limits.dnsAliasesMax) throw invalid("dns: too many aliases");
    name = bare(alias.data);
    ttls.push(ttlOf(alias));
  }
}

function recordOf(type: DnsType, answer: Answer): DnsRecord {
  const { data } = answer as { readonly data?: unknown }; // by type, checked below
  if (type === "SVCB") {
    if (data instanceof Uint8Array) return { type, rdata: data };
  } else if (type === "SRV") {
    if (answer.type === "SRV") {
      const { priority = 0, weight = 0, port, target } = answer.data;
      return { type, priority, weight, port, target: bare(target) };
    }
  } else if (typeof data === "string") return { type, address: data };
  throw invalid("dns: a record of another form");
}

/** RFC 2308 section 5: the SOA's minimum or its own TTL, whichever is less. */
function absenceTtl(authorities: readonly Answer[]): number {
  const soa = authorities.find((one) => one.type === "SOA");
  return soa?.type === "SOA" ? Math.min(ttlOf(soa), soa.data.minimum ?? 0) : 0;
}

function isInternet(answer: Answer): boolean {
  return answer.type !== "OPT" && (answer.class ?? "IN") === "IN";
}

/** RFC 2181 section 8: a TTL with the highest bit set is 0. */
function ttlOf(answer: Answer): number {
  const ttl = "ttl" in answer ? (answer.ttl ?? 0) : 0;
  return ttl >= 2 ** 31 ? 0 : ttl;
}

/** Lower case, no trailing dot; the root stays a dot. */
function bare(name: string): string {
  return lowerCased(name.length > 1 && name.endsWith(".") ? name.slice(0, -1) : name);
}

/** ASCII only: other octets are what they are. */
function lowerCased(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function invalid(text: string): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", text);
}
