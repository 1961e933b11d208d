// `whither register`, `link`, `verify` and the other commands for one's own identifiers, as a commander program.

import { Command } from "commander";
import { DiscoveryError } from "@whither/protocol";
import type { WhitherRun } from "../whither-run.js";
import { statusOfFailure } from "../exit-status.js";
import { queryWords } from "../ask/query-arguments.js";
import { completionCommand, completionPoints } from "../completion.js";
import { runProgram } from "../run-program.js";
import { setupCommand } from "../setup/command.js";
import { cliVersion } from "../version.js";
import { linkCommand } from "./link.js";
import { registerCommand } from "./register.js";
import { verifyCommand } from "./verify.js";

/** Commands of later versions, and what they will do. */
const later: Readonly<Record<string, string>> = {
  renew: "prove and register again before it ends",
  order: "change the order and tags of your providers",
  invalidate: "end a registration",
  monitor: "look at your own slots and their last writes",
  grant: "let somebody see an audience slot",
};

/** Runs the command that the first word names. Resolves to the exit status. */
export async function runPersonCommand(run: WhitherRun): Promise<number> {
  const { args, terminal } = run;
  const program = new Command("whither")
    .description("commands for your own identifiers")
    .version(cliVersion(), "-V, --version")
    .showSuggestionAfterError(true);
  program.addCommand(registerCommand(run));
  program.addCommand(linkCommand(run));
  program.addCommand(verifyCommand(run));
  program.addCommand(setupCommand(run));
  const ofQuery = queryWords.map((word) => `+${word}`);
  const points = () => completionPoints(program, ofQuery);
  program.addCommand(completionCommand(terminal, { program: "whither", points }));
  for (const [name, description] of Object.entries(later)) {
    program
      .command(name)
      .description(`${description} (not available in this version)`)
      .argument("[arguments...]")
      .allowUnknownOption()
      .option("--json", "print one JSON object instead of text")
      .addHelpText("after", `\nExample:\n  whither ${name}`)
      .action(() => {
        throw new DiscoveryError("NOT_AVAILABLE", `${name}: not available in this version`);
      });
  }
  return await runProgram(program, { args, terminal, statusOf: statusOfFailure });
}
