// The engine of a resolver from its parts: caches and steps wired together. Reads no file and opens no
// connection; create-resolver.ts does.

import type { DirectoryFollower, ManifestMemory } from "@whither/directory";
import type { ZoneName } from "@whither/protocol";
import type { Clock, Random, VoprfEngine } from "@whither/runtime";
import type { SignatureVerifier } from "@whither/zone";
import { AnswerCache } from "./answer-cache.js";
import { Bodies } from "./bodies.js";
import { Buckets } from "./buckets.js";
import { divideCache } from "./cache-shares.js";
import type { ChoiceMemory } from "./choice-memory.js";
import type { DomainSuggestions } from "./dns/domain-suggestions.js";
import { Evaluations } from "./evaluations.js";
import type { EvidenceFile } from "./evidence.js";
import { FailureCache } from "./failure-cache.js";
import { ForkedZones } from "./forked-zones.js";
import type { HeadMemory } from "./head-memory.js";
import type { KeptCaches } from "./kept-caches.js";
import type { Peers } from "./peers.js";
import { Renewals } from "./renewals.js";
import { createResolverCache } from "./resolver-cache.js";
import { createResolverOf, type Resolver } from "./resolver.js";
import { ServerChoice } from "./server-choice.js";
import { Verdicts } from "./verdicts.js";
import type { Replica } from "./zone-view.js";
import { ZoneViews } from "./zone-views.js";
import { ZoneWatches } from "./zone-watches.js";

export interface Engines {
  /** For batches. */
  readonly pool: VoprfEngine;
  /** For single contacts: no thread to wait for. */
  readonly inline: VoprfEngine;
  readonly closeEngines: () => Promise<void>;
}

export interface AssembleOptions extends Engines {
  readonly follower: DirectoryFollower;
  readonly peers: Peers;
  readonly verifier: SignatureVerifier;
  readonly clock: Clock;
  readonly random: Random;
  /** 32 bytes that decide the decoys. */
  readonly secret: Uint8Array;
  readonly evidence: EvidenceFile;
  readonly memory: HeadMemory;
  readonly manifests: ManifestMemory;
  readonly choices: ChoiceMemory;
  readonly cacheBytes: number;
  readonly ownMsp: string | undefined;
  /** Whether zones in use are listened to. */
  readonly watch?: boolean;
  readonly replicas?: readonly Replica[];
  readonly suggestions?: DomainSuggestions | undefined;
  /** Where caches outlive the process. */
  readonly kept?: KeptCaches | undefined;
  /** Filled beforehand by a benchmark; a new one unless given. */
  readonly cache?: AnswerCache;
}

export async function assembleResolver(options: AssembleOptions): Promise<Resolver> {
  const { follower, peers, clock, random, secret, evidence, memory, choices } = options;
  const choice = new ServerChoice({ clock, random });
  const shares = divideCache(options.cacheBytes);
  const verdicts = new Verdicts(options.verifier, { cacheBytes: shares.verdicts });
  const upstream = { peers, choice, clock };
  const failures = new FailureCache({ clock, bytes: shares.failures });
  const views = new ZoneViews({
    ...upstream,
    failures: failures.zones,
    memory,
    manifests: options.manifests,
    verdicts,
    onFork: (view) => forks.found(view),
    keeps: options.kept !== undefined,
    cacheBytes: shares.views,
  });
  const cache = options.cache ?? new AnswerCache({ clock, bytes: shares.answers });
  const evaluations = new Evaluations({
    ...upstream,
    failures: failures.zones,
    pool: options.pool,
    inline: options.inline,
    cacheBytes: shares.evaluations,
  });
  const buckets = new Buckets({ ...upstream, views, memory, cacheBytes: shares.buckets });
  const forks = new ForkedZones({ cache, buckets, clock });
  const bodies = new Bodies({ ...upstream, secret, cacheBytes: shares.bodies });
  const caches = { cache, failures, evaluations, buckets, bodies, views, verdicts };
  // Their order is that of the file.
  const lasting = [evaluations, buckets, bodies];
  await options.kept?.load(lasting);
  const { ownMsp, replicas = [], suggestions } = options;
  const watches =
    options.watch === true
      ? new ZoneWatches({ ...upstream, random, views, buckets, evaluations, cache })
      : undefined;
  const use = (zone: ZoneName): void => watches?.use(zone);
  const steps = { ...caches, follower, memory, evidence, choices, clock, watches: { use } };
  const resolution = { ...steps, ownMsp, replicas, suggestions };
  const renewals = new Renewals(resolution);
  const close = async (): Promise<void> => {
    const renewed = renewals.close();
    const unwatched = watches?.close();
    peers.close();
    const ended = await Promise.allSettled([
      renewed.then(() => options.kept?.save(lasting)),
      unwatched,
      follower.close(),
      options.closeEngines(),
      memory.close(),
      options.manifests.close(),
      choices.close(),
      evidence.close(),
    ]);
    for (const one of ended) if (one.status === "rejected") throw one.reason as Error; // what close threw
  };
  return createResolverOf({
    ...resolution,
    renewals,
    choice,
    peers,
    introspection: createResolverCache({ ...caches, clock, secret }),
    close,
  });
}
