// Fields of the directory's sources: texts with a meaning, each with what is expected of it.

import { DiscoveryError, parseDpId, parsePrefix, parseZoneName } from "@whither/protocol";
import { fromHex, parsePin, parsePublicKey } from "@whither/crypto/node";
import { z } from "zod";
import { formatValue } from "./yaml-source.js";

/** A text that `parse` understands; its DiscoveryError becomes `expected …, got …`. */
export function textField<T>(expected: string, parse: (text: string) => T): z.ZodType<T> {
  return z.unknown().transform((value, context) => {
    if (typeof value === "string") {
      try {
        return parse(value);
      } catch (error) {
        if (!(error instanceof DiscoveryError)) throw error;
      }
    }
    context.addIssue({
      code: "custom",
      message: `expected ${expected}, got ${formatValue(value)}`,
    });
    return z.NEVER;
  });
}

export const zoneNameField = textField("a zone, name@dp_id in lower case", (text) => {
  const zone = parseZoneName(text);
  if (zone === ".") throw new DiscoveryError("INVALID_DATA", "the root cannot be delegated to");
  return zone;
});
/** Of a source: the directory that it describes. */
export const directoryZoneField = textField(
  ". for the root, or the zone of a part, name@dp_id",
  parseZoneName,
);
export const prefixField = textField("a canonical prefix such as tel:+49", parsePrefix);
export const dpIdField = textField("the id of a DP, a lower-case host name", parseDpId);
export const publicKeyField = textField("a public key, ed25519:<base64url>", parsePublicKey);
export const pinField = textField("a pin, sha256:<base64url>", parsePin);
export const hashField = textField("64 hexadecimal digits", (text) => {
  if (text.length !== 64) throw new DiscoveryError("INVALID_DATA", "not 64 digits");
  return fromHex(text);
});
export const timeField = textField("a time such as 2026-01-31T00:00:00Z", parseUtcTime);
export const operatorField = z.string().min(1).max(255);
export const jurisdictionField = textField("two capital letters (ISO 3166-1)", (text) => {
  if (!/^[A-Z]{2}$/.test(text)) throw new DiscoveryError("INVALID_DATA", "not a country code");
  return text;
});
export const hostField = textField("a host name or an IP address", (text) => {
  if (!/^[0-9a-zA-Z.:_-]{1,255}$/.test(text)) {
    throw new DiscoveryError("INVALID_DATA", "not a host");
  }
  return text;
});
export const portField = z.int().min(0).max(65_535);

const utcTime = /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2}):(\d{2})Z)?$/;
const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Unix seconds of an RFC 3339 time in UTC, or of a day's beginning. Throws INVALID_DATA. */
export function parseUtcTime(text: string): number {
  const match = utcTime.exec(text);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = (match ?? [])
    .slice(1)
    .map((part: string | undefined) => Number(part ?? "0"));
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = month === 2 && isLeap ? 29 : (monthDays[month - 1] ?? 0);
  const inRange = day >= 1 && day <= days && hour < 24 && minute < 60 && second < 60;
  if (match === null || year < 1970 || !inRange) {
    throw new DiscoveryError("INVALID_DATA", "not a time in UTC");
  }
  const leapDays = (before: number): number =>
    Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400);
  const yearDays = (year - 1970) * 365 + leapDays(year - 1) - leapDays(1969);
  const monthStart = monthDays.slice(0, month - 1).reduce((sum, length) => sum + length, 0);
  const leapDay = isLeap && month > 2 ? 1 : 0;
  return (((yearDays + monthStart + leapDay + day - 1) * 24 + hour) * 60 + minute) * 60 + second;
}
