// Daemons that are killed or stopped at any moment (SIGKILL, SIGSTOP), one kind after the other, while people ask: no
// wrong answer, nothing goes back, well again without a hand. What a dpd has promised meanwhile is dpd-kill.test.ts.

import { copyFile, writeFile } from "node:fs/promises";
import { parseCsi } from "@whither/protocol";
import { systemClock } from "@whither/runtime";
import { createSeededRandom } from "@whither/testkit";
import { expect } from "chai";
import { askDns } from "../support/dns-over-tcp.js";
import { absentName, dnsdYaml, reachableName } from "../support/dns-window.js";
import { dpId, FaultGround, replicaId } from "../support/fault-ground.js";
import { signDirectory } from "../support/federation.js";
import { registerPeople } from "../support/people.js";
import { Daemon, freePorts } from "../support/processes.js";

const kills = 4;
const seed = 20_261_125;
/** Turns of the event loop before a kill, at most: spreads kills over what the daemon does meanwhile. */
const turnsMax = 400;

describe(`daemons that are killed or stopped (seed ${seed})`, function () {
  this.timeout(120_000);
  const random = createSeededRandom(seed);
  const recoveries: string[] = [];
  let ground: FaultGround;
  let dnsd: Daemon;
  let dnsPort = 0;
  const opened: AsyncDisposable[] = [];

  before(async () => {
    ground = await FaultGround.start({ hasReplica: true });
    opened.push(ground);
    const [port = 0] = await freePorts(1);
    dnsPort = port;
    const shown = { listen: `127.0.0.1:${port}`, uri: "sip:{number}@{msp}" };
    await writeFile(ground.files.path("dnsd.yaml"), dnsdYaml(ground.files, shown));
    await startDnsd();
    await ground.recovered();
  });
  after(async () => {
    console.log(
      `      from listening to both answers right\n        ${recoveries.join("\n        ")}`,
    );
    await dnsd[Symbol.asyncDispose]();
    for (const one of opened.reverse()) await one[Symbol.asyncDispose]();
  });

  const startDnsd = async (): Promise<void> => {
    dnsd = await Daemon.start("whither-dnsd", ["--config", ground.files.path("dnsd.yaml")]);
  };
  const pass = async (turns: number): Promise<void> => {
    for (let turn = 0; turn < turns; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  /** Kills over and over while people ask; the last time nobody helps but `start`. */
  const killed = async (of: {
    readonly daemon: () => Daemon;
    readonly start: () => Promise<unknown>;
  }): Promise<readonly number[]> => {
    const times: number[] = [];
    for (let kill = 1; kill <= kills; kill += 1) {
      const asking = ground.askOnAndOn({ timeoutMs: 2_000 });
      await pass(random.below(turnsMax));
      await of.daemon().stop("SIGKILL");
      await of.start();
      const startMs = systemClock.monotonicMs();
      await asking.stop();
      await ground.recovered();
      times.push(Math.round(systemClock.monotonicMs() - startMs));
    }
    return times;
  };
  const note = (what: string, times: readonly number[]): void => {
    const sorted = times.toSorted((a, b) => a - b);
    recoveries.push(`${what}: median ${sorted[sorted.length >> 1]} ms, worst ${sorted.at(-1)} ms`);
  };
  const dpd = (id: string): Daemon => {
    const daemon = ground.federation.dpds.get(id);
    if (daemon === undefined) throw new TypeError(`no ${id}`);
    return daemon;
  };

  describe("SIGKILL", () => {
    it("of a DP: right answers or failures, and right answers soon after it is back", async () => {
      note(
        "dpd",
        await killed({
          daemon: () => dpd(dpId),
          start: () => ground.federation.restart(dpId),
        }),
      );
    });

    it("of a replica: nobody notices more than a slower answer", async () => {
      note(
        "replica",
        await killed({
          daemon: () => dpd(replicaId),
          start: () => ground.federation.restart(replicaId),
        }),
      );
    });

    it("of a replica in the middle of a transfer: what it had is served on, and the next one is whole", async () => {
      const { open } = ground.links;
      const connectionsOf = async (restart: () => Promise<unknown>) => {
        const before = open.connections.length;
        await dpd(replicaId).stop("SIGKILL");
        await restart();
        return () => open.connections.slice(before);
      };
      const restart = (): Promise<unknown> => ground.federation.restart(replicaId);
      // How many octets it takes to learn that nothing is newer: everything from the handshake on.
      const made = await connectionsOf(restart);
      await ground.replicaCaughtUp();
      await open.until(() => made().length > 0);
      const upToDate = Math.max(...made().map(({ carried }) => carried.toClient));
      await dpd(replicaId).stop("SIGKILL");
      const csi = parseCsi("+4930901820777");
      await registerPeople(ground.files, [
        { csi, msps: [{ id: "video.example" }, { id: "wire.example" }] },
      ]);
      for (const more of [100, 900]) {
        open.fault({ kind: "stall", afterBytes: upToDate + more }, "toClient");
        const transfers = await connectionsOf(restart);
        await open.until(() => transfers().some(({ isWaiting }) => isWaiting));
        expect(await ground.isReplicaBehind(), `${more} octets further`).to.equal(true);
      }
      await dpd(replicaId).stop("SIGKILL");
      ground.heal();
      await restart();
      await ground.replicaCaughtUp();
      await ground.recovered();
      expect(await ground.outcome(csi)).to.equal("found");
    });

    it("of both: the replica alone serves whom the resolver knows, from what it had verified", async () => {
      await Promise.all([dpd(dpId).stop("SIGKILL"), dpd(replicaId).stop("SIGKILL")]);
      await ground.federation.restart(replicaId);
      while ((await ground.ask("known")) !== "found") continue;
      expect(await ground.ask("stranger")).to.be.oneOf(["NETWORK", "UNREACHABLE"]);
      await ground.federation.restart(dpId);
      await ground.recovered();
    });

    it("of rootd while it takes a new directory: it starts again, and never with an older one", async () => {
      const { files } = ground;
      let served = 0;
      const times: number[] = [];
      const older = files.path("older.signed");
      for (let kill = 1; kill <= kills; kill += 1) {
        await copyFile(files.artefact, older);
        await signDirectory(files);
        ground.federation.rootd.kill("SIGHUP");
        await pass(random.below(turnsMax));
        await ground.federation.rootd.stop("SIGKILL");
        expect(await ground.askBoth(), "held by who asks").to.deep.equal(["found", "none"]);
        const { serial } = await ground.federation.restartRootd();
        const startMs = systemClock.monotonicMs();
        expect(serial, `kill ${kill}`).to.be.greaterThan(served);
        served = serial;
        await ground.freshResolver();
        await ground.recovered();
        times.push(Math.round(systemClock.monotonicMs() - startMs));
      }
      note("rootd, for a resolver that knows nothing", times);
      await ground.federation.rootd.stop("SIGKILL");
      await copyFile(older, files.artefact);
      expect((await ground.federation.restartRootd()).serial, "of an older file").to.equal(served);
    });

    it("of dnsd: an answer, a failure or no connection, never NXDOMAIN for who is there", async () => {
      const times: number[] = [];
      for (let kill = 1; kill <= kills; kill += 1) {
        const asked = Array.from({ length: 20 }, () => askDns(dnsPort, reachableName));
        await pass(random.below(turnsMax));
        await dnsd.stop("SIGKILL");
        for (const answer of await Promise.all(asked)) {
          if (answer !== undefined) expect(answer.rcode).to.be.oneOf(["NOERROR", "SERVFAIL"]);
          if (answer?.rcode === "NOERROR") expect(answer.records).to.equal(2);
        }
        expect(await askDns(dnsPort, reachableName)).to.equal(undefined);
        await startDnsd();
        const startMs = systemClock.monotonicMs();
        expect(await askDns(dnsPort, reachableName)).to.include({ rcode: "NOERROR", records: 2 });
        expect(await askDns(dnsPort, absentName)).to.include({ rcode: "NXDOMAIN", records: 0 });
        times.push(Math.round(systemClock.monotonicMs() - startMs));
      }
      note("dnsd", times);
    });
  });

  describe("SIGSTOP", () => {
    it("of a DP: who is known is found through the replica, a stranger waits and is answered", async () => {
      dpd(dpId).kill("SIGSTOP");
      expect(await ground.ask("known")).to.equal("found");
      const waiting = ground.ask("stranger");
      expect(await ground.ask("stranger", { timeoutMs: 1_000 })).to.be.oneOf([
        "DEADLINE",
        "UNREACHABLE",
      ]);
      dpd(dpId).kill("SIGCONT");
      expect(await waiting).to.be.oneOf(["none", "DEADLINE", "NETWORK"]);
      recoveries.push(`dpd, SIGCONT: ${await ground.recovered()} ms`);
    });

    it("of a replica: the DP answers instead", async () => {
      dpd(replicaId).kill("SIGSTOP");
      expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
      dpd(replicaId).kill("SIGCONT");
      recoveries.push(`replica, SIGCONT: ${await ground.recovered()} ms`);
    });

    it("of rootd: who holds the directory does not notice, who does not waits and is answered", async () => {
      ground.federation.rootd.kill("SIGSTOP");
      expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
      await ground.freshResolver();
      const waiting = ground.askBoth();
      expect(await ground.ask("known", { timeoutMs: 1_000 })).to.be.oneOf([
        "DEADLINE",
        "UNREACHABLE",
      ]);
      ground.federation.rootd.kill("SIGCONT");
      for (const outcome of await waiting) {
        expect(outcome).to.be.oneOf(["found", "none", "UNREACHABLE"]);
      }
      recoveries.push(`rootd, SIGCONT: ${await ground.recovered()} ms`);
    });

    it("of dnsd: its clients wait, and get their answers", async () => {
      dnsd.kill("SIGSTOP");
      const asked = Array.from({ length: 10 }, () => askDns(dnsPort, reachableName));
      await pass(turnsMax);
      dnsd.kill("SIGCONT");
      for (const answer of await Promise.all(asked)) {
        expect(answer).to.include({ rcode: "NOERROR", records: 2 });
      }
    });

    it("of everything at once: right answers again by themselves", async () => {
      const all = [ground.federation.rootd, ...ground.federation.dpds.values()];
      for (const daemon of all) daemon.kill("SIGSTOP");
      for (const outcome of await ground.askBoth({ timeoutMs: 1_750 })) {
        expect(outcome).to.be.oneOf(["DEADLINE", "UNREACHABLE"]);
      }
      for (const daemon of all) daemon.kill("SIGCONT");
      recoveries.push(`everything, SIGCONT: ${await ground.recovered()} ms`);
    });
  });
});
