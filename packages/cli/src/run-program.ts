// Runs a commander program to an exit status: usage errors are 2, failures `error:` + `hint:`.

import { CommanderError, type Command } from "commander";
import { isDiscoveryError, type DiscoveryError } from "@whither/protocol";
import type { Terminal } from "./terminal.js";
import { ExitStatus, UsageError } from "./usage.js";

export interface RunOptions {
  /** Exit status of a failure; 1 unless told. */
  readonly statusOf?: (error: DiscoveryError) => number;
}

/** Columns of a help text, wherever it is printed: a transcript must not depend on the window. */
const helpWidth = 100;

/**
 * Parses `args` and runs the command. Resolves to the exit status: 0, 1 or `statusOf` for a failure,
 * 2 for wrong usage, or what the command asked for.
 */
export async function runProgram(
  program: Command,
  run: { readonly args: readonly string[]; readonly terminal: Terminal } & RunOptions,
): Promise<number> {
  const { args, terminal } = run;
  const output = {
    writeOut: (text: string) => void terminal.stdout.write(text),
    writeErr: (text: string) => void terminal.stderr.write(text),
    getOutHelpWidth: () => helpWidth,
    getErrHelpWidth: () => helpWidth,
    outputError: (text: string, write: (text: string) => void) => write(commanderError(text)),
  };
  for (const command of [program, ...descendants(program)]) {
    command.exitOverride().configureOutput(output);
  }
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    return await report(error, run);
  }
}

function descendants(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}

/** Commander's own words in our form: `error: …` and `hint: …`. */
function commanderError(text: string): string {
  const [first = "", ...rest] = text
    .replace(/^error: /, "")
    .trim()
    .split("\n");
  const suggestion = rest.join(" ").replace(/^\((.*)\)$/, "$1");
  return `error: ${first}\nhint: ${suggestion === "" ? "see --help" : suggestion}\n`;
}

/** Prints what went wrong and tells the exit status. What is not expected to fail is thrown on. */
export async function report(
  error: unknown,
  run: { readonly terminal: Terminal } & RunOptions,
): Promise<number> {
  const { terminal, statusOf = () => 1 } = run;
  if (error instanceof ExitStatus) return error.status;
  if (error instanceof CommanderError) {
    // Help and version end with 0; commander has printed everything else already.
    return error.exitCode === 0 ? 0 : 2;
  }
  if (error instanceof UsageError) {
    terminal.stderr.write(`error: ${error.message}\nhint: ${error.hint ?? "see --help"}\n`);
    return 2;
  }
  if (isDiscoveryError(error)) {
    const { formatFailure } = await import("./failure-text.js");
    terminal.stderr.write(formatFailure(error));
    return statusOf(error);
  }
  throw error;
}
