import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseCsi, parseMspId } from "@whither/protocol";
import { systemClock } from "@whither/runtime";
import { createSimulatedClock, fixedBytes } from "@whither/testkit";
import { ChoiceMemory } from "./choice-memory.js";
import { codeOf } from "./scripted-zone.test.js";

const [alice, bob] = [parseCsi("+14155550123"), parseCsi("mailto:bob@example.org")] as const;
const choice = (msp: string) => ({ msp: parseMspId(msp), holder: "ab", until: 5 });

describe("choice memory", () => {
  let path = "";
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-choices-"));
    path = join(folder, "choices.json");
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });
  // The real clock: who finds the file locked waits some milliseconds for the other.
  const open = (secret = "secret") =>
    ChoiceMemory.open({ path, clock: systemClock, secret: fixedBytes(secret) });

  it("keeps what two processes chose, and forgets what one forgot", async () => {
    const [one, other] = [await open(), await open()];
    one.set(one.key(alice, ""), choice("wire.example"));
    other.set(other.key(bob, ""), choice("video.example"));
    await Promise.all([one.close(), other.close()]);
    const third = await open();
    expect(third.get(third.key(alice, ""))?.msp).to.equal("wire.example");
    expect(third.get(third.key(bob, ""))?.msp).to.equal("video.example");
    third.forget(third.key(alice, ""));
    await third.close();
    const fourth = await open();
    expect(fourth.get(fourth.key(alice, ""))).to.equal(undefined);
    expect(fourth.get(fourth.key(bob, ""))?.msp).to.equal("video.example");
  });

  it("writes a moment after a change, names nobody, and tells accounts apart", async () => {
    const clock = createSimulatedClock();
    const memory = await ChoiceMemory.open({ path, clock, secret: fixedBytes("secret") });
    expect(memory.key(alice, "work")).not.to.equal(memory.key(alice, ""));
    memory.set(memory.key(alice, ""), choice("wire.example"));
    await clock.advance(1_001);
    await memory.close();
    const content = await readFile(path, "utf8");
    expect(content).to.include("wire.example").and.not.to.include("4155550123");
    const stranger = await open("another secret");
    expect(stranger.get(stranger.key(alice, ""))).to.equal(undefined);
  });

  it("refuses a damaged file", async () => {
    for (const content of [
      "",
      "null",
      '{"version":1}',
      '{"version":1,"choices":{"a":{"msp":7}}}',
    ]) {
      await writeFile(path, content);
      expect(await codeOf(open()), content).to.equal("STORE_CORRUPT");
    }
  });
});
