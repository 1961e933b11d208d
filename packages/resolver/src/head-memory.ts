// The newest head seen of every tree (zone and kid), kept over restarts: an older one, or another one with the same
// serial, is refused and both are kept as evidence (protocol.md section 4). Heads get here verified.

import { equalBytes, toBase64Url, toHex } from "@whither/crypto";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Head,
  type SignedObject,
} from "@whither/protocol";
import {
  parseState,
  readStateFile,
  stateBytes,
  stateCorrupt,
  StateFile,
  stateInteger,
  stateRecord,
  withinStateFile,
  type Clock,
} from "@whither/runtime";
import { decodeHead, decodeSignedObject, encodeSignedObject } from "@whither/wire";
import { headMarkOf, verifyHeadSequence, type HeadMark } from "@whither/zone";
import type { EvidenceFile } from "./evidence.js";

interface Seen {
  readonly mark: HeadMark;
  readonly object: SignedObject;
  /** When this process learnt it, monotonic milliseconds. */
  readonly learntMs: number;
}

export interface HeadMemoryOptions {
  /** Absent: remembered as long as the process lasts. */
  readonly path: string | undefined;
  readonly clock: Clock;
  readonly evidence: EvidenceFile;
}

/** Zones whose freshest head is expired before the clock itself is the suspect. */
const expiredZonesMin = 2;

export class HeadMemory {
  readonly #clock: Clock;
  readonly #evidence: EvidenceFile;
  readonly #seen: Map<string, Seen>;
  readonly #file: StateFile | undefined;
  readonly #expired = new Set<string>();
  /** The last older head that was shown, of each zone; evidence when every server showed one. */
  readonly #older = new Map<string, { readonly tree: string; readonly object: SignedObject }>();
  readonly #kept: Set<string>;
  #highestTime = 0;

  private constructor(options: HeadMemoryOptions, seen: Map<string, Seen>) {
    const { path, clock, evidence } = options;
    this.#clock = clock;
    this.#evidence = evidence;
    this.#seen = seen;
    this.#kept = new Set(seen.keys());
    for (const { mark } of seen.values())
      this.#highestTime = Math.max(this.#highestTime, mark.time);
    const merge = (onDisk: string | undefined): string => this.#merge(onDisk);
    this.#file = path === undefined ? undefined : new StateFile({ path, clock, merge });
  }

  /** Throws STORE_CORRUPT for a damaged file, CONFIG for an unreadable one. */
  static async open(options: HeadMemoryOptions): Promise<HeadMemory> {
    const onDisk = options.path === undefined ? undefined : await readStateFile(options.path);
    const seen = withinStateFile(options.path, () =>
      onDisk === undefined ? new Map<string, Seen>() : parseHeads(onDisk),
    );
    return new HeadMemory(options, seen);
  }

  /**
   * The time to check against. Throws CLOCK_SKEW when the clock is behind what has been signed already:
   * nothing could be told fresh from old.
   */
  nowSeconds(): number {
    const now = this.#clock.nowSeconds();
    if (this.#highestTime > now + limits.clockSkewSeconds) {
      const behind = this.#highestTime - now;
      throw new DiscoveryError("CLOCK_SKEW", `the local clock is at least ${behind} s behind`);
    }
    return now;
  }

  /**
   * Remembers a verified head that was asked for at `askedMs` (monotonic). Throws ROLLBACK, which one server's lag
   * may be and is evidence only with `keepRollback`, FORKED, and
   * STALE when a newer one overtook it on the way, which is nobody's fault.
   */
  accept(object: SignedObject, head: Head, { askedMs }: { readonly askedMs: number }): void {
    const next = headMarkOf(object, head);
    const tree = treeKey(head);
    const seen = this.#seen.get(tree);
    this.#expired.clear();
    if (seen !== undefined) {
      try {
        verifyHeadSequence({ seen: seen.mark, next, nextPrevSha256: head.prevSha256 });
      } catch (error) {
        if (isDiscoveryError(error, "ROLLBACK") && seen.learntMs > askedMs) {
          throw new DiscoveryError("STALE", "head: a newer one overtook it", { cause: error });
        }
        if (isDiscoveryError(error, "ROLLBACK")) this.#older.set(head.zone, { tree, object });
        else if (isDiscoveryError(error)) this.#keep(error, head.zone, [seen.object, object]);
        throw error;
      }
      if (seen.mark.serial === next.serial && seen.mark.epoch === next.epoch) return;
    }
    const learntMs = this.#clock.monotonicMs();
    this.#seen.set(tree, { mark: next, object, learntMs });
    this.#older.delete(head.zone);
    this.#highestTime = Math.max(this.#highestTime, next.time);
    this.#file?.touch();
  }

  /**
   * The newest head of a tree that an earlier run has seen, once: whoever takes it verifies it, and fetches one
   * the next time.
   */
  takeKept(tree: Pick<Head, "zone" | "kid">): SignedObject | undefined {
    const key = treeKey(tree);
    const seen = this.#seen.get(key);
    return this.#kept.delete(key) && seen?.learntMs === -Infinity ? seen.object : undefined;
  }

  /** Every server of a zone has shown an older head than one seen: no lag of one of them. */
  keepRollback(zone: string, error: DiscoveryError): void {
    const older = this.#older.get(zone);
    const seen = older === undefined ? undefined : this.#seen.get(older.tree);
    if (seen === undefined || older === undefined) return;
    this.#keep(error, zone, [seen.object, older.object]);
  }

  /** The failure that an expired head stands for: old data, or a local clock that is ahead. */
  expired(zone: string): DiscoveryError {
    this.#expired.add(zone);
    if (this.#expired.size >= expiredZonesMin) {
      const text = "every zone's head is expired: the local clock is ahead";
      return new DiscoveryError("CLOCK_SKEW", text, { upstream: zone });
    }
    return new DiscoveryError("EXPIRED", "head: expired, or the local clock is ahead", {
      upstream: zone,
    });
  }

  async close(): Promise<void> {
    await this.#file?.flush();
  }

  #keep(error: DiscoveryError, zone: string, objects: readonly SignedObject[]): void {
    this.#evidence.add({
      code: error.code,
      zone,
      atSeconds: this.#clock.nowSeconds(),
      text: error.text,
      objects: objects.map(encodeSignedObject),
    });
  }

  /** Of each tree the newer of ours and what another process wrote. */
  #merge(onDisk: string | undefined): string {
    const merged = new Map(onDisk === undefined ? [] : parseHeads(onDisk));
    for (const [tree, own] of this.#seen) {
      const other = merged.get(tree);
      if (other === undefined || isOlder(other.mark, own.mark)) merged.set(tree, own);
      else this.#seen.set(tree, other);
    }
    return formatHeads(merged);
  }
}

/** Each VOPRF key has a chain of heads of its own (docs/adr 16). */
function treeKey({ zone, kid }: Pick<Head, "zone" | "kid">): string {
  return `${zone} ${toHex(kid)}`;
}

function isOlder(a: HeadMark, b: HeadMark): boolean {
  return a.epoch === b.epoch ? a.serial <= b.serial : a.epoch < b.epoch;
}

function isSameMark(a: HeadMark, b: HeadMark): boolean {
  return (
    a.epoch === b.epoch &&
    a.serial === b.serial &&
    a.time === b.time &&
    equalBytes(a.sha256, b.sha256)
  );
}

function parseHeads(content: string): Map<string, Seen> {
  const heads = stateRecord(parseState(content)["heads"]);
  return new Map(
    Object.values(heads).map((value) => {
      const one = stateRecord(value);
      const mark = {
        epoch: stateInteger(one["epoch"]),
        serial: stateInteger(one["serial"]),
        time: stateInteger(one["time"]),
        sha256: stateBytes(one["sha256"]),
      };
      const object = decodeSignedObject(stateBytes(one["object"]));
      const head = decodeHead(object.payload);
      // A mark that says another serial than its head would make a server's honest head a roll-back.
      if (!isSameMark(mark, headMarkOf(object, head))) throw stateCorrupt();
      return [treeKey(head), { mark, object, learntMs: -Infinity }];
    }),
  );
}

function formatHeads(seen: ReadonlyMap<string, Seen>): string {
  const heads = Object.fromEntries(
    [...seen].map(([tree, { mark, object }]) => [
      tree,
      {
        ...mark,
        sha256: toBase64Url(mark.sha256),
        object: toBase64Url(encodeSignedObject(object)),
      },
    ]),
  );
  return JSON.stringify({ version: 1, heads }, undefined, 1);
}
