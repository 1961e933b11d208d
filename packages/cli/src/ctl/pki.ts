// whitherctl pki: a certificate authority for tests and small federations. P-256 leaf certificates with
// subject alternative names; a federation with its own PKI does not need it.

import { join } from "node:path";
import { Command } from "commander";
import { formatPin, sha256 } from "@whither/crypto";
import { replaceFile, writeSecretFile } from "@whither/runtime";
import { print, type Terminal } from "../terminal.js";
import { collect, jsonOption, parseLifetime } from "../options.js";
import { generateKeyPair, privateKeyPem } from "../p256-keys.js";
import { initAuthority, signLeaf } from "./certificate-authority.js";
import { signRequestCommand } from "./pki-sign.js";

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
  pki.addCommand(signRequestCommand(terminal));
  return pki;
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
  const { dir, name, san = [], lifetime } = options;
  const keys = await generateKeyPair();
  const { publicKey } = keys;
  const leaf = await signLeaf({ dir, name, san, lifetime, publicKey, forServers: true });
  const files = { certificate: join(dir, `${name}.pem`), key: join(dir, `${name}-key.pem`) };
  await writeSecretFile(files.key, await privateKeyPem(keys));
  await replaceFile(files.certificate, leaf.pem);
  return { ...files, pin: formatPin(sha256(leaf.spki)), names: leaf.names };
}
