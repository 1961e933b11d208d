// Structured log: one JSON object a line on stderr, `event` first and a fixed noun phrase, everything
// variable in fields. Identifiers, keys and proofs never appear; use `makeLogTag` where one must be
// recognisable across lines.
import { createHmac } from "node:crypto";
import { DiscoveryError } from "@whither/protocol";
import { pino } from "pino";
import { systemClock, type Clock } from "./clock.js";
import type { Random } from "./random.js";

export type LogFields = Readonly<Record<string, unknown>>;

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  child(fields: LogFields): Logger;
}

export interface LogDestination {
  write(line: string): void;
}

export interface LoggerOptions {
  readonly level?: LogLevel;
  /** Where lines go, stderr unless told. */
  readonly destination?: LogDestination;
  readonly clock?: Clock;
}

/** Field names whose value is never written, whatever it is. */
const neverLogged = ["csi", "csis", "secret", "secretKey", "privateKey", "key", "proof", "opening"];
const redactedPaths = neverLogged.flatMap((name) => [name, `*.${name}`]);

/** A logger that can be given another level while it runs (`whitherctl log-level`, SIGHUP). */
export interface RootLogger extends Logger {
  setLevel(level: LogLevel): void;
  level(): LogLevel;
}

export function createLogger(options: LoggerOptions = {}): RootLogger {
  const clock = options.clock ?? systemClock;
  let event = "";
  const lines = pino(
    {
      level: options.level ?? "info",
      base: null,
      formatters: { level: () => ({}) },
      // pino puts the timestamp first in the line; the contract with operators' tools is that `event` is.
      timestamp: () => `"event":${JSON.stringify(event)}`,
      redact: { paths: redactedPaths, censor: "[redacted]" },
    },
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  );
  const withFields = (bound: LogFields): Logger => {
    const write =
      (level: Exclude<LogLevel, "silent">) =>
      (name: string, fields: LogFields = {}): void => {
        if (!lines.isLevelEnabled(level)) return;
        event = name;
        lines[level]({ level, time_ms: clock.nowMs(), ...bound, ...plainFields(fields) });
      };
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      child: (fields) => withFields({ ...bound, ...plainFields(fields) }),
    };
  };
  return {
    ...withFields({}),
    setLevel: (level) => {
      lines.level = level;
    },
    level: () => logLevels.find((level) => level === lines.level) ?? "info",
  };
}

/** Says nothing; what libraries use unless handed a logger. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

/**
 * A function from a text that must not be logged to 16 hex characters: HMAC-SHA256 under a key drawn
 * once and never kept, so that lines of one run can be matched and a log tells nothing of whom.
 */
export function makeLogTag(random: Random): (text: string) => string {
  const key = random.bytes(32);
  return (text) => createHmac("sha256", key).update(text).digest("hex").slice(0, 16);
}

function plainFields(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, plainValue(value)]),
  );
}

/** Bytes become their length, errors their code and text, bigints a number or decimal text. */
function plainValue(value: unknown): unknown {
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  if (typeof value === "bigint") {
    return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= 0n
      ? Number(value)
      : value.toString();
  }
  if (value instanceof DiscoveryError) {
    const { code, number, text, upstream } = value;
    return { code, number, text, upstream, cause: plainCause(value) };
  }
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (Array.isArray(value)) return value.map(plainValue);
  return value;
}

/** Local failures are explained (paths, system errors); what a peer provoked is only named. */
function plainCause(error: DiscoveryError): string | undefined {
  if (!(error.cause instanceof Error)) return undefined;
  const local = error.code === "CONFIG" || error.code.startsWith("STORE");
  return local ? error.cause.message : error.cause.name;
}
