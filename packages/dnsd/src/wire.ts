// Numbers of the DNS that this front knows by name (IANA "Domain Name System (DNS) Parameters").

export const types = {
  soa: 6,
  ns: 2,
  hinfo: 13,
  txt: 16,
  naptr: 35,
  opt: 41,
  any: 255,
} as const;

/** RFC 6895 section 3.1: meta types, of which only ANY is a question about a name. */
export const metaTypes = { first: 128, ixfr: 251, axfr: 252 } as const;

export const classes = { in: 1, chaos: 3, any: 255 } as const;

export const opcodes = { query: 0 } as const;

export const rcodes = {
  noError: 0,
  formErr: 1,
  servFail: 2,
  nxDomain: 3,
  notImp: 4,
  refused: 5,
  /** RFC 6891 section 9: the upper 8 bits travel in the OPT record. */
  badVers: 16,
} as const;

/** Bits of the header's second 16 (RFC 1035 section 4.1.1, RFC 4035 section 3). */
export const flags = {
  response: 0x8000,
  opcodeMask: 0x7800,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  checkingDisabled: 0x0010,
} as const;

export const headerBytes = 12;
/** RFC 1035 section 2.3.4, length octets and the root's included. */
export const nameBytesMax = 255;
export const labelBytesMax = 63;
/** RFC 1035 section 2.3.4: what a client without EDNS takes over UDP. */
export const udpBytesWithoutEdns = 512;
/** DNS Flag Day 2020: crosses today's networks without fragments. Also what this server takes itself. */
export const udpBytesMax = 1232;
/** RFC 1035 section 4.2.2: a length of 16 bits. */
export const tcpBytesMax = 65_535;
/** RFC 6891 section 6.1.2: DO, the lower 16 bits of OPT's TTL. */
export const dnssecOk = 0x8000;
