import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createServedFiles, rootReader } from "@whither/authority";
import {
  DiscoveryError,
  parsePrefix,
  parseZoneName,
  type ErrorCode,
  type ZoneName,
} from "@whither/protocol";
import {
  createSimulatedClock,
  directoryFixtureSeconds as now,
  EventLog,
  makeDirectoryObjects,
  makeRootFixture,
  type SimulatedClock,
} from "@whither/testkit";
import {
  encodeArtefact,
  nodeVerifier,
  openArtefact,
  withdrawnZonesOf,
  type Directory,
  type VerifiedArtefact,
} from "@whither/zone";
import { openPublication } from "./publication.js";
import { openWithdrawingPublication } from "./withdrawing-publication.js";

const hour = 3_600;
const day = 86_400;
const root = makeRootFixture({ online: {} });
const de = parseZoneName("de@dp-a.example");
const gb = parseZoneName("gb@dp-b.example");
const germany = parsePrefix("tel:+49");
const prefixes = [`"tel:": { unassigned: true }`, `"tel:+49": { zones: [${de}, ${gb}] }`];

function operatorSigns(
  nowSeconds: number,
  options: Parameters<typeof makeDirectoryObjects>[0] = {},
): VerifiedArtefact {
  const objects = makeDirectoryObjects({ root, prefixes, nowSeconds, ...options });
  const check = { anchors: root.anchors, nowSeconds, verifier: nodeVerifier };
  return openArtefact({ ...check, bytes: encodeArtefact(objects) });
}

const first = operatorSigns(now);
const held = (at: number, zone: ZoneName = gb) => new Map([[zone, at]]);
const heldIn = (directory: Directory) => [...withdrawnZonesOf(directory)];

describe("a directory that is published with withdrawals", () => {
  let folder = "";
  let clock: SimulatedClock;
  let log: EventLog;
  const file = (name: string): string => join(folder, name);
  const parts = () => {
    const files = createServedFiles({
      stateDirectory: folder,
      reader: rootReader(root.anchors),
      logger: log,
    });
    return { files, stateDirectory: folder, anchors: root.anchors, clock, logger: log };
  };
  const open = (given = first, signer = root.online) =>
    openWithdrawingPublication({ ...parts(), given, signer });
  /** As a rootd without withdrawals had served it before. */
  const servedBefore = () => openPublication({ ...parts(), given: first });
  const change = { anchors: root.anchors, signer: root.online, apply: () => undefined };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-publication-"));
    clock = createSimulatedClock({ startMs: (now + hour) * 1_000 });
    log = new EventLog();
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function codeOf(work: Promise<unknown>): Promise<ErrorCode | "ok"> {
    try {
      await work;
      return "ok";
    } catch (error) {
      if (error instanceof DiscoveryError) return error.code;
      throw error;
    }
  }

  it("is the operator's own while nothing was ever withdrawn", async () => {
    await servedBefore();
    const publication = await open();
    expect(publication.service.directory.serial).to.equal(1);
    await clock.advance(hour * 1_000);
    const second = operatorSigns(now + 2 * hour, { previous: first.directory });
    await publication.replace(second, change);
    expect(publication.service.directory).to.equal(second.directory);
    expect(await readFile(file("served.directory"))).to.deep.equal(
      await readFile(file("operator.directory")),
    );
  });

  it("is signed anew at its first start: what was published before it might be forgotten", async () => {
    const { service } = await open();
    expect(service.directory.serial).to.equal(now + hour);
    expect(service.directory.node(germany)?.node.serial).to.equal(now + hour);
  });

  it("is kept with its withdrawals before it is served, and gone on with after a restart", async () => {
    await servedBefore();
    const publication = await open();
    expect(await publication.holdBack(held(now + hour))).to.equal(true);
    expect(await publication.holdBack(held(now + hour)), "stands already").to.equal(false);
    const { directory, history } = publication.service;
    expect(heldIn(directory)).to.deep.equal([[gb, now + hour]]);
    expect(history.touchedSince(first.directory.head)?.prefixes).to.deep.equal([germany]);
    await clock.advance(60_000);
    const again = await open();
    expect([...again.resumed]).to.deep.equal([[gb, now + hour]]);
    expect(again.service.directory.trust.headObject.payload).to.deep.equal(
      directory.trust.headObject.payload,
    );
    expect(again.service.history.touchedSince(first.directory.head)?.prefixes).to.have.length(1);
  });

  it("takes the operator's newer directory on with what is withdrawn, by reload or by restart", async () => {
    const publication = await open();
    await publication.holdBack(held(now + hour));
    const before = publication.service.directory.serial;
    await clock.advance(hour * 1_000);
    const options = {
      previous: first.directory,
      prefixes: [...prefixes, `"tel:+33": { zones: [${de}] }`],
    };
    const second = operatorSigns(now + 2 * hour, options);
    const france = parsePrefix("tel:+33");
    const restarted = await open(second);
    expect(restarted.service.directory.node(france)).to.not.equal(undefined);
    expect(heldIn(restarted.service.directory)).to.have.length(1);
    await publication.replace(second, change);
    expect(publication.service.directory.node(france)).to.not.equal(undefined);
    expect(publication.given.serial).to.equal(2);
    expect(publication.service.directory.serial).to.be.greaterThan(before);
    await publication.replace(first, change);
    expect(publication.given.serial, "never back").to.equal(2);
  });

  it("can be served by others, from a copy of what is kept", async () => {
    const publication = await open();
    const check = { anchors: root.anchors, nowSeconds: now + hour, verifier: nodeVerifier };
    const copied = async () =>
      openArtefact({ ...check, bytes: await readFile(file("served.directory")) });
    const nothing = createServedFiles({
      stateDirectory: undefined,
      reader: rootReader(root.anchors),
      logger: log,
    });
    const other = await openPublication({ given: await copied(), files: nothing });
    await publication.holdBack(held(now + hour));
    await other.replace(await copied(), change);
    expect(other.service.directory.objects()).to.deep.equal(
      publication.service.directory.objects(),
    );
  });

  it("does not let an older artefact_file come back through the online key", async () => {
    const options = {
      previous: first.directory,
      prefixes: [...prefixes, `"tel:+33": { zones: [${de}] }`],
    };
    const second = operatorSigns(now + hour, options);
    await (await open(second)).holdBack(held(now + hour));
    const { given, service } = await open(first);
    expect(given.serial).to.equal(2);
    expect(service.directory.node(parsePrefix("tel:+33"))).to.not.equal(undefined);
    expect(log.last("artefact older than served")?.fields).to.deep.equal({ serial: 1, served: 2 });
  });

  it("goes on above all it ever published when its state is lost", async () => {
    const publication = await open();
    await publication.holdBack(held(now + hour));
    await clock.advance(5_000);
    await publication.holdBack(new Map());
    const before = publication.service.directory;
    await rm(file("served.directory"));
    await rm(file("operator.directory"));
    await clock.advance(5_000);
    const { service, resumed } = await open();
    expect([...resumed]).to.deep.equal([]);
    expect(service.directory.serial).to.be.greaterThan(before.serial);
    const { serial } = service.directory.node(germany)!.node;
    expect(serial).to.be.greaterThan(before.node(germany)!.node.serial);
  });

  it("goes on above what is damaged as long as its serial is known, and is refused where it is not", async () => {
    await (await open()).holdBack(held(now + hour));
    await clock.advance(5_000);
    await writeFile(file("served.directory"), "rubbish");
    const { service } = await open();
    expect(service.directory.serial).to.equal(now + hour + 5);
    await writeFile(file("served.directory"), "rubbish");
    await writeFile(file("served.history"), "rubbish");
    expect(await codeOf(open())).to.equal("STORE_CORRUPT");
  });

  it("is refused where the operator's directory as kept is damaged: it may have been newer", async () => {
    await open();
    await writeFile(file("operator.directory"), "rubbish");
    expect(await codeOf(open())).to.equal("STORE_CORRUPT");
  });

  it("is not opened with a key that clients do not accept", async () => {
    const stranger = makeRootFixture().ksks[0]!;
    expect(await codeOf(open(first, stranger))).to.equal("KEY_MISSING");
    const ended = makeRootFixture({ online: { notAfter: now + 1 } });
    const objects = makeDirectoryObjects({ root: ended, prefixes });
    const check = { anchors: root.anchors, nowSeconds: now, verifier: nodeVerifier };
    const given = openArtefact({ ...check, bytes: encodeArtefact(objects) });
    expect(await codeOf(open(given))).to.equal("EXPIRED");
  });

  it("stands as it is when the operator takes the online key out of the root keys, until that is mended", async () => {
    const publication = await open();
    await publication.holdBack(held(now + hour));
    const { serial } = publication.service.directory;
    await clock.advance(hour * 1_000);
    const without = makeRootFixture({ version: 2 });
    const next = operatorSigns(now + 2 * hour, { root: without, previous: first.directory });
    let isApplied = false;
    const apply = () => (isApplied = true);
    expect(await codeOf(publication.replace(next, { ...change, apply }))).to.equal("KEY_MISSING");
    expect([isApplied, publication.service.directory.serial]).to.deep.equal([false, serial]);
    expect(publication.keyNotAfter).to.equal(now + 90 * day);
    await publication.replace(next, { ...change, signer: root.zsk });
    expect(heldIn(publication.service.directory)).to.have.length(1);
  });

  it("publishes one change after the other, whatever the order of their ends", async () => {
    const publication = await open();
    const second = operatorSigns(now + hour, { previous: first.directory });
    await Promise.all([
      publication.holdBack(held(now + hour)),
      publication.replace(second, change),
      publication.holdBack(held(now + hour, de)),
    ]);
    expect(publication.given.serial).to.equal(2);
    expect(heldIn(publication.service.directory)).to.deep.equal([[de, now + hour]]);
    expect((await open(second)).service.directory.serial).to.equal(
      publication.service.directory.serial,
    );
  });
});
