// The root's KSKs replaced while readers follow the directory: whoever has older anchors goes along, running or not,
// and nobody goes back (protocol.md section 2).

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import {
  directoryFixtureSeconds,
  makeDirectoryObjects,
  makeDirectoryWorld,
  makeRootFixture,
  outcomeOfLater,
  type DirectoryWorld,
  type DirectoryWorldOptions,
  type RootFixture,
} from "@whither/testkit";
import {
  encodeArtefact,
  nodeVerifier,
  openArtefact,
  type DirectoryObjects,
  type VerifiedArtefact,
} from "@whither/zone";

const phone = parseCsi("+4930123456");
const [old, next, third] = [1, 4, 7].map((n) => {
  const ksks = [n, n + 1, n + 2].map((one) => `ksk ${one}`);
  return makeRootFixture({ version: n, ksks });
}) as [RootFixture, RootFixture, RootFixture]; // one for each of the three
const names = (n: number): readonly string[] => [n, n + 1, n + 2].map((one) => `ksk ${one}`);
/** From one to the other: signed by two of each. */
const toNext = makeRootFixture({
  version: 2,
  ksks: names(4),
  signers: [...old.ksks.slice(0, 2), ...next.ksks.slice(0, 2)],
});
const nextAlone = makeRootFixture({ version: 5, ksks: names(4) });
const toThird = makeRootFixture({
  version: 6,
  ksks: names(7),
  signers: [...next.ksks.slice(1), ...third.ksks.slice(0, 2)],
});

/** As the root's operator signs one after another; a client's anchors are the first. */
function published(roots: readonly RootFixture[]): readonly VerifiedArtefact[] {
  const made: VerifiedArtefact[] = [];
  for (const [at, root] of roots.entries()) {
    const previous = made.at(-1)?.directory;
    const nowSeconds = directoryFixtureSeconds + at;
    const objects = makeDirectoryObjects(
      previous === undefined ? { root, nowSeconds } : { root, nowSeconds, previous },
    );
    made.push(opened(objects, root));
  }
  return made;
}

function opened(objects: DirectoryObjects, { anchors }: RootFixture): VerifiedArtefact {
  const nowSeconds = directoryFixtureSeconds + 60;
  const bytes = encodeArtefact(objects);
  return openArtefact({ bytes, anchors, nowSeconds, verifier: nodeVerifier });
}

const [first, second, fourth, fifth] = published([old, toNext, nextAlone, toThird]) as [
  VerifiedArtefact,
  VerifiedArtefact,
  VerifiedArtefact,
  VerifiedArtefact,
]; // one for each root

describe("the root's KSKs replaced", () => {
  const open: DirectoryWorld[] = [];
  function makeWorld(options: DirectoryWorldOptions): DirectoryWorld {
    const world = makeDirectoryWorld(options);
    open.push(world);
    return world;
  }
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-ksks-"));
  });
  afterEach(async () => {
    for (const world of open.splice(0)) await world[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  for (const mirror of [true, false]) {
    const how = mirror ? "mirrors" : "walks";
    it(`are followed by a reader that ${how}, without a restart`, async () => {
      const world = makeWorld({ artefact: first, mirror });
      const { follower, service, clock } = world;
      if (mirror) await world.mirrored();
      await follower.delegation(phone);
      for (const [at, artefact] of [second, fourth, fifth].entries()) {
        service.replace(artefact);
        await clock.advance(4_000_000);
        if (mirror) await world.mirrored(at + 2);
        expect((await follower.delegation(phone)).prefix).to.equal("tel:+49");
        expect((await follower.registry()).msps()).to.have.length(2);
        const { version } = artefact.directory.trust.rootKeys;
        expect(follower.current()?.rootKeys.version).to.equal(version);
      }
    });

    it(`are found by a reader that ${how} and was off for all of it`, async () => {
      const statePath = join(folder, "directory");
      const before = makeDirectoryWorld({ artefact: first, mirror, statePath });
      if (mirror) await before.mirrored();
      await before.follower.delegation(phone);
      await before[Symbol.asyncDispose]();
      for (const path of [statePath, join(folder, "none")]) {
        const world = makeWorld({ artefact: fifth, mirror, statePath: path });
        if (mirror) await world.mirrored(4);
        expect((await world.follower.delegation(phone)).prefix).to.equal("tel:+49");
        expect((await world.follower.registry()).msps()).to.have.length(2);
        expect(world.follower.current()?.rootKeys.version).to.equal(6);
      }
    });

    it(`by too few of those before are not followed by a reader that ${how}`, async () => {
      const world = makeWorld({ artefact: first, mirror });
      if (mirror) await world.mirrored();
      await world.follower.delegation(phone);
      const signers = [old.ksks[0]!, ...next.ksks.slice(0, 2)];
      const stolen = makeRootFixture({ version: 2, ksks: names(4), signers });
      const nowSeconds = directoryFixtureSeconds + 1;
      world.service.replace(opened(makeDirectoryObjects({ root: stolen, nowSeconds }), next));
      await world.clock.advance(4_000_000);
      const outcome = await outcomeOfLater(
        mirror ? world.follower.refresh() : world.follower.delegation(phone),
      );
      expect(outcome).to.equal("KEY_MISSING");
      expect(world.follower.current()?.rootKeys.version).to.equal(1);
    });
  }

  it("are not given up for those before, which may be stolen, over a restart either", async () => {
    const statePath = join(folder, "directory");
    const thief = makeRootFixture({ version: 9, ksks: names(1), signers: old.ksks });
    const stolen = opened(
      makeDirectoryObjects({ root: thief, nowSeconds: directoryFixtureSeconds + 50 }),
      old,
    );
    const before = makeDirectoryWorld({ artefact: fourth, mirror: true, statePath });
    await before.mirrored(3);
    await before.follower.refresh(); // the fetch under way has ended
    before.service.replace(stolen);
    expect(await outcomeOfLater(before.follower.refresh())).to.equal("KEY_MISSING");
    await before[Symbol.asyncDispose]();
    const world = makeWorld({ artefact: stolen, mirror: true, statePath });
    expect(await outcomeOfLater(world.follower.refresh())).to.equal("KEY_MISSING");
    expect(world.follower.current()?.rootKeys.version).to.equal(5);
    // Whoever has nothing but the anchors cannot know.
    const fresh = makeWorld({ artefact: stolen, mirror: true });
    await fresh.mirrored();
  });

  it("are known after a restart although a server left the steps out", async () => {
    const statePath = join(folder, "directory");
    const before = makeDirectoryWorld({ artefact: first, mirror: true, statePath });
    await before.mirrored();
    await before.follower.refresh(); // the fetch under way has ended
    before.service.replace(second);
    await before.follower.refresh();
    const { rootKeys, head, nodes, records } = fourth.directory.objects();
    before.service.replace(opened({ rootKeys, head, nodes, records }, next));
    await before.follower.refresh();
    expect(before.follower.current()?.rootKeys.version).to.equal(5);
    await before[Symbol.asyncDispose]();

    const world = makeWorld({ artefact: first, mirror: true, statePath });
    expect(await outcomeOfLater(world.follower.refresh())).to.equal("KEY_MISSING");
    expect(world.follower.current()?.rootKeys.version).to.equal(5);
    expect((await world.follower.delegation(phone)).prefix).to.equal("tel:+49");
  });

  it("are found in a file, by whoever has the first anchors", async () => {
    const path = join(folder, "root.directory");
    await writeFile(path, encodeArtefact(first.directory.objects()));
    const world = makeWorld({ source: { kind: "file", path }, down: true });
    await world.follower.delegation(phone);
    for (const artefact of [fourth, fifth]) {
      await writeFile(path, encodeArtefact(artefact.directory.objects()));
      await world.follower.refresh();
      expect(world.follower.current()?.head.serial).to.equal(artefact.directory.serial);
    }
    await writeFile(path, encodeArtefact(second.directory.objects()));
    expect(await outcomeOfLater(world.follower.refresh())).to.equal("KEY_MISSING");
  });
});
