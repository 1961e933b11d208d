// Who may ask and how much: loopback and named networks only; queries and new names by address prefix. Over
// the limit every second response is an empty truncated one and the others are none, so that a forged address
// gets less than was sent in its name while an honest client comes back over TCP (Knot DNS, BIND: RRL slip).

import { BlockList, isIPv6 } from "node:net";
import { addressPrefix } from "@whither/rpc";
import { createKeyedBuckets, type Clock, type KeyedBuckets } from "@whither/runtime";
import type { DnsLimits, Network } from "./config.js";

export type Transport = "udp" | "tcp";
/** `slip`: say only that TCP is there. */
type Admitted = "answer" | "slip" | "drop" | "refuse";

export interface ClientLimits {
  /** The key under which an address is counted; undefined: it may not ask at all. */
  clientOf(address: string): string | undefined;
  /** Charges a query. */
  query(client: string, transport: Transport): Admitted;
  /** Charges a name that has to be looked up. */
  lookup(client: string): boolean;
  refusals(): Readonly<Record<"address" | "queries" | "lookups", number>>;
  set(limits: DnsLimits, allow: readonly Network[]): void;
}

/** Addresses whose client is remembered: matching networks costs more than all else of a cached answer. */
const knownMax = 4_096;

export function createClientLimits(
  given: { readonly limits: DnsLimits; readonly allow: readonly Network[] },
  clock: Clock,
): ClientLimits {
  let networks = networksOf(given.allow);
  let queries = bucketsOf(given.limits, "queries", clock);
  let lookups = bucketsOf(given.limits, "lookups", clock);
  const refused = { address: 0, queries: 0, lookups: 0 };
  let slips = 0;
  const known = new Map<string, string>();
  return {
    clientOf: (address) => {
      const client = known.get(address);
      if (client !== undefined) return client;
      if (!networks.check(address, isIPv6(address) ? "ipv6" : "ipv4")) {
        refused.address += 1;
        return undefined;
      }
      const made = addressPrefix(address);
      if (known.size >= knownMax) known.clear();
      known.set(address, made);
      return made;
    },
    query: (client, transport) => {
      if (queries.tryTake(client, 1).ok) return "answer";
      refused.queries += 1;
      if (transport === "tcp") return "refuse";
      slips += 1;
      return slips % 2 === 0 ? "slip" : "drop";
    },
    lookup: (client) => {
      const { ok } = lookups.tryTake(client, 1);
      if (!ok) refused.lookups += 1;
      return ok;
    },
    refusals: () => ({ ...refused }),
    set: (limits, allow) => {
      networks = networksOf(allow);
      known.clear();
      queries = bucketsOf(limits, "queries", clock);
      lookups = bucketsOf(limits, "lookups", clock);
    },
  };
}

function bucketsOf(limits: DnsLimits, of: "queries" | "lookups", clock: Clock): KeyedBuckets {
  const keysMax = limits.clientsMax;
  return of === "queries"
    ? createKeyedBuckets({
        ratePerSecond: limits.queriesPerSecond,
        burst: limits.queriesBurst,
        keysMax,
        clock,
      })
    : createKeyedBuckets({
        ratePerSecond: limits.lookupsPerSecond,
        burst: limits.lookupsBurst,
        keysMax,
        clock,
      });
}

function networksOf(allow: readonly Network[]): BlockList {
  const networks = new BlockList();
  networks.addSubnet("127.0.0.0", 8, "ipv4");
  networks.addAddress("::1", "ipv6");
  for (const { address, bits, family } of allow) networks.addSubnet(address, bits, family);
  return networks;
}
