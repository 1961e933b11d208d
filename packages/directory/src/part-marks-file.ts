// The marks of parts over restarts: one small file beside the follower's state, replaced atomically, laid over
// what another process may have written meanwhile. A file that is none of ours protects nothing and is said so.

import { DiscoveryError, limits, parseZoneName } from "@whither/protocol";
import { fromHex, toHex } from "@whither/crypto/node";
import { lockFile, pathExists, readFileBounded, replaceFile, type Logger } from "@whither/runtime";
import type { PartMark, PartMarks } from "./part-marks.js";

/** A zone's name, two numbers and a digest, quoted. */
const lineBytesMax = 512;

export class PartMarksFile {
  readonly #path: string;
  readonly #logger: Logger;

  constructor({ path, logger }: { readonly path: string; readonly logger: Logger }) {
    this.#path = path;
    this.#logger = logger;
  }

  /** Takes what the file holds into `marks`, where it is newer. */
  async load(marks: PartMarks): Promise<void> {
    try {
      for (const mark of await this.#read()) marks.restore(mark);
    } catch (error) {
      this.#logger.warn("marks of parts not loaded", { error });
    }
  }

  /** Writes the marks and what the file has newer; a failure is said and tried with the next one. */
  async save(marks: PartMarks): Promise<void> {
    try {
      const lock = await lockFile(this.#path);
      try {
        await this.load(marks);
        const lines = marks.list().map(formatMark);
        await replaceFile(this.#path, `${lines.join("\n")}\n`, { mode: 0o600 });
      } finally {
        await lock.close();
      }
    } catch (error) {
      this.#logger.warn("marks of parts not saved", { error });
    }
  }

  async #read(): Promise<readonly PartMark[]> {
    if (!(await pathExists(this.#path))) return [];
    const bytesMax = limits.partMarksMax * lineBytesMax;
    const bytes = await readFileBounded(this.#path, { bytesMax });
    const lines = new TextDecoder().decode(bytes).trimEnd().split("\n");
    return lines.filter((line) => line !== "").map(parseMark);
  }
}

function formatMark({ zone, epoch, serial, digest }: PartMark): string {
  return `${zone} ${epoch} ${serial} ${toHex(digest)}`;
}

function parseMark(line: string): PartMark {
  const [zone = "", epoch = "", serial = "", digest = "", ...more] = line.split(" ");
  const isMark = [epoch, serial].every((text) => /^[1-9][0-9]{0,15}$/.test(text));
  if (!isMark || !/^[0-9a-f]{96}$/.test(digest) || more.length > 0) {
    throw new DiscoveryError("STORE_CORRUPT", "marks of parts: a line that is none");
  }
  return {
    zone: parseZoneName(zone),
    epoch: Number(epoch),
    serial: Number(serial),
    digest: fromHex(digest),
  };
}
