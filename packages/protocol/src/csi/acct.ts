// `acct:` (RFC 7565): an account at a host, not necessarily a mailbox. Canonical body: folded user with
// reserved ASCII percent-encoded, `@`, A-labels. There is no form without the scheme.

import { foldText, requireVisible } from "./fold.js";
import { disclosedHostLabels, hostLabels, hostOfLabels, isHost, parseHost } from "./host.js";
import { percentDecode, percentEncode } from "./percent.js";
import { invalidCsi, utf8Length } from "./scheme.js";
import type { CsiInput, CsiScheme } from "./scheme.js";

/** As for e-mail; counted in UTF-8 octets of the canonical body. */
const accountBytesMax = 254;

// RFC 7565 section 7: userpart = unreserved / sub-delims / pct-encoded; RFC 3987 adds beyond ASCII.
const unescaped = /[A-Za-z0-9\-._~!$&'()*+,;=]/;
const rawUser = /^[A-Za-z0-9\-._~!$&'()*+,;=%\u0080-\u{10ffff}]+$/u;

export const acct: CsiScheme = {
  scheme: "acct",
  proofMethods: ["oidc"],
  claims: () => false,
  parse: parseAccount,
  labels: (body) => hostLabels(body.slice(body.lastIndexOf("@") + 1)),
  disclosedLabels: disclosedHostLabels,
  isPrefix: (text) => text === "" || isHost(text),
  prefixLabels: hostLabels,
  prefixText: hostOfLabels,
};

function parseAccount(input: CsiInput): string {
  const [user, host, ...rest] = input.text.split("@");
  if (user === undefined || host === undefined || rest.length > 0) {
    throw invalidCsi("an acct identifier is user@host; write @ in the user as %40");
  }
  if (!rawUser.test(user)) throw invalidCsi("the user is empty or has a character to be escaped");
  const folded = foldText(percentDecode(user));
  requireVisible(folded);
  const body = `${percentEncode(folded, unescaped)}@${parseHost(percentDecode(host))}`;
  if (utf8Length(body) > accountBytesMax) throw invalidCsi("the account is longer than 254 octets");
  return body;
}
