// The certificate in whose name a resolver evaluates: read from what an application or a daemon hands over, at
// the start and again when another one takes its place.

import {
  checkCertificatePeriod,
  checkIdentity,
  tlsIdentityFromFiles,
  type TlsIdentity,
} from "@whither/rpc";

/** Client certificate and key: PEM text, or paths (the key's with mode 0600). */
export interface ClientIdentity {
  readonly cert: string;
  readonly key: string;
}

/** Throws CONFIG for files that cannot be read or do not belong together, TypeError for one text and one path. */
export async function readClientIdentity({ cert, key }: ClientIdentity): Promise<TlsIdentity> {
  const isPem = (text: string): boolean => text.trimStart().startsWith("-----BEGIN");
  if (isPem(cert) !== isPem(key)) {
    throw new TypeError("identity: expected two PEM texts or two paths");
  }
  if (!isPem(cert)) return await tlsIdentityFromFiles({ certPath: cert, keyPath: key });
  const pem = { certPem: cert, keyPem: key };
  checkIdentity(pem);
  return pem;
}

/** As readClientIdentity, of one that is to take the place of another: outside its time it is CONFIG, too. */
export async function readNextIdentity(
  given: ClientIdentity,
  nowSeconds: number,
): Promise<TlsIdentity> {
  const identity = await readClientIdentity(given);
  checkCertificatePeriod(identity.certPem, nowSeconds);
  return identity;
}
