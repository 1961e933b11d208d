// The newest head that a zone has published, noted in a file beside its store. LevelDB passes over a damaged end of its
// log in silence: such a store is whole, only older, and would sign other heads under serials that people have seen
// and call those absent who came last. A store that ends before the note is refused.

import type { MappingZone, PublishedMark } from "@whither/authority";
import { equalBytes, fromHex, toHex } from "@whither/crypto";
import { DiscoveryError, type Head } from "@whither/protocol";
import { pathExists, readFileBounded, replaceFile, type Logger } from "@whither/runtime";

const bytesMax = 64;
/** kid, epoch, serial. */
const form = /^([0-9a-f]{8}) ([1-9][0-9]{0,15}) ([1-9][0-9]{0,15})\n$/;

export class PublishedHead implements AsyncDisposable {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #stops: (() => void)[] = [];
  #wanted: Head | undefined;
  #writing: Promise<void> | undefined;

  constructor(options: { readonly path: string; readonly logger: Logger }) {
    this.#path = options.path;
    this.#logger = options.logger;
  }

  /** Undefined for a zone that is new. Throws STORE_CORRUPT for a file that is not ours any more. */
  async read(): Promise<PublishedMark | undefined> {
    if (!(await pathExists(this.#path))) return undefined;
    const text = new TextDecoder().decode(await readFileBounded(this.#path, { bytesMax }));
    const [, kid, epoch, serial] = form.exec(text) ?? [];
    if (kid === undefined) {
      throw new DiscoveryError("STORE_CORRUPT", "the note of the last head cannot be read", {
        cause: new Error(`in ${this.#path}`),
      });
    }
    return { kid: fromHex(kid), epoch: Number(epoch), serial: Number(serial) };
  }

  /**
   * Notes the zone's head and every later one of its current tree. A note comes after its head and may be missing for
   * the last one: it is never ahead of an honest store.
   */
  follow(zone: MappingZone): void {
    this.#note(zone.head());
    this.#stops.push(
      zone.onHead(({ head }) => {
        if (equalBytes(head.kid, zone.head().kid)) this.#note(head);
      }),
    );
  }

  /** Resolves when what was noted is on disk. */
  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    await this.#writing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #note(head: Head): void {
    this.#wanted = head;
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    while (this.#wanted !== undefined) {
      const { zone, kid, epoch, serial } = this.#wanted;
      this.#wanted = undefined;
      try {
        await replaceFile(this.#path, `${toHex(kid)} ${epoch} ${serial}\n`, { mode: 0o600 });
      } catch (error) {
        // The zone goes on: an older note protects less, and says nothing wrong.
        this.#logger.error("head not noted", { zone, error });
      }
    }
    this.#writing = undefined;
  }
}
