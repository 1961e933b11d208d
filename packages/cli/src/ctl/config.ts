// whitherctl config check: recognises a file by its keys and checks it as the program that reads it would.
// Daemons are asked themselves (--check): nothing here repeats their rules.

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { z } from "zod";
import { DiscoveryError } from "@whither/protocol";
import { parseYaml, readFileBounded } from "@whither/runtime";
import { parseAnchors, parseRegistrySource, parseRootSource } from "@whither/zone";
import { clientSchema } from "../client-config.js";
import { print, type Terminal } from "../terminal.js";
import { ExitStatus, UsageError } from "../usage.js";
import { manifestSchema } from "./manifest.js";
import { jsonOption } from "../options.js";

const kinds = ["whither", "manifest", "registry", "root-zone", "anchors", "rootd", "dpd"] as const;
type Kind = (typeof kinds)[number];

const bytesMax = 64 * 1024 * 1024;

export function configCommand(terminal: Terminal): Command {
  const config = new Command("config").description("configuration files");
  config
    .command("check")
    .description("check a configuration or source file without starting or writing anything")
    .argument("<file>", "of whither, rootd, dpd; manifest, registry, root zone or anchors")
    .addOption(new Option("--kind <kind>", "what it is, where its keys do not tell").choices(kinds))
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl config check dpd.yaml")
    .action(async (file: string, options: { kind?: Kind; json?: true }) => {
      const text = new TextDecoder().decode(await readFileBounded(file, { bytesMax }));
      const kind = options.kind ?? kindOf(file, text);
      await checkFile(terminal, { file, text, kind });
      print(terminal, {
        json: options.json === true,
        value: { file, kind, ok: true },
        text: `${file}: ok (${kind})`,
      });
    });
  return config;
}

/** Keys that only one kind of file has. */
const telling: readonly (readonly [key: string, kind: Kind])[] = [
  ["tls_ca", "anchors"],
  ["prefixes", "root-zone"],
  ["dps", "registry"],
  ["voprf_key_file", "manifest"],
  ["artefact_file", "rootd"],
  ["dp", "dpd"],
  ["directory", "whither"],
];

function kindOf(file: string, text: string): Kind {
  const keys = new Set(Object.keys(parseYaml({ text, path: file, schema: z.looseObject({}) })));
  const kind = telling.find(([key]) => keys.has(key))?.[1];
  if (kind !== undefined) return kind;
  throw new UsageError(
    `${file}: expected a file of ${kinds.join(", ")}, got keys of none of them`,
    "name it with --kind",
  );
}

async function checkFile(
  terminal: Terminal,
  source: { readonly file: string; readonly text: string; readonly kind: Kind },
): Promise<void> {
  const { file, text, kind } = source;
  switch (kind) {
    case "whither":
      parseYaml({ text, path: file, schema: clientSchema });
      return;
    case "manifest":
      parseYaml({ text, path: file, schema: manifestSchema });
      return;
    case "registry":
      parseRegistrySource({ text, file });
      return;
    case "root-zone":
      parseRootSource({ text, file });
      return;
    case "anchors":
      parseAnchors(text);
      return;
    case "rootd":
    case "dpd":
      await runCheck(terminal, { program: `whither-${kind}`, package: `@whither/${kind}`, file });
      return;
  }
}

/** Runs `PROGRAM --config FILE --check`; what it prints on stderr is the finding. */
async function runCheck(
  terminal: Terminal,
  daemon: { readonly program: string; readonly package: string; readonly file: string },
): Promise<void> {
  const script = await binOf(daemon);
  const args = [script, "--config", daemon.file, "--check"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => void terminal.stderr.write(text));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (status !== 0) throw new ExitStatus(1);
}

/** The script that the daemon's package names in `bin`. */
async function binOf(daemon: { readonly program: string; readonly package: string }) {
  const entry = resolvePackage(daemon);
  const schema = z.object({ name: z.string(), bin: z.record(z.string(), z.string()).optional() });
  for (let directory = dirname(entry); directory !== dirname(directory);) {
    const file = join(directory, "package.json");
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text !== undefined) {
      const bin = schema.parse(JSON.parse(text)).bin?.[daemon.program];
      if (bin !== undefined) return join(directory, bin);
    }
    directory = dirname(directory);
  }
  throw notInstalled(daemon);
}

function resolvePackage(daemon: { readonly program: string; readonly package: string }): string {
  try {
    return fileURLToPath(import.meta.resolve(daemon.package));
  } catch (cause) {
    throw notInstalled(daemon, cause);
  }
}

function notInstalled({ program }: { readonly program: string }, cause?: unknown): DiscoveryError {
  const text = `${program} is not installed here`;
  return new DiscoveryError("NOT_AVAILABLE", text, cause === undefined ? {} : { cause });
}
