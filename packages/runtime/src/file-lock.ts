// A lock on a file's or directory's name that dies with its process: `kill -9` and power loss leave
// nothing that would have to be cleared by hand. Advisory, for processes of one machine.
//
// Each contender first creates a marker of its own beside the locked path and then lists the markers:
// whoever sees another living one withdraws. The name says who made it (boot, pid, start time of the
// process), and no two processes ever share it, so removing a dead one can never hit a living one —
// the flaw of the usual single pid file. Of two that start at the same instant both may withdraw;
// neither can hold it together with the other.
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DiscoveryError } from "@whither/protocol";
import { errnoOf } from "./files.js";
import { systemRandom } from "./random.js";

export interface FileLock extends AsyncDisposable {
  close(): Promise<void>;
}

interface Holder {
  /** First characters of the kernel's boot id, `0` where there is none. */
  readonly boot: string;
  readonly pid: number;
  /** Start of the process in clock ticks since boot, `0` where the system does not tell. */
  readonly start: string;
}

const separator = ".lock-";
const markerPattern = /^([0-9a-f]{1,8})-([1-9][0-9]{0,9})-([0-9]{1,20})-[0-9a-f]{8}$/;

/**
 * Takes the lock on `path` (which need not exist; its directory must). Throws STORE_LOCKED naming the
 * process that has it, STORE when the directory cannot be written.
 */
export async function lockFile(path: string): Promise<FileLock> {
  const directory = dirname(path);
  const start = `${basename(path)}${separator}`;
  const mine = `${start}${await makeMarker()}`;
  try {
    await writeFile(join(directory, mine), "", { flag: "wx", mode: 0o600 });
    const names = await readdir(directory);
    const others = names.filter((name) => name.startsWith(start) && name !== mine);
    for (const name of others) {
      const pid = await livingHolder(name.slice(start.length));
      if (pid !== undefined) throw lockedError(pid);
      await rm(join(directory, name), { force: true });
    }
  } catch (error) {
    await rm(join(directory, mine), { force: true }).catch(() => undefined);
    if (error instanceof DiscoveryError) throw error;
    const text = `a lock could not be made (${errnoOf(error) ?? "unknown"})`;
    throw new DiscoveryError("STORE", text, { cause: error });
  }
  const close = (): Promise<void> => rm(join(directory, mine), { force: true });
  return { close, [Symbol.asyncDispose]: close };
}

function lockedError(pid: number): DiscoveryError {
  const whose = pid === process.pid ? "by this process" : `by process ${pid}`;
  return new DiscoveryError("STORE_LOCKED", `the files are in use ${whose}`);
}

async function makeMarker(): Promise<string> {
  const suffix = systemRandom.uint32().toString(16).padStart(8, "0");
  return `${await readBoot()}-${process.pid}-${await readStart(process.pid)}-${suffix}`;
}

/** The pid in a marker's name if that very process still runs. A name not of our making counts as dead. */
async function livingHolder(marker: string): Promise<number | undefined> {
  const match = markerPattern.exec(marker);
  if (match === null) return undefined;
  const holder: Holder = { boot: match[1] ?? "", pid: Number(match[2]), start: match[3] ?? "" };
  if (holder.boot !== (await readBoot())) return undefined;
  if (!isRunning(holder.pid)) return undefined;
  // A pid is used again; pid and start time together are not.
  if (holder.start !== (await readStart(holder.pid))) return undefined;
  return holder.pid;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM"; // it runs, under another user
  }
}

async function readBoot(): Promise<string> {
  try {
    return (await readFile("/proc/sys/kernel/random/boot_id", "latin1")).slice(0, 8);
  } catch {
    return "0";
  }
}

async function readStart(pid: number): Promise<string> {
  try {
    // proc(5): field 22 is starttime; field 2 is in parentheses and may itself hold spaces.
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "0";
  } catch {
    return "0";
  }
}
