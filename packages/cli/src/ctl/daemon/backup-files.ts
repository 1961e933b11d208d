// The files of backup and restore. A backup is kept once its digest is proved; a restored zone gets its place
// once everything in it is. Until then nothing that was there is touched.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { passBackup, restoreZone, type RestoredZone } from "@whither/authority";
import { DiscoveryError, type ZoneName } from "@whither/protocol";
import {
  createScope,
  errnoOf,
  makeStateDirectory,
  pathExists,
  placeDirectory,
  replaceFile,
  systemClock as clock,
} from "@whither/runtime";
import { openLevelStore } from "@whither/store";

/** Writes a backup as it comes. Throws STORE_CORRUPT unless it came whole; the old file then stays. */
export async function keepBackup(
  path: string,
  parts: AsyncIterable<{ readonly part: Uint8Array }>,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const digest = createHash("sha256");
  let bytes = 0;
  async function* received(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const { part } of parts) {
      digest.update(part);
      bytes += part.length;
      yield part;
    }
  }
  await replaceFile(path, passBackup(received()), { mode: 0o600 });
  return { bytes, sha256: digest.digest("hex") };
}

/**
 * Restores a zone into a state directory that has none of that name. Throws CONFIG where it has, STORE_CORRUPT where
 * the backup does not prove itself.
 */
export async function restoreBackup(
  file: string,
  to: { readonly directory: string; readonly epoch: number | undefined },
): Promise<RestoredZone> {
  const zones = join(to.directory, "zones");
  let made: string | undefined;
  const scope = createScope();
  const open = async (zone: ZoneName) => {
    // A zone that serves, or that was only moved aside in part, must not be mixed with this one.
    if (await pathExists(join(zones, zone))) throw taken(join(zones, zone));
    await makeStateDirectory(zones);
    const directory = await mkdtemp(join(zones, `.${zone}.restoring-`));
    made = directory;
    const openStore = async (name: string) =>
      scope.use(await openLevelStore({ path: join(directory, name) }));
    return { store: await openStore("store"), openVault: () => openStore("vault") };
  };
  try {
    const restored = await restoreZone({ source: readPieces(file), open, clock, epoch: to.epoch });
    await scope.close();
    if (made !== undefined) await placeDirectory(made, join(zones, restored.zone));
    return restored;
  } finally {
    await scope.close();
    if (made !== undefined) await rm(made, { recursive: true, force: true });
  }
}

async function* readPieces(file: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* createReadStream(file) as AsyncIterable<Uint8Array>; // no encoding is set: Buffers
  } catch (cause) {
    if (cause instanceof DiscoveryError) throw cause;
    const why = new Error(`${file} cannot be read (${errnoOf(cause) ?? "unknown"})`, { cause });
    throw new DiscoveryError("CONFIG", "the backup cannot be read", { cause: why });
  }
}

function taken(path: string): DiscoveryError {
  const why = new Error(`${path} exists: stop the zone, move it away, then restore`);
  return new DiscoveryError("CONFIG", "the zone is there already", { cause: why });
}
