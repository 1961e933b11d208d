import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { DiscoveryError, parseCsi } from "@whither/protocol";
import { implementService, notAvailable } from "@whither/rpc";
import {
  directoryFixtureSeconds,
  EventLog,
  makeArtefact,
  makeDirectoryObjects,
  makeDirectoryWorld,
  makeRootFixture,
  outcomeOfLater,
  prefixesFixture,
  type DirectoryWorld,
  type DirectoryWorldOptions,
} from "@whither/testkit";
import {
  decodeTransferChunk,
  Directory as DirectoryDescriptor,
  encodeTransferChunk,
} from "@whither/wire";
import { encodeTransfer } from "@whither/zone";
import type { Hop } from "./follower.js";

const root = makeRootFixture();
const day = 86_400;
const firstObjects = makeDirectoryObjects({ root });
const first = makeArtefact(firstObjects);
const second = makeArtefact({
  previous: first.directory,
  nowSeconds: directoryFixtureSeconds + 60,
});
const phone = parseCsi("+4930123456");
const mail = parseCsi("mailto:alice@mail.example.org");

describe("directory follower, mirroring", () => {
  const open: DirectoryWorld[] = [];
  function makeWorld(options?: DirectoryWorldOptions): DirectoryWorld {
    const world = makeDirectoryWorld(options);
    open.push(world);
    return world;
  }
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-directory-"));
  });
  afterEach(async () => {
    for (const world of open.splice(0)) await world[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  describe("mirroring", () => {
    it("walks until the mirror is there, then tells nobody anything", async () => {
      const world = makeWorld({ mirror: true });
      await world.follower.delegation(phone);
      expect(world.calls.filter((call) => call.startsWith("Refer"))).to.have.length(3);
      await world.mirrored();
      world.calls.length = 0;
      const hops: Hop[] = [];
      expect(
        (await world.follower.delegation(mail, { onHop: (hop) => hops.push(hop) })).prefix,
      ).to.equal("mailto:example.org");
      expect(hops).to.have.length(1);
      expect(hops[0]).to.include({
        from: "mirror",
        told: "nothing",
        verdict: "verified",
        serial: 1,
      });
      expect(world.calls).to.deep.equal([]);
      await world.follower.delegation(phone, { mirror: false });
      expect(world.calls).to.deep.equal([]); // still cached from the first walk
      await world.follower.delegation(mail, { mirror: false });
      expect(world.calls).to.have.length(3);
    });

    it("answers and knows the registry with the root stopped, until the directory ends", async () => {
      const world = makeWorld({ mirror: true });
      await world.mirrored();
      await world.server.close();
      await world.clock.advance(6 * day * 1000);
      expect((await world.follower.delegation(phone)).prefix).to.equal("tel:+49");
      expect((await world.follower.registry()).msps()).to.have.length(2);
      await world.clock.advance(day * 1000 + 301_000);
      expect(await outcomeOfLater(world.follower.delegation(phone))).to.equal("UNREACHABLE");
      expect(world.follower.current()?.source).to.equal("walk");
    });

    it("polls every refresh_s within 10 %, and by retry_s after a failure", async () => {
      const world = makeWorld({ mirror: true });
      await world.mirrored();
      const transfers = (): number => world.calls.filter((call) => call === "Transfer").length;
      expect(transfers()).to.equal(1);
      await world.clock.advance(809_000);
      expect(transfers()).to.equal(1);
      await world.clock.advance(182_000);
      expect(transfers()).to.equal(2);
      world.network.setFaults({}, { partition: "refused" });
      await world.clock.advance(991_000);
      world.network.setFaults({}, undefined);
      const failed = transfers();
      await world.clock.advance(331_000);
      expect(transfers()).to.equal(failed + 1);
    });

    it("asks for nothing when it is current, and takes a newer directory", async () => {
      const world = makeWorld({ mirror: true });
      await world.mirrored();
      await world.follower.refresh();
      expect(world.follower.current()?.head.serial).to.equal(1);
      world.service.replace(second);
      await world.follower.refresh();
      expect(world.follower.current()?.head.serial).to.equal(2);
    });

    it("fetches soon when a walk meets something newer", async () => {
      const world = makeWorld({ mirror: true });
      await world.mirrored();
      world.service.replace(second);
      await world.follower.delegation(phone, { mirror: false });
      await world.clock.advance(1_000);
      await world.mirrored(2);
    });

    it("fetches within seconds when the server tells of a new head, and only what has changed", async () => {
      const world = makeWorld({ mirror: true });
      await world.mirrored();
      await world.clock.advance(30_000);
      const sizes: number[] = [];
      world.network.tap((record) => {
        const isAnswer = record.kind === "message" && record.direction === "response";
        if (isAnswer && record.method.endsWith("/Transfer")) sizes.push(record.bytes.length);
      });
      const prefixes = prefixesFixture.filter((line) => !line.includes("441481"));
      const third = makeArtefact({ previous: first.directory, prefixes });
      world.service.replace(third);
      await world.clock.advance(5_000);
      await world.mirrored(2);
      const sent = sizes.reduce((sum, size) => sum + size, 0);
      const whole = encodeTransfer(third.directory.objects()).reduce((sum, m) => sum + m.length, 0);
      expect(sent).to.be.lessThan(whole / 2);
      expect((await world.follower.delegation(parseCsi("+441481960194"))).prefix).to.equal(
        "tel:+44",
      );
    });

    it("goes on where it was after a watch that broke off, and polls where there is none", async () => {
      const world = makeWorld({ mirror: true });
      await world.mirrored();
      const watches = (): number => world.calls.filter((call) => call === "Watch").length;
      expect(watches()).to.equal(1);
      world.network.setFaults({}, { partition: "refused" });
      world.network.setFaults({}, undefined);
      world.service[Symbol.dispose]();
      await world.clock.advance(6_000);
      expect(watches()).to.equal(2);
      world.service.replace(second);
      await world.clock.advance(991_000);
      await world.mirrored(2);
    });

    it("asks for the whole, once, when a difference does not fit", async () => {
      const prefixes = prefixesFixture.filter((line) => !line.includes("441481"));
      const third = makeArtefact({ previous: first.directory, prefixes });
      const log = new EventLog();
      const world = makeWorld({ mirror: true, logger: log });
      await world.mirrored();
      world.service.replace(third);
      const asked: boolean[] = [];
      world.network.setFaults(
        {},
        {
          tamper: (bytes, { direction, method }) => {
            if (!method.endsWith("/Transfer") || direction === "request") return bytes;
            const chunk = decodeTransferChunk(bytes);
            if (chunk.head !== undefined) asked.push(chunk.incremental === true);
            const { removedPrefixes: _, ...kept } = chunk;
            return encodeTransferChunk(kept);
          },
        },
      );
      await world.follower.refresh();
      expect(asked).to.deep.equal([true, false]);
      expect(world.follower.current()?.head.serial).to.equal(2);
      expect(log.last("directory difference does not fit")).to.not.equal(undefined);
    });

    it("survives a restart on a directory that came in parts", async () => {
      const statePath = join(folder, "directory");
      const before = makeWorld({ mirror: true, statePath });
      await before.mirrored();
      await before.follower.refresh(); // the first fetch may not be saved yet
      before.service.replace(
        makeArtefact({ previous: first.directory, prefixes: prefixesFixture.slice(0, 6) }),
      );
      await before.follower.refresh();
      await before.follower.close();
      const after = makeWorld({ mirror: true, statePath, down: true });
      expect((await after.follower.delegation(mail)).prefix).to.equal("mailto:");
      expect(after.follower.current()).to.deep.include({ source: "mirror" });
    });

    it("never goes back, and keeps the last good one", async () => {
      const world = makeWorld({ mirror: true, artefact: second });
      await world.mirrored(2);
      world.service.replace(first);
      expect(await outcomeOfLater(world.follower.refresh())).to.equal("ROLLBACK");
      expect(world.follower.current()).to.deep.include({ source: "mirror" });
      expect(world.follower.current()?.head.serial).to.equal(2);
      const fork = makeArtefact(
        makeDirectoryObjects({
          root,
          previous: first.directory,
          prefixes: [],
        }),
      );
      world.service.replace(fork);
      expect(await outcomeOfLater(world.follower.refresh())).to.equal("FORKED");
    });

    it("survives a restart with the root unreachable", async () => {
      const statePath = join(folder, "directory");
      const before = makeWorld({ mirror: true, statePath });
      await before.mirrored();
      await before.follower.refresh();
      await before.follower.close();
      const after = makeWorld({ mirror: true, statePath, down: true });
      expect((await after.follower.delegation(mail)).prefix).to.equal("mailto:example.org");
      expect(after.calls).to.deep.equal([]);
    });

    it("does not use a file that is damaged or ended, but is not fooled below it either", async () => {
      const statePath = join(folder, "directory");
      const before = makeWorld({ mirror: true, artefact: second, statePath });
      await before.mirrored(2);
      await before.follower.close();
      const bytes = await readFile(statePath);
      const late = makeWorld({
        mirror: true,
        statePath,
        startSeconds: directoryFixtureSeconds + 30 * day,
      });
      expect(await outcomeOfLater(late.follower.delegation(phone))).to.equal("ROLLBACK");
      bytes[bytes.length - 5]! ^= 1;
      await writeFile(statePath, bytes);
      const damaged = makeWorld({ mirror: true, statePath, down: true });
      expect(await outcomeOfLater(damaged.follower.delegation(phone))).to.equal("UNREACHABLE");
      await writeFile(statePath, "rubbish");
      const rubbish = makeWorld({ mirror: true, statePath });
      expect(await outcomeOfLater(rubbish.follower.delegation(phone))).to.equal("ok");
    });

    it("names a clock that is a day slow", async () => {
      const world = makeWorld({ mirror: true });
      await world.mirrored();
      world.clock.shiftWall(-day * 1000);
      expect(await outcomeOfLater(world.follower.delegation(phone))).to.equal("CLOCK_SKEW");
      const fresh = makeWorld({ startSeconds: directoryFixtureSeconds - day });
      expect(await outcomeOfLater(fresh.follower.delegation(phone))).to.equal("CLOCK_SKEW");
    });

    it("verifies a large directory without holding up the event loop", async () => {
      const prefixes = Array.from(
        { length: 600 },
        (_, at) => `"tel:+1${1000 + at}": { zones: [rest@dp-c.example] }`,
      );
      const world = makeWorld({
        mirror: true,
        artefact: makeArtefact(makeDirectoryObjects({ root, prefixes })),
      });
      let turns = 0;
      let counting = true;
      const count = (): void => {
        turns += 1;
        if (counting) setImmediate(count);
      };
      count();
      await world.mirrored();
      counting = false;
      expect(turns).to.be.greaterThan(600 / 16);
    });

    const transfers: readonly (readonly [string, () => AsyncIterable<Uint8Array>, string])[] = [
      ["sends nothing", () => streamOf([]), "INVALID_DATA"],
      [
        "begins without a head",
        () => streamOf(encodeTransfer(firstObjects).slice(1)),
        "INVALID_DATA",
      ],
      [
        "sends a second head",
        () =>
          streamOf([...encodeTransfer(firstObjects).slice(0, 1), ...encodeTransfer(firstObjects)]),
        "INVALID_DATA",
      ],
      [
        "sends empty messages for ever",
        () => endless(encodeTransfer(firstObjects)[0]!, new Uint8Array()),
        "INVALID_DATA",
      ],
      [
        "sends nodes for ever",
        () => endless(encodeTransfer(firstObjects)[0]!, encodeTransfer(firstObjects)[1]!),
        "BOGUS",
      ],
      ["stops half way", () => streamOf(encodeTransfer(firstObjects).slice(0, 2)), "BOGUS"],
      [
        "drops a node",
        () =>
          streamOf(encodeTransfer({ ...firstObjects, nodes: firstObjects.nodes.toSpliced(4, 1) })),
        "BOGUS",
      ],
      [
        "reorders nodes",
        () => streamOf(encodeTransfer({ ...firstObjects, nodes: firstObjects.nodes.toReversed() })),
        "BOGUS",
      ],
      [
        "adds a forged node",
        () =>
          streamOf(
            encodeTransfer({
              ...firstObjects,
              nodes: [...firstObjects.nodes, firstObjects.nodes[3]!],
            }),
          ),
        "BOGUS",
      ],
      ["sends rubbish", () => streamOf([new Uint8Array([255, 255, 255])]), "INVALID_DATA"],
      ["fails half way", () => failing(encodeTransfer(firstObjects)[0]!), "STORE"],
    ];
    for (const [title, transfer, code] of transfers) {
      it(`from a server that ${title} is refused: ${code}`, async () => {
        const unused = (): never => {
          throw new DiscoveryError("NOT_AVAILABLE", "not scripted");
        };
        const service = implementService(DirectoryDescriptor, {
          refer: unused,
          getRecords: unused,
          transfer,
          watch: notAvailable,
        });
        const world = makeWorld({ mirror: true, services: [service] });
        expect(await outcomeOfLater(world.follower.refresh())).to.equal(code);
        expect(world.follower.current()?.source).to.not.equal("mirror");
      });
    }
  });

  async function* streamOf(messages: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
    yield* messages;
    await Promise.resolve();
  }
  async function* endless(head: Uint8Array, message: Uint8Array): AsyncGenerator<Uint8Array> {
    yield head;
    for (;;) {
      yield message;
      await Promise.resolve();
    }
  }
  async function* failing(head: Uint8Array): AsyncGenerator<Uint8Array> {
    yield head;
    await Promise.resolve();
    throw new DiscoveryError("STORE", "broken disk");
  }
});
