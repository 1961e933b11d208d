// A part of the directory in the hands of a DP, with real processes: the root delegates a country on, the
// DP's part names another DP's zone, and a person is found there. What the part may not do is tried too.
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  makeFederation,
  RunningFederation,
  signDirectory,
  signPart,
  type DpFiles,
  type FederationFiles,
  type PartPlan,
} from "../support/federation.js";
import { freshClient, registerPeople, type Person } from "../support/people.js";
import { run, whitherctlHere, whitherctlInProcess, type Finished } from "../support/processes.js";
import { rootZoneYaml } from "../support/root-zone.js";

const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true, name: E.164 }",
  "tel:+49": "{ directory: [sub@dp-a.example], name: Germany }",
  "mailto:": "{ zones: [mail@dp-b.example], name: e-mail }",
});
const part: PartPlan = {
  zone: "sub@dp-a.example",
  apex: "tel:+49",
  prefixes: [
    `"tel:+49": { unassigned: true }`,
    `"tel:+4930": { zones: [berlin@dp-b.example], name: Berlin }`,
  ],
};
const anna: Person = { csi: "tel:+4930901820001", msps: [{ id: "wire.example" }] };

interface JsonAnswer {
  readonly status: string;
  readonly choice: string | null;
  readonly proof: { readonly kind: string; readonly verified: boolean; readonly zone: string };
}

describe("a part of the directory, served by a dpd", function () {
  this.timeout(90_000);
  let directory = "";
  let files: FederationFiles;
  let federation: RunningFederation;
  let running: RunningFederation | undefined;
  let dpA: DpFiles;
  let clients = 0;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-part-"));
    files = await makeFederation({
      directory,
      plan: {
        dps: [
          {
            id: "dp-a.example",
            operator: "Operator A",
            jurisdiction: "DE",
            zones: [],
            parts: [part],
          },
          {
            id: "dp-b.example",
            operator: "Operator B",
            jurisdiction: "DE",
            zones: ["berlin@dp-b.example", "mail@dp-b.example"],
          },
        ],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
      },
    });
    const [first] = files.dps;
    if (first === undefined) throw new TypeError("no dp");
    dpA = first;
    running = await RunningFederation.start(files);
    federation = running;
    await registerPeople(files, [anna]);
  });
  after(async () => {
    await running?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  /** A client that holds nothing from before. */
  const whither = async (args: readonly string[], mirror = true): Promise<Finished> => {
    const config = await freshClient(files, `part-${(clients += 1)}`, (yaml) =>
      yaml.replace("mirror: true", `mirror: ${mirror}`),
    );
    return await run("whither", ["--config", config, ...args]);
  };
  const answer = async (csi: string, mirror = true): Promise<JsonAnswer> => {
    const done = await whither([csi, "+json"], mirror);
    expect(done.stdout, done.stderr).not.to.equal("");
    return JSON.parse(done.stdout) as JsonAnswer; // documented keys
  };
  const ctl = async (...args: readonly string[]): Promise<string> => {
    const done = await whitherctlHere([...args, "--config", dpA.config]);
    expect(done.status, done.stderr).to.equal(0);
    return done.stdout;
  };

  for (const mirror of [true, false]) {
    it(`leads to a person at another DP, ${mirror ? "below a mirror of the root" : "walking"}`, async () => {
      expect(await answer(anna.csi, mirror)).to.include({
        status: "found",
        choice: "wire.example",
      });
      const { stdout } = await whither([anna.csi, "+trace"], mirror);
      const hops = stdout
        .split("\n")
        .filter((line) => line.includes(`127.0.0.1:${dpA.publicPort}`));
      expect(hops.map((line) => line.replace(/^.*told: /, ""))).to.deep.equal([
        "tel:+49",
        "tel:+493",
        "tel:+4930",
      ]);
      expect(stdout).to.include(`delegated to berlin@dp-b.example`);
    });
  }

  it("proves that nobody serves what lies beside, in its own name", async () => {
    const { status, proof } = await answer("tel:+4989123456");
    expect(status).to.equal("none");
    expect(proof).to.include({ kind: "absence", verified: true, zone: part.zone });
  });

  it("stands in the status of its daemon, and takes a newer artefact on reload", async () => {
    expect(await ctl("status")).to.match(/sub@dp-a\.example.*serial 1/);
    await signPart(files, {
      ...part,
      prefixes: [...part.prefixes, `"tel:+4989": { zones: [berlin@dp-b.example] }`],
    });
    expect(await ctl("reload")).to.include("replaced");
    expect(await answer("tel:+4989123456")).to.include({ status: "none" });
    const { proof } = await answer("tel:+4989123456");
    expect(proof, "now the mapping zone proves it").to.include({ zone: "berlin@dp-b.example" });
  });

  it("keeps what it served when the new artefact does not verify", async () => {
    const artefact = files.path("sub-dp-a.example.signed");
    const good = await readFile(artefact);
    const spoilt = Uint8Array.from(good);
    const at = spoilt.length - 20;
    spoilt[at] = (spoilt[at] ?? 0) ^ 1;
    await writeFile(artefact, spoilt);
    const done = await whitherctlHere(["reload", "--config", dpA.config]);
    expect(done.stdout).to.match(/^sub@dp-a\.example failed: /m);
    expect(await answer(anna.csi)).to.include({ status: "found" });
    await writeFile(artefact, good);
  });

  it("is not started with an artefact of somebody else's key", async () => {
    const source = files.path("sub-dp-a.example.zone.yaml");
    await whitherctlInProcess(["key", "generate", "--type", "zone", "--out", files.path("x.pem")]);
    await whitherctlInProcess([
      ...["manifest", "create", await strangersManifest(), "--out", files.path("x.manifest")],
    ]);
    await whitherctlInProcess([
      ...["zone", "sign", source, "--registry", files.path("registry.yaml"), "--manifest"],
      ...[
        files.path("x.manifest"),
        "--zone-key",
        files.path("x.pem"),
        "--out",
        files.path("x.signed"),
      ],
    ]);
    const own = files.path("sub-dp-a.example.signed");
    await copyFile(own, files.path("own.signed"));
    await copyFile(files.path("x.signed"), own);
    await federation.dpds.get("dp-a.example")?.stop();
    await federation.restart("dp-a.example").then(
      () => expect.fail("it started"),
      (error: unknown) => expect(String(error)).to.include("hash is not the directory's"),
    );
    const asked = await whither([anna.csi]);
    expect(asked.status, "nobody serves the part: unreachable").to.equal(5);
    await copyFile(files.path("own.signed"), own);
    await federation.restart("dp-a.example");
    expect(await answer(anna.csi)).to.include({ status: "found" });
  });
  const strangersManifest = async (): Promise<string> => {
    const path = files.path("x.manifest.yaml");
    const text = await readFile(files.path("sub-dp-a.example.manifest.yaml"), "utf8");
    await writeFile(path, text.replace("sub-dp-a.example.zone.pem", "x.pem"));
    return path;
  };

  it("is listened to no more when the root has withdrawn it", async () => {
    const path = files.path("root.zone.yaml");
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace("directory: [sub@dp-a.example]", "unassigned: true"));
    await signDirectory(files);
    const from = federation.rootd.log.length;
    process.kill(federation.rootd.pid, "SIGHUP");
    await federation.rootd.waitFor("directory replaced", from);
    const { status, proof } = await answer(anna.csi);
    expect(status).to.equal("none");
    expect(proof).to.include({ zone: "." });
  });
});
