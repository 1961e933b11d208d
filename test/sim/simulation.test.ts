// Seeded failures for thousands of virtual hours, in two processes: no wrong answer, no promise broken, no
// serial that goes back, no head forked, well again without a hand. A failure prints its seed;
// `WHITHER_SIM_SEED=<seed> npm test -- test/sim/simulation.test.ts` runs exactly that one again.
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { formatReports, type SimulationReport } from "./report.js";
import { simulate } from "./world.js";

/** Virtual hours of a whole run; `WHITHER_SIM_HOURS` sets another. */
const hoursDefault = 10_000;
/** Virtual hours of one seed: ten days, in which credentials and keys of the fixtures stay valid. */
const hoursPerSeed = 250;
const processes = 2;
const firstSeed = 1;
/**
 * One core each: collecting garbage seldom and without help threads takes a fifth less of its time. Errors are part of
 * every hour, and nobody looks at their stacks but where one ends the run.
 */
const lean = ["--max-semi-space-size=64", "--single-threaded-gc", "--stack-trace-limit=5"];

type Answer =
  | { readonly report: SimulationReport }
  | { readonly seed: number; readonly error: string }
  | "ready";

/** Simulates seeds from a shared list until it is empty. */
async function simulateElsewhere(seeds: number[], hours: number): Promise<SimulationReport[]> {
  const reports: SimulationReport[] = [];
  const child: ChildProcess = fork(fileURLToPath(new URL("worker.ts", import.meta.url)), {
    // Sources or, without that condition, what was built of them: as this process.
    execArgv: [...process.execArgv, ...lean],
  });
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => reject(new Error("a simulating process ended")));
    child.on("message", (answer: Answer) => {
      if (answer !== "ready") {
        if ("error" in answer) reject(new Error(`seed ${answer.seed}: ${answer.error}`));
        else reports.push(answer.report);
      }
      const seed = seeds.shift();
      if (seed === undefined) resolve();
      else child.send({ seed, hours });
    });
  }).finally(() => child.kill());
  return reports;
}

describe("a federation under failures", function () {
  this.timeout(1_800_000);
  const wantedSeed = process.env["WHITHER_SIM_SEED"];

  it("is the same again for the same seed", async () => {
    const [one, again] = [
      await simulate({ seed: 7, hours: 30 }),
      await simulate({ seed: 7, hours: 30 }),
    ];
    expect(again.trace).to.equal(one.trace);
    expect((await simulate({ seed: 8, hours: 30 })).trace).to.not.equal(one.trace);
  });

  it("breaks no promise, gives no wrong answer and recovers without a hand", async () => {
    const hours = Number(process.env["WHITHER_SIM_HOURS"] ?? hoursDefault);
    const seeds =
      wantedSeed === undefined
        ? Array.from({ length: Math.ceil(hours / hoursPerSeed) }, (_, n) => firstSeed + n)
        : [Number(wantedSeed)];
    const startMs = performance.now();
    const reports = (
      await Promise.all(
        Array.from({ length: Math.min(processes, seeds.length) }, () =>
          simulateElsewhere(seeds, hoursPerSeed),
        ),
      )
    ).flat();
    reports.sort((a, b) => a.seed - b.seed);
    process.stdout.write(`${formatReports(reports, (performance.now() - startMs) / 1_000)}\n`);
    const failures = reports.flatMap(({ failure, seed }) =>
      failure === undefined
        ? []
        : [`${failure}\nWHITHER_SIM_SEED=${seed} npm test -- test/sim/simulation.test.ts`],
    );
    expect(failures.join("\n\n")).to.equal("");
  });
});
