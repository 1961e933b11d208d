import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import { lockFile, type FileLock } from "./file-lock.js";

let directory = "";
let path = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "whither-lock-"));
  path = join(directory, "state");
});
afterEach(() => rm(directory, { recursive: true }));

async function lockError(): Promise<DiscoveryError> {
  try {
    await (await lockFile(path)).close();
  } catch (error) {
    if (error instanceof DiscoveryError) return error;
    throw error;
  }
  return expect.fail("expected the lock to be refused");
}

/** Another process that has the lock. */
async function startHolder(): Promise<ChildProcess> {
  const script = `
    const { lockFile } = await import(${JSON.stringify(new URL("./file-lock.ts", import.meta.url).href)});
    await lockFile(${JSON.stringify(path)});
    process.stdout.write("locked");
    setInterval(() => {}, 1000);`;
  const holder = spawn(
    process.execPath,
    ["--conditions=whither-source", "--import=tsx", "--input-type=module", "--eval", script],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await once(holder.stdout, "data");
  return holder;
}

describe("lockFile", () => {
  it("is had by one at a time, and again after it was given back", async () => {
    const lock = await lockFile(path);
    const error = await lockError();
    expect(error.code).to.equal("STORE_LOCKED");
    expect(error.text).to.equal("the files are in use by this process");
    await lock.close();
    await (await lockFile(path)).close();
    expect(await readdir(directory)).to.deep.equal([]);
  });

  it("names the other process, and is free at once when that is killed", async function () {
    this.timeout(30_000); // starts a process
    const holder = await startHolder();
    expect((await lockError()).text).to.equal(`the files are in use by process ${holder.pid}`);
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const lock = await lockFile(path);
    expect(await readdir(directory), "the dead one's marker is gone").to.have.length(1);
    await lock.close();
  });

  it("takes no other process with a pid used again for the holder", async () => {
    // Our own pid, alive, but with the start time of another process.
    const boot = (await firstMarker()).split("-")[0] ?? "";
    await writeFile(join(directory, `state.lock-${boot}-${process.pid}-1-00000000`), "");
    await (await lockFile(path)).close();
    expect(await readdir(directory)).to.deep.equal([]);
  });

  it("takes a marker of an earlier boot and one of another making for dead", async () => {
    await writeFile(join(directory, `state.lock-deadbeef-${process.pid}-1-00000000`), "");
    await writeFile(join(directory, "state.lock-rubbish"), "");
    await (await lockFile(path)).close();
    expect(await readdir(directory)).to.deep.equal([]);
  });

  it("is never had by two of many that try at once", async () => {
    for (let round = 0; round < 20; round += 1) {
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => lockFile(path)));
      const locks = tries.filter((one) => one.status === "fulfilled").map((one) => one.value);
      expect(locks.length).to.be.at.most(1);
      for (const one of tries) {
        if (one.status === "rejected")
          expect(isDiscoveryError(one.reason, "STORE_LOCKED")).to.be.true;
      }
      await Promise.all(locks.map((lock: FileLock) => lock.close()));
    }
  });

  it("locks by name: two files of one directory are apart", async () => {
    const locks = await Promise.all([lockFile(path), lockFile(join(directory, "state2"))]);
    await Promise.all(locks.map((lock) => lock.close()));
  });

  it("fails with STORE where the directory is missing", async () => {
    path = join(directory, "none", "state");
    expect((await lockError()).code).to.equal("STORE");
  });
});

async function firstMarker(): Promise<string> {
  const lock = await lockFile(path);
  const [name = ""] = await readdir(directory);
  await lock.close();
  return name.slice("state.lock-".length);
}
