// A zone's backup, taken from a running whither-dpd while people register, and what it is worth after the process
// was killed and its disk is gone: everybody from before is found again, and a resolver that has seen later heads
// does not take the restored zone for a roll-back.
import { mkdtemp, open, readdir, rm, stat, truncate, copyFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCsi } from "@whither/protocol";
import { type Resolver } from "@whither/resolver";
import { expect } from "chai";
import { makeFederation, RunningFederation, type FederationFiles } from "../support/federation.js";
import { registerPeople, type Person } from "../support/people.js";
import { whitherctlHere, type Daemon } from "../support/processes.js";
import { openResolver } from "../support/open-resolver.js";
import { rootZoneYaml } from "../support/root-zone.js";

const dpId = "dp-a.example";
const zone = "de@dp-a.example";
const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true }",
  "tel:+49": `{ zones: [${zone}] }`,
});
const personOf = (n: number): Person => ({
  csi: `tel:+4930901${String(n).padStart(4, "0")}`,
  msps: [{ id: "wire.example" }],
});
const peopleOf = (from: number, count: number): readonly Person[] =>
  Array.from({ length: count }, (_, at) => personOf(from + at));

describe("a zone's backup", function () {
  this.timeout(120_000);
  let directory = "";
  let files: FederationFiles;
  let federation: RunningFederation;
  let resolver: Resolver | undefined;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-backup-"));
    files = await makeFederation({
      directory,
      plan: {
        dps: [{ id: dpId, operator: "Operator A", jurisdiction: "DE", zones: [zone] }],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
        epoch: "1s",
      },
    });
    federation = await RunningFederation.start(files);
    resolver = await openResolver(files);
  });
  after(async () => {
    await resolver?.close();
    await federation[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const dpd = (): Daemon => {
    const daemon = federation.dpds.get(dpId);
    if (daemon === undefined) throw new TypeError("no dpd");
    return daemon;
  };
  const config = (): string => files.dps[0]?.config ?? "";
  const ctl = (...args: readonly string[]): ReturnType<typeof whitherctlHere> =>
    whitherctlHere([...args, "--config", config()]);
  const zonesPath = (): string => files.path(`${dpId}.state`, "zones");
  const statusOf = async (person: Person): Promise<string> => {
    if (resolver === undefined) throw new TypeError("not started");
    const answer = await resolver.lookup(parseCsi(person.csi), { refresh: true });
    return answer.status;
  };
  const acceptedBefore = (end: number): number =>
    dpd()
      .log.slice(0, end)
      .filter(({ event }) => event === "registration accepted").length;

  it("brings everybody of its moment back after the disk is lost, without a roll-back", async () => {
    const early = peopleOf(0, 8);
    await registerPeople(files, early);
    const late = peopleOf(8, 24);
    const from = dpd().log.length;
    const registering = registerPeople(files, late);
    await dpd().waitFor("registration accepted", from);
    const file = files.path("de.backup");
    const made = await ctl("backup", zone, "--out", file, "--json");
    expect(made.status, made.stderr).to.equal(0);
    await registering;
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    expect(JSON.parse(made.stdout)).to.include({ zone, bytes: (await stat(file)).size });
    const begun = dpd().log.findIndex(({ event }) => event === "backup begun");
    const before = acceptedBefore(begun);
    expect(before).to.be.at.least(9);
    expect(acceptedBefore(dpd().log.length)).to.equal(32);
    for (const person of [...early, ...late]) expect(await statusOf(person)).to.equal("found");

    await dpd().stop("SIGKILL");
    await rm(zonesPath(), { recursive: true });

    await refusesDamaged(file);
    const restored = await ctl("restore", file, "--json");
    expect(restored.status, restored.stderr).to.equal(0);
    const facts = JSON.parse(restored.stdout) as {
      readonly epoch: number;
      readonly has_vault: true;
    };
    expect(facts).to.include({ zone, has_vault: true });
    const again = await ctl("restore", file);
    expect([again.status, again.stderr]).to.deep.equal([
      1,
      `error: the zone is there already: ${join(zonesPath(), zone)} exists: stop the zone, move it away, then restore\nhint: ${again.stderr.split("hint: ")[1] ?? ""}`,
    ]);

    await federation.restart(dpId);
    const status = await ctl("zone-status", zone, "--json");
    expect(JSON.parse(status.stdout)).to.have.nested.property("[0].epoch", facts.epoch);
    const statuses: string[] = [];
    for (const person of [...early, ...late]) statuses.push(await statusOf(person));
    expect(statuses.slice(0, early.length)).to.deep.equal(early.map(() => "found"));
    // Whatever came after the backup began is proven absent, and nothing is refused as older than seen.
    expect(new Set(statuses)).to.not.include("bogus");
    expect(statuses.filter((one) => one === "found").length).to.be.at.least(before);
    await registerPeople(files, [personOf(99)]);
    expect(await statusOf(personOf(99))).to.equal("found");
  });

  async function refusesDamaged(file: string): Promise<void> {
    const damaged = files.path("damaged.backup");
    const { size } = await stat(file);
    for (const cut of [0, 5, Math.floor(size / 2), size - 1]) {
      await copyFile(file, damaged);
      await truncate(damaged, cut);
      await refuses(damaged, `cut to ${cut}`);
    }
    for (const at of [3, Math.floor(size / 3), size - 40, size - 1]) {
      await copyFile(file, damaged);
      const opened = await open(damaged, "r+");
      const byte = new Uint8Array(1);
      await opened.read(byte, 0, 1, at);
      byte[0] = (byte[0] ?? 0) ^ 0x10;
      await opened.write(byte, 0, 1, at);
      await opened.close();
      await refuses(damaged, `flipped at ${at}`);
    }
  }

  async function refuses(file: string, what: string): Promise<void> {
    const { status, stderr } = await ctl("restore", file);
    expect(status, what).to.equal(1);
    expect(stderr, what).to.match(/^error: STORE_CORRUPT \(49164\): backup: /);
    const left = await readdir(zonesPath()).catch(() => []);
    expect(left, `${what}: nothing is left behind`).to.deep.equal([]);
  }

  it("keeps the old file when a new one cannot be had", async () => {
    const file = files.path("de.backup");
    const { size } = await stat(file);
    const unknown = await ctl("backup", "fr@dp-a.example", "--out", file);
    expect(unknown.status).to.equal(1);
    expect(unknown.stderr).to.match(/^error: NOT_AUTHORITATIVE/);
    expect((await stat(file)).size).to.equal(size);
  });
});
