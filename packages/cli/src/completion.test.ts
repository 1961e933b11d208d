import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Argument, Command } from "commander";
import { expect } from "chai";
import { completionPoints, completionScript, shells, type Shell } from "./completion.js";

function program(): Command {
  const root = new Command("tool").helpCommand(false).option("--config <file>", "a file");
  const key = new Command("key").helpCommand(false).option("--json", "as JSON");
  key.command("generate").option("--type <type>", "kind").helpOption(false);
  key.command("show");
  root.addCommand(key);
  root
    .command("level")
    .addArgument(new Argument("[level]").choices(["debug", "info"]))
    .helpOption(false);
  root.command("secret", { hidden: true });
  return root;
}
const points = completionPoints(program(), ["+short", "+timeout="]);

/** What each shell's own machinery is asked for the last word of a line. */
const asked: Readonly<Record<Shell, (script: string, words: readonly string[]) => string>> = {
  bash: (script, words) =>
    `source ${script}; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); ` +
    `COMP_CWORD=${words.length - 1}; _tool; printf '%s\\n' "\${COMPREPLY[@]}"`,
  // What zsh takes candidates with is told what it may know; the rest of its machinery needs a terminal.
  zsh: (script, words) =>
    `compdef() { :; }; _files() { :; }; compadd() { shift; for one; do [[ $one == $last* ]] && print -r -- $one; done; }; ` +
    `source ${script}; words=(${words.map((word) => `'${word}'`).join(" ")}); CURRENT=${words.length}; last=$words[-1]; _tool`,
  fish: (script, words) => `source ${script}; complete -C '${words.join(" ")}'`,
};
const flags: Readonly<Record<Shell, readonly string[]>> = {
  bash: ["--norc", "-c"],
  zsh: ["-f", "-c"],
  fish: ["--no-config", "-c"],
};

function isInstalled(shell: Shell): boolean {
  if (process.env["CI"] === "true") return true; // there a missing one fails
  try {
    execFileSync(shell, ["-c", "true"]);
    return true;
  } catch {
    return false;
  }
}

describe("completion", () => {
  it("knows what may follow each command, hidden ones not", () => {
    const byPath = Object.fromEntries(points.map(({ path, words }) => [path.join(" "), words]));
    expect(byPath).to.deep.equal({
      "": ["key", "level", "--config", "--help", "+short", "+timeout="],
      key: ["generate", "show", "--json", "--help"],
      "key generate": ["--type"],
      "key show": ["--help"],
      level: ["debug", "info"],
    });
  });

  for (const shell of shells) {
    describe(`in ${shell}`, () => {
      let directory = "";
      let script = "";
      before(function () {
        if (!isInstalled(shell)) this.skip();
        directory = mkdtempSync(join(tmpdir(), "whither-completion-"));
        script = join(directory, "script");
        writeFileSync(script, completionScript(shell, { program: "tool", points }));
      });
      after(() => {
        if (directory !== "") rmSync(directory, { recursive: true });
      });

      const table: [line: string, offers: readonly string[]][] = [
        ["tool ke", ["key"]],
        ["tool +", ["+short", "+timeout="]],
        ["tool --c", ["--config"]],
        ["tool key g", ["generate"]],
        ["tool --config x key g", ["generate"]],
        ["tool key generate --t", ["--type"]],
        ["tool level ", ["debug", "info"]],
        ["tool level d", ["debug"]],
      ];
      for (const [line, offers] of table) {
        it(`offers ${offers.join(" ")} after "${line}"`, () => {
          const command = asked[shell](script, line.split(" "));
          const printed = execFileSync(shell, [...flags[shell], command], {
            encoding: "utf8",
            env: { PATH: process.env["PATH"], HOME: directory, TERM: "dumb", LC_ALL: "C.UTF-8" },
          });
          const words = printed.split("\n").map((row) => row.split("\t")[0] ?? "");
          const given = words.filter((word) => word !== "").toSorted();
          // Fish offers files beside, as it does for every argument; the folder it runs in has its own.
          const expected = shell === "fish" ? given.filter((word) => offers.includes(word)) : given;
          expect(expected).to.deep.equal(offers.toSorted());
        });
      }
    });
  }
});
