// Servers of the root directory by the name of a domain (`dns:example.org`), for as long as the DNS says. What is
// found may be wrong without harm: anchors decide what is believed, and the certificate must bear the domain that
// the user named, not a name that the DNS came up with (RFC 9460 section 11, RFC 6125 section 6.2.1).

import {
  noPlace,
  type DirectoryLocator,
  type DirectoryPlace,
  type Hop,
  type Located,
  type LocateOptions,
} from "@whither/directory";
import { isDiscoveryError, limits, parsePrefix, type DiscoveryError } from "@whither/protocol";
import { deadlineSignal, type Clock, type Random } from "@whither/runtime";
import { Coalescer } from "../coalescer.js";
import type { DnsClient } from "./client.js";
import type { DnsQuestion } from "./message.js";
import { findService, type DnsStep, type ServiceEndpoint } from "./service.js";

export interface DirectoryLocationOptions {
  /** Lower case, without a trailing dot. */
  readonly domain: string;
  readonly client: DnsClient;
  readonly clock: Clock;
  readonly random: Random;
}

interface Held extends Located {
  readonly steps: readonly DnsStep[];
  readonly foundMs: number;
}

interface Failure {
  readonly error: DiscoveryError;
  readonly seconds: number;
  readonly untilMs: number;
}

/** Port of a directory's public service. */
const directoryPort = 7363;
const rootPrefix = parsePrefix(".");

export class DirectoryLocation implements DirectoryLocator {
  readonly name: string;
  readonly #options: DirectoryLocationOptions;
  readonly #flights = new Coalescer<Held>();
  #held: Held | undefined;
  /** What was found for somebody who wants no hops, until somebody who does comes. */
  #untold: Held | undefined;
  #failure: Failure | undefined;

  constructor(options: DirectoryLocationOptions) {
    this.#options = options;
    this.name = `dns:${options.domain}`;
  }

  async locate({ signal, onHop, anew = false }: LocateOptions): Promise<Located> {
    const nowMs = this.#options.clock.monotonicMs();
    const held = this.#held;
    if (held !== undefined && nowMs < this.#endOf(held, anew)) {
      if (held === this.#untold) this.#tell(held, onHop);
      return held;
    }
    const startMs = nowMs;
    try {
      const found = await this.#flights.run("", (own) => this.#find(own), {
        signal: signal ?? new AbortController().signal,
      });
      this.#tell(found, onHop);
      return found;
    } catch (error) {
      if (!isDiscoveryError(error) || signal?.aborted === true) throw error;
      const rttMs = this.#options.clock.monotonicMs() - startMs;
      onHop?.({
        prefix: rootPrefix,
        from: error.upstream ?? this.name,
        told: this.name.slice("dns:".length),
        learnt: error.text,
        serial: 0,
        verdict: error.code,
        rttMs,
      });
      // RFC 8767: servers that were found once are better than none.
      if (held !== undefined && nowMs < held.untilMs + limits.staleSecondsMax * 1_000) return held;
      throw error;
    }
  }

  /** A mirror that loads in the background is often first, and the trace of the question shall show the DNS even so. */
  #tell(found: Held, onHop: LocateOptions["onHop"]): void {
    if (onHop === undefined) return;
    for (const step of found.steps) onHop(hopOf(step));
    if (found === this.#untold) this.#untold = undefined;
  }

  /** Servers that do not answer are no reason to ask the DNS at every question. */
  #endOf({ foundMs, untilMs }: Held, anew: boolean): number {
    return anew ? Math.min(untilMs, foundMs + limits.failureTtlSecondsMin * 1_000) : untilMs;
  }

  /** Failures are kept as RFC 9520 says: five seconds, twice as long each time, five minutes at most. */
  async #find(signal: AbortSignal): Promise<Held> {
    const { clock } = this.#options;
    if (this.#failure !== undefined && clock.monotonicMs() < this.#failure.untilMs) {
      throw this.#failure.error;
    }
    using deadline = deadlineSignal(clock, limits.dnsSearchTimeoutMs, signal);
    try {
      this.#held = await this.#search(deadline.signal);
      this.#untold = this.#held;
      this.#failure = undefined;
      return this.#held;
    } catch (cause) {
      if (!isDiscoveryError(cause) || signal.aborted) throw cause;
      const error = cause.code === "UNREACHABLE" ? cause : noPlace(this.name, cause);
      const { failureTtlSecondsMin: min, failureTtlSecondsMax: max } = limits;
      const seconds = Math.min(max, Math.max(min, 2 * (this.#failure?.seconds ?? 0)));
      this.#failure = { error, seconds, untilMs: clock.monotonicMs() + seconds * 1_000 };
      throw error;
    }
  }

  async #search(signal: AbortSignal): Promise<Held> {
    const { domain, clock } = this.#options;
    const steps: DnsStep[] = [];
    const onStep = (step: DnsStep): void => void steps.push(step);
    const service = await findService(this.#options, domain, { signal, onStep });
    // As many as one question goes to: whoever writes the records does not decide how much we ask.
    const endpoints = service.endpoints.slice(0, limits.serversPerQuestionMax);
    const found = await Promise.all(
      endpoints.map((endpoint) => this.#placesOf(endpoint, { signal, onStep })),
    );
    const [first, ...others] = found
      .flatMap(({ places }) => places)
      .slice(0, limits.dnsAddressesMax);
    if (first === undefined) throw noPlace(this.name);
    const ttlSeconds = Math.min(service.ttlSeconds, ...found.map((one) => one.ttlSeconds));
    const foundMs = clock.monotonicMs();
    const untilMs = foundMs + Math.max(limits.failureTtlSecondsMin, ttlSeconds) * 1_000;
    return { places: [first, ...others], untilMs, steps, foundMs };
  }

  /** Hints are used as they are: a wrong one costs a connection, and asking costs a round trip each time. */
  async #placesOf(
    { target, port = directoryPort, hints }: ServiceEndpoint,
    options: SearchOptions,
  ): Promise<{ readonly places: readonly DirectoryPlace[]; readonly ttlSeconds: number }> {
    const { domain: serverName } = this.#options;
    const placed = (host: string): DirectoryPlace => ({ host, port, serverName });
    if (hints.length > 0) return { places: hints.map(placed), ttlSeconds: Infinity };
    const [v6, v4] = await Promise.all([
      this.#addresses({ name: target, type: "AAAA" }, options),
      this.#addresses({ name: target, type: "A" }, options),
    ]);
    // Both families by turns, so that one that leads nowhere costs one try.
    const byTurns = Array.from({ length: limits.dnsAddressesPerName }, (_, i) => [
      v6.found[i],
      v4.found[i],
    ]);
    return {
      places: byTurns.flat().flatMap((host) => (host === undefined ? [] : [placed(host)])),
      ttlSeconds: Math.min(v6.ttlSeconds, v4.ttlSeconds),
    };
  }

  /** A name without any, or that nobody tells, is no failure while there are others. */
  async #addresses(
    question: DnsQuestion,
    { signal, onStep }: SearchOptions,
  ): Promise<{ readonly found: readonly string[]; readonly ttlSeconds: number }> {
    const { client, clock } = this.#options;
    const told = `${question.name} ${question.type}`;
    const startMs = clock.monotonicMs();
    try {
      const { records, from, rttMs, ttlSeconds } = await client.ask(question, { signal });
      const found = records.flatMap((one) => ("address" in one ? [one.address] : []));
      onStep({ from, told, learnt: found.join(", ") || "no such records", rttMs });
      return found.length === 0
        ? noAddresses
        : { found: found.slice(0, limits.dnsAddressesPerName), ttlSeconds };
    } catch (error) {
      if (!isDiscoveryError(error) || signal.aborted) throw error;
      const rttMs = clock.monotonicMs() - startMs;
      onStep({ from: error.upstream ?? this.name, told, learnt: error.text, rttMs });
      return noAddresses;
    }
  }
}

const noAddresses = { found: [], ttlSeconds: Infinity };

interface SearchOptions {
  readonly signal: AbortSignal;
  readonly onStep: (step: DnsStep) => void;
}

/** Nothing of it is verified, and nothing rests on it. */
function hopOf({ from, told, learnt, rttMs }: DnsStep): Hop {
  return { prefix: rootPrefix, from, told, learnt, serial: 0, verdict: "unverified", rttMs };
}
