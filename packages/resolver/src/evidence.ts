// What a zone signed or served that it must not have: kept, because only the objects themselves convince
// others (protocol.md sections 4 and 5). Holds signed objects and hashes, never an identifier.

import { toBase64Url } from "@whither/crypto";
import type { ErrorCode } from "@whither/protocol";
import {
  parseState,
  readStateFile,
  stateBytes,
  StateFile,
  stateInteger,
  stateList,
  stateRecord,
  stateText,
  withinStateFile,
  type Clock,
} from "@whither/runtime";

export interface Evidence {
  readonly code: ErrorCode;
  readonly zone: string;
  readonly atSeconds: number;
  readonly text: string;
  /** For ROLLBACK and FORKED the two heads, encoded SignedObjects, the one seen first in front; for
   *  compact bits that differ from the slot: entry (68 bytes), body, head. */
  readonly objects: readonly Uint8Array[];
}

const evidenceMax = 64;

export class EvidenceFile {
  readonly #records: Evidence[];
  readonly #file: StateFile | undefined;

  private constructor(records: Evidence[], path: string | undefined, clock: Clock) {
    this.#records = records;
    this.#file =
      path === undefined
        ? undefined
        : new StateFile({ path, clock, merge: (onDisk) => formatAll(this.#mergedWith(onDisk)) });
  }

  /** Without a path it lasts as long as the process. Throws STORE_CORRUPT, CONFIG. */
  static async open({
    path,
    clock,
  }: {
    readonly path: string | undefined;
    readonly clock: Clock;
  }): Promise<EvidenceFile> {
    const onDisk = path === undefined ? undefined : await readStateFile(path);
    const records = withinStateFile(path, () =>
      onDisk === undefined ? [] : [...parseAll(onDisk)],
    );
    return new EvidenceFile(records, path, clock);
  }

  get records(): readonly Evidence[] {
    return this.#records;
  }

  /** The oldest are kept: what came first is the least likely to be an attempt to flush it out. */
  add(evidence: Evidence): void {
    if (this.#records.length >= evidenceMax || this.#records.some((one) => same(one, evidence)))
      return;
    this.#records.push(evidence);
    this.#file?.touch();
  }

  async close(): Promise<void> {
    await this.#file?.flush();
  }

  #mergedWith(onDisk: string | undefined): readonly Evidence[] {
    if (onDisk === undefined) return this.#records;
    const others = parseAll(onDisk).filter((one) => !this.#records.some((own) => same(own, one)));
    return [...others, ...this.#records].slice(0, evidenceMax);
  }
}

function same(a: Evidence, b: Evidence): boolean {
  return (
    a.code === b.code &&
    a.zone === b.zone &&
    a.objects.length === b.objects.length &&
    a.objects.every((object, i) => Buffer.compare(object, b.objects[i] ?? new Uint8Array()) === 0)
  );
}

function parseAll(content: string): readonly Evidence[] {
  return stateList(parseState(content)["evidence"]).map((value) => {
    const one = stateRecord(value);
    return {
      code: stateText(one["code"]) as ErrorCode, // written by formatAll
      zone: stateText(one["zone"]),
      atSeconds: stateInteger(one["at"]),
      text: stateText(one["text"]),
      objects: stateList(one["objects"]).map(stateBytes),
    };
  });
}

function formatAll(records: readonly Evidence[]): string {
  const evidence = records.map(({ code, zone, atSeconds, text, objects }) => ({
    code,
    zone,
    at: atSeconds,
    text,
    objects: objects.map(toBase64Url),
  }));
  return JSON.stringify({ version: 1, evidence }, undefined, 1);
}
