// Which manifests of each zone were in effect when the directory was last seen, kept over restarts: what later
// ones are judged by (protocol.md section 2, docs/adr 24). The rule itself is judgeSuccession.

import { equalBytes, toBase64Url } from "@whither/crypto";
import type { Authority, SignedObject } from "@whither/protocol";
import {
  parseState,
  readStateFile,
  stateBytes,
  StateFile,
  stateInteger,
  stateList,
  stateRecord,
  withinStateFile,
  type Clock,
} from "@whither/runtime";
import { decodeManifest, decodeSignedObject, encodeSignedObject } from "@whither/wire";
import {
  judgeSuccession,
  ksksOf,
  payloadSha256,
  type RootKsks,
  type ManifestHistory,
  type NamedManifest,
  type SignatureVerifier,
  type Succession,
} from "@whither/zone";
import type { DirectoryFollower } from "./follower.js";

export interface ManifestMemoryOptions {
  /** Absent: remembered as long as the process lasts. */
  readonly path: string | undefined;
  readonly clock: Clock;
  /** Those that are believed at the moment. */
  readonly ksks: () => RootKsks;
}

/** The root's keys as the directory that is held names them; those of the anchors before there is one. */
export function believedKsks(
  follower: Pick<DirectoryFollower, "current"> | undefined,
  anchors: RootKsks,
): RootKsks {
  const rootKeys = follower?.current()?.rootKeys;
  return rootKeys === undefined ? anchors : ksksOf(rootKeys);
}

type Histories = Map<string, ManifestHistory>;

export class ManifestMemory {
  readonly #options: ManifestMemoryOptions;
  readonly #histories: Histories;
  readonly #file: StateFile | undefined;

  private constructor(options: ManifestMemoryOptions, histories: Histories) {
    const { path, clock } = options;
    this.#options = options;
    this.#histories = histories;
    const merge = (onDisk: string | undefined): string => this.#merge(onDisk);
    this.#file = path === undefined ? undefined : new StateFile({ path, clock, merge });
  }

  /** Throws STORE_CORRUPT for a damaged file, CONFIG for an unreadable one. */
  static async open(options: ManifestMemoryOptions): Promise<ManifestMemory> {
    const onDisk = options.path === undefined ? undefined : await readStateFile(options.path);
    const histories = withinStateFile(
      options.path,
      () => new Map(onDisk === undefined ? [] : parseHistories(onDisk)),
    );
    return new ManifestMemory(options, histories);
  }

  /** Remembered as long as the process lasts. */
  static ofProcess(options: Omit<ManifestMemoryOptions, "path">): ManifestMemory {
    return new ManifestMemory({ ...options, path: undefined }, new Map());
  }

  /** What of an authority's manifests is in effect now; remembered. Throws BUDGET with the verifier. */
  judge(
    { zone, manifestSha256 }: Pick<Authority, "zone" | "manifestSha256">,
    by: {
      readonly received: readonly NamedManifest[];
      /** `not_before` of the node that names them. */
      readonly namedAt: number;
      readonly verifier: SignatureVerifier;
    },
  ): Succession {
    const { clock, ksks } = this.#options;
    const judged = judgeSuccession({
      zone,
      history: this.#histories.get(zone),
      manifestSha256,
      nowSeconds: clock.nowSeconds(),
      ksks: ksks(),
      ...by,
    });
    this.#histories.set(zone, judged.history);
    this.#file?.touch();
    return judged;
  }

  /** A manifest that was in effect, by its hash; unverified, as it stands in the file. */
  named(zone: string, sha256: Uint8Array): SignedObject | undefined {
    const inEffect = this.#histories.get(zone)?.inEffect ?? [];
    return inEffect.find((one) => equalBytes(one.sha256, sha256))?.object;
  }

  /** The directory still names what it named when last judged: nothing else can have been named before now. */
  seen(zone: string): void {
    const history = this.#histories.get(zone);
    if (history === undefined) return;
    const seenAt = Math.max(history.seenAt, this.#options.clock.nowSeconds());
    if (seenAt > history.seenAt) this.#histories.set(zone, { ...history, seenAt });
  }

  async close(): Promise<void> {
    // `seen` alone does not touch the file: one write at the end is enough for it.
    if (this.#histories.size > 0) this.#file?.touch();
    await this.#file?.flush();
  }

  /** Of each zone what was seen later, and of what waits the earliest that anybody saw. */
  #merge(onDisk: string | undefined): string {
    const merged = new Map(onDisk === undefined ? [] : parseHistories(onDisk));
    for (const [zone, own] of this.#histories) {
      const other = merged.get(zone);
      merged.set(zone, other === undefined ? own : later(own, other));
    }
    return formatHistories(merged);
  }
}

function later(a: ManifestHistory, b: ManifestHistory): ManifestHistory {
  const [newer, older] = a.seenAt >= b.seenAt ? [a, b] : [b, a];
  const waiting = [...newer.waiting].map(([hash, since]): [string, number] => {
    return [hash, Math.min(since, older.waiting.get(hash) ?? since)];
  });
  return { ...newer, waiting: new Map(waiting) };
}

function parseHistories(content: string): Histories {
  const zones = stateRecord(parseState(content)["zones"]);
  return new Map(
    Object.entries(zones).map(([zone, value]) => {
      const one = stateRecord(value);
      const waiting = Object.entries(stateRecord(one["waiting"]));
      return [
        zone,
        {
          inEffect: stateList(one["in_effect"]).map((object) =>
            namedManifest(decodeSignedObject(stateBytes(object))),
          ),
          waiting: new Map(waiting.map(([hash, since]) => [hash, stateInteger(since)])),
          seenAt: stateInteger(one["seen_at"]),
        },
      ];
    }),
  );
}

function namedManifest(object: SignedObject): NamedManifest {
  return { object, manifest: decodeManifest(object.payload), sha256: payloadSha256(object) };
}

function formatHistories(histories: ReadonlyMap<string, ManifestHistory>): string {
  const zones = Object.fromEntries(
    [...histories].map(([zone, { inEffect, waiting, seenAt }]) => [
      zone,
      {
        seen_at: seenAt,
        in_effect: inEffect.map(({ object }) => toBase64Url(encodeSignedObject(object))),
        waiting: Object.fromEntries(waiting),
      },
    ]),
  );
  return JSON.stringify({ version: 1, zones }, undefined, 1);
}
