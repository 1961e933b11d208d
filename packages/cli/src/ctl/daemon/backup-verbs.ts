// whitherctl backup, restore: a zone of a running whither-dpd as one file, and the way back.

import { resolve } from "node:path";
import { Option, type Command } from "commander";
import { parseInteger } from "../../options.js";
import { print, type Terminal } from "../../terminal.js";
import { UsageError } from "../../usage.js";
import { formatUtc } from "../../utc.js";
import {
  askDaemon,
  daemonCommand,
  daemonFilesCommand,
  stateDirectoryOf,
  type SocketOptions,
} from "./control-client.js";
import { plainValue } from "./plain-value.js";

/** A large zone takes its time; a daemon that has stopped ends the stream. */
const backupTimeoutMs = 24 * 3_600_000;

export function backupVerbs(terminal: Terminal): readonly Command[] {
  return [backup(terminal), restore(terminal)];
}

function backup(terminal: Terminal): Command {
  return daemonCommand("backup", {
    description: "a zone and its vault as of now, while it serves, as one file of mode 0600",
    example: "backup de@dp-a.example --out de.backup --config dpd.yaml",
  })
    .argument("<zone>", "its name")
    .addOption(
      new Option(
        "--out <file>",
        "the backup; replaced once the new one is whole",
      ).makeOptionMandatory(),
    )
    .action((zone: string, options: SocketOptions & { readonly out: string }) =>
      askDaemon(terminal, options, async (control) => {
        const { keepBackup } = await import("./backup-files.js");
        const path = resolve(options.out);
        const call = { ...control.call, timeoutMs: backupTimeoutMs };
        const { bytes, sha256 } = await keepBackup(path, control.backup({ zone }, call));
        const value = { zone, file: path, bytes, sha256 };
        return { value, text: `${zone}: ${bytes} bytes in ${path}\nsha256 ${sha256}` };
      }),
    );
}

interface RestoreOptions {
  readonly config?: string;
  readonly stateDirectory?: string;
  readonly epoch?: number;
  readonly json?: true;
}

function restore(terminal: Terminal): Command {
  return daemonFilesCommand("restore", {
    description:
      "put a backup in the place of a zone that is gone, in a new epoch; no daemon is asked",
    example: "restore de.backup --config dpd.yaml",
  })
    .argument("<file>", "made by `whitherctl backup`")
    .addOption(new Option("--state-directory <dir>", "the daemon's, instead of --config"))
    .addOption(
      new Option(
        "--epoch <n>",
        "of the restored zone, above every one that it has had (default: the time in seconds)",
      ).argParser(parseInteger({ name: "--epoch", min: 2, max: 2 ** 32 })),
    )
    .action(async (file: string, options: RestoreOptions) => {
      const { config, stateDirectory, epoch } = options;
      if ((config === undefined) === (stateDirectory === undefined)) {
        const got = config === undefined ? "neither" : "both";
        throw new UsageError(
          `restore: expected --config FILE or --state-directory DIR, got ${got}`,
          "name the daemon's configuration: --config dpd.yaml",
        );
      }
      const directory =
        stateDirectory === undefined
          ? await stateDirectoryOf(config ?? "")
          : resolve(stateDirectory);
      const { restoreBackup } = await import("./backup-files.js");
      const restored = await restoreBackup(resolve(file), { directory, epoch });
      const { zone, madeAt, slots, serial } = restored;
      const text = [
        `${zone} as of ${formatUtc(madeAt)}: ${slots} slots, serial ${serial}, ${restored.hasVault ? "with" : "without"} its vault`,
        `epoch ${restored.epoch}; what was registered, removed or erased since then has to be so again`,
      ].join("\n");
      print(terminal, { json: options.json === true, value: plainValue(restored), text });
    });
}
