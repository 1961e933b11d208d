import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createServedFiles, rootReader } from "@whither/authority";
import { createDelegationHealth, type AuthorityHealth } from "@whither/directory";
import {
  DiscoveryError,
  parseCsi,
  parsePrefix,
  parseZoneName,
  type ZoneName,
} from "@whither/protocol";
import {
  createFederation,
  createSimulatedClock,
  EventLog,
  type Federation,
} from "@whither/testkit";
import {
  encodeArtefact,
  nodeVerifier,
  openArtefact,
  type Directory,
  type WithdrawnZones,
} from "@whither/zone";
import {
  openWithdrawingPublication,
  type WithdrawingPublication,
} from "./withdrawing-publication.js";
import { createWithdrawals, type Withdrawals } from "./withdrawals.js";

const rules = {
  afterSeconds: 600,
  returnAfterSeconds: 240,
  sharePercent: 25,
  intervalSeconds: 60,
};
const known = parseCsi("+4930123456");
const letters = ["a", "b", "c", "d"];
const together = [
  `"tel:": { unassigned: true }`,
  `"tel:+49": { zones: [z@dp-a.example, z@dp-b.example] }`,
  `"tel:+44": { zones: [z@dp-c.example, z@dp-d.example] }`,
];

interface World extends AsyncDisposable {
  readonly federation: Federation;
  readonly publication: WithdrawingPublication;
  readonly withdrawals: Withdrawals;
  readonly log: EventLog;
  /** Time, with room for the disk after each minute. */
  readonly pass: (minutes: number) => Promise<void>;
  /** Messages to or from a DP from now on. */
  readonly messagesOf: (dp: string) => { count: number };
}

/** Four DPs, two for each prefix; the first alone holds a person. Rootd's parts serve and probe. */
async function world(): Promise<World> {
  const federation = await createFederation({
    dps: letters.map((letter) => ({ id: `dp-${letter}.example`, zones: ["z"] })),
    prefixes: [together[0]!, `"tel:+49": { zones: [z@dp-a.example] }`],
  });
  await federation.register({ csi: known, msps: ["wire.example"] });
  await federation.publish();
  federation.replaceDirectory(federation.signDirectory({ prefixes: together }));
  const folder = await mkdtemp(join(tmpdir(), "whither-withdrawals-"));
  const log = new EventLog();
  const { anchors, clock, random, network, directoryAddress: address } = federation;
  const files = createServedFiles({
    stateDirectory: folder,
    reader: rootReader(anchors),
    logger: log,
  });
  const bytes = encodeArtefact(federation.directory.objects());
  const check = { anchors, nowSeconds: clock.nowSeconds(), verifier: nodeVerifier };
  const publication = await openWithdrawingPublication({
    given: openArtefact({ ...check, bytes }),
    ...{ files, stateDirectory: folder, anchors, signer: federation.root.zsk, clock, logger: log },
  });
  await federation.stopDirectory();
  const services = [publication.service.service];
  const server = network.serve(address, { services, clients: { kind: "none" } });
  const looks: Promise<void>[] = [];
  const withdrawals = createWithdrawals({
    ...{ publication, rules: () => rules, clock, logger: log },
    onPublished: () => health.watch(publication.service.directory),
  });
  const health = createDelegationHealth({
    ...{ anchors, intervalSeconds: 60, concurrency: 4, clock, random, logger: log },
    openChannel: federation.openChannel("rootd"),
    onRound: (found) => looks.push(withdrawals.look(found)),
  });
  health.watch(publication.service.directory);
  health.start();
  return {
    ...{ federation, publication, withdrawals, log },
    pass: async (minutes) => {
      for (let n = 0; n < minutes; n += 1) {
        await clock.advance(60_000);
        await Promise.all(looks.splice(0));
      }
    },
    messagesOf: (dp) => {
      const messages = { count: 0 };
      federation.tap(({ from, to }) => {
        if (from !== "rootd" && to.startsWith(dp)) messages.count += 1;
      });
      return messages;
    },
    [Symbol.asyncDispose]: async () => {
      await health.close();
      await server.close();
      await federation.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Lets time pass until an event comes. */
async function until({ log, pass }: World, event: string): Promise<void> {
  const count = log.events.length;
  for (let minutes = 0; minutes < 60; minutes += 1) {
    await pass(1);
    if (log.events.slice(count).some((one) => one.event === event)) return;
  }
  throw new Error(`${event} did not come in an hour`);
}

describe("withdrawals, from probe to resolver", function () {
  this.timeout(60_000);

  it("a stopped authority is asked no more, its people are unknown, and it comes back by itself", async () => {
    await using scene = await world();
    const { federation, messagesOf } = scene;
    const mirror = await federation.resolver({ client: "mirror" });
    expect((await mirror.lookup(known)).status).to.equal("found");
    await federation.dp("dp-a.example").stop();
    await until(scene, "authority withdrawn");
    expect(scene.log.last("authority withdrawn")?.fields).to.deep.equal({
      zone: "z@dp-a.example",
      code: "NETWORK",
    });
    expect([scene.withdrawals.count, scene.withdrawals.changes]).to.deep.equal([
      1,
      { withdrawn: 1, returned: 0 },
    ]);
    const walker = await federation.resolver({ client: "walker", mirror: false });
    await scene.pass(1); // a push is followed within 10 s
    const messages = messagesOf("dp-a.example");
    for (const resolver of [mirror, walker]) {
      const { status, complete, errors } = await resolver.lookup(known, { refresh: true });
      expect([status, complete]).to.deep.equal(["incomplete", { answered: 1, asked: 2 }]);
      expect(errors.map(({ code, upstream }) => [code, upstream])).to.deep.equal([
        ["UNREACHABLE", "z@dp-a.example"],
      ]);
    }
    expect(messages.count).to.equal(0);
    await federation.dp("dp-a.example").start();
    await until(scene, "authority returned");
    expect(scene.withdrawals.count).to.equal(0);
    await scene.pass(6); // who walks keeps such a node for 300 s
    for (const resolver of [mirror, walker]) {
      const { status, complete } = await federation.during(
        resolver.lookup(known, { refresh: true }),
      );
      expect([status, complete]).to.deep.equal(["found", { answered: 2, asked: 2 }]);
    }
    expect(messages.count, "asked again").to.be.greaterThan(0);
  });

  it("with its own line down rootd withdraws nobody, and says so", async () => {
    await using scene = await world();
    const { federation, publication, withdrawals, log } = scene;
    const { serial } = publication.service.directory;
    for (const dp of federation.dps) {
      federation.network.setFaults(
        { from: "rootd", to: dp.identity.publicAddress },
        { partition: "refused" },
      );
    }
    await until(scene, "withdrawal suspended");
    expect(log.last("withdrawal suspended")?.fields).to.deep.equal({ lame: 4, max: 1 });
    await scene.pass(30);
    expect([withdrawals.count, withdrawals.isSuspended]).to.deep.equal([0, true]);
    expect(publication.service.directory.serial).to.equal(serial);
  });
});

describe("what is told of withdrawals", () => {
  const zones = letters.map((letter) => parseZoneName(`z@dp-${letter}.example`));
  const row = (zone: ZoneName, isLame: boolean): AuthorityHealth => ({
    prefix: parsePrefix("tel:+49"),
    prefixes: 1,
    zone,
    endpoint: "192.0.2.1:7364",
    state: isLame ? "lame" : "healthy",
    sinceSeconds: 1,
    lastError: isLame ? "NETWORK" : undefined,
    headAgeSeconds: 1,
    withdrawnAt: undefined,
  });

  /** A publication that takes note, and fails where it is told to; its nodes say who stands with whom. */
  function told(sets: readonly (readonly ZoneName[])[], sharePercent = 25) {
    const clock = createSimulatedClock();
    const log = new EventLog();
    const published: WithdrawnZones[] = [];
    const disk: { failure: DiscoveryError | undefined } = { failure: undefined };
    const nodes = sets.map((set) => ({ node: { authorities: set.map((zone) => ({ zone })) } }));
    const publication = {
      given: { nodes: () => nodes } as unknown as Directory, // all that is read of it
      keyNotAfter: 0,
      resumed: new Map(),
      holdBack: (withdrawn: WithdrawnZones) => {
        if (disk.failure !== undefined) return Promise.reject(disk.failure);
        published.push(withdrawn);
        return Promise.resolve(true);
      },
    };
    const withdrawals = createWithdrawals({
      ...{ publication, clock, logger: log, onPublished: () => undefined },
      rules: () => ({ ...rules, sharePercent }),
    });
    const rounds = async (
      count: number,
      lame: readonly ZoneName[],
      named: readonly ZoneName[] = zones,
    ): Promise<void> => {
      for (let n = 0; n < count; n += 1) {
        await clock.advance(60_000);
        await withdrawals.look(named.map((zone) => row(zone, lame.includes(zone))));
      }
    };
    const events = (): readonly string[] => log.events.map(({ event }) => event);
    return { withdrawals, published, disk, rounds, log, events };
  }
  const [a, b] = zones as [ZoneName, ZoneName];

  it("a change that cannot be kept on disk is no change, and is tried again after the next round", async () => {
    const { withdrawals, published, disk, rounds, events } = told([zones]);
    disk.failure = new DiscoveryError("STORE", "no space");
    await rounds(12, [a]);
    expect([withdrawals.count, published.length]).to.deep.equal([0, 0]);
    expect(events()).to.deep.equal(["withdrawal failed", "withdrawal failed"]);
    disk.failure = undefined;
    await rounds(1, [a]);
    expect([withdrawals.count, withdrawals.why(a)]).to.deep.equal([1, "NETWORK"]);
    expect([...(published[0] ?? [])].map(([zone]) => zone)).to.deep.equal([a]);
    disk.failure = new DiscoveryError("STORE", "no space");
    await rounds(6, []);
    expect(withdrawals.count, "held back as published").to.equal(1);
    disk.failure = undefined;
    await rounds(1, []);
    expect([withdrawals.count, withdrawals.changes]).to.deep.equal([
      0,
      { withdrawn: 1, returned: 1 },
    ]);
  });

  it("a zone that the directory names no more is held back no more when it is named again", async () => {
    const { withdrawals, published, rounds } = told([zones]);
    await rounds(11, [a]);
    expect(published).to.have.length(1);
    await rounds(1, [], zones.slice(1));
    expect([withdrawals.count, published.at(-1)?.size]).to.deep.equal([0, 0]);
    await rounds(1, []);
    expect(published, "and that once").to.have.length(2);
  });

  it("nothing is published once it is closed", async () => {
    const { withdrawals, published, rounds } = told([zones]);
    await rounds(10, [a]);
    await withdrawals[Symbol.asyncDispose]();
    await rounds(10, [a]);
    expect(published).to.deep.equal([]);
  });

  it("each thing is told once: suspended, going on, spared as the last, a share that is none", async () => {
    const suspended = told([zones]);
    await suspended.rounds(20, [a, b]);
    await suspended.rounds(20, []);
    expect(suspended.events()).to.deep.equal(["withdrawal suspended", "withdrawal goes on"]);
    const last = told([[a], zones.slice(1)]);
    await last.rounds(30, [a]);
    expect(last.log.events.map(({ event, fields }) => [event, fields])).to.deep.equal([
      ["authority not withdrawn", { zone: a, reason: "last" }],
    ]);
    const none = told([zones], 24);
    await none.rounds(2, []);
    expect(none.log.events.map(({ event, fields }) => [event, fields])).to.deep.equal([
      ["withdrawal without effect", { authorities: 4, max: 0 }],
    ]);
  });
});
