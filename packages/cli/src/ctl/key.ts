// whitherctl key: make and show key files, and sign the root key set with the offline KSKs.

import { Command, Option } from "commander";
import { suiteV1, type KeyPeriod, type SignedObject } from "@whither/protocol";
import {
  encodePrivateKeyPem,
  encodeVaultKey,
  encodeVoprfKey,
  formatPublicKey,
  generateSecretKey,
  keyIdOf,
  parsePublicKey,
  portableVoprf,
  publicKeyOf,
  roles,
  toHex,
  toBase64Url,
} from "@whither/crypto";
import { replaceFile, systemClock, systemRandom, writeSecretFile } from "@whither/runtime";
import { encodeRootKeys, encodeSignedObject } from "@whither/wire";
import { addSignature } from "@whither/zone";
import { UsageError } from "../usage.js";
import { print, type Terminal } from "../terminal.js";
import { keyFileKind, readSigner, readVoprfPublicKey } from "../key-files.js";
import { collect, jsonOption, parseInteger, parseLifetime } from "../options.js";
import { rolloverCommand } from "./rollover.js";

const purposes = ["ksk", "zsk", "zone", "msp", "prover", "holder", "voprf", "vault"] as const;

export function keyCommand(terminal: Terminal): Command {
  const key = new Command("key").description("make and show keys");
  key
    .command("generate")
    .description("write a new private key (mode 0600) and print its public key")
    .addOption(
      new Option(
        "--type <purpose>",
        "what the key is for; voprf is a ristretto255 scalar, vault a symmetric key",
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
      const text = `${shown.public_key}\nkey id ${shown.key_id ?? "none (a VOPRF key)"}`;
      print(terminal, { json: options.json === true, value: { file, ...shown }, text });
    });
  key.addCommand(rolloverCommand(terminal));
  key.addCommand(rootSetCommand(terminal));
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

async function showKey(file: string): Promise<{ public_key: string; key_id?: string }> {
  if ((await keyFileKind(file)) === "voprf") {
    return { public_key: `ristretto255:${toBase64Url(await readVoprfPublicKey(file))}` };
  }
  const signer = await readSigner(file);
  return { public_key: formatPublicKey(signer.publicKey), key_id: toHex(signer.keyId) };
}

interface RootSetOptions {
  readonly ksk: readonly string[];
  readonly kskPublic?: readonly string[];
  readonly zsk: readonly string[];
  readonly threshold: number;
  readonly version: number;
  readonly lifetime: number;
  readonly out: string;
  readonly json?: true;
}

function rootSetCommand(terminal: Terminal): Command {
  return new Command("sign-root-set")
    .description("sign the root key set: which keys may sign the directory, by the offline KSKs")
    .requiredOption("--ksk <file>", "KSK private key that signs now (repeat)", collect)
    .option("--ksk-public <key>", "KSK that is in the set but does not sign now (repeat)", collect)
    .requiredOption(
      "--zsk <key>",
      "public key that signs the directory, ed25519:… (repeat)",
      collect,
    )
    .requiredOption(
      "--threshold <k>",
      "how many KSKs have to sign",
      parseInteger({ name: "threshold", min: 1, max: 16 }),
    )
    .option(
      "--set-version <n>",
      "rises with every new set",
      parseInteger({ name: "set-version", min: 1, max: 2 ** 32 }),
      1,
    )
    .option("--lifetime <duration>", "how long the set is valid", parseLifetime, 365 * 86_400)
    .requiredOption("--out <file>", "where to write the signed set")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl key sign-root-set --ksk a.pem --ksk b.pem --zsk ed25519:… --threshold 2 --out root-keys",
    )
    .action(async (raw: Omit<RootSetOptions, "version"> & { setVersion: number }) => {
      const result = await signRootSet({ ...raw, version: raw.setVersion });
      print(terminal, {
        json: raw.json === true,
        value: result,
        text: `${raw.out}: version ${result.version}, ${result.signatures} of ${result.threshold} needed signatures`,
      });
    });
}

async function signRootSet(
  options: RootSetOptions,
): Promise<{ file: string; version: number; signatures: number; threshold: number }> {
  const signers = await Promise.all(options.ksk.map(readSigner));
  const others = (options.kskPublic ?? []).map(parsePublicKey);
  const ksks = [...signers.map((signer) => signer.publicKey), ...others];
  if (new Set(ksks.map(toHex)).size !== ksks.length) throw new UsageError("ksk: each key once");
  if (ksks.length < 2) throw new UsageError(`ksk: expected 2..16 keys, got ${ksks.length}`);
  const now = systemClock.nowSeconds();
  const valid = { notBefore: now - 300, notAfter: now + options.lifetime };
  const zsks = options.zsk.map((key): KeyPeriod => ({ publicKey: parsePublicKey(key), ...valid }));
  const payload = encodeRootKeys({
    suite: suiteV1,
    version: options.version,
    threshold: options.threshold,
    ksks,
    zsks,
    ...valid,
  });
  let object: SignedObject = { payload, signatures: [] };
  for (const signer of signers) {
    object = addSignature(object, { type: "root-keys", role: roles.rootKsk, zone: ".", signer });
  }
  await replaceFile(options.out, encodeSignedObject(object));
  return {
    file: options.out,
    version: options.version,
    signatures: signers.length,
    threshold: options.threshold,
  };
}
