// What a client certificate must be before a configuration names it: of this key, in its time, for clients, and
// leading to a CA of the federation. DPs check the same and say less about it.

import { X509Certificate } from "node:crypto";
import { DiscoveryError } from "@whither/protocol";
import { certificateNotAfter, checkIdentity, type TlsIdentity } from "@whither/rpc";

export interface CheckedCertificate {
  /** As the certificate names its holder, one line. */
  readonly subject: string;
  readonly notAfter: number;
}

/** RFC 5280 section 4.2.1.12: id-kp-clientAuth. */
const clientAuth = "1.3.6.1.5.5.7.3.2";
const pemBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Certificates of a chain that are looked at, the leaf included. */
const chainMax = 4;

/** Throws CONFIG, EXPIRED, NOT_YET_VALID. */
export function checkClientCertificate(
  identity: TlsIdentity,
  options: { readonly caPem: readonly string[]; readonly nowSeconds: number },
): CheckedCertificate {
  checkIdentity(identity);
  const [leaf, ...others] = parseCertificates(identity.certPem).slice(0, chainMax);
  if (leaf === undefined) throw wrong("certificate: expected a PEM certificate");
  const authorities = options.caPem.flatMap(parseCertificates);
  for (const one of chainOf({ leaf, others, authorities })) checkTime(one, options.nowSeconds);
  // Node names the extended key usage so, and leaves it undefined where a certificate may be used for anything.
  const usages = leaf.keyUsage as readonly string[] | undefined; // its type forgets the absence
  if (usages !== undefined && !usages.includes(clientAuth)) {
    throw wrong("certificate: not for clients (extended key usage)");
  }
  const subject = leaf.subject.split("\n").join(", ");
  return { subject, notAfter: certificateNotAfter(leaf.toString()) };
}

function parseCertificates(pem: string): readonly X509Certificate[] {
  try {
    return (pem.match(pemBlock) ?? []).map((block) => new X509Certificate(block));
  } catch (cause) {
    throw wrong("certificate: cannot be read", cause);
  }
}

/** From the leaf to the certificate that one of the authorities signed. */
function chainOf(of: {
  readonly leaf: X509Certificate;
  readonly others: readonly X509Certificate[];
  readonly authorities: readonly X509Certificate[];
}): readonly X509Certificate[] {
  const { leaf, others, authorities } = of;
  const chain = [leaf];
  for (let last = leaf; chain.length <= chainMax;) {
    if (authorities.some((authority) => isSignedBy(last, authority))) return chain;
    const next = others.find((other) => !chain.includes(other) && isSignedBy(last, other));
    if (next === undefined) break;
    chain.push(next);
    last = next;
  }
  throw wrong("certificate: leads to no CA of the federation");
}

function isSignedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  return (
    authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey)
  );
}

function checkTime(certificate: X509Certificate, nowSeconds: number): void {
  if (nowSeconds > certificateNotAfter(certificate.toString())) {
    throw new DiscoveryError("EXPIRED", "certificate: has ended");
  }
  if (nowSeconds < secondsOf(certificate.validFrom)) {
    throw new DiscoveryError("NOT_YET_VALID", "certificate: has not begun");
  }
}

function secondsOf(text: string): number {
  // eslint-disable-next-line no-restricted-globals -- conversion of a given instant, not a reading
  return Math.floor(Date.parse(text) / 1000);
}

function wrong(text: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError("CONFIG", text, cause === undefined ? {} : { cause });
}
