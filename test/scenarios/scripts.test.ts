// Runs every *.scenario of this folder, mirrored and walking; and what the language refuses.
import { readdir, readFile } from "node:fs/promises";
import { expect } from "chai";
import { bothWays, failureOf } from "./both-ways.js";
import { runScript } from "./script.js";

const folder = new URL(".", import.meta.url);
const files = (await readdir(folder)).filter((name) => name.endsWith(".scenario"));

describe("scripts", () => {
  for (const file of files) {
    bothWays(file, async (mirror) => {
      await runScript(await readFile(new URL(file, folder), "utf8"), { mirror });
    });
  }

  it("are there", () => {
    expect(files).to.have.length.greaterThan(2);
  });

  const layout = "dp dp-a.example de\nprefix tel:+49 de@dp-a.example\n";
  const refused: readonly (readonly [string, string])[] = [
    ["dance", "line 3: dance\n  no such step"],
    ["advance soon", "expected a duration"],
    ["at 0s\nadvance 2s\nat 1s", "it is later than 1s already"],
    ["lookup +4930123456 expect none; hops 9; asked dp-a.example", "expected hops 9"],
    ["lookup +4930123456 expect none", "expected asked …"],
    ["state dp-a.example expect serving", "dp-a.example follows nothing"],
    ["lookup +4930123456 expect none; asked nobody", "expected asked nobody, got none"],
    ["lookup +4930123456 expect found wire.example; asked dp-a.example", "got none"],
    ["lookup +4930123456 expect none; warning STALE; asked dp-a.example", "expected warning STALE"],
  ];
  for (const [line, text] of refused) {
    it(`fail at ${line.replaceAll("\n", "; ")}`, async () => {
      const error = await failureOf(runScript(`${layout}${line}\n`, { mirror: true }));
      expect(error.message).to.contain(text);
    });
  }
});
