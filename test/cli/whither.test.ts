// Transcripts of `whither` over canned answers: every line and exit status that scripts rely on.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createSimulatedClock } from "@whither/testkit";
import {
  formatStep,
  parseTranscript,
  wordsOf,
  type Step,
  type StepResult,
} from "./transcript-file.js";

const files = ["full", "several", "formats", "usage"];
// Mocha's loader may compile what is imported statically to CommonJS, while the command loads its parts with
// import(): one class of errors would then be two. Imported like this, everything is one module graph.
const { runWhither } = await import("@whither/cli");
const { createCannedResolver } = await import("./canned-answers.js");

const isUpdate = (process.env["UPDATE_TRANSCRIPTS"] ?? "") !== "";

describe("whither, transcripts", () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-cli-"));
    await writeFile(
      join(directory, "config.yaml"),
      "anchors: anchors.json\ndirectory: root.example:7363\n",
    );
    await writeFile(join(directory, "wrong.yaml"), "anchors: a.json\ndirectroy: root.example\n");
    await writeFile(
      join(directory, "book.txt"),
      "+1 415 555 0123\n\n# family\n+1 415 555 0100\nnobody\n+1 415 555 0103\n",
    );
  });
  after(() => rm(directory, { recursive: true }));

  for (const name of files) {
    const path = new URL(`transcripts/${name}.txt`, import.meta.url);
    it(`prints what ${name}.txt shows`, async () => {
      const expected = await readFile(path, "utf8");
      const blocks: string[] = [];
      for (const step of parseTranscript(expected)) {
        blocks.push(formatStep(step, await runStep(step, directory)));
      }
      const got = blocks.join("\n").replaceAll(directory, "DIR");
      if (isUpdate) await writeFile(path, got);
      else expect(got).to.equal(expected);
    });
  }
});

async function runStep(step: Step, directory: string): Promise<StepResult> {
  const [, ...args] = wordsOf(step.command.replaceAll("DIR", directory));
  let stdout = "";
  let stderr = "";
  const hasConfig = !step.title.startsWith("Without configuration");
  const status = await runWhither({
    args,
    terminal: {
      stdin: (async function* () {
        yield await Promise.resolve(step.stdin);
      })(),
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      env: hasConfig
        ? { WHITHER_CONFIG: join(directory, "config.yaml") }
        : { HOME: join(directory, "nobody") },
      signal: new AbortController().signal,
    },
    clock: createSimulatedClock({ startMs: 1_795_400_000_000 }),
    openResolver: () => Promise.resolve(createCannedResolver()),
  });
  return { stdout, stderr, status };
}
