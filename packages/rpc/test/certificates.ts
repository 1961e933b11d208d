// A throw-away CA and leaf certificates for tests: P-256, made in process, never written to disk.
import { webcrypto } from "node:crypto";
import type { JsonGeneralName, X509Certificate } from "@peculiar/x509";
import type { TlsIdentity } from "../src/tls-identity.js";

// The library's dependency container refuses to load without a reflect polyfill, which nothing here needs.
const none = (): undefined => undefined;
if (!("getMetadata" in Reflect)) {
  Object.assign(Reflect, { getMetadata: none, getOwnMetadata: none, defineMetadata: none });
}
const { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } =
  await import("@peculiar/x509");

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface TestCa {
  readonly caPem: string;
  readonly issue: (names: readonly JsonGeneralName[]) => Promise<TlsIdentity>;
}

export async function createTestCa(commonName: string): Promise<TestCa> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      ...validity(),
      serialNumber: "01",
      name: `CN=${commonName}`,
      keys,
      signingAlgorithm: algorithm,
      extensions: [new BasicConstraintsExtension(true, 0, true)],
    },
    webcrypto,
  );
  return {
    caPem: `${certificate.toString("pem")}\n`,
    issue: (names) => issue(certificate, keys, names),
  };
}

async function issue(
  ca: X509Certificate,
  caKeys: webcrypto.CryptoKeyPair,
  names: readonly JsonGeneralName[],
): Promise<TlsIdentity> {
  const keys = await generateKeys();
  const leaf = await X509CertificateGenerator.create(
    {
      ...validity(),
      serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString("hex"),
      subject: "CN=leaf",
      issuer: ca.subject,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new SubjectAlternativeNameExtension([...names])],
    },
    webcrypto,
  );
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    certPem: `${leaf.toString("pem")}\n`,
    keyPem: `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString("base64")}\n-----END PRIVATE KEY-----\n`,
  };
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

function validity(): { readonly notBefore: Date; readonly notAfter: Date } {
  const nowMs = Date.now();
  return { notBefore: new Date(nowMs - 3_600_000), notAfter: new Date(nowMs + 86_400_000) };
}
