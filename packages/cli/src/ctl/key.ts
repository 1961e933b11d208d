// whitherctl key: make and show key files. Root key sets: root-set.ts; a zone key's successor: rollover.ts.

import { Command, Option } from "commander";
import {
  encodeHpkeKeyPem,
  encodePrivateKeyPem,
  encodeVaultKey,
  encodeVoprfKey,
  formatHpkePublicKey,
  formatPublicKey,
  generateHpkeKey,
  generateSecretKey,
  hpkePublicKeyOf,
  keyIdOf,
  portableVoprf,
  publicKeyOf,
  toHex,
  toBase64Url,
} from "@whither/crypto";
import { systemRandom, writeSecretFile } from "@whither/runtime";
import { print, type Terminal } from "../terminal.js";
import { keyFileKind, readHpkePublicKey, readSigner, readVoprfPublicKey } from "../key-files.js";
import { jsonOption } from "../options.js";
import { rolloverCommand } from "./rollover.js";
import { countersignRootSetCommand, signRootSetCommand } from "./root-set.js";

const purposes = [
  "ksk",
  "zsk",
  "zone",
  "msp",
  "prover",
  "holder",
  "voprf",
  "vault",
  "hpke",
] as const;

export function keyCommand(terminal: Terminal): Command {
  const key = new Command("key").description("make and show keys");
  key
    .command("generate")
    .description("write a new private key (mode 0600) and print its public key")
    .addOption(
      new Option(
        "--type <purpose>",
        "what the key is for; voprf is a ristretto255 scalar, vault a symmetric key, hpke an X25519 key",
      )
        .choices(purposes)
        .makeOptionMandatory(),
    )
    .requiredOption("--out <file>", "where to write it; an existing file is never replaced")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl key generate --type zone --out de.zone.pem")
    .action(async (options: { type: (typeof purposes)[number]; out: string; json?: true }) => {
      const json = options.json === true;
      const made = await generate(options);
      print(terminal, {
        json,
        value: { type: options.type, file: options.out, ...made },
        text: made.public_key ?? options.out,
      });
    });
  key
    .command("show")
    .description("print public key and key id of a private key file")
    .argument("<file>")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl key show de.zone.pem")
    .action(async (file: string, options: { json?: true }) => {
      const shown = await showKey(file);
      const text = `${shown.public_key}\nkey id ${shown.key_id ?? "none (it signs nothing)"}`;
      print(terminal, { json: options.json === true, value: { file, ...shown }, text });
    });
  key.addCommand(rolloverCommand(terminal));
  key.addCommand(signRootSetCommand(terminal));
  key.addCommand(countersignRootSetCommand(terminal));
  return key;
}

function generate({
  type,
  out,
}: {
  readonly type: (typeof purposes)[number];
  readonly out: string;
}): Promise<{ public_key?: string; key_id?: string }> {
  if (type === "voprf") return generateVoprf(out);
  if (type === "vault") return generateVault(out);
  if (type === "hpke") return generateHpke(out);
  return generateEd25519(out);
}

/** A symmetric key: there is nothing of it to show. */
async function generateVault(out: string): Promise<Record<string, never>> {
  await writeSecretFile(out, encodeVaultKey(systemRandom.bytes(32)));
  return {};
}

async function generateEd25519(out: string): Promise<{ public_key: string; key_id: string }> {
  const secret = generateSecretKey((n) => systemRandom.bytes(n));
  const publicKey = publicKeyOf(secret);
  await writeSecretFile(out, encodePrivateKeyPem(secret));
  return { public_key: formatPublicKey(publicKey), key_id: toHex(keyIdOf(publicKey)) };
}

async function generateVoprf(out: string): Promise<{ public_key: string }> {
  const pair = portableVoprf.generateKeyPair((n) => systemRandom.bytes(n));
  await writeSecretFile(out, encodeVoprfKey(pair.secretKey));
  return { public_key: `ristretto255:${toBase64Url(pair.publicKey)}` };
}

async function generateHpke(out: string): Promise<{ public_key: string }> {
  const secret = generateHpkeKey((n) => systemRandom.bytes(n));
  await writeSecretFile(out, encodeHpkeKeyPem(secret));
  return { public_key: formatHpkePublicKey(hpkePublicKeyOf(secret)) };
}

async function showKey(file: string): Promise<{ public_key: string; key_id?: string }> {
  const kind = await keyFileKind(file);
  if (kind === "hpke") return { public_key: formatHpkePublicKey(await readHpkePublicKey(file)) };
  if (kind === "voprf") {
    return { public_key: `ristretto255:${toBase64Url(await readVoprfPublicKey(file))}` };
  }
  const signer = await readSigner(file);
  return { public_key: formatPublicKey(signer.publicKey), key_id: toHex(signer.keyId) };
}
