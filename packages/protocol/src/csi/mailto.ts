// `mailto:` (RFC 6068, RFC 5321, RFC 6531): one address. Canonical body: folded local part with reserved
// ASCII percent-encoded, `@`, A-labels. No dot or `+tag` is folded away: mail systems differ there.

import { foldText, requireVisible } from "./fold.js";
import { disclosedHostLabels, hostLabels, hostOfLabels, isHost, parseHost } from "./host.js";
import { percentDecode, percentEncode } from "./percent.js";
import { invalidCsi, utf8Length } from "./scheme.js";
import type { CsiInput, CsiScheme } from "./scheme.js";

/** RFC 5321 section 4.5.3.1.3 less the angle brackets; counted in UTF-8 octets of the canonical body. */
const addressBytesMax = 254;

// RFC 6068 section 2: of RFC 5322 atext, what a mailto URI carries without an escape.
const unescaped = /[A-Za-z0-9!$'*+\-._~]/;
// RFC 5322 atext, and RFC 6532: every character beyond ASCII.
const dotAtom =
  /^[a-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+(?:\.[a-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+)*$/u;

export const mailto: CsiScheme = {
  scheme: "mailto",
  proofMethods: ["email", "dkim", "oidc"],
  claims: (bare) => bare.includes("@"),
  parse: parseAddress,
  labels: (body) => hostLabels(body.slice(body.lastIndexOf("@") + 1)),
  disclosedLabels: disclosedHostLabels,
  isPrefix: (text) => text === "" || isHost(text),
  prefixLabels: hostLabels,
  prefixText: hostOfLabels,
};

function parseAddress(input: CsiInput): string {
  if (input.form === "uri" && /[?#/[\]]/.test(input.text)) {
    throw invalidCsi("a mailto identifier has no ?headers, # or raw / [ ]");
  }
  const parts = input.text.split("@");
  const [local, domain] = input.form === "uri" ? parts.map(percentDecode) : parts;
  if (local === undefined || domain === undefined || parts.length !== 2) {
    throw invalidCsi("an e-mail address has exactly one @");
  }
  const body = `${parseLocalPart(local)}@${parseHost(domain)}`;
  if (utf8Length(body) > addressBytesMax) throw invalidCsi("the address is longer than 254 octets");
  return body;
}

function parseLocalPart(text: string): string {
  const folded = foldText(unquote(text));
  requireVisible(folded);
  if (!dotAtom.test(folded)) {
    throw invalidCsi("the local part is not a dot-atom (quotes, comments, dots)");
  }
  return percentEncode(folded, unescaped);
}

/** RFC 5321 section 4.1.2: quotes that are not needed mean nothing. What needs them is refused later. */
function unquote(text: string): string {
  return /^"(.+)"$/su.exec(text)?.[1] ?? text;
}
