// The records of the zone that this front pretends to be: SOA and NS at the apex, and the SOA of denials.

import { encodeRdata, type DnsRecord } from "./records.js";
import type { Reply } from "./response.js";
import { rcodes, types } from "./wire.js";

/** The records at the apex change with nothing but the configuration. */
const apexTtlSeconds = 3_600;
const soaTimes = { refresh: 3_600, retry: 600, expire: 604_800 } as const;

export interface Apex {
  readonly suffix: string;
  /** In wire form. */
  readonly owner: Buffer;
  readonly ns: DnsRecord;
  /** SOA whose TTL and minimum are the lifetime of a denial (RFC 2308 section 5). */
  readonly soa: (denialSeconds: number) => DnsRecord;
}

export function makeApex(of: {
  readonly suffix: string;
  readonly nameServer: string;
  readonly contact: string;
  /** 32 bits. */
  readonly serial: number;
}): Apex {
  const { suffix, nameServer: mname, contact: rname, serial } = of;
  const owner = encodeName(suffix);
  const soa = (denialSeconds: number): DnsRecord => ({
    owner,
    type: types.soa,
    ttlSeconds: denialSeconds,
    rdata: encodeRdata({
      type: "SOA",
      data: { mname, rname, serial, ...soaTimes, minimum: denialSeconds },
    }),
  });
  const ns: DnsRecord = {
    owner,
    type: types.ns,
    ttlSeconds: apexTtlSeconds,
    rdata: encodeRdata({ type: "NS", data: mname }),
  };
  return { suffix, owner, ns, soa };
}

export function apexReply(apex: Apex, type: number): Reply {
  const soa = apex.soa(apexTtlSeconds);
  const found: Readonly<Record<number, readonly DnsRecord[]>> = {
    [types.soa]: [soa],
    [types.ns]: [apex.ns],
    [types.any]: [soa],
  };
  const answers = found[type] ?? [];
  return answers.length > 0 ? reply({ answers }) : denial(apex, { rcode: rcodes.noError });
}

/** No such name, or no such type at a name that exists. */
export function denial(
  apex: Apex,
  { rcode, seconds = apexTtlSeconds }: { readonly rcode: number; readonly seconds?: number },
): Reply {
  return reply({ rcode, authority: [apex.soa(seconds)] });
}

export function reply(of: Partial<Omit<Reply, "authoritative">>): Reply {
  const { rcode = rcodes.noError, answers = [], authority = [], error } = of;
  return { rcode, answers, authority, error, authoritative: true };
}

function encodeName(domain: string): Buffer {
  const labels = domain.split(".").map((label) => {
    const text = Buffer.from(label, "latin1");
    return Buffer.concat([Buffer.of(text.length), text]);
  });
  return Buffer.concat([...labels, Buffer.of(0)]);
}
