// The two ways a command ends early on purpose. Without imports, so that every module can throw them.

/** A wrong use of a command: `error: what: expected …, got …` and a hint. Exit status 2. */
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
