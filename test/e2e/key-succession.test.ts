// The VOPRF key of a running dpd replaced as docs/operators.md says, killed in the middle of it, while people look up
// and register without a pause: a client outside counts what fails, and nothing does.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCsi, type Resolver } from "@whither/resolver";
import { silentLogger, systemClock, type Logger } from "@whither/runtime";
import { expect } from "chai";
import {
  makeFederation,
  RunningFederation,
  signDirectory,
  type DpFiles,
  type FederationFiles,
} from "../support/federation.js";
import { registerPeople, type Person } from "../support/people.js";
import { whitherctlHere, whitherctlInProcess, type Daemon } from "../support/processes.js";
import { openResolver } from "../support/open-resolver.js";
import { rootZoneYaml } from "../support/root-zone.js";

const zone = "de@dp-a.example";
const dpId = "dp-a.example";
const peopleFirst = 60;
const rootZone = rootZoneYaml(
  {
    "tel:": "{ unassigned: true, name: E.164 }",
    "tel:+49": `{ zones: [${zone}], name: Germany }`,
  },
  { ttlSeconds: 60 },
);

interface ZoneJson {
  readonly size: number;
  readonly problem: string;
  readonly manifest_sha256: string;
  readonly succession?: {
    readonly manifest_sha256: string;
    readonly next?: { readonly phase: string; readonly missing: number };
    readonly previous: readonly { readonly kid: string; readonly drop_at: number }[];
  };
}

const personOf = (n: number): Person => ({
  csi: `tel:+493090${String(1_820_000 + n)}`,
  msps: [{ id: "wire.example" }],
});

describe("a change of keys at a running dpd", function () {
  this.timeout(90_000);
  let directory = "";
  let files: FederationFiles;
  let dp: DpFiles;
  let federation: RunningFederation;
  let resolver: Resolver;
  /** Serials of the directory that the resolver has taken, in order. */
  const mirrored: number[] = [];
  let registered = peopleFirst;
  const loads: { readonly stop: () => Promise<unknown> }[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-keys-"));
    files = await makeFederation({
      directory,
      plan: {
        dps: [{ id: dpId, operator: "Operator A", jurisdiction: "DE", zones: [zone] }],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
        dpdConfig: [
          "limits:",
          "  requests_per_second: 100000",
          "  requests_burst: 100000",
          "  cpu_ms_per_second: 100000",
          "  cpu_burst_ms: 100000",
          "  public_bytes_per_minute: 1024MiB",
        ].join("\n"),
      },
    });
    const [first] = files.dps;
    if (first === undefined) throw new TypeError("no dp");
    dp = first;
    await edit(dp.config, (yaml) =>
      yaml.replace("    voprf_key_file:", "    probe: tel:+4930123456\n    voprf_key_file:"),
    );
    federation = await RunningFederation.start(files);
    await registerPeople(
      files,
      Array.from({ length: peopleFirst }, (_, n) => personOf(n)),
    );
    const logger: Logger = {
      ...silentLogger,
      info: (event, fields) => {
        if (event === "directory mirrored") mirrored.push(Number(fields?.["serial"]));
      },
    };
    resolver = await openResolver(files, { logger });
  });
  afterEach(() => Promise.all(loads.splice(0).map((load) => load.stop())));
  after(async () => {
    await resolver.close();
    await federation[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const dpd = (): Daemon => {
    const daemon = federation.dpds.get(dpId);
    if (daemon === undefined) throw new TypeError("no dpd");
    return daemon;
  };
  const ctl = (...args: readonly string[]) => whitherctlHere([...args, "--config", dp.config]);
  const status = async (): Promise<ZoneJson> => {
    const { stdout } = await ctl("zone-status", zone, "--json");
    const [one] = JSON.parse(stdout) as readonly ZoneJson[]; // the documented shape
    if (one === undefined) throw new TypeError("no zone");
    return one;
  };
  const edit = async (path: string, change: (text: string) => string): Promise<void> => {
    await writeFile(path, change(await readFile(path, "utf8")));
  };
  const kidOf = async (): Promise<string> => {
    const answer = await resolver.lookup(parseCsi(personOf(0).csi), { refresh: true });
    expect(answer.status).to.equal("found");
    return answer.proof.kid;
  };

  /** Everybody registered so far is there, and strangers are proven absent. Throws whatever goes wrong. */
  async function lookUp(n: number): Promise<void> {
    const refresh = true;
    const known = parseCsi(personOf(n % registered).csi);
    const stranger = parseCsi(`+4930918${String(20_000 + n)}`);
    const [found, none] = await Promise.all([
      resolver.lookup(known, { refresh }),
      resolver.lookup(stranger, { refresh }),
    ]);
    if (found.status !== "found") throw new Error(`${known}: ${found.status}`);
    if (none.status !== "none") throw new Error(`${stranger}: ${none.status}`);
  }

  /** People who look up and register until told to stop, and what failed. */
  function underLoad() {
    const told = new AbortController();
    const counts = { lookups: 0, registrations: 0, failures: [] as string[] };
    const until = async (one: (n: number) => Promise<void>): Promise<void> => {
      for (let n = 0; !told.signal.aborted; n += 1) {
        try {
          await one(n);
        } catch (error) {
          counts.failures.push(String(error));
        }
      }
    };
    const working = Promise.all([
      until(async (n) => {
        await lookUp(n);
        counts.lookups += 2;
      }),
      until(async () => {
        const people = [registered, registered + 1].map(personOf);
        await registerPeople(files, people); // until they are published
        registered += people.length;
        counts.registrations += people.length;
      }),
    ]);
    const stop = async (): Promise<typeof counts> => {
      told.abort();
      await working;
      return counts;
    };
    loads.push({ stop });
    return { counts, stop };
  }

  it("makes the next tree from the vault, killed in the middle, and no slot is missing", async () => {
    await whitherctlInProcess([
      ...["key", "generate", "--type", "voprf", "--out", files.path("de-2.voprf")],
    ]);
    await edit(dp.config, (yaml) =>
      yaml.replace(/( {4}vault_key_file:.*\n)/, "$1    next_voprf_key_file: de-2.voprf\n"),
    );
    const begun = dpd().waitFor("next tree begun");
    expect((await ctl("reload")).stdout).to.contain(`${zone} changed`);
    await begun;
    await dpd().stop("SIGKILL");
    expect(dpd().log.some(({ event }) => event === "next tree built")).to.equal(false);
    await federation.restart(dpId);
    const load = underLoad();
    await dpd().waitFor("next tree built");
    const { failures } = await load.stop();
    expect(failures).to.deep.equal([]);
    expect((await status()).succession?.next).to.include({ phase: "built", missing: 0 });
  });

  it("goes on under the next manifest and key while people look up and register", async () => {
    const old = await kidOf();
    const load = underLoad();
    await edit(files.path("de-dp-a.example.manifest.yaml"), (yaml) =>
      yaml
        .replace("voprf_key_file: de-dp-a.example.voprf", "voprf_key_file: de-2.voprf")
        .concat("version: 2\nprevious_voprf_key_file: de-dp-a.example.voprf\n"),
    );
    await whitherctlInProcess([
      ...["manifest", "create", files.path("de-dp-a.example.manifest.yaml")],
      ...["--out", files.path("de-2.manifest")],
    ]);
    await edit(files.path("registry.yaml"), (yaml) =>
      yaml.replace(
        "manifest: de-dp-a.example.manifest",
        "manifest: [de-2.manifest, de-dp-a.example.manifest]",
      ),
    );
    // It is served before the directory names it: nobody asks for what is not there.
    await edit(dp.config, (yaml) =>
      yaml.replace("manifest_file: de-dp-a.example.manifest", "manifest_file: de-2.manifest"),
    );
    expect((await ctl("reload")).stdout).to.contain(`${zone} changed`);
    const taken = mirrored.length;
    await signDirectory(files);
    federation.rootd.kill("SIGHUP");
    while (mirrored.length === taken) await systemClock.sleep(50);
    expect(await kidOf(), "everybody may still go by the first manifest").to.equal(old);
    const inForce = dpd().waitFor("manifest in force");
    expect((await ctl("zone-reload", zone, "--switch-now")).stdout).to.equal(`${zone} changed\n`);
    await inForce;
    while ((await kidOf()) === old) continue;
    const before = { ...load.counts };
    while (
      load.counts.lookups < before.lookups + 40 ||
      load.counts.registrations < before.registrations + 4
    ) {
      await systemClock.sleep(50);
    }
    const { lookups, registrations, failures } = await load.stop();
    console.log(
      `      ${lookups} lookups, ${registrations} registrations, ${failures.length} failures`,
    );
    expect(failures).to.deep.equal([]);
    const { succession, size } = await status();
    expect(size).to.equal(registered);
    expect(succession?.previous.map(({ kid }) => kid)).to.deep.equal([old]);
    const left = (succession?.previous[0]?.drop_at ?? 0) - systemClock.nowSeconds();
    expect(left).to.be.within(72 * 3600 - 120, 72 * 3600);
  });

  it("serves both trees after a restart, and everybody is in the current one", async () => {
    await federation.restart(dpId);
    for (let n = 0; n < registered; n += 1) {
      const answer = await resolver.lookup(parseCsi(personOf(n).csi), { refresh: true });
      expect(answer.status, personOf(n).csi).to.equal("found");
    }
    expect((await status()).succession?.previous).to.have.length(1);
  });

  it("keeps the last good manifest where the next one is bad, and says so until it is mended", async () => {
    const { manifest_sha256: before } = await status();
    const good = await readFile(files.path("de-2.manifest"));
    const load = underLoad();
    await writeFile(files.path("de-2.manifest"), good.subarray(0, good.length - 40));
    const refused = await ctl("reload");
    expect(refused.status).to.equal(1);
    expect(refused.stdout).to.match(/de@dp-a\.example failed/);
    const shown = await status();
    expect(shown).to.include({ manifest_sha256: before });
    expect(shown.problem).to.match(/manifest/);
    expect((await ctl("status")).stdout).to.match(/serves, but: .*manifest/);
    await writeFile(files.path("de-2.manifest"), good);
    expect((await ctl("reload")).stdout).to.contain(`${zone} kept`);
    expect((await status()).problem).to.equal("");
    expect((await load.stop()).failures).to.deep.equal([]);
  });
});
