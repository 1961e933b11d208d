// Transcripts of `whither setup` and of the operator's side, over a signed directory in a file. What is asked on a
// terminal is shown as `! question` and the answer that the transcript's stdin gives.

import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@whither/runtime";
import { expect } from "chai";
import {
  formatStep,
  parseTranscript,
  wordsOf,
  type Step,
  type StepResult,
} from "./transcript-file.js";

// As in whither.test.ts: one module graph.
const { runWhither, runWhitherctl } = await import("@whither/cli");
const { fixedSigner, makeDirectoryObjects, makeRootFixture } = await import("@whither/testkit");
const { encodeArtefact, formatAnchors } = await import("@whither/zone");

const path = new URL("transcripts/setup.txt", import.meta.url);
const isUpdate = (process.env["UPDATE_TRANSCRIPTS"] ?? "") !== "";

describe("whither setup, transcripts", () => {
  const home = process.cwd();
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-setup-"));
    process.chdir(directory);
    for (const pki of ["pki", "other-pki"]) await runStep("whitherctl pki init --dir " + pki);
    await runStep("whitherctl pki issue --dir pki --name wire.example");
    await runStep("whitherctl pki issue --dir other-pki --name wire.example");
    const nowSeconds = systemClock.nowSeconds();
    const ca = await readFile(join(directory, "pki", "ca.pem"), "utf8");
    const root = makeRootFixture({ nowSeconds, tlsCaPem: [ca] });
    await writeFile("anchors.json", formatAnchors(root.anchors));
    await writeFile("root.signed", encodeArtefact(makeDirectoryObjects({ root, nowSeconds })));
    const keys = ["a", "b"].map((label) => fixedSigner(label).publicKey);
    await writeFile("other.json", formatAnchors({ ...root.anchors, threshold: 1, keys }));
  });
  after(async () => {
    process.chdir(home);
    await rm(directory, { recursive: true });
  });

  it("prints what setup.txt shows", async () => {
    const expected = await readFile(path, "utf8");
    const blocks: string[] = [];
    for (const step of parseTranscript(expected)) {
      blocks.push(formatStep(step, await runStep(step.command, step)));
    }
    const got = blocks
      .join("\n")
      .replaceAll(directory, "DIR")
      .replaceAll(/(?:[0-9a-f]{8} ){7}[0-9a-f]{8}/g, "FINGERPRINT")
      .replaceAll(/sha256:[\w-]{43}/g, "sha256:PIN")
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, "TIME")
      .replaceAll(/epoch \d+/g, "epoch N");
    if (isUpdate) await writeFile(path, got);
    else expect(got).to.equal(expected);
  });

  it("writes a configuration, anchors and key that only their owner may read", async () => {
    for (const name of ["config.yaml", "anchors.json", "anna-key.pem"]) {
      expect((await stat(join("asked", name))).mode & 0o777, name).to.equal(0o600);
    }
    expect(await readFile(join("asked", "anchors.json"))).to.deep.equal(
      await readFile("anchors.json"),
    );
  });
});

/** With `< lines` somebody sits at the terminal and types them. */
async function runStep(
  command: string,
  { stdin = "" }: Partial<Pick<Step, "stdin">> = {},
): Promise<StepResult> {
  const [program, ...args] = wordsOf(command);
  const answers = stdin.split("\n").slice(0, -1);
  let stdout = "";
  let stderr = "";
  const ask = (question: string): Promise<string | undefined> => {
    const answer = answers.shift();
    stderr += `${question}${answer ?? ""}\n`;
    return Promise.resolve(answer);
  };
  const run = {
    args,
    terminal: {
      stdin: (async function* () {
        yield await Promise.resolve("");
      })(),
      stdout: { write: (text: string) => (stdout += text) },
      stderr: { write: (text: string) => (stderr += text) },
      env: { HOME: process.cwd() },
      signal: new AbortController().signal,
      ...(stdin === "" ? {} : { ask }),
    },
    fetch: () => Promise.reject(new Error("nothing may be downloaded")),
  };
  const status = await (program === "whitherctl" ? runWhitherctl(run) : runWhither(run));
  return { stdout, stderr, status };
}
