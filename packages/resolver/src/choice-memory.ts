// Which MSP was chosen for a contact, and under which holder key: the choice stays until it disappears or
// the user acts (protocol.md section 5). Contacts are keyed hashes; the file names nobody.

import { hmacSha256, lp, toHex, utf8 } from "@whither/crypto/node";
import { parseMspId, type Csi, type MspId } from "@whither/protocol";
import {
  parseState,
  readStateFile,
  StateFile,
  stateInteger,
  stateRecord,
  stateText,
  withinStateFile,
  type Clock,
} from "@whither/runtime";
import { LRUCache } from "lru-cache";

export interface Remembered {
  readonly msp: MspId;
  /** Keyed hash of the holder's key. */
  readonly holder: string;
  /** When the latest of the mappings ends, Unix seconds: before that it does not vanish silently. */
  readonly until: number;
}

export interface ChoiceMemoryOptions {
  readonly path: string | undefined;
  readonly clock: Clock;
  /** 32 bytes, never leaves this machine. */
  readonly secret: Uint8Array;
}

/** Contacts remembered at most; the one not asked for longest is forgotten. */
const contactsMax = 100_000;
/** Of a keyed hash, as they stand in the file in hex. */
const keyBytes = 16;
const contactLabel = utf8("whither/choice/v1");
const holderLabel = utf8("whither/choice-holder/v1");

export class ChoiceMemory {
  readonly #secret: Uint8Array;
  readonly #choices = new LRUCache<string, Remembered>({ max: contactsMax });
  readonly #forgotten = new Set<string>();
  readonly #file: StateFile | undefined;

  private constructor({ path, clock, secret }: ChoiceMemoryOptions, onDisk: string | undefined) {
    this.#secret = secret;
    if (onDisk !== undefined) this.#load(onDisk);
    const merge = (content: string | undefined): string => {
      if (content !== undefined) this.#load(content);
      this.#forgotten.clear();
      return JSON.stringify({ version: 1, choices: Object.fromEntries(this.#choices.entries()) });
    };
    this.#file = path === undefined ? undefined : new StateFile({ path, clock, merge });
  }

  /** Throws STORE_CORRUPT for a damaged file, CONFIG for an unreadable one. */
  static async open(options: ChoiceMemoryOptions): Promise<ChoiceMemory> {
    const { path } = options;
    const onDisk = path === undefined ? undefined : await readStateFile(path);
    return withinStateFile(path, () => new ChoiceMemory(options, onDisk));
  }

  /** Key of a contact for one account of this machine. */
  key(csi: Csi, account: string): string {
    const tag = hmacSha256(this.#secret, contactLabel, lp(account), lp(csi));
    return toHex(tag.subarray(0, keyBytes));
  }

  holderTag(holderPublicKey: Uint8Array): string {
    const tag = hmacSha256(this.#secret, holderLabel, holderPublicKey);
    return toHex(tag.subarray(0, keyBytes));
  }

  get(key: string): Remembered | undefined {
    return this.#choices.get(key);
  }

  set(key: string, choice: Remembered): void {
    const old = this.#choices.peek(key);
    if (old?.msp === choice.msp && old.holder === choice.holder && old.until === choice.until)
      return;
    this.#forgotten.delete(key);
    this.#choices.set(key, choice);
    this.#file?.touch();
  }

  forget(key: string): void {
    if (!this.#choices.delete(key)) return;
    this.#forgotten.add(key);
    this.#file?.touch();
  }

  async close(): Promise<void> {
    await this.#file?.flush();
  }

  /** Takes over what this process does not know better. */
  #load(content: string): void {
    for (const [key, value] of Object.entries(stateRecord(parseState(content)["choices"]))) {
      if (this.#choices.has(key) || this.#forgotten.has(key)) continue;
      const one = stateRecord(value);
      this.#choices.set(key, {
        msp: parseMspId(stateText(one["msp"])),
        holder: stateText(one["holder"]),
        until: stateInteger(one["until"]),
      });
    }
  }
}
