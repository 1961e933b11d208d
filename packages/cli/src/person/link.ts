// `whither link`: the app that holds an identifier lets a second one of the same person in. It signs here and writes
// a file; the second app agrees and registers with it (`whither register --link`). Nobody is asked on the way.

import { Command } from "commander";
import { parseCsi } from "@whither/protocol";
import { formatPublicKey, parsePublicKey } from "@whither/crypto";
import { approveKeyLink } from "@whither/msp";
import { systemRandom, writeSecretFile } from "@whither/runtime";
import type { WhitherRun } from "../whither-run.js";
import { readSigner } from "../key-files.js";
import { formatLinkFile } from "../link-file.js";
import { jsonOption } from "../options.js";
import { print, type Terminal } from "../terminal.js";
import { UsageError } from "../usage.js";
import { MemoryFile } from "./memory-file.js";

interface LinkCommandOptions {
  readonly approve?: string;
  readonly holderKey?: string;
  readonly out?: string;
  readonly json?: true;
}

const help = `
Each app has a holder key of its own; to a provider two keys are two people, and the second one is refused
(INCUMBENT). A link says that they are one. It is for one identifier, and it cannot be taken back: whoever has
the second key may then order, change and remove what you have registered. So compare the key with what the
second app shows.

The second app adds its signature by registering with the file, which also says what stands by the first. From
then on either key may write, and drops what it does not know of: an app that writes after the other one takes
such a file from it first, made by the same command the other way round.

Exit status: 0 written · 2 wrong usage · 4 refused

Example:
  whitherctl key generate --type holder --out tablet.pem > tablet.pub          (second app)
  whither link --approve "$(cat tablet.pub)" --holder-key phone.pem --out phone.link "+49 30 12345678"
  whither register --link phone.link --credential tablet.credential --holder-key tablet.pem --msp wire.example`;

export function linkCommand(run: WhitherRun): Command {
  return new Command("link")
    .description("let a second app of yours share an identifier")
    .argument("<csi>", "the identifier")
    .option("--approve <public key>", "key of the second app, as ed25519:…")
    .option("--holder-key <file>", "private key of the first app, under which it is registered")
    .option("--out <file>", "where to write the link; it must not exist")
    .addOption(jsonOption())
    .addHelpText("after", help)
    .action((csi: string, options: LinkCommandOptions) => approve(csi, options, run.terminal));
}

async function approve(
  text: string,
  { approve: key, holderKey, out, json }: LinkCommandOptions,
  terminal: Terminal,
): Promise<void> {
  if (key === undefined || holderKey === undefined || out === undefined) {
    throw new UsageError("link: expected --approve, --holder-key and --out, got less");
  }
  const csi = parseCsi(text);
  const newPublicKey = publicKeyOf(key);
  const holder = await readSigner(holderKey);
  const slots = await new MemoryFile({ holderKeyFile: holderKey, csi }).read();
  const randomBytes = (length: number): Uint8Array => systemRandom.bytes(length);
  const approved = approveKeyLink({ csi, holder, newPublicKey, randomBytes });
  await writeSecretFile(out, `${formatLinkFile({ csi, approved, slots })}\n`);
  const [oldKey, newKey] = [holder.publicKey, newPublicKey].map(formatPublicKey);
  const known =
    slots === undefined
      ? "nothing is known here of what is registered: the second app's registration will drop it"
      : `it names what is registered in ${[...slots.keys()].join(", ")}`;
  print(terminal, {
    json: json === true,
    value: { csi, old_key: oldKey, new_key: newKey, zones: [...(slots?.keys() ?? [])], file: out },
    text: `${out}: ${newKey ?? ""} may share ${csi}; ${known}\nnext, the second app: whither register --link ${out} …`,
  });
}

function publicKeyOf(text: string): Uint8Array {
  try {
    return parsePublicKey(text);
  } catch {
    throw new UsageError("approve: expected a public key as ed25519:…, got something else");
  }
}
