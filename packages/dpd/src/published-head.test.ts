import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { silentLogger } from "@whither/runtime";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { PublishedHead } from "./published-head.js";

describe("the note of the last head", () => {
  let directory: string;
  beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), "whither-note-"))));
  afterEach(() => rm(directory, { recursive: true }));

  it("follows the zone while it serves, and is on disk when it is closed", async () => {
    const clock = createSimulatedClock();
    const parties = makeRegistrationParties({ nowSeconds: clock.nowSeconds() });
    await using zone = await openTestZone({ parties, clock, random: createSeededRandom(7) });
    const note = new PublishedHead({ path: join(directory, "published"), logger: silentLogger });
    expect(await note.read()).to.equal(undefined);
    note.follow(zone);
    for (let epoch = 0; epoch < 3; epoch += 1) await zone.runEpoch();
    await note.close();
    const { kid, epoch, serial } = zone.head();
    expect(await note.read()).to.deep.equal({ kid, epoch, serial });
    await zone.runEpoch();
    await note.close();
    expect((await note.read())?.serial, "not after its close").to.equal(serial);
    expect(await readdir(directory), "nothing half written").to.deep.equal(["published"]);
  });
});
