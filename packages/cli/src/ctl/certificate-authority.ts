// A federation's small CA: a self-signed P-256 certificate and the leaves that it signs. Extensions are ours, never
// those that a request asks for (RFC 5280 section 4.2).

import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import { join } from "node:path";
import type { PublicKey } from "@peculiar/x509";
import {
  makeStateDirectory,
  readFileBounded,
  readSecretFile,
  replaceFile,
  systemClock,
  systemRandom,
  writeSecretFile,
} from "@whither/runtime";
import { generateKeyPair, p256, privateKeyPem } from "../p256-keys.js";
import { x509 } from "../x509-library.js";

const text = new TextDecoder();

/** Writes ca.pem and ca-key.pem. */
export async function initAuthority(options: {
  readonly dir: string;
  readonly name: string;
  readonly lifetime: number;
}): Promise<{ readonly name: string }> {
  await makeStateDirectory(options.dir);
  const keys = await generateKeyPair();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${options.name}`,
    ...validity(options.lifetime),
    keys,
    signingAlgorithm: p256,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await writeSecretFile(join(options.dir, "ca-key.pem"), await privateKeyPem(keys));
  await replaceFile(join(options.dir, "ca.pem"), `${certificate.toString("pem")}\n`);
  return { name: options.name };
}

export interface LeafOptions {
  /** Directory of the CA. */
  readonly dir: string;
  /** Common name, and always one of the alternative names. */
  readonly name: string;
  readonly san: readonly string[];
  readonly lifetime: number;
  readonly publicKey: PublicKey | webcrypto.CryptoKey;
  /** Whether servers may show it; clients always may. */
  readonly forServers: boolean;
}

export interface Leaf {
  readonly pem: string;
  /** DER of the SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly names: readonly string[];
}

/** Signs a certificate of an end entity with the CA of a directory. */
export async function signLeaf(options: LeafOptions): Promise<Leaf> {
  const { certificate: authority, key: signingKey } = await openAuthority(options.dir);
  const names = [...new Set([options.name, ...options.san])];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${options.name}`,
    issuer: authority.subject,
    ...validity(options.lifetime),
    publicKey: options.publicKey,
    signingKey,
    signingAlgorithm: p256,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        ...(options.forServers ? [x509.ExtendedKeyUsage.serverAuth] : []),
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(authority),
    ],
  });
  const spki = new Uint8Array(certificate.publicKey.rawData);
  return { pem: `${certificate.toString("pem")}\n`, spki, names };
}

async function openAuthority(dir: string) {
  const file = await readFileBounded(join(dir, "ca.pem"), { bytesMax: 65_536 });
  const pem = text.decode(await readSecretFile(join(dir, "ca-key.pem")));
  const der = x509.PemConverter.decodeFirst(pem);
  const key = await webcrypto.subtle.importKey("pkcs8", der, p256, false, ["sign"]);
  return { certificate: new x509.X509Certificate(text.decode(file)), key };
}

function validity(lifetimeSeconds: number): { notBefore: Date; notAfter: Date } {
  const now = systemClock.nowSeconds();
  return { notBefore: dateOf(now - 300), notAfter: dateOf(now + lifetimeSeconds) };
}

// x509 takes Date objects; the instant comes from the clock.
function dateOf(seconds: number): Date {
  // eslint-disable-next-line no-restricted-globals -- conversion of a given instant, not a reading
  return new Date(seconds * 1000);
}

function serialNumber(): string {
  return Buffer.from(systemRandom.bytes(16)).toString("hex");
}
