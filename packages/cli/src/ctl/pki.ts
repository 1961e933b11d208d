// whitherctl pki: a certificate authority for tests and small federations. P-256 leaf certificates with
// subject alternative names; a federation with its own PKI does not need it.

import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import { join } from "node:path";
import { Command } from "commander";
import { formatPin, sha256 } from "@whither/crypto";
import {
  makeStateDirectory,
  readFileBounded,
  readSecretFile,
  replaceFile,
  systemClock,
  systemRandom,
  writeSecretFile,
} from "@whither/runtime";
import { print, type Terminal } from "../terminal.js";
import { collect, jsonOption, parseLifetime } from "../options.js";
import { x509 } from "./x509-library.js";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const text = new TextDecoder();

export function pkiCommand(terminal: Terminal): Command {
  const pki = new Command("pki").description("a small certificate authority for a federation");
  pki
    .command("init")
    .description("make a CA: ca.pem and ca-key.pem")
    .requiredOption("--dir <directory>", "where to write them")
    .option("--name <text>", "common name of the CA", "whither federation CA")
    .option("--lifetime <duration>", "validity", parseLifetime, 3650 * 86_400)
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl pki init --dir pki")
    .action(async (o: { dir: string; name: string; lifetime: number; json?: true }) => {
      const certificate = await initAuthority(o);
      const file = join(o.dir, "ca.pem");
      print(terminal, {
        json: o.json === true,
        value: { certificate: file, ...certificate },
        text: file,
      });
    });
  pki
    .command("issue")
    .description("issue a P-256 certificate for a server or client, print its SPKI pin")
    .requiredOption("--dir <directory>", "directory of the CA, also of the new files")
    .requiredOption("--name <text>", "common name and file name: NAME.pem, NAME-key.pem")
    .option("--san <name>", "DNS name or IP address (repeat); NAME is always one", collect)
    .option("--lifetime <duration>", "validity", parseLifetime, 397 * 86_400)
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl pki issue --dir pki --name dp-a.example --san 127.0.0.1",
    )
    .action(async (o: IssueOptions & { json?: true }) => {
      const issued = await issue(o);
      print(terminal, { json: o.json === true, value: issued, text: issued.pin });
    });
  return pki;
}

async function generateKeyPair(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

async function privateKeyPem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const der = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return x509.PemConverter.encode(der, "PRIVATE KEY") + "\n";
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

async function initAuthority(options: {
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
    signingAlgorithm: algorithm,
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

interface IssueOptions {
  readonly dir: string;
  readonly name: string;
  readonly san?: readonly string[];
  readonly lifetime: number;
}

async function issue(
  options: IssueOptions,
): Promise<{ certificate: string; key: string; pin: string; names: readonly string[] }> {
  const authority = new x509.X509Certificate(
    text.decode(await readFileBounded(join(options.dir, "ca.pem"), { bytesMax: 65_536 })),
  );
  const authorityKey = await webcrypto.subtle.importKey(
    "pkcs8",
    x509.PemConverter.decodeFirst(
      text.decode(await readSecretFile(join(options.dir, "ca-key.pem"))),
    ),
    algorithm,
    false,
    ["sign"],
  );
  const keys = await generateKeyPair();
  const names = [...new Set([options.name, ...(options.san ?? [])])];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${options.name}`,
    issuer: authority.subject,
    ...validity(options.lifetime),
    publicKey: keys.publicKey,
    signingKey: authorityKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(authority),
    ],
  });
  const files = {
    certificate: join(options.dir, `${options.name}.pem`),
    key: join(options.dir, `${options.name}-key.pem`),
  };
  await writeSecretFile(files.key, await privateKeyPem(keys));
  await replaceFile(files.certificate, `${certificate.toString("pem")}\n`);
  return { ...files, pin: formatPin(sha256(new Uint8Array(certificate.publicKey.rawData))), names };
}
