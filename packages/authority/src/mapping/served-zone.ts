// The parts of a mapping zone put to work: the trees that readers are answered from, the engine that evaluates,
// the desk for registrations. What each method promises is written at the interface, in mapping-zone.ts.

import { equalBytes, type Signer } from "@whither/crypto/node";
import {
  DiscoveryError,
  type Csi,
  type Head,
  type Manifest,
  type ZoneName,
} from "@whither/protocol";
import type { EvaluatedWork, VoprfEngine } from "@whither/runtime";
import type { HeadNews, HeldTree } from "./held-tree.js";
import type { LoadedSlot } from "./load-slots.js";
import type {
  BlindedRequest,
  ConfiguredKeys,
  MappingZone,
  RegistrationStatus,
  SignalOption,
  SlotLookup,
  SlotSubmission,
  ZoneRegistrations,
} from "./mapping-zone.js";
import type { BucketQuery } from "./published-tree.js";
import { encodeBodiesResponse, encodeObjectResponse } from "./raw-messages.js";
import type { SlotSubmissions } from "./slot-submissions.js";
import type { KeySuccession } from "./key-succession.js";
import type { DirectoryNames, SuccessionStatus } from "./succession-status.js";
import { makeZoneKeys } from "./zone-keys.js";
import type { ServedTree, ZoneTrees } from "./zone-trees.js";

export interface ServedZoneParts {
  readonly succession: KeySuccession;
  readonly trees: ZoneTrees;
  readonly voprf: VoprfEngine;
  readonly submissions: SlotSubmissions;
  readonly registrations: ZoneRegistrations;
}

const noKid = new Uint8Array(0);

/** The zone behind the interface `MappingZone`, whose comments say what each method promises. */
export class ServedZone implements MappingZone {
  readonly zone: ZoneName;
  readonly registrations: ZoneRegistrations;
  readonly #succession: KeySuccession;
  readonly #trees: ZoneTrees;
  readonly #voprf: VoprfEngine;
  readonly #submissions: SlotSubmissions;
  readonly #listeners = new Set<(news: HeadNews) => void>();

  constructor({ succession, trees, voprf, submissions, registrations }: ServedZoneParts) {
    this.zone = succession.under.zone;
    this.registrations = registrations;
    this.#succession = succession;
    this.#trees = trees;
    this.#voprf = voprf;
    this.#submissions = submissions;
    trees.onHead((news) => {
      for (const listener of this.#listeners) listener(news);
    });
  }

  get manifest(): Manifest {
    return this.#succession.under.manifest;
  }

  get manifestSha256(): Uint8Array {
    return this.#succession.under.sha256;
  }

  get signer(): Signer {
    return this.#succession.under.signer;
  }

  get succession(): SuccessionStatus {
    return this.#succession.status;
  }

  head(kid: Uint8Array = noKid): Head {
    return this.#treeOf(kid).writer.published.head;
  }

  headResponse(kid: Uint8Array = noKid): Uint8Array {
    return this.#treeOf(kid).writer.published.headResponse;
  }

  manifestResponse(manifestSha256: Uint8Array): Uint8Array {
    const { manifests } = this.#succession;
    const named = manifests.find(({ sha256 }) => equalBytes(sha256, manifestSha256));
    if (named !== undefined) return encodeObjectResponse(named.bytes);
    throw new DiscoveryError("NOT_AUTHORITATIVE", "no manifest of this zone has that hash");
  }

  bucketResponse(query: BucketQuery): Uint8Array {
    return this.#trees.of(query.kid).writer.published.bucketResponse(query);
  }

  async bodiesResponse(vhashes: readonly Uint8Array[]): Promise<Uint8Array> {
    let found: readonly (Uint8Array | undefined)[] = vhashes.map(() => undefined);
    for (const { writer } of this.#trees.served) {
      const missing = vhashes.filter((_, at) => found[at] === undefined);
      if (missing.length === 0) break;
      const more = (await writer.published.bodies(missing))[Symbol.iterator]();
      found = found.map((body) => body ?? more.next().value);
    }
    const bodies = found.filter((body) => body !== undefined);
    if (bodies.length !== vhashes.length) {
      throw new DiscoveryError("UNKNOWN_BODY", "a body is not of the current epoch");
    }
    return encodeBodiesResponse(bodies);
  }

  async evaluate(
    { kid, blinded }: BlindedRequest,
    options: SignalOption = {},
  ): Promise<EvaluatedWork> {
    const { publicKey, secretKey } = this.#trees.of(kid).key;
    return await this.#voprf.evaluate({ secretKey, publicKey, blinded }, options);
  }

  holdTree(kid: Uint8Array = noKid): HeldTree {
    return this.#treeOf(kid).writer.hold();
  }

  onHead(listener: (news: HeadNews) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  lookupForRegistration(csi: Csi, options: SignalOption = {}): Promise<SlotLookup> {
    return this.#submissions.lookup(csi, options);
  }

  isSpent(nonceD: Uint8Array): boolean {
    return this.#submissions.isSpent(nonceD);
  }

  submit(submission: SlotSubmission): Promise<void> {
    return this.#submissions.submit(submission);
  }

  status(statementSha256: Uint8Array): RegistrationStatus {
    return this.#submissions.status(statementSha256);
  }

  runEpoch(): Promise<void> {
    return this.#trees.publish();
  }

  loadEntries(slots: Iterable<LoadedSlot> | AsyncIterable<LoadedSlot>): Promise<void> {
    return this.#trees.current.writer.load(slots);
  }

  useKeys({ manifest, keys: secrets }: ConfiguredKeys): Promise<void> {
    const { zone } = this;
    const nowSeconds = this.#succession.nowSeconds();
    return this.#succession.use(makeZoneKeys({ zone, manifest, secrets, nowSeconds }));
  }

  directoryNames(names: DirectoryNames): Promise<void> {
    return this.#succession.directoryNames(names);
  }

  switchNow(): Promise<void> {
    return this.#succession.switchNow();
  }

  advanceKeys(): Promise<void> {
    return this.#succession.advance();
  }

  start(): void {
    for (const { writer } of this.#trees.published) writer.start();
    this.#succession.start();
  }

  async close(): Promise<void> {
    await this.#succession.close();
    for (const { writer } of this.#trees.awaited) await writer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #treeOf(kid: Uint8Array): ServedTree {
    return kid.length === 0 ? this.#trees.current : this.#trees.of(kid);
  }
}
