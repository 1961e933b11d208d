// Durability of the LevelDB store against `kill -9` of a real process: a commit that was reported as
// synced is there afterwards, whole. This does not show durability against power loss: the kernel
// keeps what a killed process has written, fsynced or not.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { composeKey, openLevelStore, prefixRange, readU64, u64Bytes } from "@whither/store";
import { createSeededRandom } from "@whither/testkit";
import { expect } from "chai";

/** Two stores side by side: most of the time goes into starting processes. */
const seeds = [20_261_123, 9_497];
const killsPerStore = 10;
const child = fileURLToPath(new URL("./store-kill-child.ts", import.meta.url));

/** Runs the writer until it has reported `count` commits, kills it and gives all that it reported. */
async function writeUntilKilled(path: string, count: number): Promise<number[]> {
  const writer = spawn(
    process.execPath,
    ["--conditions=whither-source", "--import=tsx", child, path],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const exited = once(writer, "exit");
  const reported: number[] = [];
  for await (const line of createInterface({ input: writer.stdout })) {
    if (line !== "open") reported.push(Number(line));
    if (reported.length === count) writer.kill("SIGKILL");
  }
  expect(await exited, "the writer was killed and did not fail by itself").to.deep.equal([
    null,
    "SIGKILL",
  ]);
  return reported;
}

/** Every number in the store; fails for a batch of which only a part is there. */
async function readBack(path: string): Promise<Set<number>> {
  await using store = await openLevelStore({ path });
  const numbers = new Set<number>();
  for await (const [key, body] of store.iterate(prefixRange(composeKey(1)))) {
    const number = Number(readU64(key, 1));
    const length = store.get(composeKey(2, u64Bytes(BigInt(number))));
    expect(length && Number(readU64(length, 0)), `the second row of ${number}`).to.equal(
      body.length,
    );
    expect(
      body.every((byte) => byte === (number & 0xff)),
      `the bytes of ${number}`,
    ).to.be.true;
    numbers.add(number);
  }
  let seconds = 0;
  for await (const row of store.iterate(prefixRange(composeKey(2)))) seconds += row.length / 2;
  expect(seconds, "no second row without its first").to.equal(numbers.size);
  const counter = store.get(composeKey(0));
  expect(counter && Number(readU64(counter, 0)), "the counter is the last batch's").to.equal(
    Math.max(...numbers),
  );
  return numbers;
}

/** One store, killed over and over; gives how many commits were promised. */
async function killRepeatedly(directory: string, seed: number): Promise<number> {
  const random = createSeededRandom(seed);
  const promised: number[] = [];
  for (let kill = 1; kill <= killsPerStore; kill += 1) {
    promised.push(...(await writeUntilKilled(directory, 1 + random.below(120))));
    const found = await readBack(directory);
    const lost = promised.filter((number) => !found.has(number));
    expect(lost, `seed ${seed}, after kill ${kill}`).to.deep.equal([]);
  }
  return promised.length;
}

describe("store under kill -9", () => {
  it(`keeps every synced commit whole over ${seeds.length * killsPerStore} kills`, async function () {
    this.timeout(180_000);
    const directory = await mkdtemp(join(tmpdir(), "whither-kill-"));
    const promised = await Promise.all(
      seeds.map((seed) => killRepeatedly(join(directory, String(seed)), seed)),
    );
    expect(Math.min(...promised)).to.be.at.least(killsPerStore);
    await rm(directory, { recursive: true });
  });
});
