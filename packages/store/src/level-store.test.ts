import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { DiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import { openLevelStore } from "./level-store.js";
import type { Row, Store } from "./store.js";

const key = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined): string => new TextDecoder().decode(value);

let directory = "";
let path = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "whither-level-"));
  path = join(directory, "zone", "store");
});
afterEach(() => rm(directory, { recursive: true }));

async function openError(): Promise<DiscoveryError> {
  try {
    await (await openLevelStore({ path })).close();
  } catch (error) {
    if (error instanceof DiscoveryError) return error;
    throw error;
  }
  return expect.fail("expected the opening to fail");
}

async function makeStore(): Promise<void> {
  const store = await openLevelStore({ path });
  await store.commit({ puts: [[key("a"), key("kept")]], deletes: [] }, { sync: true });
  await store.close();
}

describe("LevelDB store", () => {
  it("keeps what was committed over a close, in a directory for the owner only", async () => {
    await makeStore();
    const store = await openLevelStore({ path });
    expect(text(store.get(key("a")))).to.equal("kept");
    await store.close();
    expect((await stat(path)).mode & 0o777).to.equal(0o700);
  });

  it("tells a second opener who has it, and opens again after a close", async () => {
    const store = await openLevelStore({ path });
    const error = await openError();
    expect(error.code).to.equal("STORE_LOCKED");
    expect(error.text).to.equal(`the store is in use by process ${process.pid}`);
    await store.close();
    await makeStore();
  });

  it("writes nothing more after a write failed, and goes on when it is opened again", async () => {
    // As a full disk: the kernel refuses every write to a file behind its first octet.
    const limitFiles = (bytes: string): Promise<unknown> =>
      promisify(execFile)("prlimit", ["--pid", String(process.pid), `--fsize=${bytes}:unlimited`]);
    await makeStore();
    const failures: string[] = [];
    const onWriteFailed = ({ code }: DiscoveryError): void => void failures.push(code);
    const store = await openLevelStore({ path, onWriteFailed });
    const put = async (opened: Store, name: string): Promise<string> => {
      const batch = { puts: [[key(name), key("put")]] as const, deletes: [] };
      const done = opened.commit(batch, { sync: true });
      return await done.then(
        () => "ok",
        (error: unknown) => (error instanceof DiscoveryError ? error.code : "unknown"),
      );
    };
    await limitFiles("1");
    try {
      expect([await put(store, "b"), await put(store, "c")]).to.deep.equal(["STORE", "STORE"]);
    } finally {
      await limitFiles("unlimited");
    }
    expect(await put(store, "d"), "there is room again, behind a torn row").to.equal("STORE");
    expect(text(store.get(key("a")))).to.equal("kept");
    expect(failures).to.deep.equal(["STORE"]);
    await store.close();
    await using again = await openLevelStore({ path });
    expect(text(again.get(key("a")))).to.equal("kept");
    expect(await put(again, "d")).to.equal("ok");
  });

  it("is not opened where it is missing and not to be made", async () => {
    const opening = openLevelStore({ path, create: false });
    const error: unknown = await opening.catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(DiscoveryError);
  });

  it("says STORE_CORRUPT of a table that has lost its end or is gone, however it is read", async () => {
    for (const damage of [(table: string) => truncate(table, 20), rm]) {
      await makeStore();
      await (await openLevelStore({ path })).close(); // LevelDB makes a table of its log
      const name = (await readdir(path)).find((one) => one.endsWith(".ldb"));
      await damage(join(path, name ?? expect.fail("no table")));
      const opening = await openLevelStore({ path }).catch((error: unknown) => error);
      if (opening instanceof Error) {
        expect(opening).to.have.property("code", "STORE_CORRUPT");
      } else {
        await using store = opening as Awaited<ReturnType<typeof openLevelStore>>; // no error
        const reads = [
          async () => Promise.resolve(store.get(key("a"))),
          () => store.getMany([key("a")]),
          () => store.iterate()[Symbol.asyncIterator]().next(),
        ];
        for (const read of reads) {
          const error: unknown = await read().catch((reason: unknown) => reason);
          expect(error).to.have.property("code", "STORE_CORRUPT");
        }
      }
      await rm(path, { recursive: true });
    }
  });

  const damages: readonly (readonly [string, (name: string) => boolean, string])[] = [
    ["its manifest is rubbish", (name) => name.startsWith("MANIFEST"), "rubbish"],
    ["its manifest is empty", (name) => name.startsWith("MANIFEST"), "cut"],
    ["its pointer to the manifest is rubbish", (name) => name === "CURRENT", "rubbish"],
    ["its pointer names another manifest", (name) => name === "CURRENT", "MANIFEST-999999\n"],
  ];
  for (const [title, matches, damage] of damages) {
    it(`says STORE_CORRUPT when ${title}`, async () => {
      await makeStore();
      const name = (await readdir(path)).find(matches) ?? expect.fail("no such file");
      if (damage === "cut") await truncate(join(path, name));
      else if (damage === "rubbish") await writeFile(join(path, name), "rubbish, and no line end");
      else await writeFile(join(path, name), damage);
      expect((await openError()).code).to.equal("STORE_CORRUPT");
    });
  }

  it("says STORE when a file is in the directory's place", async () => {
    await writeFile(join(directory, "zone"), "");
    expect(["STORE", "CONFIG"]).to.include((await openError()).code);
  });

  it("fails a commit with STORE when the disk is full, and keeps what was committed", async function () {
    this.timeout(30_000); // starts a process
    // RLIMIT_FSIZE stands in for a full disk; SIGXFSZ would end the process, Node ignores it.
    const script = `
      const { openLevelStore } = await import(${JSON.stringify(new URL("./index.ts", import.meta.url).href)});
      const store = await openLevelStore({ path: ${JSON.stringify(path)}, writeBufferBytes: 64 * 1024 * 1024 });
      const value = new Uint8Array(8192).fill(1);
      let stored = 0;
      try {
        for (;; stored += 1) {
          const puts = [[new TextEncoder().encode("k" + stored), value]];
          await store.commit({ puts, deletes: [] }, { sync: true });
        }
      } catch (error) {
        const again = store.get(new TextEncoder().encode("k0"))?.length;
        console.log(JSON.stringify({ stored, code: error.code, again }));
      }`;
    const child = spawn(
      "bash",
      [
        "-c",
        'ulimit -f 256; exec "$0" --conditions=whither-source --import=tsx --input-type=module --eval "$1"',
        process.execPath,
        script,
      ],
      { stdio: ["ignore", "pipe", "inherit"], cwd: process.cwd() },
    );
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => (output += part));
    await once(child, "close");
    const { stored, code, again } = JSON.parse(output) as Record<string, unknown>;
    expect(code).to.equal("STORE");
    expect(again, "reads go on").to.equal(8192);
    expect(stored).to.be.above(5);
    const store = await openLevelStore({ path });
    for (let n = 0; n < Number(stored); n += 1)
      expect(store.get(key(`k${n}`))).to.have.length(8192);
    await store.close();
  });

  it("gives other work a turn after every few thousand rows of a large batch", async () => {
    const rows = Array.from({ length: 20_000 }, (_, n): Row => [key(`key ${n}`), key("")]);
    let taken = 0;
    const counting = function* (): ArrayIterator<Row> {
      for (const row of rows) {
        taken += 1;
        yield row;
      }
    };
    const puts = Object.assign([...rows], { [Symbol.iterator]: counting });
    const store = await openLevelStore({ path });
    const state = { done: false };
    const committing = store
      .commit({ puts, deletes: [] }, { sync: true })
      .then(() => (state.done = true));
    let most = 0;
    while (!state.done) {
      const before = taken;
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, taken - before);
    }
    await committing;
    expect(taken).to.equal(20_000);
    expect(most).to.be.within(1, 2_048);
    await store.close();
  });

  it("notes no key or value outside its database files", async () => {
    await makeStore();
    expect(await readFile(join(path, "HOLDER"), "utf8")).to.equal(`${process.pid}\n`);
  });
});
