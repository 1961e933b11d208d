// whitherctl pki sign: a client certificate for a PKCS#10 request (RFC 2986), such as `whither setup --request`
// makes. The request proves possession of its key and nothing else: names and extensions are the operator's word,
// so that nobody gets a certificate for a server's name by asking for it.

import type { webcrypto } from "node:crypto";
import { Command } from "commander";
import { DiscoveryError } from "@whither/protocol";
import { formatPin, sha256 } from "@whither/crypto";
import { readFileBounded, replaceFile } from "@whither/runtime";
import { collect, jsonOption, parseLifetime } from "../options.js";
import { p256 } from "../p256-keys.js";
import { print, type Terminal } from "../terminal.js";
import { x509 } from "../x509-library.js";
import { signLeaf } from "./certificate-authority.js";

interface SignOptions {
  readonly dir: string;
  readonly name: string;
  readonly san?: readonly string[];
  readonly lifetime: number;
  readonly out: string;
  readonly json?: true;
}

const requestBytesMax = 16 * 1024;

export function signRequestCommand(terminal: Terminal): Command {
  return new Command("sign")
    .description("sign somebody's certificate request for a client, print its SPKI pin")
    .argument("<request>", "PEM certificate request, of whither setup --request")
    .requiredOption("--dir <directory>", "directory of the CA")
    .requiredOption("--name <text>", "whose it is: your word, whatever the request says")
    .option("--san <name>", "further DNS name or IP address (repeat)", collect)
    .option("--lifetime <duration>", "validity", parseLifetime, 397 * 86_400)
    .requiredOption("--out <file>", "where to write the certificate")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl pki sign anna.csr --dir pki --name anna --out anna.pem",
    )
    .action(async (file: string, options: SignOptions) => {
      const { dir, name, san = [], lifetime, out, json } = options;
      const { publicKey, subject } = await readRequest(file);
      const leaf = await signLeaf({ dir, name, san, lifetime, publicKey, forServers: false });
      await replaceFile(out, leaf.pem);
      const pin = formatPin(sha256(leaf.spki));
      const value = { certificate: out, pin, names: leaf.names, requested: subject };
      print(terminal, { json: json === true, value, text: pin });
    });
}

/** A request that its own key signed. Throws CONFIG. */
async function readRequest(file: string) {
  const bytes = await readFileBounded(file, { bytesMax: requestBytesMax });
  const request = parseRequest(new TextDecoder().decode(bytes));
  // The library's type is that of browsers, which names no curve.
  const { name, namedCurve } = request.publicKey.algorithm as webcrypto.EcKeyAlgorithm;
  if (name !== p256.name || namedCurve !== p256.namedCurve) {
    throw new DiscoveryError("CONFIG", "request: expected a P-256 key");
  }
  if (!(await request.verify())) {
    throw new DiscoveryError("CONFIG", "request: its own key has not signed it");
  }
  return request;
}

/** What the library says of its structures helps nobody who named the wrong file. */
function parseRequest(pem: string) {
  try {
    return new x509.Pkcs10CertificateRequest(pem);
  } catch {
    throw new DiscoveryError("CONFIG", "request: expected a PEM certificate request");
  }
}
