// A running whither-dnsd as its operator sees it: what its resolver remembers, without a name in it, and that a
// flush makes it ask again.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { decode, encode } from "dns-packet";
import { absentName, DnsWindow, reachableName } from "../support/dns-window.js";
import { whitherctlHere, whitherctlInProcess } from "../support/processes.js";

interface CacheRow {
  readonly kind: string;
  readonly subject: string;
  readonly hits?: number;
}

describe("a running whither-dnsd and its operator", function () {
  this.timeout(60_000);
  let started: DnsWindow | undefined;
  before(async () => {
    started = await DnsWindow.start({ listen: "127.0.0.1:0", uri: "sip:{number}@{msp}" });
  });
  after(async () => {
    await started?.[Symbol.asyncDispose]();
  });

  const window = (): DnsWindow => {
    if (started === undefined) throw new TypeError("not started");
    return started;
  };
  const ctl = (...args: readonly string[]): ReturnType<typeof whitherctlHere> =>
    whitherctlHere([...args, "--config", window().config]);
  const ok = async (...args: readonly string[]): Promise<string> => {
    const done = await ctl(...args);
    expect(done.status, `${args.join(" ")}: ${done.stderr}`).to.equal(0);
    return done.stdout;
  };
  const json = async <T>(...args: readonly string[]): Promise<T> =>
    JSON.parse(await ok(...args, "--json")) as T; // the documented shape
  const removed = async (...args: readonly string[]): Promise<number> =>
    Number(/^(\d+) entries removed$/m.exec(await ok(...args))?.[1]);

  /** NAPTR records of a name, and how often the resolver was asked for it. */
  async function ask(name: string): Promise<number> {
    const socket = createSocket("udp4");
    const query = encode({ id: 1, type: "query", questions: [{ type: "NAPTR", name }] });
    socket.send(query, window().port, "127.0.0.1");
    const [packet] = (await once(socket, "message")) as [Buffer];
    socket.close();
    return decode(packet).answers?.length ?? 0;
  }

  it("says since when it runs and what ends when", async () => {
    expect(await ok("status")).to.match(
      /^whither-dnsd 0\.1\.0 (?:.*\n)*ends:\n {2}tls certificate /,
    );
    expect(await ok("config-show")).to.contain('"suffix": "e164.arpa"');
    expect(await ok("metrics")).to.contain("whither_dnsd_resolver_cache_bytes");
  });

  it("shows what is remembered, never of whom", async () => {
    expect([await ask(reachableName), await ask(absentName)]).to.deep.equal([2, 0]);
    const text = await ok("cache-dump");
    expect(text).to.match(/^ *slot +[0-9a-f]{32} .*verbose found in de@dp-a\.example$/m);
    expect(text).to.match(/^ *absence +[0-9a-f]{32} .*verbose none in de@dp-a\.example$/m);
    expect(text).to.match(/^ *head +de@dp-a\.example .*kid [0-9a-f]{8}, serial \d+$/m);
    expect(text).not.to.match(/tel:|4930901/);
    expect(await json<CacheRow[]>("cache-dump", "--limit", "1")).to.have.length(1);
  });

  it("forgets what it is told to, the replies made of it too", async () => {
    const kinds = async (): Promise<readonly string[]> =>
      (await json<CacheRow[]>("cache-dump")).map(({ kind }) => kind).filter((k) => k !== "head");
    const lookups = async (): Promise<number> =>
      Number(
        /transport="udp",rcode="NXDOMAIN",from="lookup"\} (\d+)/.exec(await ok("metrics"))?.[1] ??
          0,
      );
    const before = await lookups();
    expect(await ask(absentName)).to.equal(0);
    expect(await lookups(), "from the cache").to.equal(before);
    expect(await removed("cache-flush-negative")).to.equal(1);
    expect(await kinds()).to.deep.equal(["slot"]);
    await ask(absentName);
    expect(await lookups(), "asked again").to.equal(before + 1);
    expect(await removed("cache-flush-subtree", "tel:+44")).to.equal(0);
    expect(await removed("cache-flush-subtree", "tel:+49")).to.equal(2);
    expect(await kinds()).to.deep.equal([]);
    expect(await ask(reachableName)).to.equal(2);
    expect(await removed("cache-flush-failures")).to.equal(0);
    expect(await removed("cache-flush")).to.be.at.least(2);
    expect((await ctl("cache-flush-subtree", "nonsense")).stderr).to.match(/^error: INVALID_DATA/);
    expect(await ask(reachableName)).to.equal(2);
  });

  it("shows the servers it knows", async () => {
    const rows = await json<{ server: string; srtt_ms: number; down: boolean }[]>("infra-dump");
    const ports = window().federation.files.dps.flatMap((dp) => [dp.port, dp.publicPort]);
    const servers = rows.map(({ server }) => server);
    expect(servers).to.include.members(ports.map((port) => `127.0.0.1:${port}`));
    expect(rows.every(({ srtt_ms: ms, down }) => ms > 0 && !down)).to.be.true;
  });

  it("logs queries when told to, without a name", async () => {
    expect(await ok("querylog", "on")).to.match(/^on, 0 lines/);
    const from = window().dnsd.log.length;
    await ask(reachableName);
    const line = await window().dnsd.waitFor("query", from);
    expect(line).to.include({ method: "DNS/udp", code: "NOERROR", peer: "anonymous" });
    expect(line["client"]).to.match(/^[0-9a-f]{16}$/);
    expect(JSON.stringify(line)).not.to.match(/e164|4930|127\.0\.0/);
    expect(await ok("querylog", "off")).to.match(/^off, 1 lines/);
  });

  it("takes another client certificate while it answers, and keeps the one it has for a key that is another's", async () => {
    const { files } = window().federation;
    const [old, next] = [files.path("pki"), files.path("pki-next")];
    const copy = async (from: string, to: string, ...names: readonly string[]): Promise<void> => {
      for (const name of names) await copyFile(join(from, name), join(to, name));
    };
    await whitherctlInProcess(["pki", "init", "--dir", next]);
    await copy(old, next, "ca.pem", "ca-key.pem");
    await whitherctlInProcess([
      "pki",
      "issue",
      "--dir",
      next,
      "--name",
      "wire.example",
      "--lifetime",
      "30d",
    ]);
    await copy(next, old, "wire.example.pem");
    const failed = await ctl("reload");
    expect(failed.status).to.equal(1);
    expect(failed.stdout).to.match(/the key is not the certificate's/);
    const problem =
      /^last reload failed, nothing has changed:\n {2}.*the key is not the certificate's/m;
    expect(await ok("status")).to.match(problem);
    await ok("cache-flush");
    expect(await ask(reachableName)).to.equal(2);
    await copy(next, old, "wire.example-key.pem");
    expect(await ok("reload")).to.equal("reloaded\n");
    await ok("cache-flush");
    expect(await ask(reachableName)).to.equal(2);
    const status = await ok("status");
    expect(status).not.to.match(problem);
    expect(status).to.match(/tls certificate .*(29d|30d)/);
  });

  it("says who has what it has not, reloads, drains and stops", async () => {
    expect((await ctl("transfer", "de@dp-a.example")).stderr).to.match(
      /whither-dnsd has no zone with a primary/,
    );
    expect(await ok("reload")).to.equal("reloaded\n");
    expect(await ok("drain")).to.equal("drained\n");
    expect(await ok("status")).to.match(/, draining$/m);
    expect(await ok("stop")).to.equal("stopping\n");
    await window().dnsd.stop("SIGCONT");
    expect(window().dnsd.exitCode).to.equal(0);
  });
});
