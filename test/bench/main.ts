// npm run bench [NAME …] [--quick]: each benchmark against its ceiling of the same run. Fails for no
// figure: only for names it does not know and for programs that break. How to read it: docs/bench.md.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { benchBytes } from "./bench-bytes.js";
import { benchDns } from "./bench-dns.js";
import { benchDpCpu } from "./bench-dp-cpu.js";
import { benchEpoch } from "./bench-epoch.js";
import { benchKnown } from "./bench-known.js";
import { benchMemory } from "./bench-memory.js";
import { benchNew } from "./bench-new.js";
import { benchScale } from "./bench-scale.js";
import { benchStart } from "./bench-start.js";
import { benchVerify } from "./bench-verify.js";
import { benchWarm } from "./bench-warm.js";
import { commit, isReached, machine, printReport, ratioLine, writeResults } from "./report.js";
import type { BenchReport } from "./report.js";

export interface BenchOptions {
  /** Smaller sizes, one round. */
  readonly quick: boolean;
}

const benches: Readonly<Record<string, (options: BenchOptions) => Promise<BenchReport>>> = {
  warm: benchWarm,
  known: benchKnown,
  new: benchNew,
  "dp-cpu": benchDpCpu,
  verify: benchVerify,
  epoch: benchEpoch,
  scale: benchScale,
  bytes: benchBytes,
  memory: benchMemory,
  start: benchStart,
  dns: benchDns,
};

const onlyArgument = "--only";

async function main(args: readonly string[]): Promise<number> {
  const quick = args.includes("--quick");
  const names = args.filter((arg) => arg !== "--quick");
  const unknown = names.find((name) => !(name in benches));
  if (unknown !== undefined) {
    console.error(`error: no benchmark ${unknown}: expected ${Object.keys(benches).join(" ")}`);
    console.error("hint: npm run bench -- [NAME …] [--quick]");
    return 2;
  }
  const root = new URL("../../", import.meta.url);
  console.log(`whither bench · ${machine()} · commit ${commit(root)}`);
  if (quick) console.log("quick: smaller sizes, one round; figures show that it runs, no more");
  const reports: BenchReport[] = [];
  for (const name of Object.keys(benches)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const report = await inOwnProcess(name, quick);
    printReport(report);
    reports.push(report);
  }
  printSummary(reports);
  console.log(`\nresults in ${writeResults(root, { quick, reports })}`);
  return 0;
}

/** A heap that another benchmark has filled would slow this one down. */
async function inOwnProcess(name: string, quick: boolean): Promise<BenchReport> {
  const args = [onlyArgument, name, ...(quick ? ["--quick"] : [])];
  const child = fork(fileURLToPath(import.meta.url), args, { execArgv: process.execArgv });
  let report: BenchReport | undefined;
  child.on("message", (message: BenchReport) => {
    report = message;
  });
  const [status] = (await once(child, "exit")) as [number | null]; // what Node gives to "exit"
  if (report === undefined) throw new Error(`${name} ended with status ${status ?? "of a signal"}`);
  return report;
}

async function only(name: string, quick: boolean): Promise<number> {
  const bench = benches[name];
  if (bench === undefined) return 2;
  const report = await bench({ quick });
  await new Promise((resolve) => process.send?.(report, resolve));
  process.disconnect();
  return 0;
}

function printSummary(reports: readonly BenchReport[]): void {
  const ratios = reports.flatMap(({ name, ratios }) => ratios.map((ratio) => ({ name, ratio })));
  const reached = ratios.filter(({ ratio }) => isReached(ratio)).length;
  console.log(`\n## summary: ${reached} of ${ratios.length} reached`);
  for (const { name, ratio } of ratios) console.log(`${name.padEnd(7)} ${ratioLine(ratio)}`);
}

const [first, second, ...rest] = process.argv.slice(2);
process.exitCode =
  first === onlyArgument && second !== undefined
    ? await only(second, rest.includes("--quick"))
    : await main(process.argv.slice(2));
