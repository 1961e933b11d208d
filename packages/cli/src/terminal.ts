// What a command may touch of the process it runs in, so that transcript tests can run it in theirs.

/** Where a command writes text. */
export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** Streams and environment of one command. Relative paths start from the process's directory. */
export interface Terminal {
  readonly stdin: AsyncIterable<Uint8Array | string>;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * Asks whoever sits there and resolves to one line, or undefined when the input ends. Absent where nobody does:
   * in a script or a pipe.
   */
  readonly ask?: (question: string) => Promise<string | undefined>;
  /** Aborts when the user interrupts, or when nobody reads the output any more. */
  readonly signal: AbortSignal;
}

/** Prints one result: a line of JSON with `--json`, else text. A final newline is added when missing. */
export function print(
  terminal: Terminal,
  result: { readonly json: boolean; readonly value: unknown; readonly text: string },
): void {
  const text = result.json ? JSON.stringify(result.value) : result.text;
  if (text === "") return;
  terminal.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}
