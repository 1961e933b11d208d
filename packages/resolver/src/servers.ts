// Choice among the endpoints of an authority (protocol.md section 8): the fastest by smoothed round trip,
// now and then another one, the next when one is late or fails. One attempt's late answer still counts.

import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import {
  abortError,
  deadlineSignal,
  randomBelow,
  type Clock,
  type Random,
  type Scheduled,
} from "@whither/runtime";
import { LRUCache } from "lru-cache";
import {
  asError,
  isServersOwn,
  requireDiscoveryError,
  withUpstream,
  worstFailure,
} from "./failure.js";
import type { Server } from "./peers.js";

const firstTimeoutMs = 400;
const timeoutMsMin = 50;
const timeoutMsMax = 10_000;
const timeoutsUntilDown = 4;
const probeMs = 1_000;
/** One in so many choices takes a server that is not the fastest. */
const exploreOneIn = 20;
const serversMax = 4_096;

interface ServerRecord {
  srttMs: number | undefined;
  rttVarMs: number;
  /** In a row. */
  timeouts: number;
  probedMs: number;
}

export class ServerChoice {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #records = new LRUCache<string, ServerRecord>({ max: serversMax });

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** In the order to be tried. Servers that are down come last, and one of them first once a second. */
  order(servers: readonly Server[]): readonly Server[] {
    if (servers.length < 2) return servers;
    const nowMs = this.#clock.monotonicMs();
    const up = servers.filter(({ key }) => !this.isDown(key));
    const down = servers.filter(({ key }) => this.isDown(key));
    const sorted = up.toSorted((a, b) => this.#expectedMs(a.key) - this.#expectedMs(b.key));
    const probed = down.find(({ key }) => nowMs - this.#record(key).probedMs >= probeMs);
    if (probed !== undefined && (up.length === 0 || this.#explores())) {
      this.#record(probed.key).probedMs = nowMs;
      return [probed, ...sorted, ...down.filter((one) => one !== probed)];
    }
    if (sorted.length > 1 && this.#explores()) {
      const [picked] = sorted.splice(1 + randomBelow(this.#random, sorted.length - 1), 1);
      if (picked !== undefined) sorted.unshift(picked);
    }
    return [...sorted, ...down];
  }

  isDown(key: string): boolean {
    return (this.#records.get(key)?.timeouts ?? 0) >= timeoutsUntilDown;
  }

  /** How long to wait before another server is asked too. */
  timeoutMs(key: string): number {
    const record = this.#records.get(key);
    if (record?.srttMs === undefined) return firstTimeoutMs * 2 ** (record?.timeouts ?? 0);
    const expected = (record.srttMs + 4 * record.rttVarMs) * 2 ** record.timeouts;
    return Math.min(timeoutMsMax, Math.max(timeoutMsMin, expected));
  }

  answered(key: string, rttMs: number): void {
    const record = this.#record(key);
    record.timeouts = 0;
    if (record.srttMs === undefined) {
      record.srttMs = rttMs;
      record.rttVarMs = rttMs / 2;
      return;
    }
    record.rttVarMs += (Math.abs(record.srttMs - rttMs) - record.rttVarMs) / 4;
    record.srttMs += (rttMs - record.srttMs) / 8;
  }

  failed(key: string): void {
    const record = this.#record(key);
    record.timeouts = Math.min(record.timeouts + 1, timeoutsUntilDown);
    record.probedMs = this.#clock.monotonicMs();
  }

  #explores(): boolean {
    return randomBelow(this.#random, exploreOneIn) === 0;
  }

  #expectedMs(key: string): number {
    const record = this.#records.get(key);
    return (record?.srttMs ?? firstTimeoutMs) * 2 ** (record?.timeouts ?? 0);
  }

  #record(key: string): ServerRecord {
    let record = this.#records.get(key);
    if (record === undefined) {
      record = { srttMs: undefined, rttVarMs: 0, timeouts: 0, probedMs: -probeMs };
      this.#records.set(key, record);
    }
    return record;
  }
}

export interface AskServers<T> {
  readonly choice: ServerChoice;
  readonly clock: Clock;
  readonly servers: readonly Server[];
  readonly signal: AbortSignal;
  /** Added to the wait for a server: time its answer takes to compute. */
  readonly workMs?: number;
  /** Waits and asks again where the server limits or sheds, as a batch does. */
  readonly patient?: boolean;
  /** Asks and verifies; what does not verify is that server's failure and the next one's chance. */
  readonly ask: (server: Server, options: { readonly signal: AbortSignal }) => Promise<T>;
}

/** Waits that a server's limits ask for: each at most, and how many. */
const patienceSecondsMax = 30;
const patienceTries = 40;

/** The first good answer. Throws the worst failure when no server gave one, UNREACHABLE without servers. */
export async function askServers<T>(given: AskServers<T>): Promise<T> {
  const { signal, clock, patient = false } = given;
  for (let tries = 1; ; tries++) {
    try {
      return await (patient ? askInTime(given) : askOnce(given));
    } catch (error) {
      const waitSeconds = patient && tries < patienceTries ? secondsToWait(error) : undefined;
      if (waitSeconds === undefined) throw error;
      await clock.sleep(waitSeconds * 1_000, { signal });
    }
  }
}

/** The waits between attempts are the batch's; an attempt that hangs ends as for a single lookup. */
async function askInTime<T>(given: AskServers<T>): Promise<T> {
  using attempt = deadlineSignal(given.clock, limits.queryTimeoutMs, given.signal);
  return await askOnce({ ...given, signal: attempt.signal });
}

/** Seconds after which a limited server wants to be asked again; undefined: not soon, or not at all. */
function secondsToWait(error: unknown): number | undefined {
  if (!isDiscoveryError(error, "LIMITED") && !isDiscoveryError(error, "OVERLOADED"))
    return undefined;
  const { retryAfterSeconds = 1 } = error;
  return retryAfterSeconds > patienceSecondsMax ? undefined : Math.max(1, retryAfterSeconds);
}

async function askOnce<T>(given: AskServers<T>): Promise<T> {
  const { choice, servers, signal, ask } = given;
  // A zone may name 13 servers; one question reaches for 4 of them (protocol.md section 7). Those that fail stand
  // behind the others the next time.
  const ordered = choice.order(servers).slice(0, limits.queryPortsMax);
  const [only, ...others] = ordered;
  if (only === undefined) throw new DiscoveryError("UNREACHABLE", "the zone names no such server");
  if (others.length > 0) return await race(given, ordered);
  for (let tries = 1; ; tries++) {
    try {
      return await ask(only, { signal });
    } catch (error) {
      const failure = withUpstream(requireDiscoveryError(error), only.key);
      note(choice, only, failure);
      // Once more on a new stream: the old one may have ended just because the server renews its connections.
      if (failure.code !== "NETWORK" || tries > 1) throw failure;
    }
  }
}

function race<T>(given: AskServers<T>, ordered: readonly Server[]): Promise<T> {
  const { choice, clock, signal, workMs = 0 } = given;
  return new Promise<T>((resolve, reject) => {
    const controller = new AbortController();
    const failures: DiscoveryError[] = [];
    let next = 0;
    let running = 0;
    let timer: Scheduled | undefined;
    const onAbort = (): void => settle(() => reject(abortError(signal)));
    const settle = (finish: () => void): void => {
      timer?.cancel();
      signal.removeEventListener("abort", onAbort);
      finish();
      controller.abort();
    };
    const giveUp = (): void => {
      const [first, ...others] = failures;
      if (first !== undefined) settle(() => reject(worstFailure([first, ...others])));
    };
    const start = (): void => {
      const server = ordered[next];
      timer?.cancel();
      if (server === undefined) return;
      next += 1;
      running += 1;
      timer = clock.schedule(choice.timeoutMs(server.key) + workMs, () => {
        choice.failed(server.key);
        start();
      });
      given.ask(server, { signal: controller.signal }).then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => {
          running -= 1;
          if (controller.signal.aborted) return;
          if (!(error instanceof DiscoveryError)) {
            settle(() => reject(asError(error)));
            return;
          }
          const failure = withUpstream(error, server.key);
          note(choice, server, failure);
          failures.push(failure);
          if (isServersOwn(failure) && next < ordered.length) start();
          else if (running === 0 || !isServersOwn(failure)) giveUp();
        },
      );
    };
    signal.addEventListener("abort", onAbort, { once: true });
    start();
  });
}

function note(choice: ServerChoice, server: Server, { code }: DiscoveryError): void {
  if (code === "NETWORK" || code === "DEADLINE" || code === "PIN_MISMATCH")
    choice.failed(server.key);
}
