// Files that must be whole or secret: atomic replacement (write, fsync, rename, fsync of the directory)
// and private files whose mode is checked. Not a database; see the store package.
import { constants } from "node:fs";
import { lstat, mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DiscoveryError } from "@whither/protocol";
import { systemRandom } from "./random.js";

/** Bytes of a key file; the largest, a PEM bundle, has a few thousand. */
const secretBytesMax = 64 * 1024;

export interface ReplaceFileOptions {
  /** Mode of the new file, 0o644 unless told. */
  readonly mode?: number;
}

/**
 * Puts `bytes` at `path` so that a reader, and the disk after a crash, sees the old file or the new one
 * and nothing between. Resolves once both file and directory entry are fsynced. Throws STORE, and what
 * a stream of bytes throws: the old file then stays.
 */
export async function replaceFile(
  path: string,
  bytes: FileBytes,
  options: ReplaceFileOptions = {},
): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${process.pid}.${randomSuffix()}.tmp`);
  try {
    await writeNew({ path: temporary, bytes, mode: options.mode ?? 0o644 });
    await rename(temporary, path);
    await syncDirectory(directory);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (error instanceof DiscoveryError) throw error;
    throw new DiscoveryError("STORE", "a file could not be replaced", { cause: error });
  }
}

/** A file's whole content, or the stream of it. */
type FileBytes = Uint8Array | string | AsyncIterable<Uint8Array>;

/**
 * Gives a directory that was made ready elsewhere on the same disk its place; both the move and what was written
 * before are then on disk. Throws CONFIG naming the place if something is there.
 */
export async function placeDirectory(from: string, to: string): Promise<void> {
  try {
    await syncDirectory(from);
    await rename(from, to);
    await syncDirectory(dirname(to));
  } catch (error) {
    const isTaken = ["EEXIST", "ENOTDIR", "ENOTEMPTY"].includes(errnoOf(error) ?? "");
    throw fileError(to, isTaken ? "exists already" : "cannot be made", error);
  }
}

/** Moves a directory on the same disk; what lies at the new place goes, and one that is not there is no failure. */
export async function moveDirectory(from: string, to: string): Promise<void> {
  try {
    if (!(await pathExists(from))) return;
    await rm(to, { recursive: true, force: true });
    await rename(from, to);
    await syncDirectory(dirname(to));
  } catch (error) {
    throw fileError(to, "cannot be moved there", error);
  }
}

export interface ReadFileOptions {
  /** Largest size accepted, in bytes. */
  readonly bytesMax: number;
}

/** Reads a regular file of at most `bytesMax` bytes. Throws CONFIG naming the path. */
export async function readFileBounded(path: string, options: ReadFileOptions): Promise<Uint8Array> {
  return await readChecked({ path, bytesMax: options.bytesMax, secret: false });
}

/**
 * Reads a private key, scalar or token file of at most 64 KiB. Refuses, with CONFIG and the command
 * that mends it, a file that group or others may read or write.
 */
export async function readSecretFile(path: string): Promise<Uint8Array> {
  return await readChecked({ path, bytesMax: secretBytesMax, secret: true });
}

export interface WriteSecretFileOptions {
  /** Replaces an existing file atomically; otherwise an existing file is an error. */
  readonly replace?: boolean;
}

/** Writes a file that only its owner may read (0600), fsynced. Throws CONFIG if it exists. */
export async function writeSecretFile(
  path: string,
  bytes: Uint8Array | string,
  options: WriteSecretFileOptions = {},
): Promise<void> {
  if (options.replace === true) {
    await replaceFile(path, bytes, { mode: 0o600 });
    return;
  }
  try {
    await writeNew({ path, bytes, mode: 0o600 });
    await syncDirectory(dirname(path));
  } catch (error) {
    if (errnoOf(error) === "EEXIST") throw fileError(path, "exists already", error);
    throw fileError(path, `cannot be written (${errnoOf(error) ?? "unknown"})`, error);
  }
}

/** Makes a directory for state, with its parents, for the owner only (0700) where it is new. */
export async function makeStateDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw fileError(path, `cannot be made (${errnoOf(error) ?? "unknown"})`, error);
  }
}

/** `ENOENT` and the like, of an error that a file operation threw. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return error.code;
  }
  return undefined;
}

async function readChecked(options: {
  readonly path: string;
  readonly bytesMax: number;
  readonly secret: boolean;
}): Promise<Uint8Array> {
  const { path, bytesMax, secret } = options;
  try {
    // O_NONBLOCK: opening a named pipe put in the file's place must not hang the daemon.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw fileError(path, "is not a regular file");
      if (stat.size > bytesMax) {
        throw fileError(path, `has ${stat.size} bytes, at most ${bytesMax} are accepted`);
      }
      if (secret) checkSecretMode({ path, mode: stat.mode });
      const bytes = new Uint8Array(await file.readFile());
      if (bytes.length > bytesMax) throw fileError(path, "grew while it was read");
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof DiscoveryError) throw error;
    throw fileError(path, `cannot be read (${errnoOf(error) ?? "unknown"})`, error);
  }
}

function checkSecretMode(options: { readonly path: string; readonly mode: number }): void {
  // Windows has no such bits and reports 0666 for everything.
  if (process.platform === "win32" || (options.mode & 0o077) === 0) return;
  const mode = (options.mode & 0o777).toString(8).padStart(4, "0");
  throw fileError(options.path, `is open to others (mode ${mode}): chmod 600 ${options.path}`);
}

/**
 * CONFIG whose text is short enough to travel and whose cause names the path: an operator needs it,
 * a remote peer must not see it.
 */
function fileError(path: string, problem: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError("CONFIG", "a file is missing, unreadable or unfit", {
    cause: new Error(`${path} ${problem}`, cause === undefined ? {} : { cause }),
  });
}

async function writeNew(options: {
  readonly path: string;
  readonly bytes: FileBytes;
  readonly mode: number;
}): Promise<void> {
  const file = await open(options.path, "wx", options.mode);
  try {
    await writeAll(file, options.bytes);
    // The umask may only have taken bits away; a secret file keeps exactly its mode.
    await file.chmod(options.mode);
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(options.path, { force: true });
    throw error;
  }
  await file.close();
}

async function writeAll(file: FileHandle, bytes: FileBytes): Promise<void> {
  if (typeof bytes === "string" || bytes instanceof Uint8Array) return file.writeFile(bytes);
  // Each goes on where the last one ended.
  for await (const part of bytes) await file.writeFile(part);
}

async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return; // directories cannot be opened there
  const directory = await open(path, constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Whether something, a dangling link included, is at `path`. */
export async function pathExists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}

function randomSuffix(): string {
  return systemRandom.uint32().toString(16).padStart(8, "0");
}
