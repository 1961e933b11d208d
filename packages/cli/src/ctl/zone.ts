// whitherctl zone: the root directory from its sources to the signed artefact, and what an artefact says.

import { Command } from "commander";
import { parsePrefix } from "@whither/protocol";
import type { Finding } from "@whither/zone";
import { print, type Terminal } from "../terminal.js";
import { ExitStatus, UsageError } from "../usage.js";
import { jsonOption, parseInteger } from "../options.js";
import { healthCommand } from "./zone-health.js";
import { signPartSources } from "./part-files.js";
import { checkSources, readArtefact, signSources, type SignedSources } from "./zone-files.js";
import { describeArtefact, diffArtefacts, formatArtefact, formatDiff } from "./zone-text.js";

export function zoneCommand(terminal: Terminal): Command {
  const zone = new Command("zone").description("the root directory: check, sign, compare, show");
  zone.addCommand(checkCommand(terminal));
  zone.addCommand(signCommand(terminal));
  zone.addCommand(diffCommand(terminal));
  zone.addCommand(showCommand(terminal));
  zone.addCommand(healthCommand(terminal));
  return zone;
}

interface SourceOptions {
  readonly registry: string;
  readonly rootKeys?: string;
  readonly previous?: string;
  readonly anchors?: string;
  readonly json?: true;
}

function checkCommand(terminal: Terminal): Command {
  return new Command("check")
    .description("find what is wrong or unusual in the sources; exit 1 if there is an error")
    .argument("<file>", "root.zone.yaml")
    .requiredOption("--registry <file>", "registry.yaml; manifests are read from beside it")
    .option("--previous <file>", "artefact in service, to notice what changes unusually")
    .option("--root-keys <file>", "root key set, to notice keys that end soon")
    .option("--anchors <file>", "verify the previous artefact with these anchors")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl zone check root.zone.yaml --registry registry.yaml",
    )
    .action(async (file: string, options: SourceOptions) => {
      const findings = await checkSources({ ...options, root: file });
      printFindings(terminal, { findings, json: options.json === true });
      if (findings.some(({ severity }) => severity === "error")) throw new ExitStatus(1);
    });
}

function printFindings(
  terminal: Terminal,
  { findings, json }: { readonly findings: readonly Finding[]; readonly json: boolean },
): void {
  const count = (severity: Finding["severity"]): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const sums = { errors: count("error"), warnings: count("warning") };
  const lines = findings.map(
    ({ file, line, severity, rule, subject, text }) =>
      `${file}:${line}: ${severity} (${rule}): ${subject}: ${text}`,
  );
  const sum = `${sums.errors} errors, ${sums.warnings} warnings`;
  print(terminal, { json, value: { ...sums, findings }, text: [...lines, sum].join("\n") });
}

interface SignOptions extends SourceOptions {
  readonly zsk?: string;
  readonly manifest?: string;
  readonly zoneKey?: string;
  readonly epoch?: number;
  readonly out: string;
}

function signCommand(terminal: Terminal): Command {
  return new Command("sign")
    .description("compile and sign the directory; errors of `zone check` prevent it")
    .argument("<file>", "root.zone.yaml, or the source of a part")
    .requiredOption("--registry <file>", "registry.yaml; manifests are read from beside it")
    .option("--root-keys <file>", "root key set, of whitherctl key sign-root-set")
    .option("--zsk <file>", "private key of a ZSK in that set")
    .option("--manifest <file>", "of a part instead: the manifest of its zone")
    .option("--zone-key <file>", "private key of a zone key in that manifest")
    .option(
      "--previous <file>",
      "artefact whose serial is continued; unless given, the file that --out replaces",
    )
    .option(
      "--anchors <file>",
      "verify the previous artefact with these anchors, not the root keys",
    )
    .option(
      "--epoch <n>",
      "begin this epoch, higher than the last; only after a loss of serials",
      parseInteger({ name: "epoch", min: 1, max: 2 ** 48 }),
    )
    .requiredOption("--out <file>", "where to write the artefact")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl zone sign root.zone.yaml --registry registry.yaml \\\n" +
        "    --root-keys root-keys --zsk zsk.pem --out root.signed\n" +
        "  whitherctl zone sign part.zone.yaml --registry registry.yaml \\\n" +
        "    --manifest part.manifest --zone-key part.zone.pem --out part.signed",
    )
    .action(async (file: string, options: SignOptions) => {
      const { findings, signed } = await sign(file, options);
      if (signed === undefined) {
        printFindings(terminal, { findings, json: options.json === true });
        throw new ExitStatus(1);
      }
      const { head, bytes } = signed;
      const value = {
        file: options.out,
        epoch: head.epoch,
        serial: head.serial,
        registry_version: head.registryVersion,
        nodes: head.nodeCount,
        records: head.recordCount,
        not_after: head.notAfter,
        bytes,
        warnings: findings.length,
      };
      const text = `${options.out}: epoch ${head.epoch}, serial ${head.serial}, ${head.nodeCount} nodes, ${head.recordCount} records, ${findings.length} warnings`;
      print(terminal, { json: options.json === true, value, text });
    });
}

/** The root with its ZSK, or a part with its zone key. */
async function sign(root: string, options: SignOptions): Promise<SignedSources> {
  const { rootKeys, zsk, manifest, zoneKey } = options;
  const isRoot = rootKeys !== undefined && zsk !== undefined;
  const isPart = manifest !== undefined && zoneKey !== undefined;
  if (isRoot && manifest === undefined && zoneKey === undefined) {
    return await signSources({ ...options, root, rootKeys, zsk });
  }
  if (isPart && rootKeys === undefined && zsk === undefined) {
    return await signPartSources({ ...options, root, manifest, zoneKey });
  }
  throw new UsageError(
    "keys: expected --root-keys and --zsk, or --manifest and --zone-key",
    "the root is signed with a ZSK of its key set, a part with a zone key of its manifest",
  );
}

interface ShowOptions {
  readonly anchors?: string;
  readonly json?: true;
}

function diffCommand(terminal: Terminal): Command {
  return new Command("diff")
    .description("what differs between two artefacts, serials and times aside")
    .argument("<old>", "artefact")
    .argument("<new>", "artefact")
    .option("--anchors <file>", "verify both with these anchors")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl zone diff old.signed root.signed")
    .action(async (oldFile: string, newFile: string, options: ShowOptions) => {
      const older = await readArtefact({ ...options, file: oldFile });
      const newer = await readArtefact({ ...options, file: newFile });
      const diff = diffArtefacts({ older: older.objects, newer: newer.objects });
      print(terminal, { json: options.json === true, value: diff, text: formatDiff(diff) });
    });
}

function showCommand(terminal: Terminal): Command {
  return new Command("show")
    .description("an artefact in presentation format, or the part below a prefix")
    .argument("<file>", "artefact")
    .argument("[prefix]", "tel:+49, mailto:org")
    .option("--anchors <file>", "verify it with these anchors")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl zone show root.signed tel:+44")
    .action(async (file: string, prefix: string | undefined, options: ShowOptions) => {
      const { objects, verified } = await readArtefact({ ...options, file });
      const below = prefix === undefined ? undefined : parsePrefix(prefix);
      const shown = { objects, verified, prefix: below };
      const value = describeArtefact(shown);
      print(terminal, { json: options.json === true, value, text: formatArtefact(shown) });
    });
}
