// A P-256 key and a PKCS#10 request (RFC 2986) for the operator to sign: the private key never leaves the machine
// that uses it. `whitherctl pki sign` is the other side.

import { join } from "node:path";
import { replaceFile, writeSecretFile } from "@whither/runtime";
import { generateKeyPair, p256, privateKeyPem } from "../p256-keys.js";
import { UsageError } from "../usage.js";
import { x509 } from "../x509-library.js";

export interface RequestFiles {
  readonly key: string;
  readonly request: string;
  /** Where the signed certificate belongs; not there yet. */
  readonly cert: string;
}

/** It becomes a common name and the name of files. Throws UsageError. */
export function parseRequestName(text: string): string {
  if (/^[a-z0-9][a-z0-9._-]{0,63}$/i.test(text)) return text;
  throw new UsageError(
    `request: expected a name of letters, digits, dots and hyphens, got ${JSON.stringify(text)}`,
  );
}

function requestFiles(directory: string, name: string): RequestFiles {
  return {
    key: join(directory, `${name}-key.pem`),
    request: join(directory, `${name}.csr`),
    cert: join(directory, `${name}.pem`),
  };
}

/** Makes key (mode 0600) and request. A key that is there is never replaced: throws CONFIG. */
export async function writeRequest(directory: string, name: string): Promise<RequestFiles> {
  const files = requestFiles(directory, name);
  const keys = await generateKeyPair();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: p256,
  });
  await writeSecretFile(files.key, await privateKeyPem(keys));
  await replaceFile(files.request, `${request.toString("pem")}\n`);
  return files;
}
