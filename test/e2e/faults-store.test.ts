// Files of real daemons damaged on disk: the daemon refuses to start and says so in words, or it starts and what it
// answers is right or fails to verify. Nobody who is there becomes absent, nobody who is not is found.

import { cp, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseCsi } from "@whither/resolver";
import { createSeededRandom } from "@whither/testkit";
import { expect } from "chai";
import { damageFile, damagesOf, filesBelow, type Damage } from "../support/damage.js";
import { askDns } from "../support/dns-over-tcp.js";
import { absentName, dnsdYaml, reachableName } from "../support/dns-window.js";
import { dpId, FaultGround, replicaId, type Outcome } from "../support/fault-ground.js";
import { Daemon, freePorts, type ProgramName } from "../support/processes.js";

const seed = 20_261_126;
/** Registered last, so that she is in LevelDB's log and in no table. */
const late = parseCsi("tel:+4930901820002");
const stranger = parseCsi("tel:+4930901820003");
/** A damaged DP may fail in any way, as long as it is a failure. */
const wrong: ReadonlySet<Outcome> = new Set<Outcome>(["none", "found, stale", "found otherwise"]);

describe(`files of daemons, damaged (seed ${seed})`, function () {
  this.timeout(600_000); // some fifty starts of daemons, one after the other
  const random = createSeededRandom(seed);
  let ground: FaultGround;
  const opened: AsyncDisposable[] = [];

  before(async () => {
    ground = await FaultGround.start({ hasReplica: true });
    opened.push(ground);
    for (const id of [dpId, replicaId]) await ground.federation.restart(id); // LevelDB makes a table of its log
    await ground.register(late);
    // The resolver has what it needs to ask the replica alone.
    await ground.recovered();
    expect(await ground.outcome(late)).to.equal("found");
    expect(await ground.outcome(stranger)).to.equal("none");
    for (const id of [dpId, replicaId]) await ground.federation.dpds.get(id)?.stop();
  });
  after(async () => {
    for (const one of opened.reverse()) await one[Symbol.asyncDispose]();
  });

  /** Tries every file of a daemon's state with two damages, logs with all; says what became of it. */
  const tryAll = async (daemon: {
    readonly program: ProgramName;
    readonly config: string;
    /** Of the federation's folder; what it holds now is whole. */
    readonly state: string;
    /** Throws where an answer is wrong. */
    readonly judge: (started: Daemon) => Promise<void>;
  }): Promise<{ readonly refused: number; readonly started: number }> => {
    const { program, judge } = daemon;
    const state = ground.files.path(daemon.state);
    const whole = `${state}.whole`;
    await cp(state, whole, { recursive: true });
    const count = { refused: 0, started: 0 };
    for (const [place, file] of (await filesBelow(whole)).entries()) {
      const { size } = await stat(join(whole, file));
      const damages = damagesOf(random, size);
      for (const damage of file.endsWith(".log") ? damages : pick(damages, place)) {
        await rm(state, { recursive: true });
        await cp(whole, state, { recursive: true });
        await damageFile(join(state, file), damage);
        const what = `${file}: ${damage.text}`;
        await using started = Daemon.spawn(program, ["--config", ground.files.path(daemon.config)]);
        if (await listens(started)) {
          count.started += 1;
          await judge(started).catch((cause: unknown) => {
            throw new Error(`${what}: ${String(cause)}`, { cause });
          });
        } else {
          count.refused += 1;
          expect(started.exitCode, `${what}: ${started.stderr}`).to.equal(1);
          expect(started.stderr, what)
            .to.match(/^error: \S/m)
            .and.match(/^hint: restore /m);
          expect(started.stderr, `${what}: a stack`).not.to.match(/^ +at /m);
        }
      }
    }
    await rm(state, { recursive: true });
    await cp(whole, state, { recursive: true });
    return count;
  };
  /** Throws for a wrong answer. */
  const judge = async (): Promise<void> => {
    const csis = [ground.known, late, stranger] as const;
    const [first, second, third] = await Promise.all(csis.map((csi) => ground.outcome(csi)));
    const told = `${first}; ${second}; ${third}`;
    for (const one of [first, second])
      if (one === undefined || wrong.has(one)) throw new Error(told);
    if (third?.startsWith("found") === true) throw new Error(told);
  };

  it("of a replica: right answers or none, and what its primary has once it is back", async () => {
    const config = `${replicaId}.yaml`;
    const program = "whither-dpd";
    const count = await tryAll({ program, config, state: `${replicaId}.state`, judge });
    console.log(`      replica: ${JSON.stringify(count)}`);
  });

  it("of a DP", async () => {
    const count = await tryAll({
      program: "whither-dpd",
      config: `${dpId}.yaml`,
      state: `${dpId}.state`,
      // Who remembers nothing has only the answer to go by.
      judge: async () => {
        await ground.freshResolver();
        await judge();
      },
    });
    console.log(`      dp: ${JSON.stringify(count)}`);
    expect(count.refused).to.be.greaterThan(0);
  });

  it("all whole again, both answer: the damages were the only cause", async () => {
    for (const id of [dpId, replicaId]) await ground.federation.restart(id);
    await ground.freshResolver();
    await ground.recovered();
    expect(await ground.outcome(late)).to.equal("found");
  });

  it("of rootd: it serves the operator's file, or what it served", async () => {
    await ground.federation.rootd.stop();
    const count = await tryAll({
      program: "whither-rootd",
      config: "rootd.yaml",
      state: "root-state",
      judge: async () => {
        await ground.freshResolver();
        await ground.recovered();
      },
    });
    console.log(`      rootd: ${JSON.stringify(count)}`);
    await ground.federation.restartRootd();
  });

  it("of a resolver (dnsd): an answer or SERVFAIL, never NXDOMAIN for who is there", async () => {
    const [port = 0] = await freePorts(1);
    const shown = { listen: `127.0.0.1:${port}`, uri: "sip:{number}@{msp}" };
    await writeFile(ground.files.path("dnsd.yaml"), dnsdYaml(ground.files, shown));
    const ask = async (): Promise<void> => {
      const there = await askDns(port, reachableName);
      expect(`${there?.rcode} ${there?.records}`).to.be.oneOf(["NOERROR 2", "SERVFAIL 0"]);
      // The one that dns-window names has been registered here.
      const absent = await askDns(port, absentName.replace("2.0.0.0", "9.9.9.9"));
      expect(`${absent?.rcode} ${absent?.records}`).to.be.oneOf(["NXDOMAIN 0", "SERVFAIL 0"]);
    };
    const first = await Daemon.start("whither-dnsd", ["--config", ground.files.path("dnsd.yaml")]);
    await ask();
    await first.stop();
    const program = "whither-dnsd";
    const count = await tryAll({ program, config: "dnsd.yaml", state: "dnsd.state", judge: ask });
    console.log(`      dnsd: ${JSON.stringify(count)}`);
  });
});

/** A flipped bit and one of the others, in turn. */
function pick(damages: readonly Damage[], place: number): readonly Damage[] {
  const [flip, ...others] = damages;
  const other = others[place % others.length];
  return [flip, other].filter((one) => one !== undefined);
}

/** Whether it comes to listen, or ends before. */
async function listens(daemon: Daemon): Promise<boolean> {
  try {
    await daemon.waitFor("listening");
    return true;
  } catch (error) {
    if (daemon.exited) return false;
    throw error;
  }
}
