// The Prometheus pages of the daemons as Prometheus itself reads them, and what its linter does not look at: that
// histograms are cumulative and that no page grows with those who ask.

import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { encode } from "dns-packet";
import { DnsWindow, reachableName } from "../support/dns-window.js";
import { isTested } from "../support/foreign-programs.js";
import { projectRoot, run, whitherctlInProcess } from "../support/processes.js";

/** Series of one page at most: all label values are from closed sets. */
const seriesMax = 1_000;

describe("Prometheus pages", function () {
  this.timeout(60_000);
  let window: DnsWindow | undefined;
  const pages = new Map<string, string>();

  before(async () => {
    window = await DnsWindow.start({ listen: "127.0.0.1:0", uri: "sip:{number}@{msp}" });
    const { files } = window.federation;
    // Something to count, from a stranger too.
    await run("whither", ["--config", files.clientConfig, "+4930901820009", "+short"]);
    const socket = createSocket("udp4");
    const question = { type: "NAPTR", name: reachableName } as const;
    socket.send(encode({ id: 1, type: "query", questions: [question] }), window.port, "127.0.0.1");
    await once(socket, "message");
    socket.close();
    const configs = {
      dnsd: window.config,
      dpd: files.dps[0]?.config ?? "",
      rootd: files.rootdConfig,
    };
    for (const [name, config] of Object.entries(configs)) {
      pages.set(name, await whitherctlInProcess(["metrics", "--config", config]));
    }
  });
  after(async () => {
    await window?.[Symbol.asyncDispose]();
  });

  const pageOf = (name: string): string => {
    const page = pages.get(name);
    if (page === undefined) throw new TypeError(`no page of ${name}`);
    return page;
  };

  for (const name of ["rootd", "dpd", "dnsd"]) {
    it(`promtool check metrics: ${name}'s has no fault`, async function () {
      if (!isTested("promtool")) this.skip();
      const child = spawn("promtool", ["check", "metrics"], { stdio: ["pipe", "pipe", "pipe"] });
      const said: Buffer[] = [];
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk: Buffer) => said.push(chunk));
      }
      child.stdin.end(pageOf(name));
      await once(child, "close");
      expect([child.exitCode, Buffer.concat(said).toString()]).to.deep.equal([0, ""]);
    });

    it(`${name}'s histograms are cumulative, up to their count`, () => {
      const series = new Map<string, number[]>();
      const counts = new Map<string, number>();
      for (const line of pageOf(name).split("\n")) {
        const bucket = /^(\w+)_bucket\{le="([^"]+)",?(.*)\} (\d+)$/.exec(line);
        const key = (metric = "", labels = ""): string => `${metric}{${labels}}`;
        if (bucket !== null) {
          const [, metric, , labels, value] = bucket;
          const of = key(metric, labels);
          series.set(of, [...(series.get(of) ?? []), Number(value)]);
        }
        const count = /^(\w+)_count(?:\{(.*)\})? (\d+)$/.exec(line);
        if (count !== null) counts.set(key(count[1], count[2]), Number(count[3]));
      }
      expect(series.size).to.be.at.least(1);
      for (const [of, values] of series) {
        expect(values, of).to.deep.equal(values.toSorted((a, b) => a - b));
        expect(values.at(-1), `${of} at +Inf`).to.equal(counts.get(of));
      }
    });

    it(`${name}'s has a bounded number of series, and says nothing of who asked`, () => {
      const lines = pageOf(name)
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"));
      expect(lines.length).to.be.within(1, seriesMax);
      expect(pageOf(name)).not.to.match(/127\.0\.0\.1|4930901|wire\.example/);
    });
  }

  it("promtool check rules: the alerts of configs have no fault, and are of metrics that exist", async function () {
    const path = join(projectRoot, "configs/prometheus-alerts.yaml");
    const all = [...pages.values()].join("\n");
    const rules = await readFile(path, "utf8");
    const named = new Set(rules.match(/\bwhither_\w+/g));
    expect(named.size).to.be.at.least(6);
    for (const name of named) expect(all, name).to.match(new RegExp(`^${name}[{ ]`, "m"));
    if (!isTested("promtool")) this.skip();
    const child = spawn("promtool", ["check", "rules", path]);
    const said: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => said.push(chunk));
    }
    await once(child, "close");
    expect(child.exitCode, Buffer.concat(said).toString()).to.equal(0);
  });

  it("say when the certificate in use ends", () => {
    const nowSeconds = Date.now() / 1000;
    const ends = {
      dnsd: /^whither_dnsd_certificate_not_after_seconds (\d+)$/m,
      rootd: /^whither_rootd_certificate_not_after_seconds (\d+)$/m,
      dpd: /^whither_dpd_not_after_seconds\{what="tls certificate".*\} (\d+)$/m,
    };
    for (const [name, line] of Object.entries(ends)) {
      expect(Number(line.exec(pageOf(name))?.[1]), name).to.be.above(nowSeconds);
    }
  });
});
