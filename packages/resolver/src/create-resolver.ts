// Puts a resolver together: anchors, directory, connections, caches, state. The options type is the
// manual; the parts are in the files named after them.

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fromBase64Url, toBase64Url } from "@whither/crypto";
import { loadSodiumVoprf } from "@whither/crypto/node";
import {
  believedKsks,
  createDirectoryFollower,
  ManifestMemory,
  type OpenChannel,
} from "@whither/directory";
import { limits } from "@whither/protocol";
import { openChannel as openGrpcChannel } from "@whither/rpc";
import {
  createInlineVoprf,
  createVoprfPool,
  makeStateDirectory,
  pathExists,
  readFileBounded,
  readSecretFile,
  silentLogger,
  stateCorrupt,
  systemClock,
  systemRandom,
  withinStateFile,
  writeSecretFile,
  type Clock,
  type Logger,
  type Random,
  type VoprfEngine,
} from "@whither/runtime";
import {
  nodeVerifier,
  parseAnchors,
  type Anchors,
  type RootKsks,
  type SignatureVerifier,
} from "@whither/zone";
import { assembleResolver, type Engines } from "./assemble.js";
import { readClientIdentity, type ClientIdentity } from "./client-identity.js";
import { ChoiceMemory } from "./choice-memory.js";
import { createDnsClient, parseDirectorySource } from "./directory-source.js";
import { DomainSuggestions } from "./dns/domain-suggestions.js";
import type { DnsExchange } from "./dns/exchange.js";
import { EvidenceFile } from "./evidence.js";
import { HeadMemory } from "./head-memory.js";
import { KeptCaches } from "./kept-caches.js";
import { Peers } from "./peers.js";
import type { Resolver } from "./resolver.js";
import type { Replica } from "./zone-view.js";

export interface ResolverOptions {
  /** Path of the anchors file, or its content parsed. Whoever can change it decides whom you believe. */
  readonly anchors: string | Anchors;
  /**
   * `host:port` of a directory's public port, the path of the signed artefact, or `dns:example.org`: the servers
   * that SVCB or SRV records at _whither._tcp.example.org name, with certificates for example.org.
   */
  readonly directory: string;
  /**
   * Asks the DNS, too, which servers the domain of an address prefers. Only those that the signed directory names
   * are used; others are reported as DNS_MISMATCH. Tells the name servers that domain. Default: false.
   */
  readonly domainSuggestions?: boolean;
  /** Name servers for that, by IP address; those of this machine unless told. */
  readonly nameServers?: readonly { readonly host: string; readonly port: number }[];
  /** Needed to evaluate. Another one may take its place at any time: `resolver.replaceIdentity`. */
  readonly identity?: ClientIdentity;
  /** The caller's own MSP, for slots that count only inside one app. */
  readonly ownMsp?: string;
  /** Directory for mirror, newest heads, choices, evidence. Absent: nothing outlives the process. */
  readonly statePath?: string;
  /**
   * Whether caches, too, are kept in `statePath` from one run to the next, sealed: for processes that live long.
   * Default: false.
   */
  readonly keepCaches?: boolean;
  /** Whether to hold the whole directory, and so tell its servers nothing. Default: true. */
  readonly mirror?: boolean;
  /**
   * Whether the zones in use tell of new heads (`Zone.Watch`), so that a change shows before what is cached of it
   * ends: for processes that live long. Default: false.
   */
  readonly watch?: boolean;
  /** Further servers of zones' public bytes, asked before the DPs' own. Anybody may run one: what it says is verified. */
  readonly replicas?: readonly Replica[];
  /** All caches together, 1 MiB..16 GiB; 64 MiB unless told. */
  readonly cacheBytes?: number;
  /** Threads for VOPRF batches, 1..64; one less than the machine has cores unless told. */
  readonly voprfThreads?: number;

  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly openChannel?: OpenChannel;
  /** How name servers are reached: sockets unless told. */
  readonly dnsExchange?: DnsExchange;
  readonly verifier?: SignatureVerifier;
  /** Engine for single contacts and batches alike; the caller closes it. */
  readonly voprf?: VoprfEngine;
}

const cacheBytesMin = 1024 * 1024;
const cacheBytesMax = 16 * 1024 * 1024 * 1024;
const anchorsBytesMax = 1024 * 1024;
const secretBytes = 32;

/**
 * A resolver, ready when its state is read; the directory is fetched when first needed. Throws CONFIG for
 * files and options that cannot be used, STORE_CORRUPT for damaged state, TypeError for values out of range.
 */
export async function createResolver(options: ResolverOptions): Promise<Resolver> {
  const { cacheBytes = limits.cacheBytes, clock = systemClock, random = systemRandom } = options;
  if (!(cacheBytes >= cacheBytesMin && cacheBytes <= cacheBytesMax)) {
    throw new TypeError(`cacheBytes: expected ${cacheBytesMin}..${cacheBytesMax}`);
  }
  const { openChannel = openGrpcChannel, verifier = nodeVerifier, statePath } = options;
  const anchors = await readAnchors(options.anchors);
  const caPem = anchors.tlsCaPem.map((pem) => `${pem.trimEnd()}\n`).join("");
  const identity =
    options.identity === undefined ? undefined : await readClientIdentity(options.identity);
  if (statePath !== undefined) await makeStateDirectory(statePath);
  const file = (name: string): string | undefined =>
    statePath === undefined ? undefined : join(statePath, name);
  const secret = await readLocalSecret(file("secret"), random);
  const evidence = await EvidenceFile.open({ path: file("evidence.json"), clock });
  const memory = await HeadMemory.open({ path: file("heads.json"), clock, evidence });
  const ksks = (): RootKsks => believedKsks(follower, anchors);
  const manifests = await ManifestMemory.open({ path: file("manifests.json"), clock, ksks });
  const choices = await ChoiceMemory.open({ path: file("choices.json"), clock, secret });
  const directoryPath = file("directory");
  const follower = createDirectoryFollower({
    anchors,
    source: parseDirectorySource(options.directory, { ...options, clock, random }),
    openChannel,
    clock,
    random,
    mirror: options.mirror ?? true,
    verifier,
    ...(options.logger === undefined ? {} : { logger: options.logger }),
    ...(directoryPath === undefined ? {} : { statePath: directoryPath }),
  });
  const engines = await voprfEngines(options, random);
  const cachePath = options.keepCaches === true ? file("cache") : undefined;
  return await assembleResolver({
    follower,
    peers: new Peers({ openChannel, caPem, identity, clock, random }),
    ...engines,
    verifier,
    clock,
    random,
    secret,
    evidence,
    memory,
    manifests,
    choices,
    cacheBytes,
    ownMsp: options.ownMsp,
    watch: options.watch ?? false,
    replicas: checkedReplicas(options.replicas),
    kept:
      cachePath === undefined
        ? undefined
        : new KeptCaches({
            path: cachePath,
            secret,
            random,
            logger: options.logger ?? silentLogger,
          }),
    suggestions: suggestionsOf({ ...options, clock, random }),
  });
}

function suggestionsOf(
  options: ResolverOptions & { readonly clock: Clock; readonly random: Random },
): DomainSuggestions | undefined {
  if (options.domainSuggestions !== true) return undefined;
  return new DomainSuggestions({ ...options, client: createDnsClient(options) });
}

const replicasMax = 64;
const pinBytes = 32;

function checkedReplicas(replicas: readonly Replica[] = []): readonly Replica[] {
  const isOk = ({ pins }: Replica): boolean =>
    pins.length > 0 && pins.every(({ length }) => length === pinBytes);
  if (replicas.length > replicasMax || !replicas.every(isOk)) {
    throw new TypeError(`replicas: expected at most ${replicasMax}, each with pins of 32 bytes`);
  }
  return replicas;
}

async function readAnchors(anchors: string | Anchors): Promise<Anchors> {
  if (typeof anchors !== "string") return anchors;
  const bytes = await readFileBounded(anchors, { bytesMax: anchorsBytesMax });
  return parseAnchors(new TextDecoder().decode(bytes));
}

/** The secret behind decoys, choice keys and kept caches: made once per state directory. Throws STORE_CORRUPT. */
async function readLocalSecret(path: string | undefined, random: Random): Promise<Uint8Array> {
  if (path === undefined) return random.bytes(secretBytes);
  if (!(await pathExists(path))) {
    const secret = random.bytes(secretBytes);
    await writeSecretFile(path, `${toBase64Url(secret)}\n`);
    return secret;
  }
  const text = new TextDecoder().decode(await readSecretFile(path)).trim();
  return withinStateFile(path, () => {
    const secret = fromBase64Url(text);
    if (secret.length !== secretBytes) throw stateCorrupt();
    return secret;
  });
}

async function voprfEngines(
  { voprf, voprfThreads = Math.max(1, availableParallelism() - 1) }: ResolverOptions,
  random: Random,
): Promise<Engines> {
  if (voprf !== undefined)
    return { pool: voprf, inline: voprf, closeEngines: () => Promise.resolve() };
  const pool = createVoprfPool({ threads: voprfThreads });
  const inline = createInlineVoprf(await loadSodiumVoprf(), random);
  return { pool, inline, closeEngines: () => pool.close() };
}
