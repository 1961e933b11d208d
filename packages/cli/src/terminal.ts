// What a command may touch of the process it runs in, so that transcript tests can run it in theirs.

/** Output, environment and working directory of one command. */
export interface Terminal {
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Prints one result: a line of JSON with `--json`, else text. A final newline is added when missing. */
export function print(
  terminal: Terminal,
  result: { readonly json: boolean; readonly value: unknown; readonly text: string },
): void {
  const text = result.json ? JSON.stringify(result.value) : result.text;
  terminal.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}
