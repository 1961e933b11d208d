// Responses: a stored one is the packet without id, question and OPT of a client; finishing it for a query is
// copying and patching, never decoding (RFC 1035 section 4.1, RFC 6891, RFC 2308).

import type { Query, Unanswerable } from "./query.js";
import {
  encodeOpt,
  recordBytes,
  writeRecord,
  type DnsRecord,
  type ExtendedError,
} from "./records.js";
import { flags, headerBytes } from "./wire.js";

/** What is said about a name and a type. */
export interface Reply {
  readonly rcode: number;
  readonly answers: readonly DnsRecord[];
  /** The SOA record of a denial. */
  readonly authority: readonly DnsRecord[];
  readonly error: ExtendedError | undefined;
  /** False for what is not of our zone. */
  readonly authoritative: boolean;
}

/** A reply that can be finished for every query of that name and type. */
export interface StoredReply {
  readonly rcode: number;
  readonly error: ExtendedError | undefined;
  /** Header, and behind the question the records; the question's place is left out. */
  readonly flagBits: number;
  readonly answerCount: number;
  readonly authorityCount: number;
  readonly records: Buffer;
  /** Places of the TTLs in `records`, with what they were when stored. */
  readonly ttls: readonly { readonly at: number; readonly seconds: number }[];
}

export function storeReply({
  rcode,
  answers,
  authority,
  error,
  authoritative,
}: Reply): StoredReply {
  const all = [...answers, ...authority];
  const records = Buffer.alloc(all.reduce((sum, record) => sum + recordBytes(record), 0));
  let at = 0;
  const ttls = all.map((record) => {
    const ttlAt = writeRecord(records, at, record);
    at += recordBytes(record);
    return { at: ttlAt, seconds: record.ttlSeconds };
  });
  return {
    rcode,
    error,
    flagBits: flags.response | (authoritative ? flags.authoritative : 0) | (rcode & 0x0f),
    answerCount: answers.length,
    authorityCount: authority.length,
    records,
    ttls,
  };
}

/** The response to a query; over `bytesMax` it is truncated to its question (RFC 2181 section 9). */
export function finishReply(
  stored: StoredReply,
  query: Query,
  { ageSeconds, bytesMax }: { readonly ageSeconds: number; readonly bytesMax: number },
): Buffer {
  const { edns, question } = query;
  const opt =
    edns === undefined
      ? undefined
      : encodeOpt({ rcode: stored.rcode, dnssecOk: edns.dnssecOk, error: stored.error });
  const recordsAt = headerBytes + question.length;
  const optBytes = opt?.length ?? 0;
  const whole = recordsAt + stored.records.length + optBytes;
  const isTruncated = whole > bytesMax;
  const packet = Buffer.allocUnsafe(isTruncated ? recordsAt + optBytes : whole);
  packet.writeUInt16BE(query.id, 0);
  packet.writeUInt16BE(
    stored.flagBits | query.repeatedFlags | (isTruncated ? flags.truncated : 0),
    2,
  );
  packet.writeUInt16BE(1, 4);
  packet.writeUInt16BE(isTruncated ? 0 : stored.answerCount, 6);
  packet.writeUInt16BE(isTruncated ? 0 : stored.authorityCount, 8);
  packet.writeUInt16BE(opt === undefined ? 0 : 1, 10);
  question.copy(packet, headerBytes);
  if (!isTruncated) {
    stored.records.copy(packet, recordsAt);
    for (const { at, seconds } of stored.ttls) {
      packet.writeUInt32BE(Math.max(0, seconds - ageSeconds), recordsAt + at);
    }
  }
  opt?.copy(packet, packet.length - opt.length);
  return packet;
}

/** An answer without data to a query that was read. */
export function failReply(rcode: number, error?: ExtendedError): StoredReply {
  return storeReply({ rcode, answers: [], authority: [], error, authoritative: false });
}

/** A header and an RCODE for what could not be read as a query: its question is not repeated. */
export function encodeRefusal({ id, opcode, repeatedFlags, rcode }: Unanswerable): Buffer {
  const packet = Buffer.alloc(headerBytes);
  packet.writeUInt16BE(id, 0);
  packet.writeUInt16BE(flags.response | (opcode << 11) | repeatedFlags | rcode, 2);
  return packet;
}

/** Says only: ask again over TCP. For clients over their limit, as a spoofed address cannot follow it. */
export function encodeSlip(query: Query): Buffer {
  const empty = failReply(0);
  return finishReply(empty, query, { ageSeconds: 0, bytesMax: 0 });
}
