// whitherctl key sign-root-set and countersign-root-set: which keys may sign the directory, by k of n offline KSKs. A set
// with other KSKs than the one before is signed by enough of both.

import { Command } from "commander";
import { keyIdOf, parsePublicKey, roles, toHex, type Signer } from "@whither/crypto";
import { suiteV1, type KeyPeriod, type SignedObject } from "@whither/protocol";
import { replaceFile, systemClock } from "@whither/runtime";
import { decodeRootKeys, encodeRootKeys, encodeSignedObject } from "@whither/wire";
import { addSignature } from "@whither/zone";
import { readSigner } from "../key-files.js";
import { collect, jsonOption, parseInteger, parseLifetime } from "../options.js";
import { print, type Terminal } from "../terminal.js";
import { UsageError } from "../usage.js";
import { readObject, withPath } from "./zone-files.js";

interface RootSetOptions {
  readonly ksk: readonly string[];
  readonly kskPublic?: readonly string[];
  readonly retiringKsk?: readonly string[];
  readonly zsk: readonly string[];
  readonly threshold: number;
  readonly setVersion: number;
  readonly lifetime: number;
  readonly out: string;
  readonly json?: true;
}

export function signRootSetCommand(terminal: Terminal): Command {
  return new Command("sign-root-set")
    .description("sign the root key set: which keys may sign the directory, by the offline KSKs")
    .requiredOption("--ksk <file>", "KSK private key that signs now (repeat)", collect)
    .option("--ksk-public <key>", "KSK that is in the set but does not sign now (repeat)", collect)
    .option(
      "--retiring-ksk <file>",
      "KSK of the set before that signs now and is in the set no more (repeat)",
      collect,
    )
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
    .action(async (options: RootSetOptions) => {
      printSet(terminal, options, await signRootSet(options));
    });
}

export function countersignRootSetCommand(terminal: Terminal): Command {
  return new Command("countersign-root-set")
    .description("add signatures of KSKs that lie elsewhere to a root key set")
    .argument("<file>", "root key set, of whitherctl key sign-root-set; replaced")
    .requiredOption("--ksk <file>", "KSK private key, of this set or of the one before", collect)
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl key countersign-root-set root-keys --ksk c.pem")
    .action(async (file: string, options: { ksk: readonly string[]; json?: true }) => {
      const object = await readObject(file);
      withPath(file, () => decodeRootKeys(object.payload));
      const signers = await Promise.all(options.ksk.map(readSigner));
      const missing = signers.filter(
        ({ keyId }) => !object.signatures.some((one) => toHex(one.keyId) === toHex(keyId)),
      );
      const signed = signAll(object, missing);
      await replaceFile(file, encodeSignedObject(signed));
      printSet(terminal, { ...options, out: file }, signed);
    });
}

async function signRootSet(options: RootSetOptions): Promise<SignedObject> {
  const signers = await Promise.all(options.ksk.map(readSigner));
  const retiring = await Promise.all((options.retiringKsk ?? []).map(readSigner));
  const others = (options.kskPublic ?? []).map(parsePublicKey);
  const ksks = [...signers.map((signer) => signer.publicKey), ...others];
  const all = [...ksks, ...retiring.map((signer) => signer.publicKey)];
  if (new Set(all.map(toHex)).size !== all.length) throw new UsageError("ksk: each key once");
  if (ksks.length < 2) throw new UsageError(`ksk: expected 2..16 keys, got ${ksks.length}`);
  const now = systemClock.nowSeconds();
  const valid = { notBefore: now - 300, notAfter: now + options.lifetime };
  const zsks = options.zsk.map((key): KeyPeriod => ({ publicKey: parsePublicKey(key), ...valid }));
  const { threshold, setVersion: version } = options;
  const payload = encodeRootKeys({ suite: suiteV1, version, threshold, ksks, zsks, ...valid });
  const signed = signAll({ payload, signatures: [] }, [...signers, ...retiring]);
  await replaceFile(options.out, encodeSignedObject(signed));
  return signed;
}

function signAll(object: SignedObject, signers: readonly Signer[]): SignedObject {
  const place = { type: "root-keys", role: roles.rootKsk, zone: "." } as const;
  return signers.reduce((one, signer) => addSignature(one, { ...place, signer }), object);
}

function printSet(
  terminal: Terminal,
  { out: file, json }: Pick<RootSetOptions, "json" | "out">,
  object: SignedObject,
): void {
  const { version, threshold, ksks } = decodeRootKeys(object.payload);
  const signedBy = new Set(object.signatures.map(({ keyId }) => toHex(keyId)));
  const signatures = ksks.filter((key) => signedBy.has(toHex(keyIdOf(key)))).length;
  const retiring = signedBy.size - signatures;
  const text = `${file}: version ${version}, ${signatures} of ${threshold} needed signatures`;
  print(terminal, {
    json: json === true,
    value: { file, version, signatures, threshold, retiring },
    text: retiring === 0 ? text : `${text}, ${retiring} of KSKs before`,
  });
}
