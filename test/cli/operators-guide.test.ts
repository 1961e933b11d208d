// docs/operators.md works as it is written: its whitherctl commands, in order, up to what needs daemons.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";

// As in whither.test.ts: one module graph.
const { runWhitherctl } = await import("@whither/cli");

describe("the operators' guide", () => {
  const home = process.cwd();
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-guide-"));
    process.chdir(directory);
  });
  after(async () => {
    process.chdir(home);
    await rm(directory, { recursive: true });
  });

  it("makes a federation that verifies", async () => {
    const guide = await readFile(new URL("../../docs/operators.md", import.meta.url), "utf8");
    const steps = stepsOf(guide);
    expect(steps.filter(({ kind }) => kind === "command")).to.have.lengthOf.at.least(18);
    for (const step of steps) {
      const text = await substitute(step.text, { isQuoted: step.isQuoted });
      if (step.kind === "file") await writeFile(step.file, text);
      else await runCommand(text);
    }
    const shown = await run([
      "zone",
      "show",
      "root.directory",
      "--anchors",
      "anchors.json",
      "--json",
    ]);
    expect(JSON.parse(shown.stdout)).to.include({ verified: true, serial: 1, node_count: 4 });
  });

  it("continues the serial, refuses a lower epoch, and shows what changed", async () => {
    const sources = ["--registry", "registry.yaml", "--root-keys", "root-keys", "--zsk", "zsk.pem"];
    const sign = (...more: readonly string[]) =>
      run(["zone", "sign", "root.zone.yaml", ...sources, ...more, "--json"]);
    await run(["zone", "sign", "root.zone.yaml", ...sources, "--out", "old.directory"]);
    const source = await readFile("root.zone.yaml", "utf8");
    await writeFile("root.zone.yaml", source.replace('"tel:+49"', '"tel:+44"'));
    const signed = await sign("--out", "root.directory");
    expect(JSON.parse(signed.stdout)).to.include({ serial: 2, nodes: 4, warnings: 0 });
    const lower = await sign("--out", "root.directory", "--epoch", "1");
    expect(lower.status).to.equal(1);
    expect(lower.stderr).to.match(
      /^error: CONFIG \(49161\): epoch: expected more than \d+, got 1$/m,
    );
    const diff = await run(["zone", "diff", "old.directory", "root.directory"]);
    expect(diff.stdout).to.equal(
      "- tel:+49\n+ tel:+44\n; serial 1 to 2: 1 added, 1 removed, 0 changed\n",
    );
  });

  it("refuses, with file and line, to sign a zone that has an error", async () => {
    await writeFile(
      "small.zone.yaml",
      (await readFile("root.zone.yaml", "utf8")).replace('"tel:+44"', '"tel:+441481123456"'),
    );
    const sources = ["--registry", "registry.yaml", "--root-keys", "root-keys"];
    const check = await run(["zone", "check", "small.zone.yaml", ...sources]);
    expect(check.status).to.equal(1);
    expect(check.stdout).to.match(
      /^small\.zone\.yaml:\d+: error \(small-zone\): tel:\+441481123456: /m,
    );
    const sign = await run([
      "zone",
      "sign",
      "small.zone.yaml",
      ...sources,
      "--zsk",
      "zsk.pem",
      "--out",
      "small.directory",
    ]);
    expect(sign.status).to.equal(1);
    const shown = await run(["zone", "show", "small.directory"]);
    expect(shown.stderr).to.contain("small.directory cannot be read (ENOENT)");
  });

  it("issues credentials for a list, and names the line that is none", async () => {
    const key = (await readFile("alice.pub", "utf8")).trim();
    const prover = ["--prover-key", "prover.pem", "--prover", "prover.example", "--method", "sms"];
    const issue = (batch: string) =>
      run(["credential", "issue", ...prover, "--batch", batch, "--out", `${batch}.out`]);
    const line = (csi: string): string => `${JSON.stringify({ csi, holder: key })}\n`;
    await writeFile("good.jsonl", line("+4930123456") + line("alice@example.org"));
    expect(await issue("good.jsonl")).to.include({ status: 0, stdout: "good.jsonl.out: 2\n" });
    expect((await readFile("good.jsonl.out", "utf8")).trim().split("\n")).to.have.lengthOf(2);
    await writeFile("bad.jsonl", line("+4930123456") + line("nobody"));
    const bad = await issue("bad.jsonl");
    expect(bad.status).to.equal(1);
    expect(bad.stderr).to.contain("bad.jsonl:2: ").and.not.to.contain("nobody");
    expect((await issue("good.jsonl")).stderr).to.contain("good.jsonl.out exists already");
  });

  it("recognises each file of the guide", async () => {
    for (const [file, kind] of [
      ["registry.yaml", "registry"],
      ["root.zone.yaml", "root-zone"],
      ["de.manifest.yaml", "manifest"],
      ["anchors.json", "anchors"],
      ["config.yaml", "whither"],
    ] as const) {
      const { status, stdout } = await run(["config", "check", file]);
      expect([status, stdout]).to.deep.equal([0, `${file}: ok (${kind})\n`]);
    }
  });

  it("wants to know which daemon a command is for, and says where none answers", async () => {
    for (const words of [["status"], ["cache-flush-subtree", "tel:"], ["conflicts", "list"]]) {
      const { status, stderr } = await run(words);
      expect(status).to.equal(2);
      expect(stderr).to.match(
        /^error: daemon: expected --socket PATH or --config FILE, got neither/,
      );
      expect(stderr).to.match(/^hint: name the daemon's configuration: --config dpd\.yaml/m);
    }
    const { status, stderr } = await run(["status", "--config", "dpd.yaml"]);
    expect(status).to.equal(1);
    expect(stderr).to.match(/^error: NETWORK \(23\): .*state\/control\.sock\)$/m);
  });

  it("documents every command with an example", async () => {
    const { stdout } = await run(["--help"]);
    const verbs = [...stdout.matchAll(/^ {2}([a-z][a-z-]+) /gm)].map(([, name]) => name ?? "");
    expect(verbs).to.include.members(["status", "zone-health", "limits", "cache-flush-negative"]);
    for (const verb of verbs) {
      const help = await run([verb, "--help"]);
      expect(help.status, verb).to.equal(0);
      const isGroup = help.stdout.includes("\nCommands:");
      expect(isGroup || help.stdout.includes(`Example:\n  whitherctl ${verb}`), verb).to.be.true;
    }
  });

  it("suggests the command that was meant", async () => {
    expect(await run(["zone", "sing"])).to.include({
      status: 2,
      stderr: "error: unknown command 'sing'\nhint: Did you mean sign?\n",
    });
    expect((await run(["nothing"])).status).to.equal(2);
  });
});

interface GuideStep {
  readonly kind: "file" | "command";
  readonly file: string;
  readonly text: string;
  /** `$(…)` stays as it is. */
  readonly isQuoted: boolean;
}

/** Files written with `cat` and `echo`, and whitherctl commands, in order. */
function stepsOf(guide: string): readonly GuideStep[] {
  const blocks = [...guide.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block ?? "").join("");
  const pattern =
    /^cat > (\S+) <<('?)Y'?\n([^]*?)^Y$|^echo '(.*)' > (\S+)$|^(whitherctl (?!config).*)$/gm;
  return [...blocks.matchAll(pattern)].map(([, file, quote, text, line, lineFile, command]) => {
    if (command !== undefined) return { kind: "command", file: "", text: command, isQuoted: false };
    if (file !== undefined) return { kind: "file", file, text: text ?? "", isQuoted: quote !== "" };
    return { kind: "file", file: lineFile ?? "", text: `${line ?? ""}\n`, isQuoted: true };
  });
}

async function substitute(
  text: string,
  { isQuoted }: { readonly isQuoted: boolean },
): Promise<string> {
  if (isQuoted) return text;
  let result = text;
  for (const [whole, file = ""] of text.matchAll(/\$\(cat (\S+)\)/g)) {
    result = result.replace(whole, (await readFile(file, "utf8")).trim());
  }
  return result;
}

/** One line of the guide; `> FILE` keeps what it prints. */
async function runCommand(line: string): Promise<void> {
  const [command = "", file] = line.split(" > ");
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? "",
  );
  if (words[0] !== "whitherctl") throw new TypeError(`not a whitherctl command: ${line}`);
  const { status, stdout, stderr } = await run(words.slice(1));
  expect(status, `${line}\n${stderr}`).to.equal(0);
  if (file !== undefined) await writeFile(file, stdout);
}

async function run(
  args: readonly string[],
): Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }> {
  let stdout = "";
  let stderr = "";
  const status = await runWhitherctl({
    args,
    terminal: {
      stdin: new Blob([]).stream(),
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      env: {},
      signal: new AbortController().signal,
    },
  });
  return { status, stdout, stderr };
}
