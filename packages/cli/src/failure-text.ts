// A failure as lines for people: `error: CODE (number): what failed …` with its causes, and `hint: what to do`.

import {
  errorRegistry,
  isDiscoveryError,
  type DiscoveryError,
  type ErrorCode,
} from "@whither/protocol";

/** Each mistake of a file is a line of its own and names file, line and key itself. */
export function formatFailure(error: DiscoveryError): string {
  const lines = failureLines(error).map((line) => `error: ${line}\n`);
  return `${lines.join("")}hint: ${hintFor(error)}\n`;
}

const mistakesOfFiles: ReadonlySet<string> = new Set(["ConfigIssuesError", "SourceError"]);

function failureLines(error: DiscoveryError): readonly string[] {
  const { cause } = error;
  // By name: the zone package need not be loaded to say that a file is missing.
  if (cause instanceof Error && mistakesOfFiles.has(cause.name)) return cause.message.split("\n");
  // What is wrong with one's own file or directory is in the cause, with its path. Causes that came from
  // a peer are for debugging and stay out.
  if ((error.code === "CONFIG" || error.code === "STORE") && cause instanceof Error) {
    return [`${error.text}: ${innerText(cause)}`];
  }
  const from = error.upstream === undefined ? "" : ` (${error.upstream})`;
  return [`${error.code} (${error.number}): ${error.text}${from}`];
}

function innerText(cause: Error): string {
  return isDiscoveryError(cause) ? cause.text : (cause.message.split("\n", 1)[0] ?? "");
}

const hints: Partial<Record<ErrorCode, string>> = {
  NOT_AVAILABLE: "it comes with a later version; see CHANGELOG.md",
  CONFIG: "correct the file; `whitherctl config check FILE` checks one without starting anything",
  STORE: "check that the directory exists and may be written",
  STORE_CORRUPT: "restore the zone from a backup, or use an earlier one",
  CLOCK_SKEW: "set the clock of this machine (NTP) and try again",
  EXPIRED: "ask the operator for a newly signed file, or check the clock of this machine",
  NOT_YET_VALID: "check the clock of this machine",
  UNREACHABLE: "check the address and that the server runs",
  NETWORK: "check the address and that the server runs",
  DEADLINE: "allow more time (+timeout=10s) or try again",
  UNAUTHENTICATED: "name a client certificate that the operator signed (identity in the config)",
  BOGUS: "do not use the data; +trace shows who sent it",
  LIMITED: "wait and try again; the operator may raise the limit",
  INCUMBENT:
    "register with the holder key that has this identifier, or let it link yours (whither link)",
  BAD_KEY_LINK:
    "whither link --approve takes the public key of the other app, and its file that key",
};

function hintFor(error: DiscoveryError): string {
  if (error.retryAfterSeconds !== undefined) return `try again in ${error.retryAfterSeconds} s`;
  const hint = hints[error.code];
  if (hint !== undefined) return hint;
  return errorRegistry[error.code].retryable ? "try again" : errorRegistry[error.code].meaning;
}
