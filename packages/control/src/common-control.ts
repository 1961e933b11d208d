// What every daemon answers alike. A read changes nothing; a change says what came of it.

import { DiscoveryError } from "@whither/protocol";
import { toErrorDetail } from "@whither/rpc";
import {
  formatConfigError,
  logLevels,
  type Clock,
  type Metrics,
  type RootLogger,
} from "@whither/runtime";
import { Switch } from "@whither/wire";
import type { ControlHandlers, DaemonName } from "./control-service.js";
import { expiryState } from "./expiry-margins.js";
import type {
  ExpiryFact,
  ReloadReport,
  ReloadedZoneFact,
  SuccessionFact,
  ZoneFact,
} from "./facts.js";
import type { QueryLog } from "./query-log.js";

export interface ControlledDaemon {
  readonly name: DaemonName;
  readonly version: string;
  readonly configPath: string;
  /** The configuration in force. */
  readonly config: () => object;
  readonly zones: () => readonly ZoneFact[];
  readonly expiries: () => readonly ExpiryFact[];
  readonly metrics: Pick<Metrics, "contentType" | "samples" | "text">;
  readonly queryLog: QueryLog;
  readonly logger: RootLogger;
  readonly clock: Clock;
  /** As SIGHUP. */
  readonly reload: () => Promise<ReloadReport>;
  /** Why the last reload changed nothing; undefined when it succeeded. */
  readonly reloadFailure: () => unknown;
  /** Takes no new calls on the service ports; resolves when those under way have ended. */
  readonly drain: () => Promise<void>;
  /** As SIGTERM. */
  readonly stop: () => void;
}

export function commonControl(daemon: ControlledDaemon): ControlHandlers {
  const { logger, clock, queryLog } = daemon;
  const startedMs = clock.monotonicMs();
  const startedAt = clock.nowSeconds();
  let draining = false;
  return {
    status: () => ({
      daemon: daemon.name,
      version: daemon.version,
      nodeVersion: process.versions.node,
      pid: process.pid,
      startedAt: BigInt(startedAt),
      uptimeS: BigInt(Math.floor((clock.monotonicMs() - startedMs) / 1000)),
      memoryBytes: BigInt(process.memoryUsage.rss()),
      draining,
      queryLog: queryLog.state().enabled,
      logLevel: logger.level(),
      zones: daemon.zones().map(zoneState),
      expiries: daemon.expiries().map((fact) => expiry(fact, clock.nowSeconds())),
      reloadProblem: reloadProblem(daemon.reloadFailure()),
    }),
    stats: async () => ({
      samples: (await daemon.metrics.samples()).map(({ name, labels, value }) => ({
        name,
        labels: { ...labels },
        value,
      })),
    }),
    metrics: async () => ({
      text: await daemon.metrics.text(),
      contentType: daemon.metrics.contentType,
    }),
    reload: async () => {
      if (draining) throw new DiscoveryError("OVERLOADED", "the daemon is draining");
      try {
        const { restartNeeded, zones } = await daemon.reload();
        return { restartNeeded: [...restartNeeded], zones: zones.map(reloadedZone) };
      } catch (error) {
        // An answer and no failed call: on this socket the paths may be told, and an error has no room.
        if (!(error instanceof DiscoveryError)) throw error;
        return { error: toErrorDetail(error), problem: problemOf(error) };
      }
    },
    showConfig: () => ({
      path: daemon.configPath,
      json: JSON.stringify(snakeCase(daemon.config())),
    }),
    logLevel: ({ level: wanted }) => {
      if (wanted !== "") {
        const level = logLevels.find((one) => one === wanted);
        if (level === undefined) {
          throw new DiscoveryError("INVALID_DATA", `expected one of ${logLevels.join(", ")}`);
        }
        logger.setLevel(level);
      }
      return { level: logger.level() };
    },
    queryLog: (request) => {
      if (request.set !== Switch.UNSPECIFIED) queryLog.set(request.set === Switch.ON);
      const { enabled, lines, droppedLines } = queryLog.state();
      return { enabled, lines: BigInt(lines), droppedLines: BigInt(droppedLines) };
    },
    drain: async () => {
      draining = true;
      logger.info("draining ports");
      await daemon.drain();
      return {};
    },
    stop: () => {
      daemon.stop();
      return {};
    },
    zoneStatus: ({ zone }) => ({ zones: zonesNamed(daemon.zones(), zone).map(zoneState) }),
  };
}

function reloadProblem(failure: unknown): string {
  if (failure === undefined) return "";
  return failure instanceof DiscoveryError ? problemOf(failure) : "the daemon failed: see its log";
}

/** The zones of a name, or all with "". Throws NOT_AUTHORITATIVE. */
function zonesNamed(zones: readonly ZoneFact[], name: string): readonly ZoneFact[] {
  if (name === "") return zones;
  const named = zones.filter(({ zone }) => zone === name);
  if (named.length === 0)
    throw new DiscoveryError("NOT_AUTHORITATIVE", "no zone of that name here");
  return named;
}

function zoneState(fact: ZoneFact) {
  const { zone, kind, serving } = fact;
  if (!fact.serving) {
    return {
      zone,
      kind,
      serving,
      error: toErrorDetail(fact.error),
      problem: problemOf(fact.error),
    };
  }
  const { epoch, serial, size, depth, signedAt, notAfter, manifestSha256 } = fact;
  return {
    zone,
    kind,
    serving,
    epoch: BigInt(epoch),
    serial: BigInt(serial),
    size: BigInt(size),
    depth,
    signedAt: BigInt(signedAt),
    notAfter: BigInt(notAfter),
    manifestSha256,
    ...(fact.problem === undefined
      ? {}
      : { error: toErrorDetail(fact.problem), problem: problemOf(fact.problem) }),
    ...(fact.succession === undefined ? {} : { succession: successionState(fact.succession) }),
    withoutVault: fact.withoutVault === true,
  };
}

function successionState({ next, problem, ...fact }: SuccessionFact) {
  return {
    manifestSha256: fact.manifestSha256,
    namedAt: BigInt(fact.namedAt),
    switchAt: BigInt(fact.switchAt),
    ...(next === undefined
      ? {}
      : {
          next: {
            kid: next.kid,
            phase: next.phase,
            done: BigInt(next.done),
            total: BigInt(next.total),
            missing: BigInt(next.missing),
          },
        }),
    previous: fact.previous.map(({ kid, dropAt }) => ({ kid, dropAt: BigInt(dropAt) })),
    problem: problem === undefined ? "" : problemOf(problem),
    acceptancesToRenew: fact.acceptancesToRenew,
  };
}

function expiry(fact: ExpiryFact, nowSeconds: number) {
  const { what, subject, notAfter } = fact;
  const leftS = BigInt(notAfter - nowSeconds);
  const state = expiryState(fact, nowSeconds);
  return { what, subject, notAfter: BigInt(notAfter), leftS, state };
}

export function reloadedZone({ zone, outcome, error }: ReloadedZoneFact) {
  if (error === undefined) return { zone, outcome };
  return { zone, outcome, error: toErrorDetail(error), problem: problemOf(error) };
}

/** With paths and causes: the socket's other end is the owner of the daemon. */
function problemOf(error: DiscoveryError): string {
  return formatConfigError(error);
}

/** Keys as the configuration file spells them. */
function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  // Its keys are the operator's own words, such as the id of an MSP.
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, inner]) => [String(key), snakeCase(inner)]));
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCase(inner),
    ]),
  );
}
