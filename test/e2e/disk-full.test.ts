// A disk that takes no more writes under a running dpd, by the kernel's limit on the size of files: reads go on,
// registrations are refused with a code, nothing promised is lost, and it is well again without a hand.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseCsi, type Resolver } from "@whither/resolver";
import { expect } from "chai";
import {
  makeFederation,
  RunningFederation,
  type DpFiles,
  type FederationFiles,
} from "../support/federation.js";
import { registerPeople, type Person } from "../support/people.js";
import { whitherctlHere, type Daemon } from "../support/processes.js";
import { openResolver } from "../support/open-resolver.js";
import { rootZoneYaml } from "../support/root-zone.js";

const zone = "de@dp-a.example";
const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true, name: E.164 }",
  "tel:+49": `{ zones: [${zone}], name: Germany }`,
});
const personOf = (n: number): Person => ({
  csi: `tel:+493090${String(1_820_000 + n)}`,
  msps: [{ id: "wire.example" }],
});

describe("a dpd whose disk is full", function () {
  this.timeout(90_000);
  let directory = "";
  let files: FederationFiles;
  let dp: DpFiles;
  let federation: RunningFederation;
  let resolver: Resolver;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-full-"));
    files = await makeFederation({
      directory,
      plan: {
        dps: [{ id: "dp-a.example", operator: "Operator A", jurisdiction: "DE", zones: [zone] }],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
      },
    });
    const [first] = files.dps;
    if (first === undefined) throw new TypeError("no dp");
    dp = first;
    federation = await RunningFederation.start(files);
    await registerPeople(files, [0, 1].map(personOf));
    resolver = await openResolver(files);
  });
  after(async () => {
    await resolver.close();
    await federation[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const dpd = (): Daemon => {
    const daemon = federation.dpds.get("dp-a.example");
    if (daemon === undefined) throw new TypeError("no dpd");
    return daemon;
  };
  /** Bytes that any file of the daemon may have from now on: the write beyond fails, as on a full disk. */
  const limitFiles = (bytes: string): Promise<unknown> =>
    promisify(execFile)("prlimit", ["--pid", String(dpd().pid), `--fsize=${bytes}:unlimited`]);
  const statusOf = async (n: number): Promise<string> => {
    const csi = parseCsi(personOf(n).csi);
    return (await resolver.lookup(csi, { refresh: true })).status;
  };
  const zoneStatus = async (): Promise<string> =>
    (await whitherctlHere(["zone-status", "--config", dp.config])).stdout;

  it("answers everybody, refuses registrations with STORE, and says so", async () => {
    await limitFiles("1");
    const failed = dpd().waitFor("store failed");
    const refused: unknown = await registerPeople(files, [personOf(2)]).catch(
      (error: unknown) => error,
    );
    expect(String(refused)).to.match(/STORE/);
    await failed;
    for (let n = 0; n < 20; n += 1) {
      expect(await statusOf(n % 2)).to.equal("found");
      expect(await statusOf(100 + n)).to.equal("none");
    }
    expect(await zoneStatus()).to.match(/serial \d+ .*\n.*serves, but: /);
  });

  it("is well again by itself when there is room, with all that it had promised", async () => {
    const from = dpd().log.length;
    await limitFiles("unlimited");
    await dpd().waitFor("store mended", from);
    expect(await zoneStatus()).not.to.match(/serves, but/);
    await registerPeople(files, [personOf(3)]);
    for (const n of [0, 1, 3]) expect(await statusOf(n), personOf(n).csi).to.equal("found");
    expect(await statusOf(100)).to.equal("none");
  });
});
