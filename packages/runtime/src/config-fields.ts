// Field types of configuration files: durations, sizes, addresses, paths, integers with bounds. Each
// carries its unit and range, so that a wrong value is told what would be right.
import { isIP } from "node:net";
import { isAbsolute, resolve } from "node:path";
import { homedir } from "node:os";
import { z } from "zod";
import { formatValue } from "./config-issues.js";

export interface Range {
  readonly min: number;
  readonly max: number;
}

const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const sizeUnits = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** `250ms`, `30s`, `10m`, `2h`, `7d` as milliseconds; undefined for anything else. */
export function parseDurationMs(text: string): number | undefined {
  return parseWithUnit(text, durationUnits);
}

/** `512B`, `64KiB`, `64MiB`, `1GiB` as bytes; undefined for anything else. */
export function parseSizeBytes(text: string): number | undefined {
  return parseWithUnit(text, sizeUnits);
}

/** The shortest exact text of a duration: `90000` is `90s`. */
export function formatDurationMs(ms: number): string {
  return formatWithUnit(ms, durationUnits);
}

/** The shortest exact text of a size: `67108864` is `64MiB`. */
export function formatSizeBytes(bytes: number): string {
  return formatWithUnit(bytes, sizeUnits);
}

/** A duration with its unit, read as milliseconds. Bounds in milliseconds. */
export function durationField(range: Range): z.ZodType<number> {
  const expected = `a duration of ${formatDurationMs(range.min)}..${formatDurationMs(range.max)}`;
  return textField(`${expected} with its unit, such as 30s or 10m`, (text) =>
    within(parseDurationMs(text), range),
  );
}

/** A duration with its unit, read as whole seconds. Bounds in seconds. */
export function secondsField(range: Range): z.ZodType<number> {
  const ms = { min: range.min * 1000, max: range.max * 1000 };
  const expected = `whole seconds of ${formatDurationMs(ms.min)}..${formatDurationMs(ms.max)}`;
  return textField(`${expected} with a unit, such as 30s or 10m`, (text) => {
    const value = within(parseDurationMs(text), ms);
    return value === undefined || value % 1000 !== 0 ? undefined : value / 1000;
  });
}

/** A size with its unit, read as bytes. Bounds in bytes. */
export function sizeField(range: Range): z.ZodType<number> {
  const expected = `a size of ${formatSizeBytes(range.min)}..${formatSizeBytes(range.max)}`;
  return textField(`${expected} with its unit, such as 64KiB or 64MiB`, (text) =>
    within(parseSizeBytes(text), range),
  );
}

/** A whole number within bounds; `unit` is for the message: `requests a second`. */
export function integerField(range: Range & { readonly unit?: string }): z.ZodType<number> {
  const unit = range.unit === undefined ? "" : ` (${range.unit})`;
  return field(`a whole number of ${range.min}..${range.max}${unit}`, (value) =>
    typeof value === "number" && Number.isSafeInteger(value) ? within(value, range) : undefined,
  );
}

export interface HostPort {
  /** Host name or IP address; IPv6 without its brackets. */
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `192.0.2.1:7353`, `[2001:db8::1]:7353`; undefined for anything else. Port 0..65535. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/@]+)):([0-9]{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  if (bracketed !== undefined) {
    return isIP(bracketed) === 6 ? { host: bracketed, port } : undefined;
  }
  if (plain === undefined || !isHostName(plain)) return undefined;
  return { host: plain, port };
}

/** `host:port`, IPv6 in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

const dnsPort = 53;

/** `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:53`; undefined for anything else. */
export function parseNameServer(text: string): HostPort | undefined {
  if (isIP(text) !== 0) return { host: text, port: dnsPort };
  const server = parseHostPort(text);
  return server !== undefined && isIP(server.host) !== 0 && server.port > 0 ? server : undefined;
}

/** Name servers of the DNS, at most three (as resolv.conf has them); none: those of this machine. */
export function nameServersField() {
  const one = textField("an address of a name server, such as 192.0.2.53", parseNameServer);
  return z.array(one).max(3).default([]);
}

/** A domain in lower case without its trailing dot; undefined for anything else. At most 230 characters unless told. */
export function parseDomain(text: string, charsMax = 230): string | undefined {
  const bare = text.endsWith(".") ? text.slice(0, -1) : text;
  const isDomain =
    /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
  return bare.length <= charsMax && isDomain.test(bare) ? bare : undefined;
}

/** An address with port. Port 0 (any free one) only where `anyPort` says so: tests listen there. */
export function hostPortField(options: { readonly anyPort?: boolean } = {}): z.ZodType<HostPort> {
  const range = options.anyPort === true ? "0..65535" : "1..65535";
  return textField(`host:port with a port of ${range}`, (text) => {
    const address = parseHostPort(text);
    return address?.port === 0 && options.anyPort !== true ? undefined : address;
  });
}

/** A path, made absolute against the directory of the configuration file; `~/` is the home directory. */
export function pathField(directory: string): z.ZodType<string> {
  return textField("a path", (text) => {
    if (text === "" || text.includes("\0")) return undefined;
    if (text.startsWith("~/")) return resolve(homedir(), text.slice(2));
    return isAbsolute(text) ? text : resolve(directory, text);
  });
}

/** The path of a file that holds a secret. The secret itself in its place is refused, and not shown. */
export function secretPathField(directory: string): z.ZodType<string> {
  const path = pathField(directory);
  return z.unknown().transform((value, context) => {
    const parsed = path.safeParse(value);
    const inline = typeof value === "string" && /-----BEGIN|\n|^[A-Za-z0-9+/]{43}=$/.test(value);
    if (parsed.success && !inline) return parsed.data;
    const expected = "the path of a file that only its owner may read, not the secret itself";
    const params = inline ? { expected, got: "what looks like a secret" } : { expected };
    context.addIssue({ code: "custom", params, message: expected });
    return z.NEVER;
  });
}

/**
 * A field of any other form: `parse` gives its value or undefined when it is not `expected`, which is
 * what the message says: `a prefix such as tel:+49`.
 */
export function field<T>(expected: string, parse: (value: unknown) => T | undefined): z.ZodType<T> {
  return z.unknown().transform((value, context) => {
    const parsed = parse(value);
    if (parsed !== undefined) return parsed;
    const message = `expected ${expected}, got ${formatValue(value)}`;
    context.addIssue({ code: "custom", params: { expected }, message });
    return z.NEVER;
  });
}

/** As `field`, for what stands in the file as text. */
export function textField<T>(
  expected: string,
  parse: (text: string) => T | undefined,
): z.ZodType<T> {
  return field(expected, (value) => (typeof value === "string" ? parse(value) : undefined));
}

function within(value: number | undefined, range: Range): number | undefined {
  return value !== undefined && value >= range.min && value <= range.max ? value : undefined;
}

function parseWithUnit(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(0|[1-9][0-9]{0,14})([A-Za-z]+)$/.exec(text);
  const factor = match?.[2] === undefined ? undefined : units[match[2]];
  if (match === null || factor === undefined) return undefined;
  const value = Number(match[1]) * factor;
  return Number.isSafeInteger(value) ? value : undefined;
}

function formatWithUnit(value: number, units: Readonly<Record<string, number>>): string {
  const whole = Object.entries(units).filter(([, factor]) => value % factor === 0);
  const [unit, factor] = (value === 0 ? whole[0] : whole.at(-1)) ?? ["", 1];
  return `${value / factor}${unit}`;
}

function isHostName(text: string): boolean {
  if (isIP(text) === 4) return true;
  // Digits and dots that are no IPv4 address are a typing error, never a name (RFC 1123 section 2.1).
  if (/^[0-9.]+$/.test(text) || text.length > 253) return false;
  return text.split(".").every((label) => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label));
}
