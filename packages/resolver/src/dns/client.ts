// Asks the configured name servers one question: UDP, TCP where the response is cut or somebody guesses, the next
// server where one fails, twice around. A stub: the servers recurse and validate, and nothing is believed anyway.

import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import {
  abortError,
  deadlineSignal,
  formatHostPort,
  randomBelow,
  type Clock,
  type HostPort,
  type Random,
} from "@whither/runtime";
import type { DnsExchange } from "./exchange.js";
import {
  isResponseTo,
  makeQuery,
  readResponse,
  type DnsQuestion,
  type DnsResponse,
} from "./message.js";

export interface DnsClientOptions {
  /** Asked for at each question: the machine may have moved to another network. */
  readonly servers: () => readonly HostPort[];
  readonly exchange: DnsExchange;
  readonly clock: Clock;
  readonly random: Random;
}

export interface DnsAnswer extends Omit<DnsResponse, "rcode" | "isTruncated"> {
  /** `host:port` of the name server. */
  readonly from: string;
  readonly rttMs: number;
}

const rounds = 2;
const rcodes = { noError: 0, nxDomain: 3 } as const;

export class DnsClient {
  readonly #options: DnsClientOptions;

  constructor(options: DnsClientOptions) {
    this.#options = options;
  }

  /** No records where the DNS denies them. Throws UNREACHABLE when no server answers, and the signal's reason. */
  async ask(
    question: DnsQuestion,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<DnsAnswer> {
    const servers = this.#options.servers().slice(0, limits.dnsNameServersMax);
    let failure = new DiscoveryError("UNREACHABLE", "no name server is configured");
    for (let round = 0; round < rounds; round += 1) {
      for (const server of servers) {
        try {
          return await this.#askOnce(question, {
            server,
            signal,
            ms: limits.dnsTimeoutMs * 2 ** round,
          });
        } catch (cause) {
          if (!isDiscoveryError(cause)) throw cause;
          if (signal.aborted) throw abortError(signal);
          const upstream = formatHostPort(server);
          failure = new DiscoveryError("UNREACHABLE", "no name server answers", {
            upstream,
            cause,
          });
        }
      }
    }
    throw failure;
  }

  async #askOnce(
    question: DnsQuestion,
    {
      server,
      signal,
      ms,
    }: { readonly server: HostPort; readonly signal: AbortSignal; readonly ms: number },
  ): Promise<DnsAnswer> {
    const { clock } = this.#options;
    const startMs = clock.monotonicMs();
    using deadline = deadlineSignal(clock, ms, signal);
    const response = await this.#exchange(question, { server, signal: deadline.signal });
    const { rcode, name, aliases, records, ttlSeconds } = response;
    if (rcode !== rcodes.noError && rcode !== rcodes.nxDomain) {
      throw new DiscoveryError("NETWORK", `dns: the name server fails (rcode ${rcode})`);
    }
    const rttMs = clock.monotonicMs() - startMs;
    return { name, aliases, records, ttlSeconds, from: formatHostPort(server), rttMs };
  }

  async #exchange(
    question: DnsQuestion,
    { server, signal }: { readonly server: HostPort; readonly signal: AbortSignal },
  ): Promise<DnsResponse> {
    const { exchange, random } = this.#options;
    const query = makeQuery(question, randomBelow(random, 65_536));
    const options = { signal, isResponse: (packet: Uint8Array) => isResponseTo(query, packet) };
    try {
      const response = readResponse(question, await exchange.udp(server, query.packet, options));
      if (!response.isTruncated) return response;
    } catch (error) {
      // A cut response may not be readable at all; a flood of others may hide the true one. TCP ends both.
      const mayTcpHelp =
        isDiscoveryError(error, "INVALID_DATA") || isDiscoveryError(error, "TOO_LARGE");
      if (!mayTcpHelp) throw error;
    }
    return readResponse(question, await exchange.tcp(server, query.packet, options));
  }
}
