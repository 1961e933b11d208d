// A primary that dies for good: its operator's secondary, which followed it by Replication, takes its place in a raised
// epoch, people register on, no resolver is told of two histories, and the old one finds the zone gone on without it.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openVault } from "@whither/authority";
import { decodeVaultKey, formatPin } from "@whither/crypto/node";
import { isDiscoveryError, parseZoneName } from "@whither/protocol";
import { createClient, openChannel, spkiSha256OfPem, tlsIdentityFromFiles } from "@whither/rpc";
import { systemRandom } from "@whither/runtime";
import { openLevelStore } from "@whither/store";
import { Replication } from "@whither/wire";
import { parseCsi, type Answer, type Resolver } from "@whither/resolver";
import { expect } from "chai";
import {
  makeFederation,
  promotedYaml,
  RunningFederation,
  type FederationFiles,
} from "../support/federation.js";
import { registerPeople, type Person } from "../support/people.js";
import { Daemon } from "../support/processes.js";
import { openResolver } from "../support/open-resolver.js";
import { rootZoneYaml } from "../support/root-zone.js";

const zone = "de@dp-a.example";
const probe = "tel:+4930123456";
const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true }",
  "tel:+49": `{ zones: [${zone}] }`,
  "mailto:": "{ unassigned: true }",
  "acct:": "{ unassigned: true }",
});
const person = (csi: string): Person => ({ csi, msps: [{ id: "wire.example" }] });
const [anna, bert] = [person("tel:+4930901820001"), person("tel:+4930901820002")];
const secondaryId = "secondary.example";

describe("a secondary that is promoted", function () {
  this.timeout(120_000);
  let directory = "";
  let federation: RunningFederation | undefined;
  let resolver: Resolver | undefined;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-promotion-"));
    const dp = { id: "dp-a.example", operator: "Operator A", jurisdiction: "DE" };
    const files = await makeFederation({
      directory,
      plan: {
        dps: [{ ...dp, zones: [zone] }],
        replicas: [{ ...dp, id: secondaryId, zone, probe, secondaryOf: dp.id }],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
      },
    });
    // The old primary knows by the probe where to ask whether the zone has gone on, and its secondary by its key.
    const { config, port } = at(files.dps);
    const peers = `{ peers: [{ spki: ["${await pinOf(files, secondaryId)}"], vault: true }] }`;
    await change(config, (yaml) =>
      yaml.replace("  - name:", `  - probe: "${probe}"\n    replication: ${peers}\n    name:`),
    );
    // Nothing listens where it would find it as anybody.
    const [pin, nobody] = [await pinOf(files, "dp-a.example"), "127.0.0.1:9"];
    const follows = [
      `primaries: [{ server: "${nobody}", spki: ["${pin}"] }]`,
      `replication: [{ server: "127.0.0.1:${port}", spki: ["${pin}"] }]`,
      "vault: true",
    ].join(", ");
    await change(at(files.replicas).config, (yaml) =>
      yaml.replace("  - { name:", `  - { ${follows}, name:`),
    );
    federation = await RunningFederation.start(files);
    await registerPeople(files, [anna]);
    resolver = await openResolver(files);
  });
  after(async () => {
    await resolver?.close();
    await federation?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const running = () => {
    if (federation === undefined || resolver === undefined) throw new TypeError("not started");
    return { federation, resolver, files: federation.files };
  };
  /** The first part that the primary gives to a client, or why it does not. */
  const transferAs = async (name: string): Promise<string | undefined> => {
    const { files } = running();
    const [certPath, keyPath] = [
      files.path("pki", `${name}.pem`),
      files.path("pki", `${name}-key.pem`),
    ];
    using channel = openChannel({
      host: "127.0.0.1",
      port: at(files.dps).port,
      caPem: await readFile(files.path("pki", "ca.pem"), "utf8"),
      identity: await tlsIdentityFromFiles({ certPath, keyPath }),
    });
    try {
      const stream = createClient(Replication, channel).transfer({ from: { zone } });
      for await (const { part } of stream) return part?.part.case;
      return undefined;
    } catch (error) {
      if (isDiscoveryError(error)) return error.code;
      throw error;
    }
  };
  /** What the vault that lies there knows, to who has its key. */
  const identifiersIn = async (path: string): Promise<readonly string[]> => {
    const key = decodeVaultKey(
      await readFile(running().files.path(`${zone.replace("@", "-")}.vault`), "utf8"),
    );
    await using store = await openLevelStore({ path, cacheBytes: 1024 * 1024 });
    const vault = await openVault({ store, zone: parseZoneName(zone), key, random: systemRandom });
    const found: string[] = [];
    for await (const { csi } of vault.rows()) found.push(csi);
    return found;
  };
  const ask = ({ csi }: Person): Promise<Answer<"verbose">> =>
    running().resolver.lookup(parseCsi(csi), { refresh: true });

  it("follows its primary by Replication, which is nobody else's", async () => {
    const { federation: processes } = running();
    const secondary = processes.dpds.get(secondaryId);
    if (secondary === undefined) throw new TypeError("not started");
    let advanced = await secondary.waitFor("replica advanced");
    while (advanced["slots"] !== 1)
      advanced = await secondary.waitFor("replica advanced", secondary.log.indexOf(advanced) + 1);
    expect(advanced).to.include({ zone, way: "replication" });
    // While there is a primary to follow: it may have begun after the secondary, which then tries again.
    await secondary.waitFor("vault followed");
    expect(await transferAs(secondaryId)).to.equal("start");
    expect(await transferAs("wire.example")).to.equal("PROHIBITED");
  });

  it("answers everybody while the primary is dead, a stranger too", async () => {
    const { federation: processes } = running();
    expect((await ask(anna)).status).to.equal("found");
    await processes.dpds.get("dp-a.example")?.stop("SIGKILL");
    expect((await ask(anna)).status).to.equal("found");
    expect((await ask(bert)).status).to.equal("none");
  });

  it("does not take its place in the old epoch", async () => {
    const { federation: processes, files } = running();
    await processes.dpds.get(secondaryId)?.stop();
    expect(
      await identifiersIn(files.path(`${secondaryId}.state`, "zones", zone, "vault")),
    ).to.deep.equal([anna.csi]);
    const secondary = at(files.replicas);
    await writeFile(secondary.config, promotedYaml(files, { replica: secondary, epoch: 1 }));
    await using refused = Daemon.spawn("whither-dpd", ["--config", secondary.config]);
    await refused.ended();
    expect(refused.exitCode).to.equal(1);
    expect(refused.stderr).to.contain("epoch has to be above 1");
  });

  it("takes its place in a raised one: who was registered is found, and others register", async () => {
    const { federation: processes, files } = running();
    const secondary = at(files.replicas);
    await writeFile(secondary.config, promotedYaml(files, { replica: secondary, epoch: 2 }));
    await processes.restart(secondaryId);
    expect((await ask(anna)).status).to.equal("found");
    await registerPeople(files, [bert]);
    expect((await ask(bert)).status).to.equal("found");
    expect((await ask(anna)).status).to.equal("found");
    expect(running().resolver.evidence()).to.deep.equal([]);
  });

  it("goes on after kill -9, without another epoch", async () => {
    const { federation: processes } = running();
    const again = await processes.restart(secondaryId);
    expect(await again.waitFor("zone opened")).to.include({ slots: 2 });
    expect((await ask(bert)).status).to.equal("found");
  });

  it("keeps out the old primary that comes back", async () => {
    const { files, resolver: asking } = running();
    const { config } = at(files.dps);
    await using old = Daemon.spawn("whither-dpd", ["--config", config]);
    await old.ended();
    expect(old.exitCode).to.equal(1);
    expect(old.stderr).to.contain("the zone goes on in epoch 2, here it is 1");
    for (const one of [anna, bert]) expect((await ask(one)).status).to.equal("found");
    expect(asking.evidence()).to.deep.equal([]);
  });
});

async function pinOf({ path }: FederationFiles, name: string): Promise<string> {
  return formatPin(spkiSha256OfPem(await readFile(path("pki", `${name}.pem`), "utf8")));
}

function at<T>([first]: readonly T[]): T {
  if (first === undefined) throw new TypeError("not in the plan");
  return first;
}

async function change(path: string, by: (text: string) => string): Promise<void> {
  await writeFile(path, by(await readFile(path, "utf8")));
}
