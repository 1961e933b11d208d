// Clients of the DNS that nobody here wrote, against whither-dnsd as it is: dig and dnsperf (BIND, DNS-OARC), kdig
// (Knot), drill (ldns), and Unbound forwarding to it.

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { expect } from "chai";
import { absentName, DnsWindow, reachableName } from "../support/dns-window.js";
import { isTested } from "../support/foreign-programs.js";
import { freePorts } from "../support/processes.js";

const execute = promisify(execFile);
const output = async (program: string, args: readonly string[]): Promise<string> =>
  (await execute(program, args)).stdout;

const uri = "sip:{number}@{msp}";
const shown = (msp: string, preference: number): string =>
  `100 ${preference} "u" "E2U+sip" "!^.*$!sip:+4930901820001@${msp}!" .`;
const inOrder = [shown("video.example", 10), shown("wire.example", 20)];

describe("DNS clients that nobody here wrote", function () {
  this.timeout(120_000);
  let window: DnsWindow | undefined;
  let at: readonly string[] = [];
  let port = 0;

  before(async () => {
    window = await DnsWindow.start({ listen: "127.0.0.1:0", uri });
    port = window.port;
    at = ["-p", String(port), "@127.0.0.1"];
  });
  after(async () => {
    await window?.[Symbol.asyncDispose]();
  });

  const needs = (program: string, title: string, run: () => Promise<void>): void => {
    it(title, async function () {
      // The reporter names what is skipped, and the title the program. In CI nothing is.
      if (!isTested(program)) this.skip();
      await run();
    });
  };
  const lines = (text: string): readonly string[] =>
    text.split("\n").filter((line) => line !== "" && !line.startsWith(";"));

  needs("dig", "dig: NAPTR in the holder's order, over UDP and over TCP", async () => {
    for (const more of [[], ["+tcp"]]) {
      const text = await output("dig", [...at, reachableName, "NAPTR", "+short", ...more]);
      expect(lines(text)).to.deep.equal(inOrder);
    }
  });

  needs("dig", "dig: a proven absence is NXDOMAIN with SOA, another type NODATA", async () => {
    const absent = await output("dig", [...at, absentName, "NAPTR"]);
    expect(absent)
      .to.match(/status: NXDOMAIN/)
      .and.match(/AUTHORITY: 1/)
      .and.match(/\bSOA\b/);
    const other = await output("dig", [...at, reachableName, "AAAA"]);
    expect(other)
      .to.match(/status: NOERROR/)
      .and.match(/ANSWER: 0, AUTHORITY: 1/);
  });

  needs("dig", "dig: names outside are refused, with the reason", async () => {
    const text = await output("dig", [...at, "example.org", "A"]);
    expect(text)
      .to.match(/status: REFUSED/)
      .and.match(/EDE: 20 /);
  });

  needs("kdig", "kdig: the same records", async () => {
    const text = await output("kdig", [...at, reachableName, "NAPTR", "+noall", "+answer"]);
    const answers = lines(text);
    expect(answers).to.have.length(2);
    for (const [place, line] of answers.entries()) {
      expect(line.replaceAll(/\s+/g, " ")).to.include(inOrder[place]);
    }
  });

  needs("drill", "drill: the text view", async () => {
    const text = await output("drill", ["-p", String(port), "@127.0.0.1", reachableName, "TXT"]);
    expect(text).to.include("rcode: NOERROR");
    expect(text).to.include('"msp=video.example"').and.include('"msp=wire.example"');
  });

  needs("unbound", "Unbound forwards to it and caches", async () => {
    const directory = await mkdtemp(join(tmpdir(), "whither-unbound-"));
    const [own] = await freePorts(1);
    const config = join(directory, "unbound.conf");
    await writeFile(config, unboundConf({ directory, port: own ?? 0, forward: port }));
    const unbound = spawn("unbound", ["-d", "-d", "-c", config], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    try {
      await started(unbound);
      const ask = (name: string): Promise<string> =>
        output("dig", [
          "-p",
          String(own),
          "@127.0.0.1",
          name,
          "NAPTR",
          "+noall",
          "+answer",
          "+comments",
        ]);
      const first = await ask(reachableName);
      expect(first).to.match(/status: NOERROR/);
      for (const record of inOrder) expect(first.replaceAll(/\s+/g, " ")).to.include(record);
      expect(await ask(absentName)).to.match(/status: NXDOMAIN/);
      await window?.dnsd.stop();
      expect(await ask(reachableName), "from its cache").to.match(/ANSWER: 2/);
    } finally {
      unbound.kill("SIGKILL");
      await once(unbound, "close");
      await rm(directory, { recursive: true, force: true });
    }
  });

  needs("dnsperf", "dnsperf: every query of a second's load is answered", async () => {
    await window?.[Symbol.asyncDispose]();
    window = await DnsWindow.start({ listen: "127.0.0.1:0", uri });
    const directory = await mkdtemp(join(tmpdir(), "whither-dnsperf-"));
    try {
      const queries = join(directory, "queries");
      await writeFile(queries, `${reachableName} NAPTR\n${absentName} NAPTR\n`);
      const text = await output("dnsperf", [
        ...["-s", "127.0.0.1", "-p", String(window.port), "-d", queries],
        ...["-n", "500", "-q", "20", "-t", "5"],
      ]);
      expect(text).to.match(/Queries completed:\s+1000 \(100\.00%\)/);
      expect(text).to.match(/NOERROR 500 \(50\.00%\), NXDOMAIN 500 \(50\.00%\)/);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

function unboundConf(of: {
  readonly directory: string;
  readonly port: number;
  readonly forward: number;
}): string {
  const { directory, port, forward } = of;
  return `server:
  directory: "${directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 1
  interface: 127.0.0.1@${port}
  do-not-query-localhost: no
  do-ip6: no
  module-config: "iterator"
  local-zone: "e164.arpa." nodefault
forward-zone:
  name: "e164.arpa."
  forward-addr: 127.0.0.1@${forward}
remote-control:
  control-enable: no
`;
}

async function started(unbound: ChildProcess): Promise<void> {
  if (unbound.stderr === null) throw new TypeError("unbound without stderr");
  const log: string[] = [];
  for await (const line of createInterface({ input: unbound.stderr })) {
    log.push(line);
    if (line.includes("start of service")) {
      unbound.stderr.resume();
      return;
    }
  }
  throw new Error(`unbound did not start:\n${log.join("\n")}`);
}
