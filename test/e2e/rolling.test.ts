// "Rolling every key and restarting every daemon in turn under load loses no lookup and no registration", counted by
// a client outside (support/rolling-client.ts) that knows nothing of what is done here.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { makeFederation, RunningFederation, type FederationFiles } from "../support/federation.js";
import { whitherctlInProcess, type Daemon, type LogLine } from "../support/processes.js";
import type { ClientCounts, ClientPlan } from "../support/rolling-client.js";
import { rootZoneYaml } from "../support/root-zone.js";

const zones = ["de@dp-a.example", "de@dp-b.example"] as const;
const numbers = "tel:+493090182";
const rootZone = rootZoneYaml(
  {
    "tel:": "{ unassigned: true, name: E.164 }",
    "tel:+49": `{ zones: [${zones.join(", ")}], name: Germany }`,
  },
  { ttlSeconds: 60, refreshSeconds: 60, retrySeconds: 10 },
);
/** The driver is faster than a client may be. */
const dpdConfig = `limits:
  requests_per_second: 100000
  requests_burst: 100000
  cpu_ms_per_second: 100000
  cpu_burst_ms: 100000
  client_contacts_burst: 1000000
  msp_contacts_burst: 1000000
  public_bytes_per_minute: 1024MiB`;
const clientProgram = fileURLToPath(new URL("../support/rolling-client.ts", import.meta.url));

/** The process that counts. */
class OutsideClient implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiters = new Set<() => void>();
  #last: ClientCounts | undefined;
  #ended = false;

  constructor(planFile: string) {
    this.#child = spawn(
      process.execPath,
      ["--conditions=whither-source", "--import=tsx", clientProgram, planFile],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const { stdout } = this.#child;
    if (stdout === null) throw new TypeError("a client without output");
    createInterface({ input: stdout }).on("line", (line) => {
      this.#last = JSON.parse(line) as ClientCounts; // the client's own format
      this.#wake();
    });
    void once(this.#child, "exit").then(() => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** The first counts that are as wanted. */
  async until(isWanted: (counts: ClientCounts) => boolean): Promise<ClientCounts> {
    for (;;) {
      if (this.#last !== undefined && isWanted(this.#last)) return this.#last;
      if (this.#ended) throw new Error("the client ended by itself");
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve);
      });
    }
  }

  /** So many more of each kind: what is done next is done under load. */
  async goesOn(): Promise<ClientCounts> {
    const before = await this.until(() => true);
    return this.until(
      ({ lookups, people }) => lookups >= before.lookups + 30 && people >= before.people + 3,
    );
  }

  /** Its keys and its certificate are other ones from now on. */
  async renew(): Promise<void> {
    const before = await this.until(() => true);
    this.#child.stdin?.write("renew\n");
    await this.until(({ renewals, failures }) => renewals > before.renewals || failures.length > 0);
  }

  /** Everybody looked up once more. */
  async stop(): Promise<ClientCounts> {
    this.#child.stdin?.write("stop\n");
    return this.until(({ event }) => event === "done");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#child.kill("SIGKILL");
    await this.until(() => this.#ended).catch(() => undefined);
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }
}

describe("rolling every key and restarting every daemon under load", function () {
  this.timeout(400_000);
  let directory = "";
  let files: FederationFiles;
  let federation: RunningFederation;
  let client: OutsideClient;
  const opened: AsyncDisposable[] = [];
  const done: { readonly what: string; readonly partial: number }[] = [];
  /** By dpds that have been stopped. */
  const logged: LogLine[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-rolling-"));
    files = await makeFederation({
      directory,
      plan: {
        dps: [
          { id: "dp-a.example", operator: "Operator A", jurisdiction: "DE", zones: [zones[0]] },
          { id: "dp-b.example", operator: "Operator B", jurisdiction: "GB", zones: [zones[1]] },
        ],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
        epoch: "1s",
        dpdConfig,
      },
    });
    for (const { plan, config } of files.dps) {
      const yaml = await readFile(config, "utf8");
      const probe = `$&\n    probe: "${numbers}0000"`;
      await writeFile(config, yaml.replace(`  - name: de@${plan.id}`, probe));
    }
    federation = await RunningFederation.start(files);
    opened.push(federation);
    const plan: ClientPlan = {
      anchors: files.anchors,
      directoryPort: files.rootFrontPort,
      certificate: files.path("pki", "wire.example.pem"),
      key: files.path("pki", "wire.example-key.pem"),
      ca: files.path("pki", "ca.pem"),
      mspId: "wire.example",
      mspKey: files.path("wire.example.msp.pem"),
      proverId: files.proverId,
      proverKey: files.proverKey,
      numbers,
      zones: zones.length,
    };
    await writeFile(files.path("client-plan.json"), JSON.stringify(plan));
    client = new OutsideClient(files.path("client-plan.json"));
    opened.push(client);
    await client.until(({ people, lookups }) => people >= 10 && lookups >= 20);
  });

  after(async () => {
    for (const one of opened.reverse()) await one[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const ctl = async (...args: readonly string[]): Promise<string> =>
    (await whitherctlInProcess(args)).trim();
  const dpd = (id: string): Daemon => federation.dpds.get(id)!;

  /** SIGHUP, and what it logs when it has read everything anew. */
  async function reload(daemon: Daemon): Promise<void> {
    const from = daemon.log.length;
    daemon.kill("SIGHUP");
    await daemon.waitFor("reloaded", from);
  }

  /** A registry changed, signed, served and known to the client. */
  async function publishRegistry(change: (yaml: string) => string): Promise<number> {
    const path = files.path("registry.yaml");
    await writeFile(path, change(await readFile(path, "utf8")));
    return await publish();
  }

  let zsk = "zsk.pem";
  /** Resolves to the serial. */
  async function publish(): Promise<number> {
    const shown = await ctl(
      ...["zone", "sign", files.path("root.zone.yaml"), "--registry", files.path("registry.yaml")],
      ...["--root-keys", files.path("root-keys"), "--zsk", files.path(zsk)],
      ...["--out", files.artefact, "--json"],
    );
    const { serial } = JSON.parse(shown) as { readonly serial: number };
    await reload(federation.rootd);
    await client.until((counts) => counts.serial >= serial);
    return serial;
  }

  /** Until every DP goes by this directory. */
  async function knownToDps(serial: number): Promise<void> {
    for (const daemon of federation.dpds.values()) {
      for (let from = 0; ;) {
        const line = await daemon.waitFor("directory mirrored", from);
        if (Number(line["serial"]) >= serial) break;
        from = daemon.log.indexOf(line) + 1;
      }
    }
  }

  /** Nothing has been lost, and work goes on. */
  async function checkpoint(what: string): Promise<void> {
    const { failures, partial } = await client.goesOn();
    expect(failures, what).to.deep.equal([]);
    done.push({ what, partial });
  }

  /** Lookups answered by one DP alone, by the change during which they were. */
  function partialBy(): string {
    const named = done.map(({ what, partial }, at) => {
      const more = partial - (done[at - 1]?.partial ?? 0);
      return more === 0 ? [] : [`${what} ${more}`];
    });
    return named.flat().join(", ");
  }

  it("keeps on while certificates are replaced, and the keys of an MSP and a prover", async () => {
    const ofParties = await newKeys();
    for (const id of ["dp-a.example", "dp-b.example"]) {
      const old = await pinOf(id);
      const made = await newCertificate(id);
      const isFirst = id === "dp-a.example";
      const serial = await publishRegistry((yaml) => {
        const named = yaml.replace(`"${old}"`, `"${old}", "${made.pin}"`);
        return isFirst ? ofParties.named(named) : ofParties.retired(named);
      });
      await made.install();
      await reload(dpd(id));
      await checkpoint(`certificate of ${id}`);
      if (isFirst) {
        await knownToDps(serial);
        await ofParties.install();
        await client.renew();
        await checkpoint("keys of MSP and prover, certificate of the client");
      }
      await publishRegistry((yaml) => yaml.replace(`"${old}", `, ""));
    }
    await (await newCertificate("root.example")).install();
    await reload(federation.rootd);
    await checkpoint("certificate of rootd");
  });

  async function pinOf(id: string): Promise<string> {
    const registry = await readFile(files.path("registry.yaml"), "utf8");
    const block = registry.slice(registry.indexOf(`- id: ${id}`));
    return /sha256:[\w-]+/.exec(block)?.[0] ?? "";
  }

  /** Of the client: it signs as an MSP and as a prover, and asks with a certificate. */
  async function newKeys() {
    const msp = { type: "msp", file: "wire.example.msp.pem" };
    const prover = { type: "prover", file: "prover.pem" };
    const keys = await Promise.all(
      [msp, prover].map(async ({ type, file }) => {
        const [old = ""] = (await ctl("key", "show", files.path(file))).split("\n");
        const made = files.path(`next-${file}`);
        const next = await ctl("key", "generate", "--type", type, "--out", made);
        return { old, next, install: () => copyFile(made, files.path(file)) };
      }),
    );
    const oldPin = await pinOf("wire.example");
    const certificate = await newCertificate("wire.example");
    return {
      named: (yaml: string): string =>
        keys
          .reduce((text, { old, next }) => text.replace(`"${old}"`, `"${old}", "${next}"`), yaml)
          .replace(`"${oldPin}"`, `"${oldPin}", "${certificate.pin}"`),
      // What the old keys signed is looked up to the end.
      retired: (yaml: string): string =>
        keys
          .reduce(
            (text, { old }) =>
              text.replace(
                `"${old}"`,
                `{ key: "${old}", to: ${new Date().toISOString().slice(0, 19)}Z }`,
              ),
            yaml,
          )
          .replace(`"${oldPin}", `, ""),
      install: async (): Promise<void> => {
        await Promise.all([certificate.install(), ...keys.map(({ install }) => install())]);
      },
    };
  }

  async function newCertificate(name: string) {
    const fresh = files.path(`pki-${name}`);
    await ctl("pki", "init", "--dir", fresh);
    for (const file of ["ca.pem", "ca-key.pem"]) {
      await copyFile(files.path("pki", file), join(fresh, file));
    }
    const sans = ["--san", "127.0.0.1", "--san", "localhost"];
    const pin = await ctl("pki", "issue", "--dir", fresh, "--name", name, ...sans);
    const install = async (): Promise<void> => {
      for (const file of [`${name}-key.pem`, `${name}.pem`]) {
        await copyFile(join(fresh, file), files.path("pki", file));
      }
    };
    return { pin, install };
  }

  it("keeps on while the root's KSKs and its signing key are replaced", async () => {
    const old = (await ctl("key", "show", files.path("zsk.pem"))).split("\n")[0] ?? "";
    const next = await ctl("key", "generate", "--type", "zsk", "--out", files.path("zsk-2.pem"));
    const before = ["ksk-1.pem", "ksk-2.pem"].map((name) => files.path(name));
    const after = ["ksk-3.pem", "ksk-4.pem"].map((name) => files.path(name));
    for (const ksk of after) await ctl("key", "generate", "--type", "ksk", "--out", ksk);
    const signSet = (version: string, ...options: readonly string[]) =>
      ctl(
        ...["key", "sign-root-set", ...after.flatMap((ksk) => ["--ksk", ksk]), ...options],
        ...["--threshold", "2", "--set-version", version, "--out", files.path("root-keys")],
      );
    const retiring = before.flatMap((ksk) => ["--retiring-ksk", ksk]);
    await signSet("2", "--zsk", old, "--zsk", next, ...retiring);
    await publish();
    zsk = "zsk-2.pem";
    await publish();
    // Everybody's anchors, also those of daemons that start again below, are the KSKs before.
    await signSet("3", "--zsk", next);
    await publish();
    await checkpoint("root KSKs and ZSK");
  });

  const nameOf = (id: string): string => `de-${id}`;
  /** The operator's word that everybody knows the successor; by itself the zone waits for its TTL and an hour. */
  const switchNow = (id: string): Promise<string> =>
    ctl("zone-reload", `de@${id}`, "--switch-now", "--config", files.path(`${id}.yaml`));
  /** The directory names these manifests of a zone. */
  const nameManifests = (id: string, ...manifests: readonly string[]): Promise<number> =>
    publishRegistry((yaml) =>
      yaml.replace(
        new RegExp(`(name: de@${id}, manifest: )(\\[[^\\]]*\\]|[^ ]+)`),
        `$1[${manifests.join(", ")}]`,
      ),
    );
  /** A dpd.yaml changed and read. */
  async function reconfigure(id: string, change: (yaml: string) => string): Promise<void> {
    const path = files.path(`${id}.yaml`);
    await writeFile(path, change(await readFile(path, "utf8")));
    await reload(dpd(id));
  }

  it("keeps on while a zone key is replaced, and the manifest with it", async () => {
    const id = "dp-a.example";
    const name = nameOf(id);
    const rollOver = async (): Promise<string> => {
      const shown = await ctl(
        ...["key", "rollover", files.path(`${name}.manifest`), "--json"],
        ...["--zone-key", files.path(`${name}.zone.pem`)],
        ...["--directory", files.artefact, "--anchors", files.anchors],
      );
      return (JSON.parse(shown) as { readonly phase: string }).phase;
    };
    expect(await rollOver()).to.equal("prepared");
    const from = dpd(id).log.length;
    await reconfigure(id, (yaml) =>
      yaml
        .replace(`${name}.manifest`, `${name}.next.manifest`)
        .replace(/( *)zone_key_file: .*/, `$&\n$1next_zone_key_file: ${name}.zone.next.pem`),
    );
    await nameManifests(id, `${name}.next.manifest`, `${name}.manifest`);
    expect(await rollOver()).to.equal("published");
    await switchNow(id);
    await dpd(id).waitFor("manifest in force", from);
    await checkpoint("zone key and manifest in force");
    await nameManifests(id, `${name}.next.manifest`);
    expect(await rollOver()).to.equal("retired");
    await nameManifests(id, `${name}.manifest`);
    await reconfigure(id, (yaml) =>
      yaml.replace(`${name}.next.manifest`, `${name}.manifest`).replace(/ *next_zone_key.*\n/, ""),
    );
    await checkpoint("zone key and manifest before gone");
  });

  it("keeps on while a VOPRF key is replaced, and an HPKE key is published", async () => {
    const id = "dp-b.example";
    const name = nameOf(id);
    const voprf = `${name}.voprf`;
    await ctl("key", "generate", "--type", "voprf", "--out", files.path(`${voprf}-2`));
    await ctl("key", "generate", "--type", "hpke", "--out", files.path(`${name}.hpke`));
    await reconfigure(id, (yaml) =>
      yaml.replace(
        /( *)voprf_key_file: .*/,
        `$&\n$1next_voprf_key_file: ${voprf}-2\n$1next_hpke_key_file: ${name}.hpke`,
      ),
    );
    const source = await readFile(files.path(`${name}.manifest.yaml`), "utf8");
    await writeFile(
      files.path(`${name}-2.manifest.yaml`),
      source
        .replace(`voprf_key_file: ${voprf}`, `voprf_key_file: ${voprf}-2`)
        .replace("policy:", `version: 2\nprevious_voprf_key_file: ${voprf}\npolicy:`)
        .replace("policy:", `hpke_key_file: ${name}.hpke\npolicy:`)
        .replace("policy:", `predecessor_key_file: ${name}.zone.pem\npolicy:`),
    );
    const next = `${name}-2.manifest`;
    await ctl("manifest", "create", files.path(`${next}.yaml`), "--out", files.path(next));
    const from = dpd(id).log.length;
    await reconfigure(id, (yaml) => yaml.replace(`${name}.manifest`, next));
    await nameManifests(id, next, `${name}.manifest`);
    await switchNow(id);
    await dpd(id).waitFor("manifest in force", from);
    await checkpoint("VOPRF key in force");
    await nameManifests(id, next);
    await checkpoint("VOPRF key's manifest alone");
  });

  it("keeps on while every daemon is stopped and started again", async () => {
    await federation.rootd.stop();
    await federation.restartRootd();
    await checkpoint("restart of rootd");
    for (const id of ["dp-a.example", "dp-b.example"]) {
      await dpd(id).stop();
      logged.push(...dpd(id).log);
      await federation.restart(id);
      await checkpoint(`restart of ${id}`);
      // Who registered meanwhile is put where he is missing before the other one goes.
      await client.goesOn();
    }
  });

  it("has lost nothing", async () => {
    // Begun a minute after the switch, and gone on with by the process that came after.
    const isRenewed = logged.some(({ event }) => event === "acceptances renewed");
    if (!isRenewed) await dpd("dp-a.example").waitFor("acceptances renewed");
    const counts = await client.stop();
    const { lookups, registrations, people, partial, partialFor, later, failures } = counts;
    process.stdout.write(
      `    rolling: ${done.length} changes, ${lookups} lookups (${partial} by one DP), ` +
        `${registrations} registrations of ${people} people (${later} later at one DP), ` +
        `${failures.length} failures; by one DP for ${JSON.stringify(partialFor)}: ${partialBy()}\n`,
    );
    expect(failures).to.deep.equal([]);
    // The other DP would hide it: what one of them says is believed all the time, or it is away.
    for (const why of Object.keys(partialFor)) {
      expect(why).to.match(/^(NETWORK|UNREACHABLE|OVERLOADED|DEADLINE|STALE) /);
    }
    expect(lookups).to.be.at.least(400);
    expect(people).to.be.at.least(60);
  });
});
