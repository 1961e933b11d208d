// Measures two sides against each other: our code and what bounds it, in turns A B A B, so that a noisy
// machine disturbs both alike. Ratios of medians are the result; everything else is context.

import { readFileSync } from "node:fs";

/** What one round of one side did. */
export interface Work {
  /** Operations done, whatever the benchmark counts. */
  readonly operations: number;
  /** Wall time, if the side measures it itself, because preparation does not count. */
  readonly seconds?: number;
  /** CPU of this process over the same part, if the side measures it itself. */
  readonly cpuSeconds?: number;
}

export interface Side {
  readonly name: string;
  readonly run: (round: number) => Work | Promise<Work>;
  /** Process that serves this side, if another one does. */
  readonly serverPid?: number | undefined;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Measured {
  readonly name: string;
  /** Operations a second. */
  readonly rate: Spread;
  /** Microseconds of CPU an operation, in this process and in the one that serves. */
  readonly clientCpuUs: Spread;
  readonly serverCpuUs: Spread | undefined;
}

export interface Rounds {
  /** Counted rounds; one more before them warms up. */
  readonly rounds: number;
}

interface Sample {
  readonly rate: number;
  readonly clientCpuUs: number;
  readonly serverCpuUs: number | undefined;
}

/** Runs the sides in turns; the first round of each warms up and is not counted. */
export async function interleave(
  sides: readonly Side[],
  { rounds }: Rounds,
): Promise<readonly Measured[]> {
  const samples = sides.map((): Sample[] => []);
  for (let round = 0; round <= rounds; round += 1) {
    for (const [at, side] of sides.entries()) {
      const sample = await sampleOf(side, round);
      if (round > 0) samples[at]?.push(sample);
    }
  }
  return sides.map(({ name, serverPid }, at): Measured => {
    const own = samples[at] ?? [];
    return {
      name,
      rate: spreadOf(own.map(({ rate }) => rate)),
      clientCpuUs: spreadOf(own.map(({ clientCpuUs }) => clientCpuUs)),
      serverCpuUs:
        serverPid === undefined
          ? undefined
          : spreadOf(own.map(({ serverCpuUs }) => serverCpuUs ?? Number.NaN)),
    };
  });
}

async function sampleOf(side: Side, round: number): Promise<Sample> {
  const server = side.serverPid;
  const serverBefore = server === undefined ? undefined : cpuSecondsOf(server);
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  const work = await side.run(round);
  const seconds = work.seconds ?? (performance.now() - startMs) / 1e3;
  const used = process.cpuUsage(cpuBefore);
  const cpuSeconds = work.cpuSeconds ?? (used.user + used.system) / 1e6;
  const serverAfter = server === undefined ? undefined : cpuSecondsOf(server);
  return {
    rate: work.operations / seconds,
    clientCpuUs: (cpuSeconds * 1e6) / work.operations,
    serverCpuUs:
      serverBefore === undefined || serverAfter === undefined
        ? undefined
        : ((serverAfter - serverBefore) * 1e6) / work.operations,
  };
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  const lower = sorted.length % 2 === 0 ? (sorted[middle - 1] ?? upper) : upper;
  return {
    median: (lower + upper) / 2,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  };
}

const ticksPerSecond = 100; // USER_HZ, which Linux shows to programs whatever the kernel's own is

/** CPU a process, its threads and its children have used; undefined where the system does not tell (no /proc). */
export function cpuSecondsOf(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const own = (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    const pids = children === "" ? [] : children.split(" ").map(Number);
    return pids.reduce((sum, child) => sum + (cpuSecondsOf(child) ?? 0), own);
  } catch {
    return undefined;
  }
}

/** Most memory a process ever had, MiB; undefined where the system does not tell. */
export function peakMemoryMib(pid: number = process.pid): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) / 1024;
  } catch {
    return pid === process.pid ? process.resourceUsage().maxRSS / 1024 : undefined;
  }
}
