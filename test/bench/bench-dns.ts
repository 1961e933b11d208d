// `dns`: cached names of whither-dnsd over UDP, asked by dnsperf, against a Node dgram server that patches the
// id into a cached response, and beside the name servers that are installed.

import { fork, spawn, type ChildProcess } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseCsi } from "@whither/protocol";
import { encode, decode } from "dns-packet";
import { pathOf, runForeign, type ForeignProgram } from "../support/foreign-programs.js";
import { freePorts } from "../support/processes.js";
import { recipes, startServer, type ServerRecipe } from "./dns-servers.js";
import { host, openFederation } from "./federation.js";
import { interleave, peakMemoryMib, type Measured, type Side, type Spread } from "./measure.js";
import { ratioOf, type BenchReport } from "./report.js";
import type { BenchOptions } from "./main.js";

const suffix = "e164.arpa";
const names = 200;
const dnsperf: ForeignProgram = { name: "dnsperf", debianPackage: "dnsperf" };
const answerTimeoutMs = 10_000;

export async function benchDns({ quick }: BenchOptions): Promise<BenchReport> {
  if (pathOf(dnsperf) === undefined) return notMeasured;
  const seconds = quick ? 1 : 3;
  const csis = Array.from({ length: names }, (_, n) => parseCsi(`+1415555${2000 + n}`));
  const owners = csis.map((csi) => enumName(csi.slice("tel:+".length)));
  await using federation = await openFederation({ slots: 600, csis, bodies: true });
  await using dnsd = await startDnsd(federation.directory);
  const responses = await askEach(dnsd.port, owners);
  await using ceiling = await startCeiling(responses);
  const queryFile = join(federation.directory, "queries.txt");
  writeFileSync(queryFile, owners.map((owner) => `${owner} NAPTR\n`).join(""));
  const sideOf = (name: string, { port, pid }: Served): Side => ({
    name,
    serverPid: pid,
    run: () => load({ port, queryFile, seconds }),
  });
  const sides = [sideOf("whither-dnsd", dnsd), sideOf("Node dgram", ceiling)];
  await using others = new AsyncDisposableList();
  const zoneFile = join(federation.directory, "e164.zone");
  writeFileSync(zoneFile, zoneText(owners, responses));
  const installed: ServerRecipe[] = [];
  for (const recipe of recipes) {
    const [port = 0] = await freePorts(1);
    const of = { directory: federation.directory, suffix, zoneFile, port };
    const server = await startServer(recipe, of);
    if (server === undefined) continue;
    others.add(server);
    installed.push(recipe);
    sides.push(sideOf(recipe.title, { port, pid: server.pid }));
  }
  const [ours, bare, ...rest] = await interleave(sides, { rounds: quick ? 1 : 5 });
  if (ours === undefined || bare === undefined) throw new TypeError("bench: two sides at least");
  const pair = { ours, direction: "at least" as const };
  return {
    name: "dns",
    title,
    layout: "dnsperf one thread, each server one thread of its own; one at a time",
    parameters: { names, "seconds a round": seconds, outstanding: 200 },
    sides: [ours, bare, ...rest],
    ratios: [
      ratioOf({ ...pair, name: "rate to Node dgram", ceiling: bare, target: 0.9 }),
      ...rest.flatMap((ceiling, place) => {
        const recipe = installed[place];
        if (recipe === undefined) return [];
        const { title: other, target } = recipe;
        return [
          ratioOf({ ...pair, name: `per server core to ${other}`, ceiling, target }, perCore),
        ];
      }),
    ],
    peakMib: { dnsd: peakMemoryMib(dnsd.pid), bench: peakMemoryMib() },
    notes: recipes
      .filter((recipe) => !installed.includes(recipe))
      .map(({ title: other }) => `${other} is not installed`),
  };
}

const title = "cached names over UDP, asked by dnsperf, against a bare Node dgram server";
const notMeasured: BenchReport = {
  name: "dns",
  title,
  layout: "none",
  parameters: {},
  sides: [],
  ratios: [],
  peakMib: {},
  notes: ["not measured: dnsperf is not installed"],
};

/** Answers for each second of the server's CPU. */
function perCore({ serverCpuUs, rate }: Measured): Spread {
  if (serverCpuUs === undefined) return rate;
  const { median, min, max } = serverCpuUs;
  return { median: 1e6 / median, min: 1e6 / max, max: 1e6 / min };
}

async function load(of: {
  readonly port: number;
  readonly queryFile: string;
  readonly seconds: number;
}): Promise<{ readonly operations: number; readonly seconds: number }> {
  const { stdout } = await runForeign(dnsperf, [
    ...["-s", host, "-p", String(of.port), "-d", of.queryFile, "-l", String(of.seconds)],
    ...["-c", "8", "-T", "1", "-q", "200", "-t", "1"],
  ]);
  const completed = Number(/Queries completed:\s+(\d+)/.exec(stdout)?.[1]);
  const lost = Number(/Queries lost:\s+(\d+)/.exec(stdout)?.[1]);
  const isRight = /Response codes:\s+NOERROR \d+ \(100\.00%\)/.test(stdout);
  if (!isRight || lost > completed / 100) throw new Error(`dnsperf:\n${stdout}`);
  // Its own run time also counts the wait for what was lost.
  return { operations: completed, seconds: of.seconds };
}

interface Served {
  readonly port: number;
  readonly pid: number;
}

class AsyncDisposableList implements AsyncDisposable {
  readonly #owned: AsyncDisposable[] = [];
  add(one: AsyncDisposable): void {
    this.#owned.push(one);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#owned.map((one) => one[Symbol.asyncDispose]()));
  }
}

function ownedProcess(child: ChildProcess, port: number): Served & AsyncDisposable {
  return {
    port,
    pid: child.pid ?? -1,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

async function startDnsd(directory: string): Promise<Served & AsyncDisposable> {
  const config = join(directory, "dnsd.yaml");
  const plenty = 1_000_000_000;
  writeFileSync(
    config,
    `listen: ${host}:0
directory: { anchors_file: anchors.json, file: root.directory }
identity: { certificate_file: client.crt, key_file: client.key }
limits:
  queries_per_second: ${plenty}
  queries_burst: ${plenty}
  lookups_per_second: ${plenty}
  lookups_burst: ${plenty}
`,
  );
  const main = fileURLToPath(new URL("../../packages/dnsd/dist/main.js", import.meta.url));
  const child = spawn(process.execPath, [main, "--config", config], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const log: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    log.push(line);
    const port = /"listening".*"port":(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    child.stderr.resume();
    return ownedProcess(child, Number(port));
  }
  throw new Error(`whither-dnsd did not start:\n${log.join("\n")}`);
}

async function startCeiling(responses: readonly Buffer[]): Promise<Served & AsyncDisposable> {
  const child = fork(fileURLToPath(new URL("dgram-ceiling.ts", import.meta.url)));
  child.send(responses.map((response) => response.toString("base64")));
  const [port] = (await once(child, "message")) as [number]; // what it sends
  return ownedProcess(child, port);
}

/** One after another, so that each is looked up and cached; the responses are those without EDNS. */
async function askEach(port: number, owners: readonly string[]): Promise<readonly Buffer[]> {
  const socket = createSocket("udp4");
  const responses: Buffer[] = [];
  for (const name of owners) {
    const signal = AbortSignal.timeout(answerTimeoutMs);
    const answered = once(socket, "message", { signal });
    socket.send(encode({ id: 1, type: "query", questions: [{ type: "NAPTR", name }] }), port, host);
    const [response] = (await answered) as [Buffer]; // a datagram
    if (decode(response).answers?.length === 0) throw new Error("bench: a name without records");
    responses.push(response);
  }
  socket.close();
  return responses;
}

function zoneText(owners: readonly string[], responses: readonly Buffer[]): string {
  const records = responses.flatMap((response, place) =>
    (decode(response).answers ?? []).flatMap((answer) => {
      if (answer.type !== "NAPTR") return [];
      const { order, preference, flags, services, regexp } = answer.data;
      const text = `${order} ${preference} "${flags}" "${services}" "${regexp}" .`;
      return [`${owners[place] ?? ""}. 3600 IN NAPTR ${text}`];
    }),
  );
  const soa = `${suffix}. 3600 IN SOA ns.invalid. nobody.invalid. 1 3600 600 604800 3600`;
  return [soa, `${suffix}. 3600 IN NS ns.invalid.`, ...records, ""].join("\n");
}

function enumName(digits: string): string {
  return `${Array.from(digits).toReversed().join(".")}.${suffix}`;
}
