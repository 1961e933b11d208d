// Reads a packet as far as a server has to: header, question, and the OPT record among what follows. Bounded
// by the packet, without recursion or copies of records, since everybody may send anything here.
// RFC 1035 section 4, RFC 6891, RFC 9619.

import {
  classes,
  flags,
  headerBytes,
  labelBytesMax,
  metaTypes,
  nameBytesMax,
  opcodes,
  rcodes,
  types,
  udpBytesMax,
  udpBytesWithoutEdns,
} from "./wire.js";

interface Edns {
  /** What the client takes over UDP, 512..1232. */
  readonly udpBytes: number;
  readonly version: number;
  /** RFC 3225 section 3: copied into the response. */
  readonly dnssecOk: boolean;
}

export interface Query {
  readonly kind: "query";
  readonly id: number;
  /** RD and CD, which the response repeats. */
  readonly repeatedFlags: number;
  /** The question as received: name with the client's case, type, class. */
  readonly question: Buffer;
  /** The name in wire form, ASCII letters in lower case (RFC 4343), one character an octet. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly edns: Edns | undefined;
}

/** What gets a header and an RCODE at most. */
export interface Unanswerable {
  readonly kind: "unanswerable";
  readonly id: number;
  readonly opcode: number;
  readonly repeatedFlags: number;
  readonly rcode: number;
}

/** `ignored`: a response, or too short to be answered. Answering those makes loops of two servers. */
export type ReadPacket = Query | Unanswerable | { readonly kind: "ignored" };

const ignored = { kind: "ignored" } as const;
const repeated = flags.recursionDesired | flags.checkingDisabled;
const lowerCased = Buffer.alloc(nameBytesMax);
/** Type, class, TTL, length of the data. */
const recordFixedBytes = 10;
const questionFixedBytes = 4;

/** Never throws. */
export function readPacket(packet: Buffer): ReadPacket {
  if (packet.length < headerBytes) return ignored;
  const word = packet.readUInt16BE(2);
  if ((word & flags.response) !== 0) return ignored;
  const id = packet.readUInt16BE(0);
  const opcode = (word & flags.opcodeMask) >> 11;
  const repeatedFlags = word & repeated;
  const refuse = (rcode: number): Unanswerable => ({
    kind: "unanswerable",
    id,
    opcode,
    repeatedFlags,
    rcode,
  });
  if (opcode !== opcodes.query) return refuse(rcodes.notImp);
  // RFC 9619: one question. Records in the answer or authority section are of no query we answer.
  const questions = packet.readUInt16BE(4);
  const foreign = packet.readUInt16BE(6) + packet.readUInt16BE(8);
  const nameEnd = questions === 1 && foreign === 0 ? readName(packet) : undefined;
  if (nameEnd === undefined) return refuse(rcodes.formErr);
  const questionEnd = nameEnd + questionFixedBytes;
  if (questionEnd > packet.length) return refuse(rcodes.formErr);
  const edns = readAdditionals(packet, questionEnd, packet.readUInt16BE(10));
  if (edns === "malformed") return refuse(rcodes.formErr);
  const type = packet.readUInt16BE(nameEnd);
  if (type === types.opt) return refuse(rcodes.formErr);
  return {
    kind: "query",
    id,
    repeatedFlags,
    question: packet.subarray(headerBytes, questionEnd),
    name: lowerCased.toString("latin1", 0, nameEnd - headerBytes),
    type,
    class: packet.readUInt16BE(nameEnd + 2),
    edns,
  };
}

/**
 * The question's name, copied to `lowerCased`; returns where it ends, undefined if it does not. A pointer
 * here could only point into the header or to itself.
 */
function readName(packet: Buffer): number | undefined {
  let at = headerBytes;
  for (;;) {
    const length = packet[at];
    if (length === undefined || length > labelBytesMax) return undefined;
    const end = at + 1 + length;
    if (end > packet.length || end - headerBytes > nameBytesMax) return undefined;
    lowerCased[at - headerBytes] = length;
    if (length === 0) return end;
    for (let i = at + 1; i < end; i += 1) {
      const octet = packet[i] ?? 0; // i < packet.length
      lowerCased[i - headerBytes] = octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet;
    }
    at = end;
  }
}

/** RFC 6891 section 6.1.1: at most one OPT, its owner the root. Other records (TSIG, SIG(0)) are passed over. */
function readAdditionals(
  packet: Buffer,
  start: number,
  count: number,
): Edns | undefined | "malformed" {
  let at = start;
  let edns: Edns | undefined;
  for (let i = 0; i < count; i += 1) {
    const owner = skipName(packet, at);
    if (owner === undefined || owner + recordFixedBytes > packet.length) return "malformed";
    const type = packet.readUInt16BE(owner);
    const end = owner + recordFixedBytes + packet.readUInt16BE(owner + 8);
    if (end > packet.length) return "malformed";
    if (type === types.opt) {
      const isRoot = owner === at + 1;
      if (!isRoot || edns !== undefined) return "malformed";
      edns = readOpt(packet, { owner, end });
      if (edns === undefined) return "malformed";
    }
    at = end;
  }
  return at === packet.length ? edns : "malformed";
}

function readOpt(
  packet: Buffer,
  { owner, end }: { readonly owner: number; readonly end: number },
): Edns | undefined {
  for (let at = owner + recordFixedBytes; at < end;) {
    if (at + 4 > end) return undefined;
    at += 4 + packet.readUInt16BE(at + 2);
    if (at > end) return undefined;
  }
  const asked = packet.readUInt16BE(owner + 2);
  return {
    // RFC 6891 section 6.2.3: values below 512 are taken as 512.
    udpBytes: Math.min(udpBytesMax, Math.max(udpBytesWithoutEdns, asked)),
    version: packet[owner + 5] ?? 0, // the ten octets are there
    dnssecOk: ((packet[owner + 6] ?? 0) & 0x80) !== 0, // likewise
  };
}

/** Where a record's owner ends; a pointer ends it and is not followed. */
function skipName(packet: Buffer, start: number): number | undefined {
  let at = start;
  for (;;) {
    const length = packet[at];
    if (length === undefined) return undefined;
    if (length >= 0xc0) return at + 2;
    if (length > labelBytesMax) return undefined;
    at += 1 + length;
    if (length === 0) return at;
    if (at - start >= nameBytesMax) return undefined;
  }
}

/** Transfers, and meta types that are no question about a name (RFC 6895 section 3.1). */
export function refusalOf({ type, class: ofClass }: Query): number | undefined {
  if (type === metaTypes.axfr || type === metaTypes.ixfr) return rcodes.refused;
  if (type >= metaTypes.first && type < types.any) return rcodes.notImp;
  return ofClass === classes.in || ofClass === classes.chaos ? undefined : rcodes.refused;
}
