// One atomically replaced file of state (protocol.md section 11): written a moment after a change
// and at close, under a lock and merged with what another process wrote meanwhile.

import { isDiscoveryError } from "@whither/protocol";
import type { Clock, Scheduled } from "./clock.js";
import { lockFile } from "./file-lock.js";
import { pathExists, readFileBounded, replaceFile } from "./files.js";
import { randomBelow, systemRandom } from "./random.js";

export interface StateFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** The content to write, given what stands in the file now (undefined: no file). */
  readonly merge: (onDisk: string | undefined) => string;
}

const bytesMax = 64 * 1024 * 1024;
const writeDelayMs = 1_000;
const lockTries = 40;
const lockRetryMs = 50;

/** Text of a state file; undefined if there is none. Throws CONFIG if it cannot be read. */
export async function readStateFile(path: string): Promise<string | undefined> {
  if (!(await pathExists(path))) return undefined;
  return new TextDecoder().decode(await readFileBounded(path, { bytesMax }));
}

export class StateFile {
  readonly #options: StateFileOptions;
  #timer: Scheduled | undefined;
  #dirty = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: StateFileOptions) {
    this.#options = options;
  }

  /** Something changed: write soon. */
  touch(): void {
    this.#dirty = true;
    this.#timer ??= this.#options.clock.schedule(writeDelayMs, () => {
      // A failed write stays dirty: the next change or `flush` tries again, and `flush` reports it.
      void this.flush().catch(() => undefined);
    });
  }

  /** Writes what is not written. Throws STORE, STORE_LOCKED. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    if (!this.#dirty) return;
    const { path, merge } = this.#options;
    await using _lock = await this.#lock();
    this.#dirty = false;
    try {
      await replaceFile(path, merge(await readStateFile(path)), { mode: 0o600 });
    } catch (error) {
      this.#dirty = true;
      throw error;
    }
  }

  async #lock(): ReturnType<typeof lockFile> {
    for (let tries = 1; ; tries++) {
      try {
        return await lockFile(this.#options.path);
      } catch (error) {
        if (!isDiscoveryError(error, "STORE_LOCKED") || tries === lockTries) throw error;
        // Of two that met both have withdrawn: without chance they would meet again.
        const chanceMs = randomBelow(systemRandom, lockRetryMs);
        await this.#options.clock.sleep(lockRetryMs / 2 + chanceMs);
      }
    }
  }
}
