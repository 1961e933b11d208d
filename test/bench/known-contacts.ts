// Contacts whose y a resolver holds and whose buckets it asks for again each time: what `known` and `scale` time.

import { parseCsi, type Csi } from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import { bucketIndex } from "@whither/zone";
import { inFlight } from "./ceilings.js";
import type { Federation } from "./federation.js";
import type { Work } from "./measure.js";

/** To be registered in the federation; a contact is taken from each bucket that has one. */
export const knownCsis: readonly Csi[] = Array.from({ length: 800 }, (_, n) =>
  parseCsi(`+1415555${1000 + n}`),
);

export interface KnownContacts extends AsyncDisposable {
  readonly count: number;
  /** Octets of one such lookup. */
  readonly cost: () => Promise<{ readonly bytesIn: number; readonly bytesOut: number }>;
  /** So many lookups, `inFlight` of them at a time. */
  readonly lookUp: (lookups: number) => Promise<Work>;
}

export async function openKnownContacts(federation: Federation): Promise<KnownContacts> {
  const resolver = await federation.openResolver();
  // One contact a bucket: two in flight for one bucket would share its fetch.
  const contacts = onePerBucket(federation);
  const [first] = contacts;
  if (first === undefined) throw new TypeError("bench: no contact");
  await resolver.lookup(first, { form: "compact" });
  for await (const { answer } of resolver.lookupAll(contacts)) {
    if (answer.status === "found") continue;
    const codes = answer.errors.map(({ code, text }) => `${code} ${text}`);
    throw new TypeError(`bench: expected found, got ${answer.status} (${codes.join(", ")})`);
  }
  return {
    count: contacts.length,
    cost: async () => {
      const { stats } = await resolver.lookup(first, { form: "compact", refresh: true });
      if (stats.rpcs !== 1) throw new TypeError(`bench: expected one call, got ${stats.rpcs}`);
      return stats;
    },
    lookUp: (lookups) => lookupMany(resolver, { contacts, lookups }),
    [Symbol.asyncDispose]: () => resolver.close(),
  };
}

function onePerBucket({ real, depth }: Federation): readonly Csi[] {
  const byBucket = new Map(real.map(({ slot, csi }) => [bucketIndex(slot.idx, depth), csi]));
  return [...byBucket.values()];
}

async function lookupMany(
  resolver: Resolver,
  of: { readonly contacts: readonly Csi[]; readonly lookups: number },
): Promise<Work> {
  const { contacts, lookups } = of;
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < lookups) {
      const csi = contacts[begun % contacts.length];
      begun += 1;
      if (csi === undefined) throw new TypeError("bench: no contact");
      const { status } = await resolver.lookup(csi, { form: "compact", refresh: true });
      if (status !== "found") throw new TypeError(`bench: got ${status}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, contacts.length) }, lane));
  return { operations: lookups };
}
