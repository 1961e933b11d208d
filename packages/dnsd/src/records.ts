// Resource records of this front as octets. dns-packet writes what lies inside of a record; the frame around
// it is ours, so that a cached response knows where its TTLs are.

import { encode, type Answer as DnsAnswer } from "dns-packet";
import { classes, dnssecOk, types, udpBytesMax } from "./wire.js";

/** Owner by reference: the question's name, or the apex, which is the end of every name we answer. */
export interface DnsRecord {
  /** A name in wire form, perhaps a pointer into the question. */
  readonly owner: Buffer;
  readonly type: number;
  readonly ttlSeconds: number;
  /** Length and content. */
  readonly rdata: Buffer;
}

/** RFC 8914: why, in a number and a few words. */
export interface ExtendedError {
  readonly number: number;
  readonly text: string;
}

/** The root's octet, type, class and TTL stand before the length. */
const rdataOffset = 12 + 1 + 8;

type Nameless<T> = T extends unknown ? Omit<T, "name"> : never;

/** Length and content of a record, without compression. Throws for content that DNS cannot carry. */
export function encodeRdata(answer: Nameless<DnsAnswer>): Buffer {
  const whole = { ...answer, name: "." }; // the rest of the union's member
  return encode({ type: "response", answers: [whole] }).subarray(rdataOffset);
}

const recordFixedBytes = 8;

export function recordBytes({ owner, rdata }: DnsRecord): number {
  return owner.length + recordFixedBytes + rdata.length;
}

/** Writes a record and returns where its TTL is. */
export function writeRecord(
  into: Buffer,
  at: number,
  { owner, type, ttlSeconds, rdata }: DnsRecord,
): number {
  owner.copy(into, at);
  const fixed = at + owner.length;
  into.writeUInt16BE(type, fixed);
  into.writeUInt16BE(classes.in, fixed + 2);
  into.writeUInt32BE(ttlSeconds, fixed + 4);
  rdata.copy(into, fixed + recordFixedBytes);
  return fixed + 4;
}

const optionExtendedError = 15;
const extendedTextBytesMax = 64;

/** An OPT record: what this server takes over UDP, the upper bits of the RCODE, and why (RFC 6891, RFC 8914). */
export function encodeOpt(of: {
  readonly rcode: number;
  readonly dnssecOk: boolean;
  readonly error: ExtendedError | undefined;
}): Buffer {
  const text = Buffer.from(of.error?.text ?? "", "utf8").subarray(0, extendedTextBytesMax);
  const optionBytes = of.error === undefined ? 0 : 4 + 2 + text.length;
  const opt = Buffer.alloc(11 + optionBytes);
  opt.writeUInt16BE(types.opt, 1);
  opt.writeUInt16BE(udpBytesMax, 3);
  opt[5] = of.rcode >> 4;
  opt.writeUInt16BE(of.dnssecOk ? dnssecOk : 0, 7);
  opt.writeUInt16BE(optionBytes, 9);
  if (of.error !== undefined) {
    opt.writeUInt16BE(optionExtendedError, 11);
    opt.writeUInt16BE(2 + text.length, 13);
    opt.writeUInt16BE(of.error.number, 15);
    text.copy(opt, 17);
  }
  return opt;
}
