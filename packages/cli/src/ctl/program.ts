// whitherctl as a commander program. A group of commands is loaded when it is asked for, or all of them
// for `--help`: making keys should not wait for certificate and database code.

import { Command } from "commander";
import { runProgram } from "../run-program.js";
import type { Terminal } from "../terminal.js";
import { cliVersion } from "../version.js";

type LoadGroup = (terminal: Terminal) => Promise<readonly Command[]>;

const groups: Readonly<Record<string, LoadGroup>> = {
  key: async (terminal) => [(await import("./key.js")).keyCommand(terminal)],
  anchor: async (terminal) => [(await import("./anchor.js")).anchorCommand(terminal)],
  pki: async (terminal) => [(await import("./pki.js")).pkiCommand(terminal)],
  manifest: async (terminal) => [(await import("./manifest.js")).manifestCommand(terminal)],
  zone: async (terminal) => [(await import("./zone.js")).zoneCommand(terminal)],
  config: async (terminal) => [(await import("./config.js")).configCommand(terminal)],
  completion: async (terminal) => {
    const { completionCommand, completionPoints } = await import("../completion.js");
    const points = async () => completionPoints(await createWhitherctl(terminal, []));
    return [completionCommand(terminal, { program: "whitherctl", points })];
  },
  credential: async (terminal) => [(await import("./credential.js")).credentialCommand(terminal)],
};

const running: LoadGroup = async (terminal) =>
  (await import("./daemon/verbs.js")).runningDaemonCommands(terminal);

const help = `
Making a federation, in this order (docs/operators.md has every command):
  whitherctl key generate --type ksk --out ksk-a.pem      keys
  whitherctl pki init --dir pki                           certificates
  whitherctl manifest create de.manifest.yaml --out de.manifest
  whitherctl zone check root.zone.yaml --registry registry.yaml
  whitherctl zone sign root.zone.yaml --registry registry.yaml --root-keys root-keys \\
    --zsk zsk.pem --out root.signed
  whither-rootd --config rootd.yaml                       start
  whitherctl status --config rootd.yaml                   how it is

Exit status: 0 done · 1 failed, or a check found an error · 2 wrong usage`;

/** Resolves to the exit status: 0 done, 1 failed or a check found an error, 2 wrong usage. */
export async function runWhitherctl(run: {
  readonly args: readonly string[];
  readonly terminal: Terminal;
}): Promise<number> {
  return await runProgram(await createWhitherctl(run.terminal, run.args), run);
}

/** The program for these arguments: the group that they name, or all of them with the help. */
async function createWhitherctl(terminal: Terminal, args: readonly string[]): Promise<Command> {
  const program = new Command("whitherctl")
    .description("operate a whither federation")
    .version(cliVersion(), "-V, --version")
    .helpCommand(true)
    .showSuggestionAfterError(true)
    .addHelpText("after", help);
  const wanted = args.find((word) => !word.startsWith("-")) ?? "";
  const load = groups[wanted];
  for (const group of load === undefined ? [...Object.values(groups), running] : [load]) {
    for (const command of await group(terminal)) program.addCommand(command);
  }
  return program;
}
