// Runs a commander program to an exit status: usage errors are 2, failures `error:` + `hint:`.

import { CommanderError, type Command } from "commander";
import { isDiscoveryError } from "@whither/protocol";
import { formatStartFailure } from "@whither/runtime";
import type { Terminal } from "./terminal.js";

/** A wrong use of a command that commander cannot see itself. Exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** Ends a command with an exit status that is neither success nor a failure to report. */
export class ExitStatus extends Error {
  override readonly name = "ExitStatus";
  readonly status: number;

  constructor(status: number) {
    super(`exit status ${status}`);
    this.status = status;
  }
}

/**
 * Parses `args` and runs the command. Resolves to the exit status: 0, 1 for a failure, 2 for wrong usage,
 * or what the command asked for.
 */
export async function runProgram(
  program: Command,
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const output = {
    writeOut: (text: string) => void terminal.stdout.write(text),
    writeErr: (text: string) => void terminal.stderr.write(text),
    outputError: (text: string, write: (text: string) => void) =>
      write(`error: ${text.replace(/^error: /, "").trimEnd()}\nhint: see --help\n`),
  };
  for (const command of [program, ...descendants(program)]) {
    command.exitOverride().configureOutput(output);
  }
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    return report(error, terminal);
  }
}

function descendants(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}

function report(error: unknown, terminal: Terminal): number {
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
    terminal.stderr.write(formatStartFailure(error));
    return 1;
  }
  throw error;
}
