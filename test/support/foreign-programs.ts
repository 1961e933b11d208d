// Programs that others wrote, as tests meet them: installed or not, run to their end or kept. Where one is
// missing its tests are skipped by name; in CI, which installs them all, they fail.

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface ForeignProgram {
  readonly name: string;
  /** The Debian package it comes with. */
  readonly debianPackage: string;
}

// Daemons stand where an ordinary user's PATH does not look.
const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"];

/** The program's path; undefined where it is not installed. */
export function pathOf({ name }: Pick<ForeignProgram, "name">): string | undefined {
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Whether tests of it run. In CI all are installed: there a missing one fails them instead of skipping them. */
export function isTested(name: string): boolean {
  return process.env["CI"] === "true" || pathOf({ name }) !== undefined;
}

export interface ForeignResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, which the caller's test bounds in time. */
export async function runForeign(
  program: ForeignProgram,
  args: readonly string[],
): Promise<ForeignResult> {
  const path = pathOf(program);
  if (path === undefined) throw new Error(`not installed: ${program.debianPackage}`);
  return await new Promise((resolve, reject) => {
    execFile(path, args, { env: { PATH: folders.join(":"), LC_ALL: "C" } }, (error, out, err) => {
      const status = error === null ? 0 : error.code;
      if (typeof status === "number") resolve({ status, stdout: out, stderr: err });
      else reject(new Error(`${program.name} did not run`, { cause: error }));
    });
  });
}

/** A daemon of somebody else's, ready once a line of its log matches. */
export class ForeignDaemon implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(
    program: ForeignProgram,
    args: readonly string[],
    ready: RegExp,
  ): Promise<ForeignDaemon> {
    const path = pathOf(program);
    if (path === undefined) throw new Error(`not installed: ${program.debianPackage}`);
    const child = spawn(path, args, { stdio: ["ignore", "ignore", "pipe"] });
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      lines.push(line);
      if (!ready.test(line)) continue;
      child.stderr.resume();
      return new ForeignDaemon(child);
    }
    throw new Error(`${program.name} did not start:\n${lines.join("\n")}`);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await closed;
  }
}
