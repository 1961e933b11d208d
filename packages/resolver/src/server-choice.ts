// What is known of servers, and so in which order they are asked (protocol.md section 8): smoothed round trip
// and time-out (RFC 6298), silence, limits, zones they serve badly. As in Unbound's infra cache, silence is a
// fact about the host and a bad answer one about host and zone. Bounded; asks nobody: that is servers.ts.

import { limits, type DiscoveryError, type ErrorCode } from "@whither/protocol";
import { randomBelow, type Clock, type Random } from "@whither/runtime";
import { LRUCache } from "lru-cache";
import type { Server } from "./peers.js";

const firstTimeoutMs = 400;
const timeoutMsMin = 50;
const timeoutMsMax = 10_000;
const timeoutsUntilDown = 4;
/** A server that is down is asked again once in this time, and up to half as long again: never in step with others. */
const probeMs = 1_000;
/** One in so many choices takes a server that is not the fastest. */
const exploreOneIn = 20;
/** Servers that differ by less are alike: their load is spread, not put on the one that measured best. */
const alikeMs = 10;
/** How long a server that limits is passed over, whatever it asks for. */
const limitedMsMin = 1_000;
const limitedMsMax = 60_000;
const serversMax = 4_096;
const lameMax = 4_096;

/** `limited`: asked last until the time it named has passed. `down`: probed, and asked only if all are down. */
export type ServerState = "untried" | "up" | "limited" | "down";

/** A zone that a server answers for, and badly: asked last there for a while. */
export interface LameZone {
  readonly zone: string;
  readonly code: ErrorCode;
  readonly forMs: number;
}

/** One server as `infra-dump` shows it. Times are milliseconds. */
export interface InfraRow {
  /** `host:port` */
  readonly server: string;
  readonly state: ServerState;
  /** Undefined before the first answer. */
  readonly srttMs: number | undefined;
  readonly rttVarMs: number | undefined;
  /** How long its next answer is waited for before another server is asked too. */
  readonly timeoutMs: number;
  /** Questions in a row that it left unanswered, 0..4. */
  readonly timeouts: number;
  /** Until it may be asked again as others are; 0 for one that may. */
  readonly nextProbeMs: number;
  readonly lastFailure: ErrorCode | undefined;
  readonly lame: readonly LameZone[];
}

interface ServerRecord {
  srttMs: number | undefined;
  rttVarMs: number;
  timeouts: number;
  probeAtMs: number;
  limitedUntilMs: number;
  lastFailure: ErrorCode | undefined;
}

interface LameRecord {
  readonly server: string;
  readonly zone: string;
  readonly code: ErrorCode;
  readonly seconds: number;
  readonly untilMs: number;
}

export interface Order {
  /** To be tried one after the other: none that is down, unless all are and their time for a probe has come. */
  readonly servers: readonly Server[];
  /** One that is down and may be probed, beside the others and at nobody's cost. */
  readonly probe: Server | undefined;
  /** Without servers: when the next may be probed. */
  readonly waitMs: number;
}

/** A question under way. */
export interface Attempt {
  readonly server: Server;
  readonly timeoutMs: number;
  /** Unanswered questions when it began: of several that fail together one counts. */
  readonly timeouts: number;
}

/** What is nobody's fault, or the caller's. */
const unnoted: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "CANCELLED",
  "BUDGET",
  "CLOCK_SKEW",
  "CONFIG",
  "UNAUTHENTICATED",
  // Server and resolver are an epoch apart.
  "DEPTH_CHANGED",
  "UNKNOWN_KID",
  "UNKNOWN_BODY",
]);

export class ServerChoice {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #records = new LRUCache<string, ServerRecord>({ max: serversMax });
  readonly #lame = new LRUCache<string, LameRecord>({ max: lameMax });

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Whom to ask about a zone. Takes the turns for probes that it hands out. */
  order(servers: readonly Server[], zone: string): Order {
    const up = servers.filter(({ key }) => !this.isDown(key));
    const nowMs = this.#clock.monotonicMs();
    const due = servers
      .filter(({ key }) => this.isDown(key) && this.#record(key).probeAtMs <= nowMs)
      .sort((a, b) => this.#record(a.key).probeAtMs - this.#record(b.key).probeAtMs);
    if (up.length > 0) {
      const [probe] = due;
      if (probe !== undefined) this.#postpone(this.#record(probe.key));
      return { servers: this.#arranged(up, zone), probe, waitMs: 0 };
    }
    for (const { key } of due) this.#postpone(this.#record(key));
    const next = servers.map(({ key }) => this.#record(key).probeAtMs - nowMs);
    return { servers: due, probe: undefined, waitMs: Math.max(0, Math.min(...next)) };
  }

  isDown(key: string): boolean {
    return (this.#records.get(key)?.timeouts ?? 0) >= timeoutsUntilDown;
  }

  begin(server: Server): Attempt {
    const timeouts = this.#records.get(server.key)?.timeouts ?? 0;
    return { server, timeouts, timeoutMs: this.timeoutMs(server.key) };
  }

  /** How long to wait before another server is asked too. */
  timeoutMs(key: string): number {
    const { srttMs, rttVarMs, timeouts } = this.#records.get(key) ?? untried;
    const expectedMs = srttMs === undefined ? firstTimeoutMs : srttMs + 4 * rttVarMs;
    // RFC 6298 section 5.5, back off: what was too short before is longer now.
    return bounded(expectedMs * 2 ** timeouts, { min: timeoutMsMin, max: timeoutMsMax });
  }

  /** Something came back, good or bad. */
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

  /** A verified answer about a zone. */
  served({ server }: Attempt, zone: string): void {
    this.#lame.delete(lameKey(server.key, zone));
    this.#record(server.key).lastFailure = undefined;
  }

  timedOut(attempt: Attempt): void {
    this.#unanswered(attempt, "DEADLINE");
  }

  failed(attempt: Attempt, { code, retryAfterSeconds = 0 }: DiscoveryError, zone: string): void {
    if (unnoted.has(code)) return;
    const record = this.#record(attempt.server.key);
    switch (code) {
      case "DEADLINE":
      case "NETWORK":
        this.#unanswered(attempt, code);
        return;
      case "PIN_MISMATCH":
        // Whoever answers there is another: more tries will not change that.
        this.#unanswered({ ...attempt, timeouts: record.timeouts }, code, timeoutsUntilDown);
        return;
      case "LIMITED":
      case "OVERLOADED": {
        const ms = bounded(retryAfterSeconds * 1_000, { min: limitedMsMin, max: limitedMsMax });
        record.limitedUntilMs = this.#clock.monotonicMs() + ms;
        record.timeouts = 0;
        record.lastFailure = code;
        return;
      }
      default:
        record.timeouts = 0;
        record.lastFailure = code;
        this.#noteLame(attempt.server.key, zone, code);
    }
  }

  /** So much, and up to a quarter more: of many who wait not all come back at once. */
  jittered(ms: number): number {
    return ms + randomBelow(this.#random, Math.max(1, Math.floor(ms / 4)));
  }

  /** What is known, for people. */
  rows(): readonly InfraRow[] {
    const nowMs = this.#clock.monotonicMs();
    const lame = [...this.#lame.values()].filter(({ untilMs }) => untilMs > nowMs);
    return [...this.#records.entries()].map(([server, record]) => {
      const state = this.#stateOf(record);
      const again = { down: record.probeAtMs, limited: record.limitedUntilMs, up: 0, untried: 0 };
      return {
        server,
        state,
        srttMs: record.srttMs,
        rttVarMs: record.srttMs === undefined ? undefined : record.rttVarMs,
        timeoutMs: this.timeoutMs(server),
        timeouts: record.timeouts,
        nextProbeMs: Math.max(0, again[state] - nowMs),
        lastFailure: record.lastFailure,
        lame: lame
          .filter((one) => one.server === server)
          .map(({ zone, code, untilMs }) => ({ zone, code, forMs: untilMs - nowMs })),
      };
    });
  }

  #stateOf(record: ServerRecord): ServerState {
    if (record.timeouts >= timeoutsUntilDown) return "down";
    if (record.limitedUntilMs > this.#clock.monotonicMs()) return "limited";
    return record.srttMs === undefined ? "untried" : "up";
  }

  #arranged(up: readonly Server[], zone: string): readonly Server[] {
    const sorted = up.toSorted(
      (a, b) => this.#classOf(a, zone) - this.#classOf(b, zone) || this.#compareMs(a, b),
    );
    const [first] = sorted;
    if (first === undefined || sorted.length === 1) return sorted;
    const best = this.#classOf(first, zone);
    const equals = sorted.filter((one) => this.#classOf(one, zone) === best);
    const within = this.#expectedMs(first.key) + alikeMs;
    const alike = equals.filter(({ key }) => this.#expectedMs(key) < within);
    const isExploring = randomBelow(this.#random, exploreOneIn) === 0;
    const among = isExploring ? equals : alike;
    const picked = among[randomBelow(this.#random, among.length)] ?? first;
    return [picked, ...sorted.filter((one) => one !== picked)];
  }

  /** Lower first: those that serve well, and of them those on the better path; then those that do not. */
  #classOf({ key, rank = 0 }: Server, zone: string): number {
    const nowMs = this.#clock.monotonicMs();
    const isLame = (this.#lame.get(lameKey(key, zone))?.untilMs ?? 0) > nowMs;
    const isLimited = (this.#records.get(key)?.limitedUntilMs ?? 0) > nowMs;
    return rank + (isLame || isLimited ? unwillingRank : 0);
  }

  #compareMs(a: Server, b: Server): number {
    return this.#expectedMs(a.key) - this.#expectedMs(b.key);
  }

  #expectedMs(key: string): number {
    const record = this.#records.get(key) ?? untried;
    return (record.srttMs ?? firstTimeoutMs) * 2 ** record.timeouts;
  }

  #unanswered({ server, timeouts }: Attempt, code: ErrorCode, by = 1): void {
    const record = this.#record(server.key);
    record.lastFailure = code;
    if (record.timeouts !== timeouts) return;
    record.timeouts = Math.min(timeouts + by, timeoutsUntilDown);
    if (record.timeouts === timeoutsUntilDown) this.#postpone(record);
  }

  #postpone(record: ServerRecord): void {
    const jitterMs = randomBelow(this.#random, probeMs / 2);
    record.probeAtMs = this.#clock.monotonicMs() + probeMs + jitterMs;
  }

  /** As failures are remembered: 5 s, twice as long each time, at most 300 s. */
  #noteLame(server: string, zone: string, code: ErrorCode): void {
    const key = lameKey(server, zone);
    const before = this.#lame.get(key);
    const nowMs = this.#clock.monotonicMs();
    if (before !== undefined && before.untilMs > nowMs) return;
    const { failureTtlSecondsMin: min, failureTtlSecondsMax: max } = limits;
    const seconds = bounded(2 * (before?.seconds ?? 0), { min, max });
    this.#lame.set(key, { server, zone, code, seconds, untilMs: nowMs + seconds * 1_000 });
  }

  #record(key: string): ServerRecord {
    let record = this.#records.get(key);
    if (record === undefined) {
      record = { ...untried };
      this.#records.set(key, record);
    }
    return record;
  }
}

/** Above every `Server.rank`. */
const unwillingRank = 16;

const untried: Readonly<ServerRecord> = {
  srttMs: undefined,
  rttVarMs: 0,
  timeouts: 0,
  probeAtMs: 0,
  limitedUntilMs: 0,
  lastFailure: undefined,
};

function lameKey(server: string, zone: string): string {
  return `${server} ${zone}`;
}

function bounded(n: number, { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(max, Math.max(min, n));
}
