import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError, parseCsi } from "@whither/protocol";
import { implementService, notAvailable } from "@whither/rpc";
import {
  directoryFixtureSeconds,
  makeArtefact,
  makeDirectoryObjects,
  makeDirectoryWorld,
  makeRootFixture,
  outcomeOfLater,
  type DirectoryWorld,
  type DirectoryWorldOptions,
} from "@whither/testkit";
import {
  decodeTransferChunk,
  Directory as DirectoryDescriptor,
  encodeRecordsAnswer,
  encodeTransferChunk,
} from "@whither/wire";
import { encodeArtefact, encodeTransfer, nodeVerifier, verifyDirectory } from "@whither/zone";

const root = makeRootFixture();
const { anchors } = root;
const firstObjects = makeDirectoryObjects({ root });
const first = makeArtefact(firstObjects);
const second = makeArtefact({
  previous: first.directory,
  nowSeconds: directoryFixtureSeconds + 60,
});
const phone = parseCsi("+4930123456");

describe("directory follower", () => {
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

  describe("the registry", () => {
    it("comes record by record to those without a mirror, and once for a while", async () => {
      const { follower, calls, clock, network } = makeWorld();
      const registry = await follower.registry();
      expect(registry.dps().map(({ id }) => id)).to.have.members([
        "dp-a.example",
        "dp-b.example",
        "dp-c.example",
      ]);
      expect(registry.version).to.equal(1);
      await follower.registry();
      expect(calls).to.have.length(4);
      await clock.advance(900_000);
      network.setFaults({}, { partition: "refused" });
      expect((await follower.registry()).msps()).to.have.length(2);
    });

    it("is refused when a record is left out, doubled or of another kind", async () => {
      const changes: readonly ((records: readonly never[]) => readonly never[])[] = [
        (records) => records.slice(1),
        (records) => [...records, ...records],
        (records) => records.toReversed(),
      ];
      for (const change of changes) {
        const { rootKeys, head } = firstObjects;
        const genuine = first.directory.records();
        const unused = (): never => {
          throw new DiscoveryError("NOT_AVAILABLE", "not scripted");
        };
        const kinds = ["", "dp", "msp", "prover", "relay"];
        const service = implementService(DirectoryDescriptor, {
          refer: unused,
          transfer: unused,
          watch: notAvailable,
          getRecords: ({ kind }) => {
            const records = genuine
              .filter(({ record }) => record.party.kind === kinds[kind])
              .map(({ object }) => object);
            return encodeRecordsAnswer({ rootKeys, head, records: change(records as never) });
          },
        });
        const { follower } = makeWorld({ services: [service] });
        expect(await outcomeOfLater(follower.registry())).to.equal("BOGUS");
      }
    });

    it("is the same from the mirror", async () => {
      const world = makeWorld({ mirror: true });
      const walked = await world.follower.registry();
      await world.mirrored();
      const held = await world.follower.registry();
      expect(held.msps()).to.deep.equal(walked.msps());
      expect(held.dps()).to.deep.equal(walked.dps());
    });
  });

  describe("a directory in a file", () => {
    it("answers without any server, and is read again", async () => {
      const path = join(folder, "root.directory");
      await writeFile(path, encodeArtefact(firstObjects));
      const world = makeWorld({ source: { kind: "file", path }, down: true });
      expect((await world.follower.delegation(phone)).prefix).to.equal("tel:+49");
      expect(await world.follower.registry()).to.include({ version: 1 });
      await writeFile(path, encodeArtefact(second.directory.objects()));
      await world.follower.refresh();
      expect(world.follower.current()?.head.serial).to.equal(2);
      await writeFile(path, encodeArtefact(firstObjects));
      expect(await outcomeOfLater(world.follower.refresh())).to.equal("ROLLBACK");
      expect((await world.follower.delegation(phone)).prefix).to.equal("tel:+49");
    });

    it("that is missing or damaged is named", async () => {
      const path = join(folder, "root.directory");
      const missing = makeWorld({ source: { kind: "file", path } });
      expect(await outcomeOfLater(missing.follower.delegation(phone))).to.equal("CONFIG");
      await writeFile(path, encodeArtefact(firstObjects).subarray(0, 900));
      const damaged = makeWorld({ source: { kind: "file", path } });
      expect(await outcomeOfLater(damaged.follower.delegation(phone))).to.be.oneOf([
        "INVALID_DATA",
        "BOGUS",
      ]);
    });
  });

  describe("mirror and walk", () => {
    it("give the same delegation for any identifier", async () => {
      const walking = makeWorld();
      const directory = verifyDirectory({
        objects: firstObjects,
        anchors,
        nowSeconds: directoryFixtureSeconds,
        verifier: nodeVerifier,
      });
      const numbers = fc
        .stringMatching(/^(?:49|44|441481|33|1415|39)[0-9]{8}$/)
        .map((digits) => `tel:+${digits}`);
      const addresses = fc
        .constantFrom("example.org", "a.example.org", "example.com", "b.co.uk")
        .map((host) => `mailto:x@${host}`);
      await fc.assert(
        fc.asyncProperty(fc.oneof(numbers, addresses), async (text) => {
          const csi = parseCsi(text);
          const walked = await walking.follower.delegation(csi);
          const { path, ttlSeconds, ...held } = directory.delegation(csi);
          expect({ ...walked, path: [".", ...walked.path], ttlSeconds }).to.deep.equal({
            ...held,
            path,
            ttlSeconds,
          });
        }),
        { numRuns: 60 },
      );
    });

    it("transfer what the walk refers to", () => {
      const [head, nodes] = encodeTransfer(firstObjects).map(decodeTransferChunk);
      expect(head?.head).to.deep.equal(firstObjects.head);
      expect(nodes?.nodes).to.deep.equal(firstObjects.nodes);
      expect(encodeTransferChunk(nodes!)).to.deep.equal(encodeTransfer(firstObjects)[1]);
    });
  });
});
