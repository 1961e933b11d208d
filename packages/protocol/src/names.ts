// Names of zones and of registered parties (protocol.md sections 1 and 3). They are compared octet by
// octet, so only the canonical text is accepted: lower-case ASCII, no trailing dot. No name is resolved.

import type { DpId, MspId, ProverId, ZoneName } from "./brands.js";
import { DiscoveryError } from "./errors.js";
import { limits } from "./limits.js";

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const partyPattern = new RegExp(`^${label}(?:\\.${label})*$`);
const zonePattern = new RegExp(`^${label}@${label}(?:\\.${label})*$`);
const partyBytesMax = 253;

/** `.` (the root directory) or `name@dp_id`, at most 255 octets. Throws INVALID_DATA. */
export function parseZoneName(text: string): ZoneName {
  const isZone =
    text === "." ||
    (text.length <= limits.zoneNameBytesMax &&
      zonePattern.test(text) &&
      isParty(text.slice(text.indexOf("@") + 1)));
  if (!isZone) throw new DiscoveryError("INVALID_DATA", "a zone is . or name@dp_id, lower case");
  return text as ZoneName; // checked above
}

/** The DP in a zone's name; undefined for the root directory, which belongs to none. */
export function zoneDp(zone: ZoneName): DpId | undefined {
  return zone === "." ? undefined : (zone.slice(zone.indexOf("@") + 1) as DpId); // part of a parsed name
}

/** Registry id of a discovery provider: lower-case host name of 1..253 octets. Throws INVALID_DATA. */
export function parseDpId(text: string): DpId {
  return requireParty(text, "DP") as DpId; // checked by requireParty
}

/** Registry id of a messaging service provider, its domain. Throws INVALID_DATA. */
export function parseMspId(text: string): MspId {
  return requireParty(text, "MSP") as MspId; // checked by requireParty
}

/** Registry id of a prover. Throws INVALID_DATA. */
export function parseProverId(text: string): ProverId {
  return requireParty(text, "prover") as ProverId; // checked by requireParty
}

function isParty(text: string): boolean {
  return text.length <= partyBytesMax && partyPattern.test(text);
}

function requireParty(text: string, kind: string): string {
  if (isParty(text)) return text;
  throw new DiscoveryError("INVALID_DATA", `the id of a ${kind} is a lower-case host name`);
}
