// Starting from a domain instead of an address: `whither` finds rootd through Unbound, over UDP and TCP, and
// believes the signed directory, not the DNS.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { makeFederation, type FederationFiles } from "../support/federation.js";
import { ForeignDaemon, isTested } from "../support/foreign-programs.js";
import { Daemon, freePorts, run, type Finished } from "../support/processes.js";
import { rootZoneYaml } from "../support/root-zone.js";

const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true, name: E.164 }",
  "tel:+49": "{ zones: [de@dp-a.example], name: Germany }",
});
const unboundProgram = { name: "unbound", debianPackage: "unbound" };
const service = "_whither._tcp.root.example.";

describe("a directory that the DNS names", function () {
  this.timeout(120_000);
  let folder = "";
  let files: FederationFiles;
  let rootd: Daemon;

  before(async function () {
    if (!isTested("unbound")) this.skip();
    folder = await mkdtemp(join(tmpdir(), "whither-bootstrap-"));
    files = await makeFederation({
      directory: folder,
      plan: {
        dps: [
          {
            id: "dp-a.example",
            operator: "Operator A",
            jurisdiction: "DE",
            zones: ["de@dp-a.example"],
          },
        ],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
      },
    });
    rootd = await Daemon.start("whither-rootd", ["--config", files.rootdConfig]);
  });
  after(async () => {
    if (folder === "") return;
    await rootd[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  /** Asks for a number that nobody serves, which only the directory can prove; a mirror might be there first. */
  async function ask(records: readonly string[]): Promise<Finished> {
    const [port = 0] = await freePorts(1);
    const config = files.path("unbound.conf");
    await writeFile(config, unboundConf({ folder, port, records }));
    await using unbound = await ForeignDaemon.start(
      unboundProgram,
      ["-d", "-d", "-c", config],
      /start of service/,
    );
    expect(unbound).not.to.equal(undefined);
    const client = files.path("by-name.yaml");
    await writeFile(
      client,
      `anchors: anchors.json\ndirectory: dns:root.example\nname_servers: ["127.0.0.1:${port}"]\n`,
    );
    return await run("whither", ["--config", client, "+33612345678", "+trace", "+nomirror"]);
  }

  const rootPort = (): number => files.rootPort;
  const proven = (done: Finished): void => {
    expect(done.status, done.stderr).to.equal(1);
    expect(done.stdout).to.include("proven absent");
  };

  it("is found by SVCB, and the trace says who told what", async () => {
    const done = await ask([
      `${service} 60 IN SVCB 1 ns.root.example. port=${rootPort()} ipv4hint=127.0.0.1`,
    ]);
    proven(done);
    expect(done.stdout).to.match(
      /learnt: 1 SVCB records {2}from: 127\.0\.0\.1:\d+ {2}unverified .* told: _whither\._tcp\.root\.example SVCB/,
    );
  });

  it("is found behind an alias, by the addresses of its name, past a server that is down", async () => {
    const [down = 0] = await freePorts(1);
    proven(
      await ask([
        `${service} 60 IN SVCB 0 pool.root.example.`,
        `pool.root.example. 60 IN SVCB 1 ns.root.example. port=${down}`,
        `pool.root.example. 60 IN SVCB 2 ns.root.example. port=${rootPort()} alpn=h2`,
        "ns.root.example. 60 IN A 127.0.0.1",
      ]),
    );
  });

  it("is found by SRV where there is no SVCB", async () => {
    const done = await ask([
      `${service} 60 IN SRV 1 1 ${rootPort()} ns.root.example.`,
      "ns.root.example. 60 IN A 127.0.0.1",
    ]);
    proven(done);
    expect(done.stdout).to.include("told: _whither._tcp.root.example SRV");
  });

  it("is found over TCP where the records do not fit into a datagram", async () => {
    const others = Array.from(
      { length: 40 },
      (_, i) =>
        `${service} 60 IN SVCB ${10 + i} a-server-with-a-long-name-${i}.root.example. port=9`,
    );
    proven(
      await ask([
        ...others,
        `${service} 60 IN SVCB 1 ns.root.example. port=${rootPort()} ipv4hint=127.0.0.1`,
      ]),
    );
  });

  it("is not found at a server without a certificate for the domain", async () => {
    // Somebody of the federation, trusted by its CA, where the DNS was made to lead.
    await using other = await Daemon.start("whither-dpd", ["--config", files.dps[0]?.config ?? ""]);
    expect(other.exited).to.equal(false);
    const elsewhere = files.dps[0]?.publicPort ?? 0;
    const done = await ask([
      `${service} 60 IN SVCB 1 ns.root.example. port=${elsewhere} ipv4hint=127.0.0.1`,
    ]);
    expect(done.status, done.stdout).to.equal(5);
  });

  it("is UNREACHABLE where the DNS denies it", async () => {
    const done = await ask(["other.root.example. 60 IN A 127.0.0.1"]);
    expect(done.status).to.equal(5);
    expect(done.stdout + done.stderr).to.include("no directory server was found");
  });
});

function unboundConf(of: {
  readonly folder: string;
  readonly port: number;
  readonly records: readonly string[];
}): string {
  const data = of.records.map((record) => `  local-data: '${record}'`);
  return `server:
  directory: "${of.folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 1
  interface: 127.0.0.1@${of.port}
  do-ip6: no
  module-config: "iterator"
  max-udp-size: 1232
  local-zone: "root.example." static
${data.join("\n")}
remote-control:
  control-enable: no
`;
}
