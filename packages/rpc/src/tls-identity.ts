// Certificates as this system sees them: an identity to present, a key pin to check, a peer that has
// been authenticated. Certificates are made by the cli package; here they are only read.
import { X509Certificate, createHash, createPrivateKey } from "node:crypto";
import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import { readFileBounded, readSecretFile } from "@whither/runtime";
import type { Peer } from "./context.js";

/** A certificate chain (leaf first) and its private key, both PEM. */
export interface TlsIdentity {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Largest certificate chain read, in bytes. */
const certificateBytesMax = 64 * 1024;

export interface TlsIdentityFiles {
  readonly certPath: string;
  /** Must be readable by its owner only (0600). */
  readonly keyPath: string;
}

/** Reads and checks an identity. @throws DiscoveryError CONFIG, also if the key is not the certificate's. */
export async function tlsIdentityFromFiles(files: TlsIdentityFiles): Promise<TlsIdentity> {
  const decoder = new TextDecoder();
  const cert = await readFileBounded(files.certPath, { bytesMax: certificateBytesMax });
  const key = await readSecretFile(files.keyPath);
  const identity = { certPem: decoder.decode(cert), keyPem: decoder.decode(key) };
  try {
    checkIdentity(identity);
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    throw new DiscoveryError("CONFIG", error.text, {
      cause: new Error(`${files.certPath}, ${files.keyPath}`, { cause: error.cause }),
    });
  }
  return identity;
}

/** @throws DiscoveryError CONFIG if either part cannot be read or the two do not belong together. */
export function checkIdentity({ certPem, keyPem }: TlsIdentity): void {
  let matches: boolean;
  try {
    matches = new X509Certificate(certPem).checkPrivateKey(createPrivateKey(keyPem));
  } catch (cause) {
    throw new DiscoveryError("CONFIG", "a certificate or its key cannot be read", { cause });
  }
  if (!matches) throw new DiscoveryError("CONFIG", "the key is not the certificate's");
}

/**
 * Pin of a certificate (the first of a chain): SHA-256 of its SubjectPublicKeyInfo, 32 bytes.
 *
 * @throws DiscoveryError CONFIG
 */
export function spkiSha256OfPem(certPem: string): Uint8Array {
  try {
    return spkiSha256(new X509Certificate(certPem));
  } catch (cause) {
    throw new DiscoveryError("CONFIG", "a certificate cannot be read", { cause });
  }
}

/** End of a certificate (the first of a chain), Unix seconds. @throws DiscoveryError CONFIG */
export function certificateNotAfter(certPem: string): number {
  return certificatePeriod(certPem).notAfter;
}

/**
 * For a certificate that is to take the place of another: one outside its time would be refused by everybody.
 *
 * @throws DiscoveryError CONFIG
 */
export function checkCertificatePeriod(certPem: string, nowSeconds: number): void {
  const { notBefore, notAfter } = certificatePeriod(certPem);
  const { clockSkewSeconds } = limits;
  if (nowSeconds > notAfter) throw new DiscoveryError("CONFIG", "the certificate has ended");
  if (nowSeconds < notBefore - clockSkewSeconds) {
    throw new DiscoveryError("CONFIG", "the certificate has not begun");
  }
}

function certificatePeriod(certPem: string): { notBefore: number; notAfter: number } {
  try {
    const { validFrom, validTo } = new X509Certificate(certPem);
    // eslint-disable-next-line no-restricted-globals -- conversion of a given instant, not a reading
    const seconds = (text: string): number => Math.floor(Date.parse(text) / 1000);
    return { notBefore: seconds(validFrom), notAfter: seconds(validTo) };
  } catch (cause) {
    throw new DiscoveryError("CONFIG", "a certificate cannot be read", { cause });
  }
}

export function spkiSha256(certificate: X509Certificate): Uint8Array {
  const spki = certificate.publicKey.export({ type: "spki", format: "der" });
  return new Uint8Array(createHash("sha256").update(spki).digest());
}

type CertificatePeer = Extract<Peer, { kind: "certificate" }>;

/** The peer that a certificate, already verified against the CA, stands for. */
export function peerOfCertificate(certificate: X509Certificate): CertificatePeer {
  return {
    kind: "certificate",
    spkiSha256: spkiSha256(certificate),
    names: alternativeNames(certificate.subjectAltName ?? ""),
    certificateDer: new Uint8Array(certificate.raw),
  };
}

/**
 * DNS, IP and URI names of Node's text list. Node quotes an entry that contains a comma or quote, which
 * could otherwise pretend to be several; a certificate with such an entry has no names here.
 */
function alternativeNames(text: string): readonly string[] {
  if (text === "" || text.includes('"')) return [];
  return text.split(", ").flatMap((entry) => {
    const name = /^(?:DNS|IP Address|URI):(.+)$/.exec(entry)?.[1];
    return name === undefined ? [] : [name];
  });
}
