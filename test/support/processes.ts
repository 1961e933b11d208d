// Real processes for e2e tests and the demo: run a command to its end, or keep a daemon and read its log.

import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Built entry points. `npm run build` makes them. */
export const programs = {
  whither: join(root, "packages/cli/dist/bin/whither.js"),
  whitherctl: join(root, "packages/cli/dist/bin/whitherctl.js"),
  "whither-rootd": join(root, "packages/rootd/dist/main.js"),
  "whither-dpd": join(root, "packages/dpd/dist/main.js"),
  "whither-dnsd": join(root, "packages/dnsd/dist/main.js"),
} as const;
export type ProgramName = keyof typeof programs;

export const projectRoot = root;

export interface Finished {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs a program to its end. Never rejects for an exit status: tests look at it. */
export async function run(
  program: ProgramName,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const child = spawn(process.execPath, [programs[program], ...args], {
    cwd: options.cwd ?? root,
    env: { ...cleanEnvironment(), ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout.on("data", (chunk: Buffer) => chunks.stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.stderr.push(chunk));
  child.stdin.on("error", () => undefined); // a program that does not read its input may close it
  child.stdin.end(options.stdin ?? "");
  await once(child, "close");
  return {
    status: child.exitCode,
    signal: child.signalCode,
    stdout: Buffer.concat(chunks.stdout).toString("utf8"),
    stderr: Buffer.concat(chunks.stderr).toString("utf8"),
  };
}

/** Runs a program that has to succeed and returns what it printed. */
export async function runOk(
  program: ProgramName,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const done = await run(program, args, options);
  if (done.status !== 0) {
    throw new Error(`${program} ${args.join(" ")}: exit ${String(done.status)}\n${done.stderr}`);
  }
  return done.stdout;
}

interface WhitherctlModule {
  runWhitherctl(run: {
    readonly args: readonly string[];
    readonly terminal: object;
  }): Promise<number>;
}

/** As `run`, without a process: starting Node takes longer than most commands. */
export async function whitherctlHere(
  args: readonly string[],
  { stdin = "" }: Pick<RunOptions, "stdin"> = {},
): Promise<Pick<Finished, "status" | "stderr" | "stdout">> {
  const path = join(root, "packages/cli/dist/ctl/program.js");
  const module = (await import(pathToFileURL(path).href)) as WhitherctlModule; // built by `npm run build`
  let stdout = "";
  let stderr = "";
  const terminal = {
    stdin: Readable.from([stdin]),
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    env: process.env,
    cwd: root,
    signal: new AbortController().signal,
  };
  const status = await module.runWhitherctl({ args, terminal });
  return { status, stdout, stderr };
}

/**
 * The built whitherctl without a process of its own: making a federation takes forty commands, and starting
 * Node forty times would take longer than all tests. Returns what it printed; throws if it fails.
 */
export async function whitherctlInProcess(args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await whitherctlHere(args);
  if (status !== 0)
    throw new Error(`whitherctl ${args.join(" ")}: exit ${String(status)}\n${stderr}`);
  return stdout;
}

// Test runners put their own loaders into NODE_OPTIONS; the programs under test run plain.
function cleanEnvironment(): Record<string, string | undefined> {
  return { ...process.env, NODE_OPTIONS: "", WHITHER_CONFIG: "", NO_COLOR: "1" };
}

export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A daemon in its own process. Its log lines are kept, so that a test can say what it looked for. */
export class Daemon implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: LogLine[] = [];
  readonly #raw: string[] = [];
  readonly #waiters = new Set<() => void>();
  readonly #closed: Promise<void>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#closed = once(child, "close").then(() => this.#wake());
    const stderr = child.stderr;
    if (stderr === null) throw new TypeError("daemon without stderr");
    createInterface({ input: stderr }).on("line", (line) => this.#take(line));
  }

  /** Starts a daemon and waits for its `listening` line. */
  static async start(program: ProgramName, args: readonly string[]): Promise<Daemon> {
    const daemon = Daemon.spawn(program, args);
    await daemon.waitFor("listening");
    return daemon;
  }

  /** Starts a daemon without waiting. */
  static spawn(program: ProgramName, args: readonly string[]): Daemon {
    const child = spawn(process.execPath, [programs[program], ...args], {
      cwd: root,
      env: cleanEnvironment(),
      stdio: ["ignore", "ignore", "pipe"],
    });
    return new Daemon(child);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get log(): readonly LogLine[] {
    return this.#lines;
  }

  /** Everything it wrote to stderr. */
  get stderr(): string {
    return this.#raw.join("\n");
  }

  get exited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** The first line with this event at or after `from`, waiting for it. Rejects if the daemon ends first. */
  async waitFor(event: string, from = 0): Promise<LogLine> {
    for (;;) {
      const found = this.#lines.slice(from).find((line) => line.event === event);
      if (found !== undefined) return found;
      if (this.exited) throw new Error(`daemon ended before "${event}":\n${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve);
      });
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, or another signal, and the end of the process. */
  /** Until it ends by itself. */
  async ended(): Promise<void> {
    await this.#closed;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (!this.exited) this.#child.kill(signal);
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }

  #take(line: string): void {
    this.#raw.push(line);
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value === "object" && value !== null && "event" in value) {
        this.#lines.push(value as LogLine); // the log's own format: an event and fields
      }
    } catch {
      // a start failure is plain text
    }
    this.#wake();
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }
}

/**
 * Ports that are free now. The directory has to name them before the daemons bind them, so they are taken
 * from below the range that the kernel gives to outgoing connections.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries += 1) {
    if (tries > 1_000) throw new Error("no free ports");
    const port = 20_000 + randomInt(12_000);
    if (!ports.includes(port) && (await canListen(port))) ports.push(port);
  }
  return ports;
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
