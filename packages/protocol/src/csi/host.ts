// Hosts of `mailto:` and `acct:`: UTS 46 non-transitional with every strict flag (tr46) to lower-case
// A-labels, and the public suffix list (tldts). No DNS query is made and no IP address is a host.

import { getDomain, getPublicSuffix } from "tldts";
import { toASCII, toUnicode } from "tr46";
import { requireAssigned } from "./fold.js";
import { invalidCsi } from "./scheme.js";

const strict = {
  checkBidi: true,
  checkHyphens: true,
  checkJoiners: true,
  useSTD3ASCIIRules: true,
  verifyDNSLength: true,
  transitionalProcessing: false,
  ignoreInvalidPunycode: false,
} as const;

/**
 * Canonical host: A-labels, lower case, 1..253 octets, no trailing dot. Throws INVALID_CSI, also for
 * IP addresses and whatever a URL parser would take for one (`0x7f.1`: a numeric last label).
 */
export function parseHost(text: string): string {
  if (text.includes("[") || text.includes(":")) {
    throw invalidCsi("the domain is an IP literal or has a port");
  }
  const host = plainHost.test(text) ? text : asciiHost(text);
  if (/(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/.test(host)) {
    throw invalidCsi("the last label of the domain is a number");
  }
  return host;
}

// What UTS 46 leaves as it is, ten times faster: lower-case letters, digits and inner hyphens, no
// hyphens in the third and fourth place (so no A-label), labels of at most 63 octets, 253 in all.
const plainHost =
  /^(?=.{1,253}$)(?!(?:.*\.)?..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** UTS 46 with every strict flag. Exported for the test of the shortcut above. */
export function asciiHost(text: string): string {
  requireAssigned(text);
  const host = toASCII(text, strict);
  if (host === null) throw invalidCsi("the domain is not valid by UTS 46, strictly");
  if (host.includes("xn--")) requireAssigned(toUnicode(host, strict).domain);
  return host;
}

/** Whether the text is a canonical host already. */
export function isHost(text: string): boolean {
  if (!/^[a-z0-9.-]{1,253}$/.test(text)) return false;
  try {
    return parseHost(text) === text;
  } catch {
    return false;
  }
}

/** Labels from the top of the DNS down: `example.org` gives `org`, `example`. */
export function hostLabels(host: string): readonly string[] {
  return host === "" ? [] : host.split(".").reverse();
}

export function hostOfLabels(labels: readonly string[]): string {
  return labels.toReversed().join(".");
}

// The private section of the list counts: `example.uk.com` belongs to one customer, `uk.com` does not,
// and the list's own test values say so. A listed rule of either section is a boundary of control.
const suffixOptions = {
  allowPrivateDomains: true,
  allowIcannDomains: true,
  detectIp: false,
  extractHostname: false,
  validateHostname: false,
  mixedInputs: false,
} as const;

/** The registrable domain of a canonical host, undefined if the host is itself a public suffix. */
export function registrableDomain(host: string): string | undefined {
  return getDomain(host, suffixOptions) ?? undefined;
}

/** Whether a canonical host is a public suffix: a name under which strangers register names. */
export function isPublicSuffix(host: string): boolean {
  return getPublicSuffix(host, suffixOptions) === host;
}

/** Labels of the registrable domain, or of the whole host where there is none. */
export function disclosedHostLabels(labels: readonly string[]): number {
  const domain = registrableDomain(hostOfLabels(labels));
  return domain === undefined ? labels.length : hostLabels(domain).length;
}
