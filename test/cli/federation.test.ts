// Transcripts of `whither` over a whole federation in one process: the command, the resolver and the DPs as
// they are; only sockets and time are simulated.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  formatStep,
  parseTranscript,
  wordsOf,
  type Step,
  type StepResult,
} from "./transcript-file.js";

// As in whither.test.ts: one module graph.
const { runWhither } = await import("@whither/cli");
const { parseCsi } = await import("@whither/protocol");
const { createFederation } = await import("@whither/testkit");
type Federation = Awaited<ReturnType<typeof createFederation>>;

const path = new URL("transcripts/federation.txt", import.meta.url);
const isUpdate = (process.env["UPDATE_TRANSCRIPTS"] ?? "") !== "";

describe("whither and a whole federation", () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-federation-"));
    const config = "anchors: anchors.json\ndirectory: root.example:7363\n";
    await writeFile(join(directory, "config.yaml"), config);
  });
  after(() => rm(directory, { recursive: true }));

  it("prints what federation.txt shows", async () => {
    await using federation = await createFederation({ seed: 7 });
    const msps = ["wire.example", "video.example"];
    await federation.register({ csi: parseCsi("+4930123456"), msps });
    await federation.publish();
    const expected = await readFile(path, "utf8");
    const blocks: string[] = [];
    for (const step of parseTranscript(expected)) {
      blocks.push(formatStep(step, await runStep(step, { federation, directory })));
    }
    // How many epochs pass while people register depends on how fast this machine is.
    const got = blocks.join("\n").replace(/(serial:?) [2-9]\b/g, "$1 N");
    if (isUpdate) await writeFile(path, got);
    else expect(got).to.equal(expected);
  });
});

/** `tampered` and `stopped` in a command say what the DP of +49 does meanwhile. */
async function runStep(
  step: Step,
  { federation, directory }: { readonly federation: Federation; readonly directory: string },
): Promise<StepResult> {
  const [, ...words] = wordsOf(step.command);
  const dp = "dp-a.example";
  if (words.includes("tampered")) federation.tamper(dp, { bucket: (b) => ({ ...b, count: 0 }) });
  if (words.includes("stopped")) await federation.dp(dp).stop();
  let stdout = "";
  let stderr = "";
  const run = runWhither({
    args: words.filter((word) => word !== "tampered" && word !== "stopped"),
    terminal: {
      stdin: (async function* () {
        yield await Promise.resolve(step.stdin);
      })(),
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      env: { WHITHER_CONFIG: join(directory, "config.yaml") },
      signal: new AbortController().signal,
    },
    clock: federation.clock,
    openResolver: ({ mirror }) => federation.resolver({ mirror }),
  });
  const status = await federation.during(run);
  federation.tamper(dp, undefined);
  return { stdout, stderr, status };
}
