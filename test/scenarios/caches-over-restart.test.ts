// A resolver that ends and begins again with its caches kept: nobody is asked for what is fresh, and nothing older
// than what was seen comes back by an old file.

import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import { createFederation, createSimulatedClock, type Federation } from "@whither/testkit";
import type { Answer, Resolver } from "@whither/resolver";

const alice = parseCsi("+4930123456");
const nobody = parseCsi("+4930123499");

/** What was asked of anybody but the directory, and what came of it. */
const costOf = ({ status, stats, hops }: Answer): string => {
  const asked = hops.filter(({ path }) => path !== undefined).map(({ told }) => told);
  return `${status}, ${stats.rpcs} rpcs: ${asked.join("; ")}`;
};
const untold = (status: string): string => `${status}, 0 rpcs: `;

describe("caches kept over a restart", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-restart-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function start(): Promise<Federation> {
    const federation = await createFederation({ seed: 72 });
    await federation.register({ csi: alice, msps: ["wire.example", "video.example"] });
    await federation.publish();
    return federation;
  }
  const open = (federation: Federation, keepCaches = true): Promise<Resolver> =>
    federation.resolver({ statePath: folder, keepCaches });
  /** Looks both up and ends. */
  async function runOnce(federation: Federation): Promise<readonly Answer[]> {
    const resolver = await open(federation);
    const answers = [await resolver.lookup(alice), await resolver.lookup(nobody)];
    await resolver.close();
    return answers;
  }

  it("tell nobody anything for what is fresh, an absence included", async () => {
    await using federation = await start();
    const [first] = await runOnce(federation);
    expect(first?.stats.rpcs).to.be.above(0);
    const resolver = await open(federation);
    const again = await resolver.lookup(alice);
    expect(costOf(again)).to.equal(untold("found"));
    expect(again.mappings.map(({ msp }) => msp)).to.deep.equal(["wire.example", "video.example"]);
    expect(again.proof.verified).to.equal(true);
    expect(costOf(await resolver.lookup(nobody))).to.equal(untold("none"));
    expect(again.ttlSeconds, "their time goes on").to.be.at.most(first?.ttlSeconds ?? 0);
  });

  it("still answer after a run that nobody asked anything of", async () => {
    await using federation = await start();
    await runOnce(federation);
    await (await open(federation)).close();
    const resolver = await open(federation);
    expect(costOf(await resolver.lookup(alice))).to.equal(untold("found"));
  });

  it("are not there where they are not kept: the evaluation is paid for again", async () => {
    await using federation = await start();
    await runOnce(federation);
    const resolver = await open(federation, false);
    expect(costOf(await resolver.lookup(alice))).to.include("1 blinded element, who asks");
  });

  it("keep the evaluation when all else is too old", async () => {
    await using federation = await start();
    await runOnce(federation);
    await federation.clock.advance(2 * 3_600_000);
    await federation.publish();
    const resolver = await open(federation);
    const late = await resolver.lookup(alice);
    expect(late.status).to.equal("found");
    expect(costOf(late)).to.include("bits of an index").and.not.include("blinded");
  });

  it("say nothing of an older head than the newest seen, whatever file is put there", async () => {
    await using federation = await start();
    await runOnce(federation);
    const old = join(folder, "cache.old");
    await copyFile(join(folder, "cache"), old);
    await federation.register({ csi: nobody, msps: ["wire.example"] });
    await federation.publish();
    const seeing = await open(federation);
    expect((await seeing.lookup(nobody, { refresh: true })).status).to.equal("found");
    await seeing.close();
    await copyFile(old, join(folder, "cache"));
    const resolver = await open(federation);
    const answer = await resolver.lookup(nobody);
    expect(answer.status, "not the absence of the old file").to.equal("found");
    expect(costOf(answer)).to.include("bits of an index").and.not.include("blinded");
    expect(resolver.evidence()).to.deep.equal([]);
  });

  it("are no fresher for a clock that went back", async () => {
    await using federation = await start();
    await runOnce(federation);
    const behind = createSimulatedClock({ startMs: federation.clock.nowMs() - 60_000 });
    const resolver = await federation.resolver({
      statePath: folder,
      keepCaches: true,
      clock: behind,
      wait: false,
    });
    const looking = resolver.lookup(alice);
    let cost: string | undefined;
    void looking.then((answer) => (cost = costOf(answer)));
    for (let turn = 0; turn < 50 && cost === undefined; turn += 1) {
      await Promise.all([behind.advance(10), federation.clock.advance(10)]);
    }
    expect(cost).to.include("bits of an index").and.not.include("blinded");
    await resolver.close();
  });

  it("show no identifier to whoever reads the file", async () => {
    await using federation = await start();
    await runOnce(federation);
    const file = await readFile(join(folder, "cache"));
    expect(file.length).to.be.above(1_000);
    for (const text of ["4930123456", "wire.example", "de@dp-a.example"]) {
      expect(file.includes(text), text).to.equal(false);
    }
  });
});
