import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { DiscoveryError, parseZoneName, type Head } from "@whither/protocol";
import { createSimulatedClock } from "@whither/testkit";
import { encodeHead } from "@whither/wire";
import { EvidenceFile } from "./evidence.js";
import { HeadMemory } from "./head-memory.js";

const zone = parseZoneName("de@dp-a.example");
const clock = createSimulatedClock();
const noHash = new Uint8Array(32);
const oldKid = Uint8Array.of(1, 1, 1, 1);
const newKid = Uint8Array.of(2, 2, 2, 2);

function headOf(kid: Uint8Array, serial: number): Head {
  const time = clock.nowSeconds();
  return {
    zone,
    epoch: 1,
    serial,
    mapRoot: noHash,
    mapSize: 0,
    kid,
    b: 0,
    pad: 0,
    manifestSha256: noHash,
    changesRoot: noHash,
    time,
    prevSha256: noHash,
    notAfter: time + 1800,
  };
}

describe("the memory of heads", () => {
  let directory: string;
  beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), "whither-heads-"))));
  afterEach(() => rm(directory, { recursive: true }));

  const open = async (): Promise<HeadMemory> =>
    HeadMemory.open({
      path: join(directory, "heads.json"),
      clock,
      evidence: await EvidenceFile.open({ path: undefined, clock }),
    });
  const accept = (memory: HeadMemory, head: Head, askedMs = clock.monotonicMs()): string => {
    try {
      const object = { payload: encodeHead(head), signatures: [] };
      memory.accept(object, head, { askedMs });
      return "ok";
    } catch (error) {
      if (error instanceof DiscoveryError) return error.code;
      throw error;
    }
  };

  it("keeps a chain for each kid: serials of one say nothing about the other", async () => {
    const memory = await open();
    expect(accept(memory, headOf(oldKid, 900))).to.equal("ok");
    expect(accept(memory, headOf(newKid, 3))).to.equal("ok");
    expect(accept(memory, headOf(oldKid, 902))).to.equal("ok");
    expect(accept(memory, headOf(newKid, 2))).to.equal("ROLLBACK");
    expect(accept(memory, headOf(oldKid, 901))).to.equal("ROLLBACK");
    await memory.close();
  });

  it("calls an older head a roll-back only if it was asked for when the newer one was known", async () => {
    const memory = await open();
    const askedBeforeMs = clock.monotonicMs();
    await clock.advance(10);
    expect(accept(memory, headOf(oldKid, 902))).to.equal("ok");
    expect(accept(memory, headOf(oldKid, 901), askedBeforeMs), "overtaken").to.equal("STALE");
    await clock.advance(10);
    expect(accept(memory, headOf(oldKid, 901))).to.equal("ROLLBACK");
    await memory.close();
  });

  it("keeps both over a restart", async () => {
    const before = await open();
    accept(before, headOf(oldKid, 900));
    accept(before, headOf(newKid, 3));
    await before.close();
    const memory = await open();
    expect(accept(memory, headOf(oldKid, 899))).to.equal("ROLLBACK");
    expect(accept(memory, headOf(newKid, 2))).to.equal("ROLLBACK");
    expect(accept(memory, headOf(newKid, 5))).to.equal("ok");
    await memory.close();
  });

  it("refuses a file of which any octet that counts has changed, and names it", async () => {
    const memory = await open();
    accept(memory, headOf(oldKid, 900));
    await memory.close();
    const path = join(directory, "heads.json");
    const whole = await readFile(path, "utf8");
    const at = (text: string): number => whole.indexOf(text) + text.length;
    const places = ['"epoch": ', '"serial": ', '"time": ', '"sha256": "', '"object": "'].map(at);
    const middle = at('"object": "') + 60; // within the head
    for (const place of [...places, middle]) {
      const other = whole[place] === "1" ? "2" : "1";
      await writeFile(path, whole.slice(0, place) + other + whole.slice(place + 1));
      const error: unknown = await open().catch((reason: unknown) => reason);
      expect(error, whole.slice(place - 9, place)).to.have.property("code", "STORE_CORRUPT");
      expect(error).to.have.nested.property("cause.message").that.includes(path);
    }
    await writeFile(path, whole.slice(0, -3));
    expect(await open().catch((reason: unknown) => reason)).to.have.property("code");
  });
});
