// Running daemons as their operator sees them over the control socket: what they say of themselves, what a
// reload does, and that one bad zone keeps no other from serving.
import { appendFile, copyFile, lstat, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCsi } from "@whither/protocol";
import { expect } from "chai";
import { healthOf } from "../support/grpc-health.js";
import { makeFederation, type DpFiles, type FederationFiles } from "../support/federation.js";
import { Daemon, run, whitherctlHere } from "../support/processes.js";
import { openResolver } from "../support/open-resolver.js";
import { registerPeople } from "../support/people.js";
import { rootZoneYaml } from "../support/root-zone.js";

const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true, name: E.164 }",
  "tel:+49": "{ zones: [de@dp-a.example], name: Germany }",
  "mailto:": "{ zones: [mail@dp-a.example], name: e-mail }",
});

const anna = "tel:+4930901820001";

interface StatusJson {
  readonly daemon: string;
  readonly uptime_s: number;
  readonly zones: readonly {
    readonly zone: string;
    readonly serving: boolean;
    readonly serial: number;
    readonly problem: string;
  }[];
  readonly expiries: readonly { readonly what: string; readonly left_s: number }[];
}

describe("a running daemon and its operator", function () {
  this.timeout(60_000);
  let directory = "";
  let files: FederationFiles;
  let dp: DpFiles;
  let rootd: Daemon;
  let dpd: Daemon;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-ctl-"));
    const zones = ["de@dp-a.example", "mail@dp-a.example"];
    files = await makeFederation({
      directory,
      plan: {
        dps: [{ id: "dp-a.example", operator: "Operator A", jurisdiction: "DE", zones }],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
      },
    });
    const first = files.dps[0];
    if (first === undefined) throw new TypeError("no dp");
    dp = first;
    // The first look at the authorities comes within a tenth of this.
    await appendFile(files.rootdConfig, "health: { interval: 30s }\n");
    rootd = await Daemon.start("whither-rootd", ["--config", files.rootdConfig]);
  });
  beforeEach(async () => {
    dpd = await Daemon.start("whither-dpd", ["--config", dp.config]);
  });
  afterEach(async () => {
    await dpd.stop();
    await dpd[Symbol.asyncDispose]();
  });
  after(async () => {
    await rootd[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const ctl = (...args: readonly string[]): ReturnType<typeof whitherctlHere> =>
    whitherctlHere([...args, "--config", dp.config]);
  const ok = async (...args: readonly string[]): Promise<string> => {
    const done = await ctl(...args);
    expect(done.status, `${args.join(" ")}: ${done.stderr}`).to.equal(0);
    return done.stdout;
  };
  const json = async <T>(...args: readonly string[]): Promise<T> =>
    JSON.parse(await ok(...args, "--json")) as T; // the documented shape
  const servingZones = async (): Promise<readonly string[]> => {
    const { zones } = await json<StatusJson>("status");
    return zones.filter(({ serving }) => serving).map(({ zone }) => zone);
  };

  it("says what it serves, since when and what ends when, to its owner alone", async () => {
    const status = await json<StatusJson>("status");
    expect(status.daemon).to.equal("whither-dpd");
    expect(status.zones.map(({ zone, serving }) => [zone, serving])).to.deep.equal([
      ["de@dp-a.example", true],
      ["mail@dp-a.example", true],
    ]);
    const ends = status.expiries.filter(({ left_s }) => left_s > 0).map(({ what }) => what);
    expect(ends).to.include.members(["tls certificate", "zone key", "voprf key", "head"]);
    expect(await ok("status")).to.match(/^whither-dpd .*\n(?:.*\n)*ends:\n(?:.*\n)* {2}head /);
    expect(Number(await ok("zone-serial", "de@dp-a.example"))).to.be.at.least(1);
    const state = /state_directory: (.*)/.exec(await readFile(dp.config, "utf8"))?.[1] ?? "";
    const socket = await lstat(files.path(state, "control.sock"));
    expect([socket.isSocket(), socket.mode & 0o777]).to.deep.equal([true, 0o600]);
    const root = await whitherctlHere(["status", "--config", files.rootdConfig]);
    expect(root.stdout).to.match(/^whither-rootd .*\n(?:.*\n)* {2}\. {2}directory {2}epoch /);
  });

  it("shows files of its configuration, never what is in them", async () => {
    const shown = await ok("config-show");
    const key = (await readFile(files.path("de-dp-a.example.voprf"), "utf8")).trim();
    expect(shown).to.contain('"voprf_key_file": "').and.not.to.contain(key);
    expect(shown).not.to.contain("PRIVATE KEY");
  });

  it("counts without a read changing anything", async () => {
    const samples = async (): Promise<string> =>
      (await ok("stats"))
        .split("\n")
        .filter((line) => line.includes("_total"))
        .join("\n");
    expect(await samples()).to.equal(await samples());
    expect(await ok("metrics")).to.contain('whither_dpd_zone_up{zone="de@dp-a.example"} 1');
  });

  it("sets log level, query log and dry run until told otherwise", async () => {
    expect([await ok("log-level", "debug"), await ok("log-level")]).to.deep.equal([
      "debug\n",
      "debug\n",
    ]);
    expect(await ok("querylog", "on")).to.match(/^on, 0 lines/);
    const from = dpd.log.length;
    await run("whither", ["--config", files.clientConfig, "+4930901820009", "+short"]);
    const line = await dpd.waitFor("query", from);
    expect(Object.keys(line)).to.have.members([
      ...["event", "level", "time_ms", "method", "client", "peer", "code", "duration_ms"],
    ]);
    expect(line["client"]).to.match(/^[0-9a-f]{16}$/);
    expect(await ok("querylog", "off")).to.match(/^off, [1-9]\d* lines/);
    expect(await ok("limits", "dry-run", "on")).to.equal("on\n");
    expect(await ok("limits", "show")).to.match(/^dry run: nothing is refused\n {2}requests /);
    await ok("reload");
    expect([await ok("limits", "dry-run"), await ok("log-level")]).to.deep.equal([
      "off\n",
      "info\n",
    ]);
  });

  const healthOfZone = async (zone: string): Promise<number | "refused"> =>
    healthOf({ port: dp.publicPort, ca: await readFile(files.path("pki", "ca.pem")) }, zone);

  it("goes on with the other zones when one is bad, and takes it when it is mended", async () => {
    const manifest = files.path("mail-dp-a.example.manifest");
    await copyFile(manifest, `${manifest}.good`);
    await dpd.stop();
    await writeFile(manifest, "no manifest");
    dpd = await Daemon.start("whither-dpd", ["--config", dp.config]);
    expect(await servingZones()).to.deep.equal(["de@dp-a.example"]);
    expect(await ok("zone-status")).to.match(
      /mail@dp-a\.example +mappings +NOT SERVING +a manifest/,
    );
    expect(await ok("metrics")).to.contain('whither_dpd_zone_up{zone="mail@dp-a.example"} 0');
    expect(dpd.log.some(({ event }) => event === "zone failed")).to.be.true;
    const healths = ["", "de@dp-a.example", "mail@dp-a.example", "fr@dp-a.example"];
    const seen = await Promise.all(healths.map(healthOfZone));
    expect(seen, "serving, serving, not serving, unknown").to.deep.equal([1, 1, 2, "refused"]);
    const asked = await run("whither", ["--config", files.clientConfig, "+4930901820009"]);
    expect(asked.status, "the other zone proves absence").to.equal(1);
    const failed = await ctl("reload");
    expect(failed.status).to.equal(1);
    expect(failed.stdout).to.match(/^de@dp-a\.example kept$/m);
    expect(failed.stdout).to.match(/^mail@dp-a\.example failed: /m);
    await copyFile(`${manifest}.good`, manifest);
    expect(await ok("zone-reload", "mail@dp-a.example")).to.equal("mail@dp-a.example opened\n");
    expect(await servingZones()).to.have.length(2);
    expect(await healthOfZone("mail@dp-a.example")).to.equal(1);
  });

  it("keeps a zone that serves when its files go bad, and the rest of a bad configuration out", async () => {
    const manifest = files.path("mail-dp-a.example.manifest");
    await copyFile(manifest, `${manifest}.good`);
    await writeFile(manifest, "no manifest");
    const failed = await ctl("reload");
    expect(failed.status).to.equal(1);
    expect(await servingZones()).to.have.length(2);
    await copyFile(`${manifest}.good`, manifest);
    const good = await readFile(dp.config, "utf8");
    await writeFile(dp.config, `${good}unknown_key: 1\n`);
    const refused = await ctl("reload");
    await writeFile(dp.config, good);
    expect(refused.status).to.equal(1);
    expect(refused.stdout).to.match(/^not reloaded, nothing has changed:\n.*unknown_key/);
    expect(await servingZones()).to.have.length(2);
  });

  it("takes zones away and back, on SIGHUP as on reload, and names what waits for a restart", async () => {
    const good = await readFile(dp.config, "utf8");
    const zones = /^zones:\n(?: {2}.*\n)+/m.exec(good)?.[0] ?? "";
    const entries = zones.split(/^(?= {2}- )/m).slice(1);
    expect(entries).to.have.length(2);
    const one = good.replace(zones, `zones:\n${entries[0] ?? ""}`);
    await writeFile(dp.config, `${one}voprf_threads: 2\n`);
    const from = dpd.log.length;
    dpd.kill("SIGHUP");
    await dpd.waitFor("reloaded", from);
    expect(await servingZones()).to.deep.equal(["de@dp-a.example"]);
    expect(await healthOfZone("mail@dp-a.example"), "was served once").to.equal(0);
    await writeFile(dp.config, `${good}voprf_threads: 2\n`);
    const again = await ok("reload");
    await writeFile(dp.config, good);
    expect(again).to.equal(
      "reloaded\nde@dp-a.example kept\nmail@dp-a.example opened\nrestart needed for voprfThreads\n",
    );
  });

  it("shows at the rootd how the authorities of its directory answer", async () => {
    interface HealthRow {
      readonly zone: string;
      readonly server: string;
      readonly state: string;
      readonly last_error: string;
    }
    const rootCtl = (...args: readonly string[]): ReturnType<typeof whitherctlHere> =>
      whitherctlHere(["zone-health", ...args, "--config", files.rootdConfig]);
    let rows: readonly HealthRow[];
    do {
      rows = JSON.parse((await rootCtl("--json")).stdout) as readonly HealthRow[]; // the documented shape
    } while (rows.some(({ state }) => state === "unknown"));
    const server = `127.0.0.1:${dp.publicPort}`;
    expect(rows.map((row) => [row.zone, row.server])).to.have.deep.members([
      ["de@dp-a.example", server],
      ["mail@dp-a.example", server],
    ]);
    for (const { state, last_error: error } of rows) {
      // Why it was lame before stays with one that is healthy again.
      expect(state)
        .to.equal(error === "" ? "healthy" : state)
        .and.to.match(/^(?:healthy|lame)$/);
    }
    expect((await rootCtl("de@dp-a.example")).stdout).to.match(
      /^ *tel:\+49 +de@dp-a\.example +127\.0\.0\.1:\d+ +(?:healthy|lame) +since /,
    );
    expect((await rootCtl("fr@dp-a.example")).stderr).to.match(/^error: NOT_AUTHORITATIVE/);
  });

  it("refuses a second process, and says who has what it has not", async () => {
    const second = await run("whither-dpd", ["--config", dp.config]);
    expect(second.status).to.equal(1);
    expect(second.stderr).to.match(/^error: the store is in use by process \d+/m);
    const dump = await ctl("cache-dump");
    expect(dump.status).to.equal(1);
    expect(dump.stderr).to.match(
      /NOT_AVAILABLE \(49153\): whither-dpd has no cache: ask whither-dnsd/,
    );
    const transfer = await ctl("transfer", "de@dp-a.example");
    expect(transfer.stderr).to.match(/^error: NOT_AUTHORITATIVE .*follows a primary/);
    expect(await ok("notify", "de@dp-a.example")).to.match(/^0 told of serial \d+\n$/);
    expect((await ctl("notify", "fr@dp-a.example")).stderr).to.match(/^error: NOT_AUTHORITATIVE/);
    const unknown = await ctl("zone-serial", "fr@dp-a.example");
    expect(unknown.stderr).to.match(/^error: NOT_AUTHORITATIVE/);
    expect((await ctl("querylog", "loud")).status).to.equal(2);
    const conflicts = await ctl("conflicts", "list");
    expect(conflicts.stderr).to.match(
      /^error: NOT_AVAILABLE \(49153\): contests come with a later version/,
    );
  });

  it("shows, exports and erases one person's registration, whose name is no argument", async () => {
    const zone = "de@dp-a.example";
    await registerPeople(files, [{ csi: anna, msps: [{ id: "wire.example", tags: ["home"] }] }]);
    const about = async (verb: string, ...more: readonly string[]): Promise<string> => {
      const args = ["registrations", verb, zone, ...more, "--config", dp.config];
      const done = await whitherctlHere(args, { stdin: `${anna}\n` });
      expect(done.status, done.stderr).to.equal(0);
      return done.stdout;
    };
    expect(await ok("registrations", "list", zone)).to.match(
      /^ *[0-9a-f]{32} +active +since serial /,
    );
    expect(await about("show")).to.match(/^active\n.*wire\.example +preference 0 .*home\n$/);
    const held = JSON.parse(await about("export")) as Record<string, unknown>; // the documented shape
    expect(held).to.include({ csi: anna, zone, state: "active", identifier_in_vault: true });
    await using resolver = await openResolver(files);
    expect((await resolver.lookup(parseCsi(anna))).status).to.equal("found");
    expect(await about("erase")).to.match(/^erased; published at /);
    const after = await resolver.lookup(parseCsi(anna), { refresh: true });
    expect([after.status, after.complete]).to.deep.equal(["none", { answered: 1, asked: 1 }]);
    expect(await about("show")).to.match(/^none\n.* erased\n$/);
    expect(await about("erase")).to.equal("nothing registered\n");
    const nobody = await ctl("registrations", "show", zone);
    expect([nobody.status, nobody.stderr.split("\n")[0]]).to.deep.equal([
      2,
      "error: identifier: expected one line on stdin, got none",
    ]);
    expect(dpd.stderr).to.contain("registration erased").and.not.contain(anna.slice(-10));
  });

  it("drains, then stops, and exits 0", async () => {
    expect(await ok("drain")).to.equal("drained\n");
    expect(await ok("status")).to.match(/, draining$/m);
    const asked = await run("whither", ["--config", files.clientConfig, "+4930901820009"]);
    expect(asked.status, "unreachable").to.equal(5);
    expect((await ctl("reload")).stderr).to.match(/OVERLOADED/);
    expect(await ok("stop")).to.equal("stopping\n");
    await dpd.stop("SIGCONT");
    expect(dpd.exitCode).to.equal(0);
    const gone = await ctl("status");
    expect([gone.status, gone.stderr.includes("NETWORK")]).to.deep.equal([1, true]);
  });
});
