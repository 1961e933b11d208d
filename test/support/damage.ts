// What happens to files on a disk that fails: bits that flip, ends that are missing, files that are empty. Drawn from a
// seed, so that a failure can be made again.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { randomBelow, type Random } from "@whither/runtime";

export interface Damage {
  /** `flip bit 3 of octet 1042 of 5301`, for people. */
  readonly text: string;
  readonly apply: (octets: Buffer) => Buffer;
}

/** One of each kind, for a file of so many octets. */
export function damagesOf(random: Random, length: number): readonly Damage[] {
  const flipped = randomBelow(random, Math.max(1, length));
  const bit = randomBelow(random, 8);
  const kept = randomBelow(random, Math.max(1, length));
  return [
    {
      text: `bit ${bit} of octet ${flipped} of ${length} flipped`,
      apply: (octets) => {
        const copy = Buffer.from(octets);
        if (copy.length > 0) copy[flipped] = (copy[flipped] ?? 0) ^ (1 << bit);
        return copy;
      },
    },
    {
      text: `cut after ${kept} of ${length} octets`,
      apply: (octets) => octets.subarray(0, kept),
    },
    { text: `last octet of ${length} missing`, apply: (octets) => octets.subarray(0, -1) },
    { text: "empty", apply: () => Buffer.alloc(0) },
  ];
}

export async function damageFile(path: string, damage: Damage): Promise<void> {
  await writeFile(path, damage.apply(await readFile(path)));
}

/** Files below a folder that hold something, by their path from there; LevelDB's own logs and locks do not. */
export async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !/^(LOCK|LOG|LOG\.old|HOLDER)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
