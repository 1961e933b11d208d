// What a domain says in the DNS about its own DP, beside what the signed directory says. The directory decides:
// a server that it names too may be asked first; one that it does not name is reported and not used. Asking tells
// name servers which domain somebody looks up, so it is off unless switched on.

import type { Hop } from "@whither/directory";
import {
  disclosureLimit,
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Csi,
  type Endpoint,
  type Prefix,
} from "@whither/protocol";
import { deadlineSignal, parseDomain, type Clock, type Random } from "@whither/runtime";
import type { Delegation } from "@whither/zone";
import { LRUCache } from "lru-cache";
import { Coalescer } from "../coalescer.js";
import type { DnsClient } from "./client.js";
import { findService, type DnsStep, type Service, type ServiceEndpoint } from "./service.js";

export interface DomainSuggestionsOptions {
  readonly client: DnsClient;
  readonly clock: Clock;
  readonly random: Random;
}

export interface WeighOptions {
  readonly signal: AbortSignal;
  readonly onHop: (hop: Hop) => void;
}

export interface Weighed {
  /** As the directory has it, with the endpoints marked that the DNS suggests. */
  readonly delegation: Delegation;
  /** DNS_MISMATCH: the DNS names servers that the directory does not. */
  readonly mismatch: DiscoveryError | undefined;
}

interface Held {
  /** Undefined: the DNS could not be asked. */
  readonly service: Service | undefined;
  readonly untilMs: number;
}

interface Found extends Held {
  readonly steps: readonly Hop[];
}

const domainsMax = 1_024;

export class DomainSuggestions {
  readonly #options: DomainSuggestionsOptions;
  readonly #held = new LRUCache<string, Held>({ max: domainsMax });
  readonly #flights = new Coalescer<Found>();

  constructor(options: DomainSuggestionsOptions) {
    this.#options = options;
  }

  /** Never fails for the DNS's sake, and takes a second at most. Throws what the signal aborts with. */
  async weigh(csi: Csi, delegation: Delegation, options: WeighOptions): Promise<Weighed> {
    const prefix = disclosureLimit(csi);
    const domain = domainOf(prefix);
    if (domain === undefined) return { delegation, mismatch: undefined };
    const service = await this.#service({ domain, prefix }, options);
    if (service === undefined) return { delegation, mismatch: undefined };
    return weighService(delegation, { service, domain, isOwn: delegation.prefix === prefix });
  }

  async #service(
    of: { readonly domain: string; readonly prefix: Prefix },
    { signal, onHop }: WeighOptions,
  ): Promise<Service | undefined> {
    const { clock } = this.#options;
    const held = this.#held.get(of.domain);
    if (held !== undefined && clock.monotonicMs() < held.untilMs) return held.service;
    const { service, steps } = await this.#flights.run(of.domain, (own) => this.#find(of, own), {
      signal,
    });
    for (const step of steps) onHop(step);
    return service;
  }

  async #find(
    { domain, prefix }: { readonly domain: string; readonly prefix: Prefix },
    signal: AbortSignal,
  ): Promise<Found> {
    const { clock } = this.#options;
    using deadline = deadlineSignal(clock, limits.dnsTimeoutMs, signal);
    const steps: Hop[] = [];
    const onStep = (step: DnsStep): void => {
      steps.push({ ...step, prefix, serial: 0, verdict: "unverified" });
    };
    let service: Service | undefined;
    try {
      service = await findService(this.#options, domain, { signal: deadline.signal, onStep });
    } catch (error) {
      if (!isDiscoveryError(error) || signal.aborted) throw error;
      const { code: verdict, text: learnt, upstream: from = `dns:${domain}` } = error;
      steps.push({ prefix, from, told: domain, learnt, serial: 0, verdict, rttMs: 0 });
    }
    // RFC 9520 section 3.2: a failure is remembered too, for a minute.
    const seconds = service?.ttlSeconds ?? limits.absenceTtlSecondsMax;
    const found = { service, steps, untilMs: clock.monotonicMs() + seconds * 1_000 };
    this.#held.set(domain, { service, untilMs: found.untilMs });
    return found;
  }
}

/** `example.org` of `mailto:example.org`; undefined for what is no domain of somebody's own. */
function domainOf(prefix: Prefix): string | undefined {
  const domain = parseDomain(prefix.slice(prefix.indexOf(":") + 1));
  return domain?.includes(".") === true ? domain : undefined;
}

/** Pure. `isOwn`: the delegation is this domain's and nobody else's, so that its order may be too. */
function weighService(
  delegation: Delegation,
  of: { readonly service: Service; readonly domain: string; readonly isOwn: boolean },
): Weighed {
  const { service, domain, isOwn } = of;
  const named = delegation.authorities.flatMap(({ endpoints }) => endpoints);
  const unknown = service.endpoints.filter((one) => !named.some((other) => isSame(one, other)));
  const mismatch =
    unknown.length === 0
      ? undefined
      : new DiscoveryError("DNS_MISMATCH", "the DNS names servers that the directory does not", {
          upstream: `dns:${domain}`,
        });
  // The DNS's first choice only: which of the others follows is better known from their round trips.
  const first = service.endpoints.find((one) => !unknown.includes(one));
  if (!isOwn || first === undefined) return { delegation, mismatch };
  const authorities = delegation.authorities.map((authority) => ({
    ...authority,
    endpoints: authority.endpoints.map((endpoint) =>
      isSame(first, endpoint) ? { ...endpoint, suggested: true } : endpoint,
    ),
  }));
  return { delegation: { ...delegation, authorities }, mismatch };
}

/** By name or address, and by either of its ports where the DNS names one. */
function isSame({ target, port, hints }: ServiceEndpoint, endpoint: Endpoint): boolean {
  const isHere = target === endpoint.host || hints.includes(endpoint.host);
  return isHere && (port === undefined || port === endpoint.port || port === endpoint.publicPort);
}
