// Transcripts of commands as text files. `# title`, `$ command`, then what it prints: lines of stdout as they
// are, of stderr after `! `, and `? N` for the exit status unless it is 0. `< text` is a line of stdin.
// With UPDATE_TRANSCRIPTS=1 the files are written anew, to be read in the diff.

export interface Step {
  readonly title: string;
  readonly command: string;
  readonly stdin: string;
}

export interface StepResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** The steps of a transcript, without what they printed. */
export function parseTranscript(text: string): readonly Step[] {
  const steps: { title: string; command: string; stdin: string }[] = [];
  let title = "";
  let stdin = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("# ")) title = line.slice(2);
    else if (line.startsWith("< ")) stdin += `${line.slice(2)}\n`;
    else if (line.startsWith("$ ")) {
      steps.push({ title, command: line.slice(2), stdin });
      title = "";
      stdin = "";
    }
  }
  return steps;
}

/** One step as it stands in the file. */
export function formatStep(step: Step, { stdout, stderr, status }: StepResult): string {
  const lines = [
    `# ${step.title}`,
    ...linesOf(step.stdin).map((line) => `< ${line}`),
    `$ ${step.command}`,
    ...linesOf(stdout),
    ...linesOf(stderr).map((line) => `! ${line}`),
    ...(status === 0 ? [] : [`? ${status}`]),
  ];
  return `${lines.join("\n")}\n`;
}

/** Words of a command; 'single quotes' keep spaces. */
export function wordsOf(command: string): readonly string[] {
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? "",
  );
}

function linesOf(text: string): readonly string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}
