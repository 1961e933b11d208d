import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import { formatConfigError } from "./config-issues.js";
import {
  makeStateDirectory,
  pathExists,
  moveDirectory,
  placeDirectory,
  readFileBounded,
  readSecretFile,
  replaceFile,
  writeSecretFile,
} from "./files.js";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "whither-files-"));
});
afterEach(() => rm(directory, { recursive: true }));

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

async function failureOf(promise: Promise<unknown>): Promise<DiscoveryError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DiscoveryError) return error;
    throw error;
  }
  return expect.fail("expected a failure");
}

describe("replaceFile", () => {
  it("puts a new file in the old one's place and leaves nothing else", async () => {
    const path = join(directory, "mirror");
    await replaceFile(path, "first, longer");
    await replaceFile(path, new Uint8Array([1, 2, 3]));
    expect([...(await readFile(path))]).to.deep.equal([1, 2, 3]);
    expect(await readdir(directory)).to.deep.equal(["mirror"]);
    expect(await modeOf(path)).to.equal(0o644);
  });

  it("takes a stream, and keeps the old file when the stream fails", async () => {
    const path = join(directory, "mirror");
    async function* stream(fails: boolean): AsyncGenerator<Uint8Array> {
      await Promise.resolve();
      yield Uint8Array.of(1, 2);
      if (fails) throw new DiscoveryError("NETWORK", "cut off");
      yield Uint8Array.of(3);
    }
    await replaceFile(path, stream(false), { mode: 0o600 });
    expect((await failureOf(replaceFile(path, stream(true)))).code).to.equal("NETWORK");
    expect([...(await readFile(path))]).to.deep.equal([1, 2, 3]);
    expect(await readdir(directory)).to.deep.equal(["mirror"]);
    expect(await modeOf(path)).to.equal(0o600);
  });

  it("keeps the old file and leaves no other when it fails", async () => {
    const path = join(directory, "mirror");
    await mkdir(path); // a directory cannot be replaced by a file
    const error = await failureOf(replaceFile(path, "x"));
    expect(error.code).to.equal("STORE");
    expect(await readdir(directory)).to.deep.equal(["mirror"]);
  });

  it("fails with STORE where the directory is missing", async () => {
    const error = await failureOf(replaceFile(join(directory, "no", "file"), "x"));
    expect(error.code).to.equal("STORE");
  });

  it("lets the last of several writers win whole", async () => {
    const path = join(directory, "mirror");
    const texts = Array.from({ length: 20 }, (_, n) => String(n).repeat(10_000));
    await Promise.all(texts.map((text) => replaceFile(path, text)));
    expect(texts).to.include(await readFile(path, "utf8"));
    expect(await readdir(directory)).to.deep.equal(["mirror"]);
  });
});

describe("secret files", () => {
  it("are written for the owner only and read back", async () => {
    const path = join(directory, "key.pem");
    await writeSecretFile(path, "secret");
    expect(await modeOf(path)).to.equal(0o600);
    expect(Buffer.from(await readSecretFile(path)).toString()).to.equal("secret");
  });

  it("never overwrite a file unless told", async () => {
    const path = join(directory, "key.pem");
    await writeSecretFile(path, "old");
    const error = await failureOf(writeSecretFile(path, "new"));
    expect(error.code).to.equal("CONFIG");
    expect(formatConfigError(error)).to.contain(`${path} exists already`);
    expect(await readFile(path, "utf8")).to.equal("old");
    await writeSecretFile(path, "new", { replace: true });
    expect(await readFile(path, "utf8")).to.equal("new");
    expect(await modeOf(path)).to.equal(0o600);
  });

  it("are not written through a dangling link", async () => {
    await symlink(join(directory, "elsewhere"), join(directory, "key.pem"));
    await failureOf(writeSecretFile(join(directory, "key.pem"), "secret"));
    expect(await pathExists(join(directory, "elsewhere"))).to.be.false;
  });

  for (const mode of [0o640, 0o604, 0o622, 0o610, 0o644, 0o777]) {
    it(`are refused with mode ${mode.toString(8)}, with the command that mends it`, async () => {
      const path = join(directory, "key.pem");
      await writeFile(path, "secret");
      await chmod(path, mode);
      const error = await failureOf(readSecretFile(path));
      expect(error.code).to.equal("CONFIG");
      expect(formatConfigError(error)).to.contain(`chmod 600 ${path}`);
      expect(error.text, "what may travel names no path").to.not.contain(directory);
    });
  }

  for (const mode of [0o600, 0o400, 0o700]) {
    it(`are accepted with mode ${mode.toString(8)}`, async () => {
      const path = join(directory, "key.pem");
      await writeFile(path, "secret");
      await chmod(path, mode);
      expect(await readSecretFile(path)).to.have.length(6);
    });
  }

  it("are refused above 64 KiB", async () => {
    const path = join(directory, "key.pem");
    await writeFile(path, new Uint8Array(64 * 1024 + 1), { mode: 0o600 });
    expect(formatConfigError(await failureOf(readSecretFile(path)))).to.contain("at most 65536");
  });

  it("are named when missing", async () => {
    const path = join(directory, "key.pem");
    const error = await failureOf(readSecretFile(path));
    expect(formatConfigError(error)).to.contain(`${path} cannot be read (ENOENT)`);
  });
});

describe("readFileBounded", () => {
  it("refuses a directory", async () => {
    const error = await failureOf(readFileBounded(directory, { bytesMax: 10 }));
    expect(error.code).to.equal("CONFIG");
  });

  it("reads up to its limit and no further", async () => {
    const path = join(directory, "data");
    await writeFile(path, "0123456789");
    expect(await readFileBounded(path, { bytesMax: 10 })).to.have.length(10);
    expect((await failureOf(readFileBounded(path, { bytesMax: 9 }))).code).to.equal("CONFIG");
  });
});

describe("makeStateDirectory", () => {
  it("makes a directory for the owner only, and is content with one that exists", async () => {
    const path = join(directory, "a", "b");
    await makeStateDirectory(path);
    await makeStateDirectory(path);
    expect(await modeOf(path)).to.equal(0o700);
  });

  it("fails with CONFIG where a file is in the way", async () => {
    await writeFile(join(directory, "a"), "");
    expect((await failureOf(makeStateDirectory(join(directory, "a", "b")))).code).to.equal(
      "CONFIG",
    );
  });
});

describe("placeDirectory", () => {
  it("gives a directory its place, but not where something is", async () => {
    const [made, place] = [join(directory, "made"), join(directory, "place")];
    await mkdir(made);
    await writeFile(join(made, "row"), "1");
    await placeDirectory(made, place);
    expect(await readdir(place)).to.deep.equal(["row"]);
    await mkdir(made);
    const error = await failureOf(placeDirectory(made, place));
    expect(error.code).to.equal("CONFIG");
    expect(formatConfigError(error)).to.contain(`${place} exists already`);
    expect(await readdir(place)).to.deep.equal(["row"]);
  });
});

describe("moveDirectory", () => {
  it("moves a directory over what an earlier move left there, and one that is not there not at all", async () => {
    const [from, to] = [join(directory, "store"), join(directory, "store.damaged")];
    for (const row of ["1", "2"]) {
      await mkdir(from);
      await writeFile(join(from, row), row);
      await moveDirectory(from, to);
    }
    expect(await readdir(to)).to.deep.equal(["2"]);
    await moveDirectory(from, to);
    expect(await readdir(to)).to.deep.equal(["2"]);
  });
});
