// Bounds on what one client may cost (protocol.md section 7, requirement 22): requests, evaluated
// elements (each is one guess at an identifier), CPU time and, on the public port, bytes. Who the client is
// comes from its certificate; public readers are only told apart by address, and never asked who they are.

import { DiscoveryError, limits, type MspId } from "@whither/protocol";
import { addressPrefix, peerKey, type CallContext } from "@whither/rpc";
import {
  createKeyedBuckets,
  silentLogger,
  type BucketLimit,
  type Clock,
  type KeyedBuckets,
  type Logger,
} from "@whither/runtime";

const daySeconds = 86_400;
const minuteSeconds = 60;

/** Every bound with its default from protocol.md section 7; the daemon's configuration may move them. */
export interface AdmissionLimits {
  readonly requestsPerSecond: number;
  readonly requestsBurst: number;
  readonly cpuMsPerSecond: number;
  readonly cpuBurstMs: number;
  /** New contacts of a client whose certificate belongs to no registered MSP. */
  readonly clientContactsPerDay: number;
  readonly clientContactsBurst: number;
  /** New contacts of all connections of one registered MSP together. */
  readonly mspContactsPerDay: number;
  readonly mspContactsBurst: number;
  /** Bytes of public answers to one address (IPv6: /64). */
  readonly publicBytesPerMinute: number;
  /** Clients counted at once; further ones share a bucket. */
  readonly clientsMax: number;
  /** Counts and logs what would be refused, and refuses nothing. */
  readonly dryRun: boolean;
}

export const defaultAdmissionLimits: AdmissionLimits = {
  requestsPerSecond: limits.clientRequestsPerSecond,
  requestsBurst: limits.clientRequestsBurst,
  cpuMsPerSecond: limits.clientCpuMsPerSecond,
  cpuBurstMs: limits.clientCpuBurstMs,
  clientContactsPerDay: limits.newContactsClientPerDay,
  clientContactsBurst: limits.newContactsClientBurst,
  mspContactsPerDay: limits.newContactsMspPerDay,
  mspContactsBurst: limits.newContactsMspBurst,
  publicBytesPerMinute: limits.publicBytesPerMinute,
  clientsMax: 10_000,
  dryRun: false,
};

/** Whom a call is counted against. */
export interface AdmittedClient {
  readonly class: "msp" | "client";
  /** MSP id, or the certificate's key. */
  readonly key: string;
}

/** What is bounded; the word in metrics and logs. */
export type AdmissionLimit = "requests" | "contacts" | "cpu" | "bytes";

export interface AdmissionOptions {
  readonly limits?: AdmissionLimits;
  readonly clock: Clock;
  readonly logger?: Logger;
  /** The MSP that the registry names for a certificate's key, 32 bytes. */
  readonly mspOfSpki: (spkiSha256: Uint8Array) => MspId | undefined;
}

/** Every method that takes something throws LIMITED with the seconds after which a retry makes sense. */
export interface Admission {
  /** Throws UNAUTHENTICATED without a certificate. */
  identify(context: Pick<CallContext, "peer" | "address">): AdmittedClient;
  /** One request of a client that owes no CPU time. */
  admitRequest(client: AdmittedClient): void;
  /** `count` evaluated elements, that is new contacts. */
  admitContacts(client: AdmittedClient, count: number): void;
  /** Gives back contacts whose evaluation did not happen. */
  refundContacts(client: AdmittedClient, count: number): void;
  /** CPU time that work is expected to take, so that what is under way at once stays bounded too. */
  reserveCpu(client: AdmittedClient, cpuMs: number): void;
  /** What the work took in place of what was reserved; if need be into debt. */
  settleCpu(
    client: AdmittedClient,
    cpu: { readonly reservedMs: number; readonly spentMs: number },
  ): void;
  /** Bytes of one public request of an address that owes none for answers: before any work is done. */
  admitBytes(address: string, bytes: number): void;
  /** Bytes of the answer, known when it has been made; if need be into debt. Never throws. */
  chargeBytes(address: string, bytes: number): void;
  /** New limits from now on; what is spent stays spent where the limit stays. */
  setLimits(limits: AdmissionLimits): void;
  /** Refusals so far (would-be ones in a dry run), by limit. Reading resets nothing. */
  refusals(): Readonly<Record<AdmissionLimit, number>>;
}

interface Buckets {
  readonly requests: KeyedBuckets;
  readonly cpu: KeyedBuckets;
  readonly clientContacts: KeyedBuckets;
  readonly mspContacts: KeyedBuckets;
  readonly bytes: KeyedBuckets;
}

export function createAdmission(options: AdmissionOptions): Admission {
  const { clock, logger = silentLogger, mspOfSpki } = options;
  let current = options.limits ?? defaultAdmissionLimits;
  let buckets = makeBuckets(current, clock);
  const refused = { requests: 0, contacts: 0, cpu: 0, bytes: 0 };

  const take = (
    limit: AdmissionLimit,
    from: { readonly buckets: KeyedBuckets; readonly key: string; readonly amount: number },
  ): void => {
    const { ok, retryAfterSeconds } = from.buckets.tryTake(from.key, from.amount);
    if (ok) return;
    refused[limit] += 1;
    if (current.dryRun) {
      logger.debug("limit would refuse", { limit });
      return;
    }
    const text = limitTexts[limit];
    throw new DiscoveryError(
      "LIMITED",
      text,
      Number.isFinite(retryAfterSeconds) ? { retryAfterSeconds } : {},
    );
  };
  const contactsOf = (client: AdmittedClient): KeyedBuckets =>
    client.class === "msp" ? buckets.mspContacts : buckets.clientContacts;

  return {
    identify({ peer, address }) {
      if (peer.kind === "anonymous") {
        throw new DiscoveryError("UNAUTHENTICATED", "a client certificate is required");
      }
      const msp = mspOfSpki(peer.spkiSha256);
      if (msp !== undefined) return { class: "msp", key: msp };
      return { class: "client", key: peerKey({ peer, address }) };
    },
    admitRequest({ key }) {
      // Taking nothing asks whether the client is in debt for work already done.
      take("cpu", { buckets: buckets.cpu, key, amount: 0 });
      take("requests", { buckets: buckets.requests, key, amount: 1 });
    },
    admitContacts(client, count) {
      take("contacts", { buckets: contactsOf(client), key: client.key, amount: count });
    },
    refundContacts(client, count) {
      contactsOf(client).refund(client.key, count);
    },
    reserveCpu({ key }, cpuMs) {
      take("cpu", { buckets: buckets.cpu, key, amount: cpuMs });
    },
    settleCpu({ key }, { reservedMs, spentMs }) {
      if (spentMs <= reservedMs) buckets.cpu.refund(key, reservedMs - spentMs);
      else buckets.cpu.force(key, spentMs - reservedMs);
    },
    admitBytes(address, bytes) {
      take("bytes", { buckets: buckets.bytes, key: addressPrefix(address), amount: bytes });
    },
    chargeBytes(address, bytes) {
      buckets.bytes.force(addressPrefix(address), bytes);
    },
    setLimits(next) {
      buckets = { ...makeBuckets(next, clock), ...unchanged(current, { next, buckets }) };
      current = next;
    },
    refusals: () => ({ ...refused }),
  };
}

const limitTexts: Readonly<Record<AdmissionLimit, string>> = {
  requests: "too many requests",
  contacts: "too many new contacts",
  cpu: "too much work asked for",
  bytes: "too many bytes read",
};

function bucketLimits(l: AdmissionLimits): Readonly<Record<keyof Buckets, BucketLimit>> {
  return {
    requests: { ratePerSecond: l.requestsPerSecond, burst: l.requestsBurst },
    cpu: { ratePerSecond: l.cpuMsPerSecond, burst: l.cpuBurstMs },
    clientContacts: {
      ratePerSecond: l.clientContactsPerDay / daySeconds,
      burst: l.clientContactsBurst,
    },
    mspContacts: { ratePerSecond: l.mspContactsPerDay / daySeconds, burst: l.mspContactsBurst },
    bytes: {
      ratePerSecond: l.publicBytesPerMinute / minuteSeconds,
      burst: l.publicBytesPerMinute,
    },
  };
}

function makeBuckets(l: AdmissionLimits, clock: Clock): Buckets {
  const of = bucketLimits(l);
  const make = (limit: BucketLimit): KeyedBuckets =>
    createKeyedBuckets({ ...limit, keysMax: l.clientsMax, clock });
  return {
    requests: make(of.requests),
    cpu: make(of.cpu),
    clientContacts: make(of.clientContacts),
    mspContacts: make(of.mspContacts),
    bytes: make(of.bytes),
  };
}

/** Buckets whose limit is the same before and after: a reload must not be a refill. */
function unchanged(
  before: AdmissionLimits,
  { next, buckets }: { readonly next: AdmissionLimits; readonly buckets: Buckets },
): Partial<Buckets> {
  if (before.clientsMax !== next.clientsMax) return {};
  const [old, now] = [bucketLimits(before), bucketLimits(next)];
  const names = Object.keys(old) as (keyof Buckets)[]; // keys of the record made above
  const same = names.filter(
    (name) =>
      old[name].burst === now[name].burst && old[name].ratePerSecond === now[name].ratePerSecond,
  );
  return Object.fromEntries(same.map((name) => [name, buckets[name]]));
}
