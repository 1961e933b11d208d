// An observer of every head on the network: for one place in a zone's history there is one head, and a
// server's history only goes on.

import type { Head } from "@whither/protocol";
import { decodeMessage, type TapRecord } from "@whither/rpc";
import { decodeHead, FetchResponseSchema, signedObjectFromWire } from "@whither/wire";
import { toHex } from "@whither/crypto/node";
import { sha256 } from "@whither/crypto/node";

/** Places of a zone's history that are remembered. */
const placesMax = 20_000;

export class HeadWatch {
  readonly #seen = new Map<string, string>();
  readonly #newest = new Map<string, { readonly epoch: number; readonly serial: number }>();
  readonly #report: (text: string) => void;

  constructor(report: (text: string) => void) {
    this.#report = report;
  }

  /** What a client was sent. */
  hear(record: TapRecord): void {
    if (record.kind !== "message" || record.direction !== "response") return;
    if (!record.method.endsWith("/Fetch")) return;
    const { response } = decodeMessage(FetchResponseSchema, record.bytes);
    if (response.case !== "head" && response.case !== "bucket") return;
    const { payload } = signedObjectFromWire(response.value.head);
    const { zone, epoch, serial } = decodeHead(payload);
    const place = `${zone} ${epoch} ${serial}`;
    const hash = toHex(sha256(payload));
    const before = this.#seen.get(place);
    if (before !== undefined && before !== hash) this.#report(`two heads of ${place}`);
    if (this.#seen.size >= placesMax) this.#seen.clear();
    this.#seen.set(place, hash);
  }

  /** What a server serves now. */
  see(server: string, { zone, epoch, serial }: Head): void {
    const key = `${server} ${zone}`;
    const before = this.#newest.get(key);
    const isOlder =
      before !== undefined &&
      (epoch < before.epoch || (epoch === before.epoch && serial < before.serial));
    if (isOlder) this.#report(`${key} went back from ${before.serial} to ${serial}`);
    this.#newest.set(key, { epoch, serial });
  }

  /** A server that has lost its disk remembers nothing. */
  forget(server: string): void {
    for (const key of this.#newest.keys()) {
      if (key.startsWith(`${server} `)) this.#newest.delete(key);
    }
  }
}
