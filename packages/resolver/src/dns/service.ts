// Where the DNS says that a domain's whither service is: SVCB at _whither._tcp (RFC 9460) with its aliases, else
// SRV (RFC 2782). A suggestion and nothing more: whoever uses it verifies what the servers say, or who they are.

import { DiscoveryError, limits } from "@whither/protocol";
import { parseDomain, randomBelow, type Random } from "@whither/runtime";
import type { DnsAnswer, DnsClient } from "./client.js";
import type { DnsQuestion, DnsRecord } from "./message.js";
import { chooseSvcb, shuffled } from "./svcb.js";

export interface ServiceEndpoint {
  /** Host name in lower case. */
  readonly target: string;
  /** Undefined: the one that the kind of server listens on by default. */
  readonly port: number | undefined;
  /** Addresses that came with it. */
  readonly hints: readonly string[];
}

/** `none`: the domain offers no such service. Endpoints in the order of trying. */
export interface Service {
  readonly by: "SVCB" | "SRV" | "none";
  readonly endpoints: readonly ServiceEndpoint[];
  readonly ttlSeconds: number;
}

/** One question that was answered. */
export interface DnsStep {
  readonly from: string;
  /** As told to that server: `_whither._tcp.example.org SVCB`. */
  readonly told: string;
  readonly learnt: string;
  readonly rttMs: number;
}

export interface FindOptions {
  readonly signal: AbortSignal;
  readonly onStep?: ((step: DnsStep) => void) | undefined;
}

const servicePrefix = "_whither._tcp";

/** Throws UNREACHABLE when the DNS cannot be asked, INVALID_DATA for aliases without end. */
export async function findService(
  parts: { readonly client: DnsClient; readonly random: Random },
  domain: string,
  options: FindOptions,
): Promise<Service> {
  const search = new Search(parts, options);
  return (await search.svcb(domain)) ?? (await search.srv(domain));
}

class Search {
  readonly #client: DnsClient;
  readonly #random: Random;
  readonly #options: FindOptions;
  #ttlSeconds = Infinity;

  constructor(
    { client, random }: { readonly client: DnsClient; readonly random: Random },
    options: FindOptions,
  ) {
    this.#client = client;
    this.#random = random;
    this.#options = options;
  }

  /** Undefined where there is nothing that can be used, and SRV is to be asked (RFC 9460 section 3). */
  async svcb(domain: string): Promise<Service | undefined> {
    let owner = `${servicePrefix}.${domain}`;
    for (let aliases = 0; ; aliases += 1) {
      const answer = await this.#ask({ name: owner, type: "SVCB" });
      aliases += answer.aliases;
      if (aliases > limits.dnsAliasesMax) throw endless();
      const choice = chooseSvcb(answer.records.flatMap(rdataOf), this.#random);
      switch (choice.kind) {
        case "unavailable":
          return this.#service("none", []);
        case "endpoints": {
          const named = choice.records.map(({ target, port, hints }) => ({
            // Section 2.5.2: "." is the record's owner.
            target: target === "." ? answer.name : target,
            port,
            hints,
          }));
          return this.#service("SVCB", named);
        }
        case "alias":
          owner = choice.target;
          break;
        case "unusable":
          // Section 3: at the end of an alias without records of its own the service is at that name itself.
          return answer.records.length > 0 || owner.startsWith(servicePrefix)
            ? undefined
            : this.#service("SVCB", [{ target: answer.name, port: undefined, hints: [] }]);
      }
    }
  }

  async srv(domain: string): Promise<Service> {
    const answer = await this.#ask({ name: `${servicePrefix}.${domain}`, type: "SRV" });
    const records = answer.records.flatMap((one) => (one.type === "SRV" ? [one] : []));
    // RFC 2782: the root as the target says that the service is not offered.
    const named = inOrder(records, this.#random).filter(
      ({ target, port }) => target !== "." && port > 0,
    );
    return this.#service(
      "SRV",
      named.map(({ target, port }) => ({ target, port, hints: [] })),
    );
  }

  async #ask(question: DnsQuestion): Promise<DnsAnswer> {
    const { signal, onStep } = this.#options;
    const answer = await this.#client.ask(question, { signal });
    const isFound = answer.records.length > 0;
    const atMost = isFound ? limits.directoryTtlSecondsMax : limits.dnsAbsenceSecondsMax;
    this.#ttlSeconds = Math.min(this.#ttlSeconds, answer.ttlSeconds, atMost);
    onStep?.({
      from: answer.from,
      told: `${question.name} ${question.type}`,
      learnt: isFound ? `${answer.records.length} ${question.type} records` : "no such records",
      rttMs: answer.rttMs,
    });
    return answer;
  }

  #service(by: Service["by"], endpoints: readonly ServiceEndpoint[]): Service {
    const ttlSeconds = Math.max(limits.failureTtlSecondsMin, this.#ttlSeconds);
    // A name in the DNS may hold any octet; one of a host does not.
    const named = endpoints.filter(({ target }) => parseDomain(target) !== undefined);
    if (named.length === 0) return { by: "none", endpoints: [], ttlSeconds };
    return { by, endpoints: named.slice(0, limits.endpointsMax), ttlSeconds };
  }
}

type Srv = Extract<DnsRecord, { type: "SRV" }>;

/** RFC 2782: by priority, and within one each next by its weight's share of what is left. */
export function inOrder(records: readonly Srv[], random: Random): readonly Srv[] {
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b);
  return priorities.flatMap((priority) => {
    // Weightless ones first, so that they have their small chance.
    const left = shuffled(
      records.filter((one) => one.priority === priority),
      random,
    ).sort((a, b) => Math.sign(a.weight) - Math.sign(b.weight));
    const order: Srv[] = [];
    while (left.length > 0) {
      const sum = left.reduce((all, { weight }) => all + weight, 0);
      const point = randomBelow(random, sum + 1);
      let running = 0;
      const at = left.findIndex(({ weight }) => (running += weight) >= point);
      order.push(...left.splice(Math.max(0, at), 1));
    }
    return order;
  });
}

function rdataOf(record: DnsRecord): readonly Uint8Array[] {
  return record.type === "SVCB" ? [record.rdata] : [];
}

function endless(): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", "dns: too many aliases");
}
