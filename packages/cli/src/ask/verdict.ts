// The verdict in words, as delv gives one: the first line after the header, and all that a reader in a
// hurry needs.

import type { DiscoveryError } from "@whither/protocol";
import type { Answer, FailedAnswer } from "@whither/resolver";
import { counted, printable } from "./printable.js";
import type { Outcome } from "./report.js";

type Tone = "good" | "plain" | "bad";

export interface Verdict {
  readonly text: string;
  readonly tone: Tone;
}

export function verdictOf(outcome: Outcome): Verdict {
  switch (outcome.kind) {
    case "invalid":
      return { text: `not an identifier: ${outcome.error.text}`, tone: "bad" };
    case "failed":
      return { text: failureVerdict(outcome.answer), tone: "bad" };
    case "answer":
      return answerVerdict(outcome.answer);
  }
}

function answerVerdict(answer: Answer): Verdict {
  const { answered, asked } = answer.complete;
  const dps = `${answered} of ${asked} DPs`;
  if (!answer.proof.verified) {
    const what = counted(answer.mappings.length, "mapping");
    return { text: `NOT VALIDATED (+cd): ${what} at ${dps}`, tone: "bad" };
  }
  switch (answer.status) {
    case "found":
      if (answer.form === "compact") {
        return { text: `present at ${dps}, MSPs attested by the DP (compact)`, tone: "good" };
      }
      return {
        text: `fully validated: ${counted(answer.mappings.length, "mapping")}, 1 holder, ${dps}`,
        tone: "good",
      };
    case "none":
      return { text: noneVerdict(answer, dps), tone: "plain" };
    case "incomplete":
      return { text: `incomplete: proven absent at ${dps}, the rest failed`, tone: "bad" };
  }
}

function noneVerdict(answer: Answer, dps: string): string {
  if (answer.leftOut > 0) {
    return `none that counts here: ${counted(answer.leftOut, "mapping")} left out at ${dps}`;
  }
  if (answer.complete.asked === 0)
    return "proven absent: the directory names no DP for this prefix";
  if (answer.proof.kind === "presence") return `present at ${dps}, with no mapping that counts`;
  return `proven absent at ${dps}`;
}

function failureVerdict({ status, error }: FailedAnswer): string {
  const word = status === "bogus" ? "BOGUS" : status;
  const code = error.code === "BOGUS" ? "" : `${error.code}: `;
  return `${word}: ${code}${describeFailure(error)}`;
}

/** Text and upstream of a failure. */
function describeFailure(error: Pick<DiscoveryError, "text" | "upstream">): string {
  const from = error.upstream === undefined ? "" : ` (${printable(error.upstream)})`;
  return `${printable(error.text)}${from}`;
}
