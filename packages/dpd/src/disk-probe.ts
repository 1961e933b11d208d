// Whether a disk that refused a write takes some again.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "@whither/runtime";

/** As much as a store writes until its next file. */
const probeBytes = 4 * 1024 * 1024;

/** Writes a file in the directory, fsynced, and takes it away again. */
export async function takesWrites(directory: string): Promise<boolean> {
  const path = join(directory, "probe");
  try {
    await replaceFile(path, new Uint8Array(probeBytes), { mode: 0o600 });
    return true;
  } catch {
    return false; // full, read-only or gone: looked at again later
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}
