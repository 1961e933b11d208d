import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createServedFiles, rootReader } from "@whither/authority";
import { createDelegationHealth } from "@whither/directory";
import { parseCsi } from "@whither/protocol";
import { createFederation, EventLog, type Federation } from "@whither/testkit";
import { encodeArtefact, nodeVerifier, openArtefact } from "@whither/zone";
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
