// whitherctl credential issue: what a prover signs once it is satisfied that a holder possesses a CSI.
// The prover's operator uses it by hand, or for a list, until proverd runs the challenges.

import { Command } from "commander";
import { z } from "zod";
import { csiScheme, limits, parseCsi, parseProverId, type Csi } from "@whither/protocol";
import { parsePublicKey, roles, type Signer } from "@whither/crypto";
import { systemClock, systemRandom, writeSecretFile } from "@whither/runtime";
import { encodeCredential } from "@whither/wire";
import { csiCommit, openingBytes, signObject } from "@whither/zone";
import { formatCredentialFile, type CredentialFile } from "../credential-file.js";
import { atLine, readJsonLines } from "../json-lines.js";
import { print, type Terminal } from "../terminal.js";
import { UsageError } from "../usage.js";
import { readSigner } from "../key-files.js";
import { jsonOption, parseInteger, parseLifetime } from "../options.js";

interface IssueOptions {
  readonly proverKey: string;
  readonly prover: string;
  readonly csi?: string;
  readonly holder?: string;
  readonly method?: string;
  readonly level: number;
  readonly lifetime?: number;
  readonly batch?: string;
  readonly out: string;
  readonly json?: true;
}

const help = `
The file holds the opening of the commitment: keep it private (it is written with mode 0600).
A batch has one JSON object a line, {"csi", "holder", "method"?, "level"?}, and so has its result;
--method and --level are for lines that name none.

Examples:
  whitherctl credential issue --prover-key prover.pem --prover prover.example \\
    --csi +14155550123 --holder ed25519:… --method sms --out credential.json
  whitherctl credential issue --prover-key prover.pem --prover prover.example \\
    --batch requests.jsonl --out credentials.jsonl`;

export function credentialCommand(terminal: Terminal): Command {
  const credential = new Command("credential").description(
    "a prover's word that a holder has a CSI",
  );
  credential
    .command("issue")
    .description("sign a credential for a holder key, or one for each line of a batch")
    .requiredOption("--prover-key <file>", "private key of the prover")
    .requiredOption("--prover <id>", "the prover's id in the registry")
    .option("--csi <csi>", "number, address or handle that was proved")
    .option("--holder <key>", "the holder's public key, ed25519:…")
    .option("--method <name>", "how it was proved: sms, email, dkim, oidc, passport")
    .option("--level <n>", "1..3", parseInteger({ name: "level", min: 1, max: 3 }), 1)
    .option("--lifetime <duration>", "validity; tel at most 45d, others 90d", parseLifetime)
    .option("--batch <file>", "requests, one JSON object a line, instead of --csi and --holder")
    .requiredOption("--out <file>", "where to write the credentials; never replaces a file")
    .addOption(jsonOption())
    .addHelpText("after", help)
    .action(async (options: IssueOptions) => {
      const requests = await requestsOf(options);
      const signer = await readSigner(options.proverKey);
      const lines: string[] = [];
      for (const { line, request } of requests) {
        const issue = () => issueCredential({ options, request, signer });
        const file =
          line === undefined ? issue() : await atLine({ file: options.batch ?? "", line }, issue);
        lines.push(`${formatCredentialFile(file)}\n`);
      }
      await writeSecretFile(options.out, lines.join(""));
      const value = { file: options.out, credentials: lines.length };
      print(terminal, {
        json: options.json === true,
        value,
        text: options.batch === undefined ? options.out : `${options.out}: ${lines.length}`,
      });
    });
  return credential;
}

interface CredentialRequest {
  readonly csi: string;
  readonly holder: string;
  readonly method?: string | undefined;
  readonly level?: number | undefined;
}

const requestSchema = z.strictObject({
  csi: z.string().max(1024),
  holder: z.string().max(128),
  method: z.string().max(32).optional(),
  level: z.int().min(1).max(3).optional(),
});

async function requestsOf(
  options: IssueOptions,
): Promise<readonly { readonly line?: number; readonly request: CredentialRequest }[]> {
  const { batch, csi, holder } = options;
  if (batch === undefined) {
    if (csi === undefined || holder === undefined) {
      throw new UsageError(
        "credential issue: expected --csi and --holder, or --batch, got neither",
      );
    }
    return [{ request: { csi, holder } }];
  }
  if (csi !== undefined || holder !== undefined) {
    throw new UsageError("credential issue: expected --batch alone, got --csi or --holder with it");
  }
  const lines = await readJsonLines({ file: batch, schema: requestSchema });
  return lines.map(({ line, value }) => ({ line, request: value }));
}

function issueCredential(issue: {
  readonly options: IssueOptions;
  readonly request: CredentialRequest;
  readonly signer: Signer;
}): CredentialFile {
  const { options, request, signer } = issue;
  const method = request.method ?? options.method;
  if (method === undefined) throw new UsageError("method: expected sms, email, …, got nothing");
  const csi = parseCsi(request.csi);
  const opening = systemRandom.bytes(openingBytes);
  const now = systemClock.nowSeconds();
  const payload = encodeCredential({
    proverId: parseProverId(options.prover),
    csiCommit: csiCommit({ csi, opening }),
    holderPublicKey: parsePublicKey(request.holder),
    method,
    level: request.level ?? options.level,
    issued: now,
    expires: now + lifetimeOf(csi, options.lifetime),
    firstProvedAt: now,
    evidenceSha256: new Uint8Array(),
  });
  const place = { type: "credential", role: roles.prover, zone: "" } as const;
  return { csi, opening, credential: signObject({ ...place, payload, signer }) };
}

function lifetimeOf(csi: Csi, asked: number | undefined): number {
  const max =
    csiScheme(csi) === "tel"
      ? limits.telCredentialLifetimeSecondsMax
      : limits.credentialLifetimeSecondsMax;
  if (asked !== undefined && asked > max) {
    throw new UsageError(`lifetime: expected at most ${max / 86_400}d, got ${asked} s`);
  }
  return asked ?? max;
}
