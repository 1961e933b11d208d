// whitherctl credential issue: what a prover signs once it is satisfied that a holder possesses a CSI.
// The prover's operator uses it by hand until proverd runs the challenges.

import { Command } from "commander";
import { limits, parseCsi, parseProverId, csiScheme } from "@whither/protocol";
import { lp, parsePublicKey, roles, sha256, toBase64Url, utf8 } from "@whither/crypto";
import { systemClock, systemRandom, writeSecretFile } from "@whither/runtime";
import { encodeCredential, encodeSignedObject } from "@whither/wire";
import { signObject } from "@whither/zone";
import { UsageError } from "../run-program.js";
import { print, type Terminal } from "../terminal.js";
import { readSigner } from "./key-files.js";
import { jsonOption, parseInteger, parseLifetime } from "./options.js";

interface IssueOptions {
  readonly proverKey: string;
  readonly prover: string;
  readonly csi: string;
  readonly holder: string;
  readonly method: string;
  readonly level: number;
  readonly lifetime?: number;
  readonly out: string;
  readonly json?: true;
}

export function credentialCommand(terminal: Terminal): Command {
  const credential = new Command("credential").description(
    "a prover's word that a holder has a CSI",
  );
  credential
    .command("issue")
    .description(
      "sign a credential for a holder key; the file also holds the opening, keep it private",
    )
    .requiredOption("--prover-key <file>", "private key of the prover")
    .requiredOption("--prover <id>", "the prover's id in the registry")
    .requiredOption("--csi <csi>", "number, address or handle that was proved")
    .requiredOption("--holder <key>", "the holder's public key, ed25519:…")
    .requiredOption("--method <name>", "how it was proved: sms, email, dkim, oidc, passport")
    .option("--level <n>", "1..3", parseInteger({ name: "level", min: 1, max: 3 }), 1)
    .option("--lifetime <duration>", "validity; tel at most 45d, others 90d", parseLifetime)
    .requiredOption("--out <file>", "where to write the credential (mode 0600)")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl credential issue --prover-key prover.pem --prover prover.example \\\n" +
        "    --csi +14155550123 --holder ed25519:… --method sms --out credential.json",
    )
    .action(async (options: IssueOptions) => {
      const value = await issueCredential(options);
      print(terminal, { json: options.json === true, value, text: options.out });
    });
  return credential;
}

async function issueCredential(
  options: IssueOptions,
): Promise<{ file: string; method: string; level: number; expires: number }> {
  const csi = parseCsi(options.csi);
  const lifetimeMax =
    csiScheme(csi) === "tel"
      ? limits.telCredentialLifetimeSecondsMax
      : limits.credentialLifetimeSecondsMax;
  const lifetime = options.lifetime ?? lifetimeMax;
  if (lifetime > lifetimeMax) {
    throw new UsageError(`lifetime: expected at most ${lifetimeMax / 86_400}d, got ${lifetime} s`);
  }
  const opening = systemRandom.bytes(32);
  const now = systemClock.nowSeconds();
  const payload = encodeCredential({
    proverId: parseProverId(options.prover),
    csiCommit: sha256(lp(opening), lp(utf8(csi))),
    holderPublicKey: parsePublicKey(options.holder),
    method: options.method,
    level: options.level,
    issued: now,
    expires: now + lifetime,
    firstProvedAt: now,
    evidenceSha256: new Uint8Array(),
  });
  const signer = await readSigner(options.proverKey);
  const object = signObject({ type: "credential", role: roles.prover, zone: "", payload, signer });
  const file = {
    version: 1,
    csi,
    opening: toBase64Url(opening),
    credential: toBase64Url(encodeSignedObject(object)),
  };
  await writeSecretFile(options.out, `${JSON.stringify(file)}\n`);
  return {
    file: options.out,
    method: options.method,
    level: options.level,
    expires: now + lifetime,
  };
}
