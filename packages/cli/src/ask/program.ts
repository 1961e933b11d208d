// `whither`: the question, or a command for one's own identifiers. Parts are loaded when they are needed:
// the help should not wait for cryptography.

import { cliVersion } from "../version.js";
import type { WhitherRun } from "../whither-run.js";

/** Commands beside the question. A CSI is never one of these words. */
const verbs: ReadonlySet<string> = new Set([
  "register",
  "renew",
  "order",
  "invalidate",
  "monitor",
  "link",
  "grant",
  "verify",
  "setup",
  "completion",
]);

/** Resolves to the exit status of cli.md. Prints everything there is to say. */
export async function runWhither(run: WhitherRun): Promise<number> {
  const { args, terminal } = run;
  if (verbs.has(args[0] ?? "")) {
    return await (await import("../person/program.js")).runPersonCommand(run);
  }
  const end = args.indexOf("--");
  const options = new Set(end === -1 ? args : args.slice(0, end));
  if (options.has("--help") || options.has("-h") || options.has("+help")) {
    terminal.stdout.write((await import("./help.js")).helpText);
    return 0;
  }
  if (options.has("--version") || options.has("-V")) {
    terminal.stdout.write(`${cliVersion()}\n`);
    return 0;
  }
  return await (await import("./run-query.js")).runQuery(run);
}
