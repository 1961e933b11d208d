// The units of configs/systemd as systemd itself reads them, and how exposed it finds them.
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { isTested } from "../support/foreign-programs.js";
import { projectRoot } from "../support/processes.js";

const analyze = (...args: readonly string[]) => promisify(execFile)("systemd-analyze", args);
/** Of 10: "OK" in systemd's words ends at 4, and 0 cannot be had by a program that uses the network and compiles. */
const exposureMax = 2;

describe("systemd units", function () {
  this.timeout(60_000);
  let directory = "";
  let names: readonly string[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-units-"));
    names = await readdir(join(projectRoot, "configs/systemd"));
    await mkdir(join(directory, "bin"));
    for (const name of names) {
      const text = await readFile(join(projectRoot, "configs/systemd", name), "utf8");
      // Verification looks for the programs, which are not installed here.
      const here = text.replace(/\/usr\/bin\/(whither[a-z-]*)/g, `${directory}/bin/$1`);
      await writeFile(join(directory, name), here);
      for (const [, program = ""] of text.matchAll(/\/usr\/bin\/(whither[a-z-]*)/g)) {
        const path = join(directory, "bin", program);
        await writeFile(path, "#!/bin/sh\n");
        await chmod(path, 0o755);
      }
    }
  });
  after(() => rm(directory, { recursive: true }));

  it("are there for every daemon", () => {
    const daemons = ["whither-dnsd", "whither-dpd", "whither-rootd"];
    expect(names.toSorted()).to.deep.equal(daemons.map((name) => `${name}.service`));
  });

  const needs = (title: string, work: () => Promise<void>): void => {
    it(`systemd-analyze: ${title}`, async function () {
      if (!isTested("systemd-analyze")) this.skip();
      await work();
    });
  };

  needs("they verify without a complaint", async () => {
    for (const name of names) {
      const { stdout, stderr } = await analyze("verify", "--man=no", join(directory, name));
      expect(stdout + stderr, name).to.equal("");
    }
  });

  needs("they leave a daemon little to do harm with", async () => {
    for (const name of names) {
      const { stdout } = await analyze("security", "--offline=true", join(directory, name));
      const exposure = Number(/exposure level for \S+: (\d+\.\d+)/.exec(stdout)?.[1]);
      expect(exposure, name).to.be.below(exposureMax);
    }
  });
});
