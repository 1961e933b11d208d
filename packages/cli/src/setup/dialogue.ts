// What setup is not told on the command line it asks for, where somebody is there to answer.

import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { formatFailure } from "../failure-text.js";
import type { Terminal } from "../terminal.js";
import { UsageError } from "../usage.js";

/** Answers to one question that are looked at before setup ends. */
const triesMax = 3;

export interface Wanted<T> {
  /** From the command line: believed or refused, never asked about. */
  readonly given: string | undefined;
  readonly question: string;
  /** Throws UsageError or DiscoveryError for what will not do. */
  readonly check: (text: string) => Promise<T>;
}

/** The checked value: what was given, or the first answer that passes. Throws CANCELLED at the end of input. */
export async function settle<T>(terminal: Terminal, wanted: Wanted<T>): Promise<T> {
  if (wanted.given !== undefined) return await wanted.check(wanted.given);
  for (let tries = 1; ; tries += 1) {
    const answer = await ask(terminal, wanted.question);
    try {
      return await wanted.check(answer);
    } catch (error) {
      if (tries === triesMax) throw error;
      terminal.stderr.write(failureText(error));
    }
  }
}

/** One answer, without blanks around it. */
export async function ask(terminal: Terminal, question: string): Promise<string> {
  const answer = await terminal.ask?.(question);
  if (answer === undefined) throw new DiscoveryError("CANCELLED", "setup: ended by the user");
  return answer.trim();
}

/** What is no mistake of the answer is thrown on. */
function failureText(error: unknown): string {
  if (isDiscoveryError(error) && error.code !== "CANCELLED") return formatFailure(error);
  if (error instanceof UsageError) {
    return `error: ${error.message}\n${error.hint === undefined ? "" : `hint: ${error.hint}\n`}`;
  }
  throw error;
}
