// A lame delegation withdrawn by rootd, and its return, with real processes: a dpd stops, resolvers are told
// not to ask it, the operator signs anew meanwhile, the dpd starts, and they ask it again.
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import {
  makeFederation,
  RunningFederation,
  signDirectory,
  type FederationFiles,
} from "../support/federation.js";
import { openResolver } from "../support/open-resolver.js";
import { whitherctlHere } from "../support/processes.js";
import { rootZoneYaml } from "../support/root-zone.js";

const unknown = parseCsi("+4930901820009");
const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true }",
  "tel:+49": "{ zones: [de@dp-a.example, de@dp-b.example] }",
});

interface HealthRow {
  readonly zone: string;
  readonly state: string;
  readonly withdrawn_at: number;
  readonly withdrawn_why: string;
}

describe("rootd and an authority that stops", function () {
  this.timeout(60_000);
  let directory = "";
  let files: FederationFiles;
  let federation: RunningFederation | undefined;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-withdrawal-"));
    const dp = (letter: string) => ({
      id: `dp-${letter.toLowerCase()}.example`,
      operator: `Operator ${letter}`,
      jurisdiction: "DE",
      zones: [`de@dp-${letter.toLowerCase()}.example`],
    });
    files = await makeFederation({
      directory,
      plan: {
        dps: [dp("A"), dp("B")],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
      },
    });
    await appendFile(
      files.rootdConfig,
      "health: { interval: 1s }\n" +
        "withdrawal: { zsk_key_file: zsk.pem, after: 1s, return_after: 1s, share_percent: 50 }\n",
    );
  });
  after(async () => {
    await federation?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  /** What a resolver that has seen nothing before is told, and why the first DP did not answer. */
  const ask = async () => {
    await using resolver = await openResolver(files, { mirror: false });
    const { status, complete, errors } = await resolver.lookup(unknown);
    return { status, complete, why: errors.map(({ upstream, text }) => `${upstream}: ${text}`) };
  };
  const all = { status: "none", complete: { answered: 2, asked: 2 }, why: [] };
  const withdrawn = {
    status: "incomplete",
    complete: { answered: 1, asked: 2 },
    why: ["de@dp-a.example: withdrawn: the directory's server found it lame"],
  };
  const health = async (): Promise<HealthRow | undefined> => {
    const done = await whitherctlHere(["zone-health", "--json", "--config", files.rootdConfig]);
    const rows = JSON.parse(done.stdout) as readonly HealthRow[]; // the documented shape
    return rows.find(({ zone }) => zone === "de@dp-a.example");
  };

  it("tells resolvers not to ask it while it is away, and to ask it again, by itself", async () => {
    federation = await RunningFederation.start(files);
    const { rootd } = federation;
    // On a busy machine one of them may have come so late that it was withdrawn at first.
    let first = await ask();
    while (first.status !== "none") first = await ask();
    expect(first).to.deep.equal(all);
    const from = rootd.log.length;
    await federation.dpds.get("dp-a.example")?.stop("SIGKILL");
    expect(await rootd.waitFor("authority withdrawn", from)).to.include({
      zone: "de@dp-a.example",
      code: "NETWORK",
    });
    expect(await ask()).to.deep.equal(withdrawn);
    const row = await health();
    expect(row).to.include({ state: "lame", withdrawn_why: "NETWORK" });
    expect(row?.withdrawn_at).to.be.greaterThan(0);
    await appendFile(files.path("root.zone.yaml"), '  "tel:+999": { unassigned: true }\n');
    await signDirectory(files);
    rootd.kill("SIGHUP");
    await rootd.waitFor("directory replaced", from);
    expect(await ask(), "under the operator's next directory too").to.deep.equal(withdrawn);
    await federation.restart("dp-a.example");
    await rootd.waitFor("authority returned", from);
    expect(await ask()).to.deep.equal(all);
  });
});
